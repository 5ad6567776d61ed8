//! `mysql`: a client's whole way to `MySQL` or `MariaDB`: the name, the connection, TLS, the login,
//! one query, and a polite end; and, in the same session, what the server says of itself and of its
//! replication.
//!
//! The connection is ours: the drivers tell no phase apart, and offer the server to send it files.

mod canary;
mod failure;
mod greeting;
mod login;
mod password;
mod query;
mod replication;
mod rows;
mod session;
mod settings;
mod version;

pub(super) use self::settings::Settings;

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;

use self::canary::Canary;
use self::login::Login;
use self::query::{Bounds, Query};
use self::replication::Learned;
use self::rows::Table;
use self::session::{Refusal, Session};
use self::version::Version;
use super::{Probe, Run, Template, acknowledged, concluded};
use crate::model::{
    CanaryFacts, DatabaseFacts, FactSet, Facts, Failure, Pen, Phase, PhaseSet, Reason, ReasonSet,
    Reply, Shape, TlsFacts, Withheld,
};
use crate::net::{Endpoint, Kept, Opened, Route, Stopwatch, TlsMode};

const DEFAULT_PORT: u16 = 3306;
/// Bytes that one run reads at most, TLS included. A login and all that is asked are below 20 KiB,
/// but for sets of transactions with many gaps.
const MAX_BYTES: u64 = 1 << 20;
/// Why a server does not acknowledge a canary.
const DOUBT: &str = "is a semi-synchronous standby missing?";

/// What the targets of one probe have in common.
struct Shared {
    route: Route,
    server_name: Option<String>,
    login: Login,
    bounds: Bounds,
    query: Query,
    /// Whether to ask about replication.
    replication: bool,
    canary: Option<Canary>,
    /// How old a connection gets that runs share; none: each has its own.
    max_age: Option<Duration>,
}

struct Mysql {
    shared: Arc<Shared>,
}

impl Template for Mysql {
    fn target(&self, address: &str) -> Result<Arc<dyn Probe>, String> {
        let shared = &self.shared;
        let endpoint = shared.route.endpoint(address, DEFAULT_PORT)?;
        let name = shared.server_name.as_deref();
        let server_name = endpoint.host.certified_name(name)?;
        Ok(Arc::new(Target {
            endpoint,
            server_name,
            pen: shared.canary.is_some().then(Arc::default),
            kept: Kept::new(shared.max_age),
            shared: Arc::clone(shared),
        }))
    }
}

struct Target {
    endpoint: Endpoint,
    server_name: ServerName<'static>,
    pen: Option<Arc<Pen>>,
    kept: Kept<Client>,
    shared: Arc<Shared>,
}

/// A session that is logged in, and what is known of it for as long as it lasts.
struct Client {
    session: Session,
    version: Version,
    tls: Option<Box<TlsFacts>>,
}

impl Target {
    async fn exchange(&self, watch: &mut Stopwatch) -> Result<Reply, Failure> {
        let mut facts = Facts::default();
        let result = self.visit(&mut facts, watch).await;
        let password = self.shared.login.password.as_ref();
        concluded(result.map_err(|failure| failure.without(password)), facts)
    }

    /// One visit as a client, which leaves what it learned in `facts` also when it fails. How long
    /// it took, up to the answer to the query.
    async fn visit(&self, facts: &mut Facts, watch: &mut Stopwatch) -> Result<Duration, Failure> {
        let (mut opened, verdict) = self.question(facts, watch).await?;
        let latency = watch.laps().total();
        // A server that goes down, or has had enough of this account, tells nothing more.
        let goes_on = |failure: &Failure| failure.reason != Reason::NotAccepting;
        let mut sound = verdict.is_ok();
        if self.shared.replication && verdict.as_ref().err().is_none_or(goes_on) {
            sound &= self.inquire(&mut opened.connection, facts, watch).await?;
            watch.leave();
        }
        let part = |client: Client| client.session.part();
        if sound {
            self.kept.put(opened, part);
        } else {
            part(opened.connection);
        }
        verdict.map(|()| latency)
    }

    /// Asks the query, on the connection of the run before if there is one and it still works.
    async fn question(
        &self,
        facts: &mut Facts,
        watch: &mut Stopwatch,
    ) -> Result<(Opened<Client>, Result<(), Failure>), Failure> {
        if let Some(mut kept) = self.kept.take(|client| client.session.part())
            && kept.connection.session.renew()
        {
            let client = &mut kept.connection;
            facts.tls.clone_from(&client.tls);
            facts.database = Some(Box::new(database_facts(&client.version)));
            match self.ask(client, watch).await {
                // The server may end a session at any time, and may say so; that is no failure of it
                // before it refuses a new one too.
                Err(_) if client.session.was_gone() => {}
                Ok(Err(failure)) if failure.reason == Reason::NotAccepting => {}
                verdict => return verdict.map(|verdict| (kept, verdict)),
            }
            watch.linger(Phase::QueryRead);
        }
        let mut client = self.open(facts, watch).await?;
        let verdict = self.ask(&mut client.connection, watch).await?;
        Ok((client, verdict))
    }

    /// Asks the query. The outer error says that the session is of no use any more.
    async fn ask(
        &self,
        client: &mut Client,
        watch: &mut Stopwatch,
    ) -> Result<Result<(), Failure>, Failure> {
        let query = &self.shared.query;
        watch.enter(Phase::QueryRead);
        match client.session.ask(&query.text, 1).await {
            Ok(answer) => {
                watch.leave();
                Ok(query.judge(&answer))
            }
            Err(Refusal::Said(error)) => {
                watch.linger(Phase::QueryRead);
                Ok(Err(error.of_query()))
            }
            Err(Refusal::Broken(failure)) => Err(failure),
        }
    }

    /// Connects, logs in, and sets the bounds of the session, which is not timed.
    async fn open(
        &self,
        facts: &mut Facts,
        watch: &mut Stopwatch,
    ) -> Result<Opened<Client>, Failure> {
        let shared = &*self.shared;
        *facts = Facts::default();
        let to = &self.endpoint;
        let wire = shared.route.connect(to, MAX_BYTES, facts, watch).await?;
        let login = &shared.login;
        let (mut session, greeted) = login.perform(wire, &self.server_name, facts, watch).await?;
        let version = Version::new(&greeted);
        facts.database = Some(Box::new(database_facts(&version)));
        if let Some(bounds) = shared.bounds.statement(&version) {
            watch.linger(Phase::QueryRead);
            bound(&mut session, &bounds).await?;
        }
        Ok(Opened::now(Client {
            session,
            version,
            tls: facts.tls.clone(),
        }))
    }

    /// Asks what the server is and how far it has come, and sees to the canary. Nothing of it is
    /// part of a latency, and nothing that the server does not tell fails the run: only a canary
    /// that was sent and not answered does. Whether the session is as it was before.
    async fn inquire(
        &self,
        client: &mut Client,
        facts: &mut Facts,
        watch: &mut Stopwatch,
    ) -> Result<bool, Failure> {
        watch.linger(Phase::QueryRead);
        let session = &mut client.session;
        let (learned, end) = Learned::from(session, &client.version).await;
        let database = facts.database.get_or_insert_default();
        database.withheld = learned.withheld;
        let told = database.replication.insert(Box::new(learned.facts));
        let (Ok(()), Some(canary), Some(pen)) = (&end, &self.shared.canary, &self.pen) else {
            return Ok(end.is_ok());
        };
        let Ok(seen) = canary.see(session).await else {
            database.withheld.get_or_insert(Withheld::Error);
            return Ok(false);
        };
        let facts = database.canary.insert(CanaryFacts { seen, write: None });
        if let Some(order) = pen.take() {
            let (started, timeout) = (watch.started(), self.shared.bounds.timeout);
            let write = canary.write(&order, told, session, watch);
            facts.write = Some(acknowledged(write, started, timeout, DOUBT).await??);
        }
        // What was allowed for a write that was refused may still be allowed.
        Ok(facts
            .write
            .as_ref()
            .is_none_or(|write| write.outcome.is_ok()))
    }
}

/// Sets the bounds of a session: nothing is asked without them.
async fn bound(session: &mut Session, statement: &str) -> Result<(), Failure> {
    match session.ask(statement, 0).await {
        Ok(Table { .. }) => Ok(()),
        Err(Refusal::Said(error)) => {
            let why = error.of_query();
            Err(Failure::new(
                why.reason,
                format_args!(
                    "the session cannot be bounded, see read_only: {}",
                    why.detail
                ),
            ))
        }
        Err(Refusal::Broken(failure)) => Err(failure),
    }
}

fn database_facts(version: &Version) -> DatabaseFacts {
    DatabaseFacts {
        engine: version.engine(),
        version: version.text().into(),
        ..DatabaseFacts::default()
    }
}

impl Probe for Target {
    fn run<'a>(&'a self, watch: &'a mut Stopwatch) -> Run<'a> {
        Box::pin(self.exchange(watch))
    }

    fn pen(&self) -> Option<Arc<Pen>> {
        self.pen.clone()
    }

    fn shape(&self) -> Shape {
        let shared = &*self.shared;
        let named = self.endpoint.host.is_name();
        let mode = shared.login.tls.as_ref().map(crate::net::TlsPolicy::mode);
        let tls = mode.is_some();
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
                    mode.is_some_and(|mode| mode != TlsMode::Prefer),
                    ReasonSet::of(&[Reason::TlsRefused]),
                )
                .and_if(shared.query.expects(), ReasonSet::of(&[Reason::Answer])),
            facts: FactSet {
                addresses: named,
                tls,
                tls_unverified: mode.is_some_and(|mode| !mode.verifies()),
                database: true,
                replication: shared.replication,
                ..FactSet::default()
            },
        }
    }
}
