//! The daemon's own server: metrics, health, readiness and a landing page, over HTTP with or without TLS.
//!
//! Whoever can reach it shares one pool of file descriptors with the probes, and may be slow,
//! broken or hostile. So the accept loop is ours: connections are capped in all and per address,
//! and every one of them ends by a deadline whatever its peer does.

mod access;
mod admission;
mod alerts;
mod api;
mod beside;
mod config;
mod configured;
mod events;
mod last_word;
mod listen;
mod openapi;
mod orders;
mod page;
mod pages;
mod passwords;
mod patience;
mod problem;
mod query;
mod rank;
mod rate;
mod readiness;
mod reload;
mod samples;
mod status;
mod targets;
mod tls;
mod vantages;
mod web;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;

use self::access::{Access, Origin, Peer};
use self::admission::{Admission, Pass};
use self::listen::{Accepted, Io, Open};
use self::passwords::Passwords;
use self::patience::{Patience, Watched};
use crate::metrics::{Exposition, HandshakeFailure, Own, Refused, Rejection};
use crate::model::{Beat, TargetGroup};

pub use self::alerts::{Alerting, Receivers};
pub use self::config::Masked;
pub use self::configured::{Configured, RegionReport, TargetReport};
pub use self::events::Events;
pub use self::listen::{Address, Listener, bind};
pub use self::orders::ORDER_HEADER;
pub use self::page::Overview;
pub use self::readiness::{Judge, Readiness};
pub use self::reload::{RELOAD_LIMIT, ReloadOrder};
pub use self::samples::History;
pub use self::status::{Stand, Standing};
pub use self::vantages::{Said, Vantage, Vantages};
pub use self::web::Web;

/// A question about the daemon; the error says what is wrong, in one line.
pub type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What the server shows.
pub struct State {
    /// The pages of `/metrics`.
    pub exposition: Arc<Exposition>,
    /// Where connections are counted.
    pub own: Arc<Own>,
    /// The daemon's version.
    pub version: String,
    /// The region it runs in.
    pub region: String,
    /// Whether the daemon makes progress: `/-/healthy`.
    pub healthy: Check,
    /// Whether every target has been probed once: `/-/ready`.
    pub ready: Check,
    /// How the daemon stands otherwise.
    pub standing: Stand,
    /// What the configuration in force has.
    pub configured: watch::Receiver<Arc<Configured>>,
    /// Where the daemons of all regions are: `/sd`.
    pub daemons: watch::Receiver<Arc<Vec<TargetGroup>>>,
    /// What is said of the groups.
    pub readiness: Arc<Readiness>,
    /// What happened to them, and the drills.
    pub events: Box<dyn Events>,
    /// The past of the targets.
    pub history: Box<dyn History>,
    /// The alerts, the silences and the receivers.
    pub alerting: Alerting,
    /// What the pages for people tell beside all that.
    pub overview: Overview,
    /// What the daemons of other regions say.
    pub vantages: Arc<Vantages>,
    /// What the web configuration file asks for, now.
    pub web: watch::Receiver<Arc<Web>>,
    /// Where the order goes to read the configuration again: `/-/reload`.
    pub reload: mpsc::Sender<ReloadOrder>,
    /// What clients may cost.
    pub limits: Limits,
    /// The sign of life of what accepts connections, each second at least.
    pub beat: Arc<Beat>,
}

/// What clients may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections of all hosts. Those over UNIX sockets have places of their own.
    pub connections: usize,
    /// Connections from one IPv4 address or one IPv6 network of 64 bits, or over UNIX sockets.
    pub per_address: usize,
    /// From a connection's start or a request's first byte to the end of its header.
    pub header: Duration,
    /// From the end of a request's header to the last byte of the answer being taken.
    pub request: Duration,
    /// From an answer to the next request's first byte; longer than most scrape intervals.
    pub idle: Duration,
    /// How long requests under way may go on once the server stops.
    pub grace: Duration,
}

impl Limits {
    /// Those of connections over UNIX sockets, which have places of their own: an operator gets in
    /// however many hosts there are. All of them come from one address; as many more may be about to go.
    const fn of_the_socket(self) -> Self {
        Self {
            connections: self.per_address,
            per_address: 2 * self.per_address,
            ..self
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            per_address: 32,
            header: Duration::from_secs(5),
            request: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            grace: Duration::from_secs(2),
        }
    }
}

/// Bytes of a request's header; a larger one is answered with 431.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Fields of a request's header; more are answered with 431.
const MAX_HEADER_FIELDS: usize = 64;
/// How long the server waits when this host cannot accept.
const BACK_OFF: Duration = Duration::from_millis(100);
/// It beats so often at least.
const BEAT: Duration = Duration::from_secs(1);

/// Answers requests until `stop` is done, then lets those under way finish for a short while.
///
/// The error says that there is nothing to listen on, or what this host lacks.
pub async fn serve(
    listeners: Vec<Listener>,
    state: Arc<State>,
    stop: impl Future<Output = ()>,
) -> Result<(), String> {
    if listeners.is_empty() {
        return Err("there is no address to listen on".to_owned());
    }
    let mut stop = pin!(stop);
    let open = listeners.iter().filter(|listener| listener.is_open());
    let open = open.flat_map(Listener::address).collect();
    let mut server = Server::new(state, open)?;
    let listeners: io::Result<Vec<_>> = listeners.into_iter().map(Listener::open).collect();
    let mut listeners = listeners.map_err(|error| format!("cannot listen: {error}"))?;
    let mut web = server.state.web.clone();
    let mut changing = true;
    server.tell_open();
    loop {
        server.state.beat.beat(Instant::now().into_std());
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = server.connections.join_next() => report(ended),
            changed = web.changed(), if changing => {
                changing = changed.is_ok();
                server.tell_open();
            }
            // Until there is room, the next end of a connection goes before.
            accepted = accept(&mut listeners), if server.is_open() => match accepted {
                Ok(accepted) => server.admit(accepted),
                // That one client's fault: it has gone already.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    server.cannot_accept(&error);
                    // No file descriptor, most likely: trying on at once would only burn time.
                    tokio::select! { () = &mut stop => break, () = sleep(BACK_OFF) => {} }
                }
            },
            () = sleep(BEAT) => {}
        }
    }
    drop(listeners);
    server.finish().await;
    Ok(())
}

/// The next connection of any listener. Each has its turn: one that is flooded does not keep the others
/// waiting.
async fn accept(listeners: &mut [Open]) -> io::Result<Accepted> {
    listeners.rotate_left(1);
    poll_fn(|context| {
        let mut polled = listeners.iter().map(|each| each.poll_accept(context));
        polled.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

/// What the accept loop works with.
struct Server {
    state: Arc<State>,
    /// Where other hosts can reach it.
    open: Vec<Address>,
    hosts: Arc<Admission>,
    socket: Arc<Admission>,
    access: Access,
    http: http1::Builder,
    connections: JoinSet<()>,
    closing: watch::Sender<bool>,
    /// Whether the last attempt to accept failed: one line in the log is enough.
    failing: bool,
}

impl Server {
    fn new(state: Arc<State>, open: Vec<Address>) -> Result<Self, String> {
        let mut http = http1::Builder::new();
        // hyper's own header timeout would also end an idle connection between two scrapes; the
        // deadlines of `Patience` tell the two apart.
        http.header_read_timeout(None)
            .max_headers(MAX_HEADER_FIELDS)
            .max_header_size(MAX_HEADER_BYTES)
            .max_buf_size(2 * MAX_HEADER_BYTES);
        Ok(Self {
            hosts: Admission::new(Arc::clone(&state.own), state.limits).into(),
            socket: Admission::new(Arc::clone(&state.own), state.limits.of_the_socket()).into(),
            access: Access {
                router: pages::router(Arc::clone(&state))?,
                own: Arc::clone(&state.own),
                passwords: Arc::new(Passwords::new()?),
            },
            state,
            open,
            http,
            connections: JoinSet::new(),
            closing: watch::Sender::new(false),
            failing: false,
        })
    }

    /// Tells which addresses anybody can read from. Nobody who is not known can order anything there.
    fn tell_open(&self) {
        let open: &[_] = if self.web().asks_who() {
            &[]
        } else {
            &self.open
        };
        let gauge = &self.state.own.http_open_listeners;
        let before = gauge.get();
        gauge.set(i64::try_from(open.len()).unwrap_or(i64::MAX));
        for address in open.iter().filter(|_| before == 0) {
            tracing::warn!(
                %address,
                "whoever reaches this address can read all that is here, but order nothing: users or \
                 client certificates are set up by --web.config.file"
            );
        }
    }

    fn web(&self) -> Arc<Web> {
        Arc::clone(&self.state.web.borrow())
    }

    fn is_open(&self) -> bool {
        self.hosts.is_open() && self.socket.is_open()
    }

    fn admit(&mut self, (stream, origin): Accepted) {
        self.failing = false;
        let admission = match origin {
            Origin::Host(_) => &self.hosts,
            Origin::Socket => &self.socket,
        };
        match admission.admit(origin.address()) {
            Ok(pass) => {
                let connection = self.connection(stream, origin, pass);
                self.connections.spawn(connection);
            }
            Err(cause) => {
                let peer = origin.address();
                tracing::debug!(%peer, cause = cause.as_str(), "refused a connection");
                self.state.own.rejected(cause);
                let web = self.web();
                if origin == Origin::Socket || !web.has_tls() {
                    stream.last_word(&last_word::no_place(&web));
                }
            }
        }
    }

    fn cannot_accept(&mut self, error: &io::Error) {
        self.state.own.rejected(Rejection::Accept);
        if !self.failing {
            tracing::warn!(%error, "cannot accept connections; trying on");
        }
        self.failing = true;
    }

    /// One connection from its first byte to its last.
    fn connection(
        &self,
        stream: Box<dyn Io>,
        origin: Origin,
        pass: Pass,
    ) -> impl Future<Output = ()> + Send + 'static {
        let patience = Arc::clone(&pass.patience);
        let access = self.access.clone();
        let web = self.state.web.clone();
        let opening = Opening {
            web: self.web(),
            origin,
            patience: Arc::clone(&patience),
            own: Arc::clone(&self.state.own),
        };
        let own = Arc::clone(&self.state.own);
        let http = self.http.clone();
        let mut closing = self.closing.subscribe();
        async move {
            let _pass = pass;
            let mut expired = pin!(patience::expired(Arc::clone(&patience)));
            let opened = tokio::select! {
                biased;
                opened = opening.open(stream) => opened,
                () = &mut expired => return opening.expired(),
                _ = closing.changed() => return,
            };
            let Some((stream, peer)) = opened else { return };
            let io = TokioIo::new(Watched::new(stream, Arc::clone(&patience), web.clone()));
            let answer = {
                let patience = Arc::clone(&patience);
                let closing = page::Closing(closing.clone());
                service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
                    patience.request();
                    let patience = Arc::clone(&patience);
                    // For what takes longer than an answer should.
                    request.extensions_mut().insert(Arc::clone(&patience));
                    // For what goes on until the server ends.
                    request.extensions_mut().insert(closing.clone());
                    let web = Arc::clone(&web.borrow());
                    let answer = access.clone().answer(web, peer, request);
                    async move { Ok::<_, Infallible>(patience::until_sent(answer.await, patience)) }
                })
            };
            let mut connection = pin!(http.serve_connection(io, answer));
            let mut open = true;
            loop {
                tokio::select! {
                    biased;
                    ended = connection.as_mut() => return ended_badly(ended, &own),
                    () = &mut expired => {
                        patience.overdue().into_iter().for_each(|cause| own.rejected(cause));
                        return;
                    }
                    _ = closing.changed(), if open => {
                        open = false;
                        connection.as_mut().graceful_shutdown();
                    }
                }
            }
        }
    }

    /// Lets the connections end, those that take too long by force.
    async fn finish(mut self) {
        self.closing.send_replace(true);
        let grace = self.state.limits.grace;
        let ended = async {
            while let Some(ended) = self.connections.join_next().await {
                report(ended);
            }
        };
        if tokio::time::timeout(grace, ended).await.is_err() {
            tracing::info!("closed connections that were still busy");
        }
    }
}

/// What comes before the first request.
struct Opening {
    web: Arc<Web>,
    origin: Origin,
    patience: Arc<Patience>,
    own: Arc<Own>,
}

impl Opening {
    /// The stream on which HTTP is spoken, and who is at its other end; none if that failed.
    async fn open(&self, stream: Box<dyn Io>) -> Option<(Box<dyn Io>, Peer)> {
        let unknown = Peer {
            origin: self.origin,
            known: false,
        };
        let Some(config) = self.web.tls().filter(|_| self.origin != Origin::Socket) else {
            return Some((stream, unknown));
        };
        match TlsAcceptor::from(config).accept(stream).await {
            Ok(stream) => {
                self.patience.shaken();
                let certificates = stream.get_ref().1.peer_certificates();
                let shown = certificates.is_some_and(|shown| !shown.is_empty());
                let known = self.web.verifies() && shown;
                Some((Box::new(stream), Peer { known, ..unknown }))
            }
            Err(error) => {
                let cause = tls::cause(&error);
                tracing::debug!(%error, cause = cause.as_str(), "a TLS handshake failed");
                self.own.handshake_failed(cause);
                None
            }
        }
    }

    /// It took too long, if it did not have to make room.
    fn expired(&self) {
        if !self.patience.is_lost() {
            self.own.handshake_failed(HandshakeFailure::Timeout);
        }
    }
}

/// Counts what was no request: the library has answered it, as far as it could.
fn ended_badly(ended: hyper::Result<()>, own: &Own) {
    let Err(error) = ended else { return };
    tracing::debug!(%error, "a connection ended badly");
    if error.is_parse_too_large() {
        own.refused(Refused::Large);
    } else if error.is_parse() {
        own.refused(Refused::Malformed);
    }
}

/// A panic of a connection's task is a mistake of this program; it cost one client its answer.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}
