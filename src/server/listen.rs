//! Where the server listens.

use std::fmt;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::task::{Context, Poll};

use rustix::fs::Mode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::server::TlsStream;

use super::access::Origin;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 1024;
/// Who may open a UNIX socket: its owner and its group.
const MODE: u32 = 0o660;
/// Bytes of an answer that wait in the kernel for their turn, beside those under way: one who reads nothing
/// would otherwise have megabytes copied for them, and kept, before the server notices. On a path of any
/// length it costs no throughput, since what is under way does not count. The compressed page of a thousand
/// targets fits: who reads well waits for one turn of a busy server, not for several.
const UNSENT: u32 = 512 << 10;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address of this host with a port.
    Tcp(SocketAddr),
    /// The file of a UNIX socket.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => Err("expected an absolute path after `unix:`".to_owned()),
            None => text.parse().map(Self::Tcp).map_err(|_| {
                "expected an address with a port, like 127.0.0.1:9887 or [::]:9887, or \
                 unix:/run/hotspare/hotspare.sock"
                    .to_owned()
            }),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that listens, and does not block. Whoever serves it chooses the runtime that looks after it.
#[derive(Debug)]
pub enum Listener {
    /// For hosts.
    Tcp(std::net::TcpListener),
    /// For processes of this host.
    Unix(std::os::unix::net::UnixListener),
}

/// A listener that takes connections.
pub(super) enum Open {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// What bytes of a connection go over.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    /// Writes what can be written without waiting, and ends the connection.
    fn last_word(self: Box<Self>, word: &[u8]);
}

impl Io for TcpStream {
    fn last_word(self: Box<Self>, word: &[u8]) {
        if let Ok(mut stream) = self.into_std() {
            let _ = stream.write(word);
        }
    }
}

impl Io for UnixStream {
    fn last_word(self: Box<Self>, word: &[u8]) {
        if let Ok(mut stream) = self.into_std() {
            let _ = stream.write(word);
        }
    }
}

impl Io for TlsStream<Box<dyn Io>> {
    /// A session that stands is served; before it does, there is nothing to say in it.
    fn last_word(self: Box<Self>, _word: &[u8]) {}
}

/// A new connection.
pub(super) type Accepted = (Box<dyn Io>, Origin);

impl Listener {
    /// Where it listens.
    pub fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                Ok(Address::Unix(
                    address.as_pathname().unwrap_or(Path::new("")).into(),
                ))
            }
        }
    }

    /// Whether other hosts can reach it.
    pub(super) fn is_open(&self) -> bool {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .is_ok_and(|address| !address.ip().to_canonical().is_loopback()),
            Self::Unix(_) => false,
        }
    }

    /// Lets this runtime look after it.
    pub(super) fn open(self) -> io::Result<Open> {
        match self {
            Self::Tcp(listener) => {
                // The connections take it over.
                socket2::SockRef::from(&listener).set_tcp_notsent_lowat(UNSENT)?;
                TcpListener::from_std(listener).map(Open::Tcp)
            }
            Self::Unix(listener) => UnixListener::from_std(listener).map(Open::Unix),
        }
    }
}

impl Open {
    pub(super) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        match self {
            Self::Tcp(listener) => listener.poll_accept(context).map_ok(|(stream, peer)| {
                let _ = stream.set_nodelay(true);
                (Box::new(stream) as Box<dyn Io>, Origin::Host(peer.ip()))
            }),
            Self::Unix(listener) => listener
                .poll_accept(context)
                .map_ok(|(stream, _)| (Box::new(stream) as Box<dyn Io>, Origin::Socket)),
        }
    }
}

/// Listens on all addresses, or on none.
///
/// The error names the address, what is wrong and what to do.
pub fn bind(addresses: &[Address]) -> Result<Vec<Listener>, String> {
    let listen = |address: &Address| {
        let bound = match address {
            Address::Tcp(address) => bind_tcp(*address).map(Listener::Tcp),
            Address::Unix(path) => bind_unix(path).map(Listener::Unix),
        };
        bound.map_err(|error| {
            let advice = advice(address, error.kind());
            format!("cannot listen on {address}: {error}; {advice}")
        })
    };
    addresses.iter().map(listen).collect()
}

fn advice(address: &Address, kind: io::ErrorKind) -> &'static str {
    match (address, kind) {
        (_, io::ErrorKind::AddrInUse) => {
            "another process listens there: stop it, or choose another address"
        }
        (Address::Unix(_), io::ErrorKind::AlreadyExists) => {
            "take it away yourself, or choose another path"
        }
        (Address::Unix(_), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            "the folder has to be there and this user's: in a unit, RuntimeDirectory= makes it"
        }
        (_, io::ErrorKind::PermissionDenied) => {
            "this user may not: choose a port above 1023, or grant CAP_NET_BIND_SERVICE"
        }
        (_, io::ErrorKind::AddrNotAvailable) => {
            "no interface of this host has that address: choose another one"
        }
        _ => "choose another address",
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // A restart must not wait for the connections of the run before it.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind_unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // The file gets this mode as it is made, so that there is no moment at which others could open it.
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(MODE))?;
    let address = socket2::SockAddr::unix(path)?;
    if let Err(error) = socket.bind(&address) {
        if error.kind() != io::ErrorKind::AddrInUse {
            return Err(error);
        }
        take_away_stale(path, &address)?;
        socket.bind(&address)?;
    }
    // The mask of this process may have taken the group's part.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Removes a socket that nobody listens on; nothing else, above all no file that happens to be there.
fn take_away_stale(path: &Path, address: &socket2::SockAddr) -> io::Result<()> {
    if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
        let why = "there is a file that is no socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    let probe = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    // One whose queue is full is in use as well; waiting for it would hold up the start.
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Ok(()) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::ErrorKind::AddrInUse.into())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use super::*;

    #[test]
    fn addresses_are_read_and_shown() {
        for text in [
            "127.0.0.1:9887",
            "[::]:9887",
            "unix:/run/hotspare/hotspare.sock",
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
        }
        for text in ["", "9887", "localhost:9887", "unix:", "unix:hotspare.sock"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    /// Bytes that can be written to the connections of a listener whose peers read nothing.
    async fn taken_for_the_deaf(listener: Listener) -> usize {
        let Address::Tcp(address) = listener.address().expect("bound") else {
            panic!("no TCP");
        };
        let open = listener.open().expect("opened");
        let _deaf = TcpStream::connect(address).await.expect("connected");
        let accepted = std::future::poll_fn(|context| open.poll_accept(context)).await;
        let (mut stream, _) = accepted.expect("accepted");
        let (mut taken, page) = (0, vec![0; 64 << 10]);
        std::future::poll_fn(|context| {
            while let Poll::Ready(written) = Pin::new(&mut stream).poll_write(context, &page) {
                taken += written.expect("written");
            }
            Poll::Ready(())
        })
        .await;
        taken
    }

    #[tokio::test]
    async fn little_is_copied_for_a_client_that_reads_nothing() {
        let any = [Address::from(SocketAddr::from(([127, 0, 0, 1], 0)))];
        let listener = bind(&any).expect("bound").remove(0);
        let taken = taken_for_the_deaf(listener).await;
        // What the peer's kernel takes, and what waits here: megabytes before.
        assert!((1..1 << 20).contains(&taken), "{taken}");
    }

    #[test]
    fn a_stale_socket_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("s");
        let address = [Address::Unix(path.clone())];
        let first = bind(&address).expect("bound");
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, MODE);
        let why = bind(&address).expect_err("in use");
        assert!(why.contains("another process listens there"), "{why}");
        drop(first);
        assert!(path.exists());
        drop(bind(&address).expect("bound again"));
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, "precious").expect("written");
        let why = bind(&address).expect_err("no socket");
        assert!(why.contains("a file that is no socket"), "{why}");
        assert_eq!(std::fs::read(&path).expect("there"), b"precious");
    }
}
