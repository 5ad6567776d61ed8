//! `postgres`: a client's whole way, on a fresh connection each run: the name, the connection, TLS,
//! the login, one query, and a polite end.
//!
//! It works through a connection pooler: nothing is sent that `pgbouncer` refuses (no `options`)
//! and nothing outlives the run on a server connection that others use (no plain `SET`). What
//! bounds the query on the server is sent along with it, see
//! [`Settings::read_only`].

mod binding;
mod channel;
mod failure;
mod query;
mod screen;
mod settings;
mod tls;

pub(super) use self::settings::Settings;

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use smallvec::smallvec;
use tokio_postgres::Config;

use self::channel::{Channel, Established};
use self::query::Query;
use self::screen::{Limits, Screen};
use super::{Probe, Run, Template};
use crate::model::{
    DatabaseFacts, FactSet, Facts, Failure, Phase, PhaseSet, Reason, ReasonSet, Reply, Shape,
};
use crate::net::{
    Dial, Endpoint, Host, IpVersion, Resolver, Stopwatch, TlsMode, TlsPolicy, Transport, Wire,
};

const DEFAULT_PORT: u16 = 5432;
/// Bytes that one run reads at most, TLS included. A login and a small answer are below 10 KiB.
const MAX_BYTES: u64 = 1 << 20;
/// Characters of the server's version that are kept.
const MAX_VERSION: usize = 64;

/// What the targets of one probe have in common.
struct Shared {
    resolver: Arc<Resolver>,
    ip_version: IpVersion,
    dial: Dial,
    mode: TlsMode,
    tls: Option<TlsPolicy>,
    server_name: Option<String>,
    limits: Limits,
    login: Config,
    query: Query,
}

struct Postgres {
    shared: Arc<Shared>,
}

impl Template for Postgres {
    fn target(&self, address: &str) -> Result<Arc<dyn Probe>, String> {
        let endpoint = Endpoint::parse(address, Some(DEFAULT_PORT))?;
        if let Host::Ip(ip) = endpoint.host
            && !self.shared.ip_version.takes(ip)
        {
            return Err(format!(
                "{ip} is not of the family that ip_version or source_address asks for"
            ));
        }
        let server_name = match &self.shared.server_name {
            Some(name) => Host::parse(name)?.certified_name()?,
            None => endpoint.host.certified_name()?,
        };
        Ok(Arc::new(Target {
            endpoint,
            server_name,
            shared: Arc::clone(&self.shared),
        }))
    }
}

struct Target {
    endpoint: Endpoint,
    server_name: ServerName<'static>,
    shared: Arc<Shared>,
}

impl Target {
    async fn exchange(&self, watch: &mut Stopwatch) -> Result<Reply, Failure> {
        let mut facts = Facts::default();
        match self.visit(&mut facts, watch).await {
            Ok(()) => Ok(Reply {
                latencies: smallvec![watch.laps().total()],
                facts,
            }),
            Err(failure) => Err(failure.with_facts(facts)),
        }
    }

    /// One visit as a client, which leaves what it learned in `facts` also when it fails.
    async fn visit(&self, facts: &mut Facts, watch: &mut Stopwatch) -> Result<(), Failure> {
        let shared = &*self.shared;
        let wire = self.connect(facts, watch).await?;
        let transport = match &shared.tls {
            Some(policy) => tls::secure(policy, wire, &self.server_name, facts, watch).await?,
            None => Transport::Plain(wire),
        };
        let channel = Channel::new(transport, Screen::new(shared.limits));

        watch.enter(Phase::Auth);
        let (client, connection) = shared
            .login
            .connect_raw(tokio::io::empty(), Established(channel))
            .await
            .map_err(|e| failure::of_login(&e))?;
        facts.database = Some(Box::new(database_facts(
            connection.parameter("server_version"),
        )));

        watch.enter(Phase::QueryRead);
        let mut carrier = Some(connection);
        let answer = shared.query.ask(&client, &mut carrier).await;
        if answer.is_ok() {
            watch.leave();
        }
        query::part(client, carrier);
        let answer = answer.map_err(|e| failure::of_query(&e))?;
        shared.query.judge(&answer)
    }

    async fn connect(&self, facts: &mut Facts, watch: &mut Stopwatch) -> Result<Wire, Failure> {
        let Shared {
            resolver,
            ip_version,
            dial,
            ..
        } = &*self.shared;
        let host = &self.endpoint.host;
        let addresses = resolver.resolve(host, *ip_version, watch).await?;
        let address = SocketAddr::new(addresses[0], self.endpoint.port);
        if host.is_name() {
            facts.addresses = addresses;
        }
        dial.connect(address, MAX_BYTES, watch).await
    }
}

/// What the server said of itself. The role, the positions and the links of replication come from
/// the same session: the query that reads them belongs beside [`Query`], their typed fields in
/// [`DatabaseFacts`].
fn database_facts(version: Option<&str>) -> DatabaseFacts {
    DatabaseFacts {
        engine: "postgresql",
        version: version
            .unwrap_or_default()
            .chars()
            .filter(|c| !c.is_control())
            .take(MAX_VERSION)
            .collect::<String>()
            .into(),
        ..DatabaseFacts::default()
    }
}

impl Probe for Target {
    fn run<'a>(&'a self, watch: &'a mut Stopwatch) -> Run<'a> {
        Box::pin(self.exchange(watch))
    }

    fn shape(&self) -> Shape {
        let named = self.endpoint.host.is_name();
        let tls = self.shared.mode.asks();
        Shape {
            phases: PhaseSet::of(&[Phase::Connect, Phase::Auth, Phase::QueryRead])
                .with_if(named, Phase::Resolve)
                .with_if(tls, Phase::Tls),
            reasons: ReasonSet::CONNECT
                .and_if(named, ReasonSet::RESOLVE)
                .and_if(tls, ReasonSet::TLS)
                .and_if(
                    tls && self.shared.mode != TlsMode::Prefer,
                    ReasonSet::of(&[Reason::TlsRefused]),
                )
                .and(ReasonSet::of(&[
                    Reason::Auth,
                    Reason::TimeoutAuth,
                    Reason::NotAccepting,
                    Reason::Protocol,
                    Reason::TooLarge,
                    Reason::Query,
                    Reason::TimeoutQuery,
                ]))
                .and_if(
                    self.shared.query.expects(),
                    ReasonSet::of(&[Reason::Answer]),
                ),
            facts: FactSet {
                addresses: named,
                tls,
                tls_unverified: tls && !self.shared.mode.verifies(),
                database: true,
                ..FactSet::default()
            },
        }
    }
}
