//! `redis`: a client's whole way: the name, the connection, TLS, the login, one command; and what
//! the server says of itself and of its replication.
//!
//! Every command is one that a user with few rights may use, and nothing is asked that would change
//! the connection (no `HELLO`, no `CLIENT`).

mod canary;
mod failure;
mod info;
mod login;
mod query;
mod reply;
mod session;
mod settings;

pub(super) use self::settings::Settings;

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::time::Instant;

use self::canary::Canary;
use self::info::Answers;
use self::login::Login;
use self::query::Query;
use self::reply::Reply as Answer;
use self::session::Session;
use super::{Probe, Run, Template, acknowledged, concluded};
use crate::model::{
    CanaryFacts, FactSet, Facts, Failure, Pen, Phase, PhaseSet, Reason, ReasonSet, Reply, Shape,
};
use crate::net::{Endpoint, Kept, Opened, Route, Stopwatch, TlsClient, Transport};

const DEFAULT_PORT: u16 = 6379;
/// Bytes that one run reads at most, TLS included. All that it asks has answers below 10 KiB.
const MAX_BYTES: u64 = 1 << 20;
/// Why a server does not acknowledge a canary.
const DOUBT: &str = "are writes paused for a failover?";

/// What the targets of one probe have in common.
struct Shared {
    route: Route,
    tls: Option<TlsClient>,
    server_name: Option<String>,
    login: Login,
    query: Query,
    /// Whether to ask about the server and its replication.
    replication: bool,
    /// What is asked beside the query, all at once.
    inquiry: Vec<u8>,
    canary: Option<Canary>,
    /// The deadline of a run.
    timeout: Duration,
    /// How old a connection gets that runs share; `None`: each has its own.
    max_age: Option<Duration>,
}

struct Redis {
    shared: Arc<Shared>,
}

impl Template for Redis {
    fn target(&self, address: &str) -> Result<Arc<dyn Probe>, String> {
        let shared = &self.shared;
        let endpoint = shared.route.endpoint(address, DEFAULT_PORT)?;
        let name = shared.server_name.as_deref();
        let tls = match &shared.tls {
            Some(client) => Some((client.clone(), endpoint.host.certified_name(name)?)),
            None => None,
        };
        Ok(Arc::new(Target {
            endpoint,
            tls,
            pen: shared.canary.is_some().then(Arc::default),
            kept: Kept::new(shared.max_age),
            shared: Arc::clone(shared),
        }))
    }
}

struct Target {
    endpoint: Endpoint,
    /// With the name that the server's certificate must have.
    tls: Option<(TlsClient, ServerName<'static>)>,
    pen: Option<Arc<Pen>>,
    kept: Kept<Session>,
    shared: Arc<Shared>,
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
        let (mut opened, answer) = self.question(facts, watch).await?;
        let latency = watch.laps().total();
        let verdict = self.shared.query.judge(&answer);
        let mut sound = verdict.is_ok();
        // Whom the server does not know, it tells nothing.
        let is_stranger = |failure: &Failure| failure.reason == Reason::Auth;
        if self.shared.replication && !verdict.as_ref().is_err_and(is_stranger) {
            let session = &mut opened.connection;
            let refused = verdict.as_ref().err().map(|failure| failure.reason);
            sound &= self.inquire(session, refused, facts, watch).await?;
        }
        if sound {
            self.kept.put(opened, Session::part);
        } else {
            opened.connection.part();
        }
        verdict.map(|()| latency)
    }

    /// Asks the query, on the connection of the run before if there is one and it still works.
    async fn question(
        &self,
        facts: &mut Facts,
        watch: &mut Stopwatch,
    ) -> Result<(Opened<Session>, Answer), Failure> {
        let question = &self.shared.query.question;
        if let Some(mut opened) = self.kept.take(Session::part)
            && opened.connection.is_ready()
        {
            let session = &mut opened.connection;
            watch.enter(Phase::QueryRead);
            match session.ask(question).await {
                // The server may end a connection at any time; that is no failure of it.
                Err(failure) if session.was_gone(&failure) => watch.linger(Phase::QueryRead),
                answer => {
                    let answer = timed(answer?, watch);
                    facts.tls.clone_from(&session.tls);
                    return Ok((opened, answer));
                }
            }
        }
        let mut session = self.open(facts, watch).await?;
        watch.enter(Phase::QueryRead);
        let answer = timed(session.ask(question).await?, watch);
        Ok((Opened::now(session), answer))
    }

    async fn open(&self, facts: &mut Facts, watch: &mut Stopwatch) -> Result<Session, Failure> {
        let shared = &*self.shared;
        let to = &self.endpoint;
        let wire = shared.route.connect(to, MAX_BYTES, facts, watch).await?;
        let transport = match &self.tls {
            None => Transport::Plain(wire),
            Some((client, name)) => {
                let stream = client
                    .handshake(wire, name, &[], &mut facts.tls, watch)
                    .await?;
                Transport::Tls(Box::new(stream))
            }
        };
        let mut session = Session::new(transport, facts.tls.clone());
        if shared.login.is_needed() {
            watch.enter(Phase::Auth);
            shared.login.perform(&mut session).await?;
            watch.leave();
        }
        Ok(session)
    }

    /// Asks what the server is and how far it has come, and sees to the canary. Nothing of it is
    /// part of a latency, and nothing that the server does not tell fails the run: only a canary
    /// that was sent and not answered does. Whether the session is as it was before.
    ///
    /// A query that was `refused` keeps nothing from being written, but for a server that takes no
    /// commands now.
    async fn inquire(
        &self,
        session: &mut Session,
        refused: Option<Reason>,
        facts: &mut Facts,
        watch: &mut Stopwatch,
    ) -> Result<bool, Failure> {
        watch.linger(Phase::QueryRead);
        let asked = Instant::now().into_std();
        let answers = self.answers(session).await;
        let answered = Instant::now().into_std();
        let Ok((answers, look)) = answers else {
            // A server that has refused the query may have closed the connection at that.
            facts.database = refused.is_none().then(|| Box::new(info::nothing_told()));
            return Ok(false);
        };
        let database = facts
            .database
            .insert(Box::new(answers.facts(asked, answered)));
        if let (Some(look), Some(canary), Some(pen)) = (look, &self.shared.canary, &self.pen) {
            let facts = database.canary.insert(CanaryFacts {
                seen: canary::sighting(&look, asked, answered),
                write: None,
            });
            if refused != Some(Reason::NotAccepting)
                && let Some(order) = pen.take()
            {
                let told = database.replication.as_deref();
                let (started, timeout) = (watch.started(), self.shared.timeout);
                let write = canary.write(&order, told, session, watch);
                facts.write = Some(acknowledged(write, started, timeout, DOUBT).await??);
            }
        }
        Ok(true)
    }

    /// The answers to all that is asked beside the query, that to the look for a canary apart.
    async fn answers(&self, session: &mut Session) -> Result<(Answers, Option<Answer>), Failure> {
        session.send(&self.shared.inquiry).await?;
        let answers = Answers {
            replication: session.reply().await?,
            server: session.reply().await?,
            keys: session.reply().await?,
        };
        let look = match &self.shared.canary {
            Some(_) => Some(session.reply().await?),
            None => None,
        };
        session.settle()?;
        Ok((answers, look))
    }
}

/// Ends the phase of the query, unless it was refused.
fn timed(answer: Answer, watch: &mut Stopwatch) -> Answer {
    if !matches!(answer, Answer::Error(_)) {
        watch.leave();
    }
    answer
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
        let tls = self.tls.is_some();
        Shape {
            phases: PhaseSet::of(&[Phase::Connect, Phase::QueryRead])
                .with_if(named, Phase::Resolve)
                .with_if(tls, Phase::Tls)
                .with_if(shared.login.is_needed(), Phase::Auth)
                .with_if(self.pen.is_some(), Phase::QueryWrite),
            reasons: ReasonSet::CONNECT
                .and(ReasonSet::DATABASE)
                .and_if(named, ReasonSet::RESOLVE)
                .and_if(tls, ReasonSet::TLS)
                .and_if(
                    shared.login.is_needed(),
                    ReasonSet::of(&[Reason::TimeoutAuth]),
                )
                .and_if(shared.query.expects(), ReasonSet::of(&[Reason::Answer])),
            facts: FactSet {
                addresses: named,
                tls,
                tls_unverified: shared.tls.as_ref().is_some_and(|client| !client.verifies()),
                database: shared.replication,
                replication: shared.replication,
                ..FactSet::default()
            },
        }
    }
}
