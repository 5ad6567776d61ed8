//! The daemon's own HTTP server: metrics, health, readiness and a landing page.
//!
//! Whoever can reach it shares one pool of file descriptors with the probes, and may be slow,
//! broken or hostile. So the accept loop is ours: connections are capped in all and per address,
//! and every one of them ends by a deadline whatever its peer does.

mod admission;
mod alerts;
mod api;
mod events;
mod orders;
mod pages;
mod patience;
mod readiness;

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};
use tower::ServiceExt;

use self::admission::{Admission, Pass};
use self::orders::Peer;
use self::patience::Watched;
use crate::metrics::{Exposition, Own, Rejection};
use crate::model::{Beat, TargetGroup};

pub use self::alerts::{Alerting, Receivers};
pub use self::events::Events;
pub use self::orders::ORDER_HEADER;
pub use self::readiness::{Judge, Readiness};

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
    /// Where the daemons of all regions are: `/sd`.
    pub daemons: Vec<TargetGroup>,
    /// What is said of the groups.
    pub readiness: Arc<Readiness>,
    /// What happened to them, and the drills.
    pub events: Box<dyn Events>,
    /// The alerts, the silences and the receivers.
    pub alerting: Alerting,
    /// Whether orders are taken from other hosts too.
    pub admin: bool,
    /// What clients may cost.
    pub limits: Limits,
    /// The sign of life of what accepts connections, each second at least.
    pub beat: Arc<Beat>,
}

/// What clients may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections from one IPv4 address or one IPv6 network of 64 bits.
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
/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1024;

/// Listens on all addresses, or on none.
///
/// The error names the address, what is wrong and what to do.
pub fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, String> {
    let listen = |address: &SocketAddr| {
        bind_one(*address).map_err(|error| {
            let advice = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "another process listens there: stop it, or choose another address"
                }
                io::ErrorKind::PermissionDenied => {
                    "this user may not: choose a port above 1023, or grant CAP_NET_BIND_SERVICE"
                }
                io::ErrorKind::AddrNotAvailable => {
                    "no interface of this host has that address: choose another one"
                }
                _ => "choose another address",
            };
            format!("cannot listen on {address}: {error}; {advice}")
        })
    };
    addresses.iter().map(listen).collect()
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart must not wait for the connections of the run before it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Answers requests until `stop` is done, then lets those under way finish for a short while.
///
/// The error says that there is nothing to listen on.
pub async fn serve(
    listeners: Vec<TcpListener>,
    state: Arc<State>,
    stop: impl Future<Output = ()>,
) -> Result<(), String> {
    if listeners.is_empty() {
        return Err("there is no address to listen on".to_owned());
    }
    let mut stop = pin!(stop);
    let mut server = Server::new(state);
    loop {
        server.state.beat.beat(Instant::now().into_std());
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = server.connections.join_next() => report(ended),
            accepted = accept(&listeners) => match accepted {
                Ok((stream, peer)) => server.admit(stream, peer),
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

/// The next connection of any listener.
async fn accept(listeners: &[TcpListener]) -> io::Result<(TcpStream, SocketAddr)> {
    poll_fn(|context| {
        let mut polled = listeners.iter().map(|each| each.poll_accept(context));
        polled.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

/// What the accept loop works with.
struct Server {
    state: Arc<State>,
    admission: Arc<Admission>,
    router: Router,
    http: http1::Builder,
    connections: JoinSet<()>,
    closing: watch::Sender<bool>,
    /// Whether the last attempt to accept failed: one line in the log is enough.
    failing: bool,
}

impl Server {
    fn new(state: Arc<State>) -> Self {
        let mut http = http1::Builder::new();
        // hyper's own header timeout would also end an idle connection between two scrapes; the
        // deadlines of `Patience` tell the two apart.
        http.header_read_timeout(None)
            .max_headers(MAX_HEADER_FIELDS)
            .max_header_size(MAX_HEADER_BYTES)
            .max_buf_size(2 * MAX_HEADER_BYTES);
        Self {
            admission: Arc::new(Admission::new(Arc::clone(&state.own), state.limits)),
            router: pages::router(Arc::clone(&state)),
            state,
            http,
            connections: JoinSet::new(),
            closing: watch::Sender::new(false),
            failing: false,
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        self.failing = false;
        match self.admission.admit(peer.ip()) {
            Ok(pass) => {
                let connection = self.connection(stream, peer, pass);
                self.connections.spawn(connection);
            }
            Err(cause) => {
                tracing::debug!(%peer, cause = cause.as_str(), "refused a connection");
                self.state.own.rejected(cause);
                refuse(stream);
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
        stream: TcpStream,
        peer: SocketAddr,
        pass: Pass,
    ) -> impl Future<Output = ()> + Send + 'static {
        let router = self.router.clone();
        let patience = Arc::clone(&pass.patience);
        let answer = {
            let patience = Arc::clone(&patience);
            service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
                patience.request();
                request.extensions_mut().insert(Peer(peer.ip()));
                let patience = Arc::clone(&patience);
                let answer = router.clone().oneshot(request);
                async move {
                    answer
                        .await
                        .map(|answer| patience::until_sent(answer, patience))
                }
            })
        };
        let _ = stream.set_nodelay(true);
        let io = TokioIo::new(Watched::new(stream, Arc::clone(&patience)));
        let connection = self.http.serve_connection(io, answer);
        let mut closing = self.closing.subscribe();
        async move {
            let _pass = pass;
            let mut connection = pin!(connection);
            let mut expired = pin!(patience::expired(patience));
            let mut open = true;
            loop {
                tokio::select! {
                    biased;
                    ended = connection.as_mut() => {
                        if let Err(error) = ended {
                            tracing::debug!(%error, "a connection ended badly");
                        }
                        return;
                    }
                    () = &mut expired => return,
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

/// A panic of a connection's task is a mistake of this program; it cost one client its answer.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}

/// Tells the client why, if that can be done without waiting for it.
fn refuse(stream: TcpStream) {
    const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 21\r\n\
        connection: close\r\n\r\ntoo many connections\n";
    if let Ok(mut stream) = stream.into_std() {
        let _ = io::Write::write(&mut stream, ANSWER);
    }
}
