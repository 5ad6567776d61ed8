//! `postgres`: a client's whole way, on a fresh connection each run unless it is told otherwise: the
//! name, the connection, TLS, the login, one query, what there is to know of replication, the canary
//! where one is ordered, and a polite end.
//!
//! It works through a connection pooler: nothing is sent that `pgbouncer` refuses (no `options`)
//! and nothing outlives the run on a server connection that others use (no plain `SET`). What
//! bounds the query on the server is sent along with it, see
//! [`Settings::read_only`].

mod binding;
mod canary;
mod channel;
mod failure;
mod query;
mod replication;
mod screen;
mod session;
mod settings;
mod tls;

pub(super) use self::settings::Settings;

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio_postgres::Config;

use self::query::Query;
use self::screen::{Limits, Screen};
use self::session::Session;
use super::{CanaryName, Probe, Run, Template, concluded};
use crate::model::{
    FactSet, Facts, Failure, Laps, Pen, Phase, PhaseSet, Reason, ReasonSet, Reply, Secret, Shape,
};
use crate::net::{Endpoint, Kept, Opened, Route, Stopwatch, TlsMode, TlsPolicy, Transport};

const DEFAULT_PORT: u16 = 5432;
/// Bytes that one run reads at most, TLS included. A login and a small answer are below 10 KiB.
const MAX_BYTES: u64 = 1 << 20;

/// What the targets of one probe have in common.
struct Shared {
    route: Route,
    mode: TlsMode,
    tls: Option<TlsPolicy>,
    server_name: Option<String>,
    limits: Limits,
    login: Config,
    /// The one of the login, which no text of a failure may have.
    password: Option<Secret>,
    query: Query,
    /// How old a session gets that runs share; none where each has its own.
    max_connection_age: Option<Duration>,
    /// Whether to ask about replication.
    replication: bool,
    /// The name of its canary, if it has one.
    canary: Option<CanaryName>,
    /// The deadline of a run.
    timeout: Duration,
}

struct Postgres {
    shared: Arc<Shared>,
}

impl Template for Postgres {
    fn target(&self, address: &str) -> Result<Arc<dyn Probe>, String> {
        let endpoint = self.shared.route.endpoint(address, DEFAULT_PORT)?;
        let name = self.shared.server_name.as_deref();
        let server_name = endpoint.host.certified_name(name)?;
        Ok(Arc::new(Target {
            endpoint,
            server_name,
            kept: Kept::new(self.shared.max_connection_age),
            pen: self.shared.canary.as_ref().map(|_| Arc::default()),
            shared: Arc::clone(&self.shared),
        }))
    }
}

struct Target {
    endpoint: Endpoint,
    server_name: ServerName<'static>,
    /// The session that the last run left.
    kept: Kept<Session>,
    /// Where orders to write the canary lie.
    pen: Option<Arc<Pen>>,
    shared: Arc<Shared>,
}

impl Target {
    async fn exchange(&self, watch: &mut Stopwatch) -> Result<Reply, Failure> {
        let mut facts = Facts::default();
        let result = self.visit(&mut facts, watch).await;
        let password = self.shared.password.as_ref();
        let result = result.map_err(|failure| failure.without(password));
        concluded(result.map(|()| latency(&watch.laps())), facts)
    }

    /// One visit as a client, which leaves what it learned in `facts` also when it fails.
    async fn visit(&self, facts: &mut Facts, watch: &mut Stopwatch) -> Result<(), Failure> {
        if let Some(mut kept) = self.kept.take(Session::part)
            && kept.connection.renew()
        {
            match self.converse(&mut kept.connection, facts, watch).await {
                // What that session took is no part of how long a login and a query take. Once it
                // answered the query, it was not gone.
                Err(failure)
                    if is_loss(&failure) && watch.laps().get(Phase::QueryRead).is_none() =>
                {
                    watch.linger(Phase::QueryRead);
                }
                result => return self.leave(kept, result),
            }
        }
        let mut opened = Opened::now(self.open(facts, watch).await?);
        let result = self.converse(&mut opened.connection, facts, watch).await;
        self.leave(opened, result)
    }

    async fn open(&self, facts: &mut Facts, watch: &mut Stopwatch) -> Result<Session, Failure> {
        let shared = &*self.shared;
        let to = &self.endpoint;
        let wire = shared.route.connect(to, MAX_BYTES, facts, watch).await?;
        let transport = match &shared.tls {
            Some(policy) => tls::secure(policy, wire, &self.server_name, facts, watch).await?,
            None => Transport::Plain(wire),
        };
        watch.enter(Phase::Auth);
        Session::open(&shared.login, transport, Screen::new(shared.limits)).await
    }

    /// Leaves the session to the next run after a whole exchange, be the answer right or wrong. An
    /// error may have left a transaction open in which every further statement fails.
    fn leave(&self, opened: Opened<Session>, result: Result<(), Failure>) -> Result<(), Failure> {
        let whole = match &result {
            Ok(()) => true,
            Err(failure) => failure.reason == Reason::Answer,
        };
        if whole {
            self.kept.put(opened, Session::part);
        } else {
            opened.connection.part();
        }
        result
    }

    /// Asks the query, then what there is to know of replication, and writes the canary if that is
    /// ordered.
    async fn converse(
        &self,
        session: &mut Session,
        facts: &mut Facts,
        watch: &mut Stopwatch,
    ) -> Result<(), Failure> {
        let shared = &*self.shared;
        let told = facts.database.insert(Box::new(session.facts()));
        let answer = session.ask(shared, told, watch).await;
        if let Some(pen) = &self.pen {
            session.write(shared, pen, told, watch).await?;
        }
        shared.query.judge(&answer?)
    }
}

/// The time of a visit, which ends with the answer to the query: what is written after it is written
/// to one of the targets only, and would make it look slow.
fn latency(laps: &Laps) -> Duration {
    laps.iter()
        .filter(|(phase, _)| *phase != Phase::QueryWrite)
        .map(|(_, spent)| spent)
        .sum()
}

/// Whether a session turned out to be gone: one that was kept is replaced then.
fn is_loss(failure: &Failure) -> bool {
    matches!(
        failure.reason,
        Reason::Eof | Reason::Reset | Reason::NotAccepting
    )
}

impl Probe for Target {
    fn run<'a>(&'a self, watch: &'a mut Stopwatch) -> Run<'a> {
        Box::pin(self.exchange(watch))
    }

    fn pen(&self) -> Option<Arc<Pen>> {
        self.pen.clone()
    }

    fn shape(&self) -> Shape {
        let named = self.endpoint.host.is_name();
        let tls = self.shared.mode.asks();
        Shape {
            phases: PhaseSet::of(&[Phase::Connect, Phase::Auth, Phase::QueryRead])
                .with_if(named, Phase::Resolve)
                .with_if(tls, Phase::Tls)
                .with_if(self.pen.is_some(), Phase::QueryWrite),
            reasons: ReasonSet::CONNECT
                .and(ReasonSet::DATABASE)
                .and(ReasonSet::of(&[Reason::TimeoutAuth]))
                .and_if(named, ReasonSet::RESOLVE)
                .and_if(tls, ReasonSet::TLS)
                .and_if(
                    tls && self.shared.mode != TlsMode::Prefer,
                    ReasonSet::of(&[Reason::TlsRefused]),
                )
                .and_if(
                    self.shared.query.expects(),
                    ReasonSet::of(&[Reason::Answer]),
                ),
            facts: FactSet {
                addresses: named,
                tls,
                tls_unverified: tls && !self.shared.mode.verifies(),
                database: true,
                replication: self.shared.replication,
                ..FactSet::default()
            },
        }
    }
}
