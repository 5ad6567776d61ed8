//! A network between two programs, as one of them sees it: a test breaks and mends it as it goes.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::process::PATIENCE;

/// Hands connections on to an address. It runs on a thread of its own, so that a test can wait for
/// what it carries, and ends when it is dropped.
pub(crate) struct Link {
    address: SocketAddr,
    state: watch::Sender<State>,
    /// Told once for each change; the lock makes changes wait for each other.
    applied: Mutex<Receiver<()>>,
    /// Keeps the port ours while nothing listens on it.
    _port: Socket,
}

#[derive(Clone, Copy, PartialEq)]
enum Flow {
    Passes,
    Waits,
    Cut,
}

#[derive(Clone, Copy)]
struct State {
    flow: Flow,
    late: Duration,
    upstream: SocketAddr,
}

impl Link {
    /// A link to the address, by a free port of 127.0.0.1.
    pub(crate) fn to(upstream: SocketAddr) -> Self {
        let (port, listener) = reserve();
        let address = listener.local_addr().expect("bound");
        let (state, watched) = watch::channel(State {
            flow: Flow::Passes,
            late: Duration::ZERO,
            upstream,
        });
        let (tell, applied) = sync_channel(1);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("runtime");
            runtime.block_on(keep(listener, watched, &tell));
        });
        Self {
            address,
            state,
            applied: Mutex::new(applied),
            _port: port,
        }
    }

    /// Where it takes connections.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Carries everything, also what waited in a black hole.
    pub(crate) fn pass(&self) {
        self.change(|state| state.flow = Flow::Passes);
    }

    /// Carries nothing that is said from now on, like a network that drops all packets:
    /// connections stay open, and the kernel still accepts new ones.
    pub(crate) fn black_hole(&self) {
        self.change(|state| state.flow = Flow::Waits);
    }

    /// Resets all connections and refuses new ones.
    pub(crate) fn cut(&self) {
        self.change(|state| state.flow = Flow::Cut);
    }

    /// Delivers each piece that much later than it came, each way.
    pub(crate) fn slow(&self, by: Duration) {
        self.change(|state| state.late = by);
    }

    /// Takes new connections elsewhere, as a name does that points to another address.
    pub(crate) fn retarget(&self, upstream: SocketAddr) {
        self.change(|state| state.upstream = upstream);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let applied = self.applied.lock().expect("not poisoned");
        self.state.send_modify(change);
        applied.recv().expect("the link's thread lives");
    }
}

/// A free port, by a socket that keeps it and one that listens on it.
fn reserve() -> (Socket, std::net::TcpListener) {
    loop {
        let port = bind("127.0.0.1:0".parse().expect("address")).expect("bind");
        let address = port.local_addr().expect("bound");
        match listen(address.as_socket().expect("of IP")) {
            Ok(listener) => return (port, listener),
            // A server that found the port free before us started on it in between.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => panic!("listen: {error}"),
        }
    }
}

/// A socket that shares its port with one that does not listen.
fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = bind(address)?;
    socket.listen(1024)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// The port is ours, and may be listened on for a moment still: a process that another test starts has
/// the socket until it becomes its program.
async fn listen_again(address: SocketAddr) -> TcpListener {
    let begun = Instant::now();
    loop {
        match listen(address) {
            Ok(listener) => return TcpListener::from_std(listener).expect("listener"),
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{address}: {error}"),
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Takes connections while the link is not cut, until it is dropped.
async fn keep(
    listener: std::net::TcpListener,
    mut state: watch::Receiver<State>,
    tell: &SyncSender<()>,
) {
    let address = listener.local_addr().expect("bound");
    let mut listener = Some(TcpListener::from_std(listener).expect("listener"));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            changed = state.changed() => {
                if changed.is_err() {
                    return;
                }
                if state.borrow_and_update().flow == Flow::Cut {
                    listener = None;
                    while connections.join_next().await.is_some() {}
                } else if listener.is_none() {
                    listener = Some(listen_again(address).await);
                }
                if tell.send(()).is_err() {
                    return;
                }
            }
            Some(_) = connections.join_next() => {}
            Ok(client) = accept(listener.as_ref()) => {
                connections.spawn(carry(client, state.clone()));
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

/// One connection, to its end. Whatever is no proper end resets both sides.
async fn carry(mut client: TcpStream, mut state: watch::Receiver<State>) {
    let mut server = None;
    let passed = state.clone();
    let ended = tokio::select! {
        biased;
        _ = until(&mut state, Flow::Cut) => Err(io::ErrorKind::ConnectionReset.into()),
        result = hand_on(&mut client, &mut server, passed) => result,
    };
    if ended.is_err() {
        for stream in [Some(client), server].into_iter().flatten() {
            // The other end may be gone already.
            let _ = stream.set_zero_linger();
        }
    }
}

async fn hand_on(
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    let upstream = until(&mut state, Flow::Passes).await?.upstream;
    let server = server.insert(TcpStream::connect(upstream).await?);
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let forth = one_way(&mut from_client, &mut to_server, state.clone());
    let back = one_way(&mut from_server, &mut to_client, state.clone());
    tokio::try_join!(forth, back).map(|((), ())| ())
}

/// Waits until the link is in the state.
async fn until(state: &mut watch::Receiver<State>, flow: Flow) -> io::Result<State> {
    let reached = state.wait_for(|state| state.flow == flow).await;
    reached.map(|state| *state).map_err(io::Error::other)
}

/// Copies until the end of what is said, which is handed on too.
async fn one_way(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    state: watch::Receiver<State>,
) -> io::Result<()> {
    // Pieces on their way do not wait for each other.
    let (enter, leave) = mpsc::channel(1024);
    tokio::try_join!(take(from, enter, state.clone()), deliver(leave, to, state)).map(|((), ())| ())
}

/// Reads only while the link passes: what is said into a black hole stays in the kernel.
async fn take(
    from: &mut (impl AsyncRead + Unpin),
    enter: mpsc::Sender<(Instant, Vec<u8>)>,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    loop {
        let late = until(&mut state, Flow::Passes).await?.late;
        let mut piece = Vec::with_capacity(16 << 10);
        let length = tokio::select! {
            biased;
            _ = state.changed() => continue,
            length = from.read_buf(&mut piece) => length?,
        };
        let sent = enter.send((Instant::now() + late, piece)).await;
        if length == 0 || sent.is_err() {
            return Ok(());
        }
    }
}

async fn deliver(
    mut leave: mpsc::Receiver<(Instant, Vec<u8>)>,
    to: &mut (impl AsyncWrite + Unpin),
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    while let Some((due, piece)) = leave.recv().await {
        sleep_until(due).await;
        let mut rest = &piece[..];
        while !rest.is_empty() {
            until(&mut state, Flow::Passes).await?;
            tokio::select! {
                biased;
                _ = state.changed() => {}
                written = to.write(rest) => rest = &rest[written?..],
            }
        }
    }
    until(&mut state, Flow::Passes).await?;
    to.shutdown().await
}

mod tests {
    use super::*;
    use crate::fault::soon;

    /// Long enough for what the link should not carry.
    const A_WHILE: Duration = Duration::from_millis(200);

    /// A server that says its letter and then what it hears.
    async fn echo(letter: u8) -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("bound");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.spawn(async move {
                    let _ = stream.write_u8(letter).await;
                    let (mut hears, mut says) = stream.split();
                    let _ = tokio::io::copy(&mut hears, &mut says).await;
                });
            }
        });
        (address, tasks)
    }

    async fn connect(link: &Link) -> TcpStream {
        let stream = TcpStream::connect(link.address()).await;
        stream.expect("connected")
    }

    async fn hear(stream: &mut TcpStream) -> io::Result<u8> {
        soon(stream.read_u8()).await
    }

    async fn is_quiet(stream: &mut TcpStream) -> bool {
        tokio::time::timeout(A_WHILE, stream.read_u8())
            .await
            .is_err()
    }

    #[tokio::test]
    async fn it_carries_what_is_said_and_that_no_more_will_be() {
        let (server, _tasks) = echo(b'a').await;
        let link = Link::to(server);
        let mut stream = connect(&link).await;
        let much = vec![b'x'; 4 << 20];
        let mut heard = Vec::new();
        let (mut reader, mut writer) = stream.split();
        soon(async {
            let say = async {
                writer.write_all(&much).await?;
                writer.shutdown().await
            };
            tokio::try_join!(say, reader.read_to_end(&mut heard)).expect("carried");
        })
        .await;
        assert_eq!(heard.len(), 1 + much.len());
    }

    #[tokio::test]
    async fn a_black_hole_keeps_what_is_said_until_it_passes_again() {
        let (server, _tasks) = echo(b'a').await;
        let link = Link::to(server);
        let mut old = connect(&link).await;
        assert_eq!(hear(&mut old).await.expect("first"), b'a');
        link.black_hole();
        old.write_u8(b'1').await.expect("open");
        let mut new = connect(&link).await;
        new.write_u8(b'2').await.expect("open");
        assert!(is_quiet(&mut old).await && is_quiet(&mut new).await);
        link.pass();
        assert_eq!(hear(&mut old).await.expect("kept"), b'1');
        assert_eq!(hear(&mut new).await.expect("first"), b'a');
        assert_eq!(hear(&mut new).await.expect("kept"), b'2');
    }

    #[tokio::test]
    async fn a_cut_resets_and_refuses_until_it_passes_again() {
        let (server, _tasks) = echo(b'a').await;
        let link = Link::to(server);
        let mut stream = connect(&link).await;
        assert_eq!(hear(&mut stream).await.expect("first"), b'a');
        link.cut();
        let end = hear(&mut stream).await.expect_err("no end");
        assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
        let refused = TcpStream::connect(link.address()).await;
        let refused = refused.expect_err("nothing listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        link.pass();
        let mut stream = connect(&link).await;
        assert_eq!(hear(&mut stream).await.expect("first"), b'a');
    }

    #[tokio::test]
    async fn a_black_hole_can_be_cut() {
        let (server, _tasks) = echo(b'a').await;
        let link = Link::to(server);
        link.black_hole();
        let mut stream = connect(&link).await;
        // Waited for, or the kernel resets it before the link has it: the same to the client.
        assert!(is_quiet(&mut stream).await);
        link.cut();
        let end = hear(&mut stream).await.expect_err("no end");
        assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_slow_link_delivers_later() {
        let (server, _tasks) = echo(b'a').await;
        let link = Link::to(server);
        let by = Duration::from_millis(30);
        link.slow(by);
        let mut stream = connect(&link).await;
        assert_eq!(hear(&mut stream).await.expect("first"), b'a');
        let started = Instant::now();
        stream.write_u8(b'1').await.expect("open");
        assert_eq!(hear(&mut stream).await.expect("echo"), b'1');
        assert!(started.elapsed() >= 2 * by);
    }

    #[tokio::test]
    async fn another_target_gets_the_next_connection() {
        let (one, _one) = echo(b'a').await;
        let (other, _other) = echo(b'b').await;
        let link = Link::to(one);
        let mut old = connect(&link).await;
        assert_eq!(hear(&mut old).await.expect("first"), b'a');
        link.retarget(other);
        let mut new = connect(&link).await;
        assert_eq!(hear(&mut new).await.expect("first"), b'b');
        old.write_u8(b'1').await.expect("open");
        assert_eq!(hear(&mut old).await.expect("still there"), b'1');
    }

    #[tokio::test]
    async fn a_server_that_is_gone_resets() {
        let (server, tasks) = echo(b'a').await;
        let link = Link::to(server);
        drop(tasks);
        soon(async {
            while TcpStream::connect(server).await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        // The reset may come before the client has seen that it is connected.
        let end = match TcpStream::connect(link.address()).await {
            Ok(mut stream) => hear(&mut stream).await.expect_err("no end"),
            Err(end) => end,
        };
        assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
    }
}
