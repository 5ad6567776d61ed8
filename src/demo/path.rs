//! A path between two regions: connections are handed on with its delay, until a script breaks it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::regions::Jitter;

/// Pieces of one connection that may be on their way at once, each way: 16 KiB each.
const ON_THE_WAY: usize = 256;
const PIECE: usize = 16 << 10;

/// Takes connections on a free port of 127.0.0.1 for as long as its tasks live.
pub(super) struct Path {
    address: SocketAddr,
    state: watch::Sender<State>,
}

/// What a path leads to.
#[derive(Clone, Debug)]
pub(super) enum Upstream {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Where a path leads, and how long a packet takes.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) upstream: Upstream,
    pub(super) one_way: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Passes,
    /// Nothing comes through, and nobody is told.
    BlackHole,
    /// Connections are reset.
    Broken,
}

#[derive(Clone, Debug)]
struct State {
    flow: Flow,
    route: Route,
}

impl Path {
    /// Opens a path, whose jitter comes of the seed.
    pub(super) async fn open(
        tasks: &mut JoinSet<()>,
        route: Route,
        seed: u64,
    ) -> Result<Self, String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(|e| format!("cannot listen on 127.0.0.1: {e}"))?;
        let address = listener.local_addr();
        let address = address.map_err(|e| format!("cannot listen on 127.0.0.1: {e}"))?;
        let flow = Flow::Passes;
        let (state, watched) = watch::channel(State { flow, route });
        tasks.spawn(keep(listener, watched, seed));
        Ok(Self { address, state })
    }

    /// Where it takes connections.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Carries everything, also what waited in a black hole.
    pub(super) fn pass(&self) {
        self.state.send_modify(|state| state.flow = Flow::Passes);
    }

    /// Carries nothing that is said from now on, and tells nobody: as a network that drops packets.
    pub(super) fn black_hole(&self) {
        self.state.send_modify(|state| state.flow = Flow::BlackHole);
    }

    /// Resets every connection, new ones too: as a host that is gone.
    pub(super) fn break_off(&self) {
        self.state.send_modify(|state| state.flow = Flow::Broken);
    }

    /// Takes new connections elsewhere.
    pub(super) fn lead(&self, route: Route) {
        self.state.send_modify(|state| state.route = route);
    }
}

async fn keep(listener: TcpListener, state: watch::Receiver<State>, seed: u64) {
    let mut connections = JoinSet::new();
    let mut seeds = fastrand::Rng::with_seed(seed);
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    let jitter = Jitter::of(seeds.u64(..));
                    connections.spawn(carry(client, state.clone(), jitter));
                }
                // No file descriptor, as a rule: those that are open end some time.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
        }
    }
}

/// One connection, to its end. Whatever is no proper end resets it.
async fn carry(mut client: TcpStream, mut state: watch::Receiver<State>, jitter: Jitter) {
    let passed = state.clone();
    let ended = tokio::select! {
        biased;
        _ = until(&mut state, Flow::Broken) => Err(io::ErrorKind::ConnectionReset.into()),
        result = hand_on(&mut client, passed, jitter) => result,
    };
    if ended.is_err() {
        // The other end may be gone already.
        let _ = client.set_zero_linger();
    }
}

async fn hand_on(
    client: &mut TcpStream,
    mut state: watch::Receiver<State>,
    mut jitter: Jitter,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let route = until(&mut state, Flow::Passes).await?.route;
    // The kernel has accepted by now; over a real path that takes a round trip.
    sleep(jitter.next(route.one_way) + jitter.next(route.one_way)).await;
    let server = route.upstream.connect().await?;
    let (from_server, to_server) = split(server);
    let (from_client, to_client) = client.split();
    let back = Direction {
        state: state.clone(),
        one_way: route.one_way,
        jitter: jitter.clone(),
    };
    let forth = Direction {
        state,
        one_way: route.one_way,
        jitter,
    };
    tokio::try_join!(
        forth.copy(from_client, to_server),
        back.copy(from_server, to_client)
    )?;
    Ok(())
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Upstream {
    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Self::Unix(file) => Box::new(UnixStream::connect(file).await?),
        })
    }
}

/// Waits until the path is in the state.
async fn until(state: &mut watch::Receiver<State>, flow: Flow) -> io::Result<State> {
    let reached = state.wait_for(|state| state.flow == flow).await;
    reached.map(|state| state.clone()).map_err(io::Error::other)
}

/// One direction of a connection.
struct Direction {
    state: watch::Receiver<State>,
    one_way: Duration,
    jitter: Jitter,
}

impl Direction {
    /// Copies until the end of what is said, which is handed on too.
    async fn copy(
        self,
        from: impl AsyncRead + Unpin,
        to: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        // Pieces on their way do not wait for each other.
        let (enter, leave) = mpsc::channel(ON_THE_WAY);
        let state = self.state.clone();
        tokio::try_join!(self.take(from, enter), deliver(leave, to, state))?;
        Ok(())
    }

    /// Reads only while the path passes: what is said into a black hole stays in the kernel.
    async fn take(
        mut self,
        mut from: impl AsyncRead + Unpin,
        enter: mpsc::Sender<(Instant, Vec<u8>)>,
    ) -> io::Result<()> {
        let mut last = Instant::now();
        loop {
            until(&mut self.state, Flow::Passes).await?;
            let mut piece = Vec::with_capacity(PIECE);
            let length = tokio::select! {
                biased;
                _ = self.state.changed() => continue,
                length = from.read_buf(&mut piece) => length?,
            };
            // No piece overtakes the one before.
            last = last.max(Instant::now() + self.jitter.next(self.one_way));
            if enter.send((last, piece)).await.is_err() || length == 0 {
                return Ok(());
            }
        }
    }
}

async fn deliver(
    mut leave: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    while let Some((due, piece)) = leave.recv().await {
        sleep_until(due).await;
        until(&mut state, Flow::Passes).await?;
        to.write_all(&piece).await?;
    }
    until(&mut state, Flow::Passes).await?;
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    /// A guard against hanging.
    const PATIENCE: Duration = Duration::from_mins(1);
    /// Long enough for what the path should not carry.
    const A_WHILE: Duration = Duration::from_millis(200);

    /// A server that says back what it hears.
    async fn echo(tasks: &mut JoinSet<()>) -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("bound");
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.spawn(async move {
                    let (mut hears, mut says) = stream.split();
                    let _ = tokio::io::copy(&mut hears, &mut says).await;
                });
            }
        });
        Upstream::Tcp(address)
    }

    async fn path(tasks: &mut JoinSet<()>, one_way: Duration) -> Path {
        let upstream = echo(tasks).await;
        let opened = Path::open(tasks, Route { upstream, one_way }, 1).await;
        opened.expect("open")
    }

    async fn said_back(stream: &mut TcpStream) -> io::Result<u8> {
        timeout(PATIENCE, stream.read_u8()).await.expect("in time")
    }

    #[tokio::test]
    async fn it_hands_on_both_ways_and_no_sooner_than_the_path_takes() {
        let mut tasks = JoinSet::new();
        let one_way = Duration::from_millis(30);
        let path = path(&mut tasks, one_way).await;
        let begun = Instant::now();
        let mut stream = TcpStream::connect(path.address()).await.expect("connect");
        stream.write_u8(b'x').await.expect("written");
        assert_eq!(said_back(&mut stream).await.expect("an echo"), b'x');
        assert!(begun.elapsed() >= 4 * one_way, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_black_hole_tells_nobody_and_a_break_resets() {
        let mut tasks = JoinSet::new();
        let path = path(&mut tasks, Duration::ZERO).await;
        let mut stream = TcpStream::connect(path.address()).await.expect("connect");
        stream.write_u8(b'1').await.expect("written");
        assert_eq!(said_back(&mut stream).await.expect("an echo"), b'1');
        path.black_hole();
        stream.write_u8(b'2').await.expect("open");
        assert!(timeout(A_WHILE, stream.read_u8()).await.is_err());
        path.pass();
        assert_eq!(said_back(&mut stream).await.expect("kept"), b'2');
        path.break_off();
        assert!(said_back(&mut stream).await.is_err());
    }

    #[tokio::test]
    async fn a_new_connection_goes_where_the_path_leads_now() {
        let mut tasks = JoinSet::new();
        let path = path(&mut tasks, Duration::ZERO).await;
        path.lead(Route {
            upstream: Upstream::Unix("/nowhere/at/all".into()),
            one_way: Duration::ZERO,
        });
        let mut stream = TcpStream::connect(path.address()).await.expect("connect");
        assert!(said_back(&mut stream).await.is_err(), "nothing is there");
        let upstream = echo(&mut tasks).await;
        let one_way = Duration::ZERO;
        path.lead(Route { upstream, one_way });
        let mut stream = TcpStream::connect(path.address()).await.expect("connect");
        stream.write_u8(b'3').await.expect("written");
        assert_eq!(said_back(&mut stream).await.expect("an echo"), b'3');
    }
}
