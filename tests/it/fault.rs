//! A server that does one thing wrong, for whatever talks to it. Each connection gets the same
//! fault; the server ends when it is dropped.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use flate2::{Compress, Compression, FlushCompress};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// An answer of HTTP for the faults that begin or end in one: 100 bytes of body.
pub(crate) const HTTP_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n\
0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";

/// What goes wrong on a connection.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Accepts, listens and says nothing.
    Silence,
    /// Says the text one byte at a time, and then holds the connection.
    Drip {
        /// What is said.
        text: &'static [u8],
        /// The time between bytes.
        every: Duration,
    },
    /// Says the first bytes of the text and closes.
    Cut {
        /// What would be said.
        text: &'static [u8],
        /// How many bytes of it are.
        at: usize,
    },
    /// Says the first bytes of the text and resets the connection.
    Reset {
        /// What would be said.
        text: &'static [u8],
        /// How many bytes of it are.
        at: usize,
    },
    /// Says the text and that it will say no more, but keeps listening for ever.
    HalfClose {
        /// What is said.
        text: &'static [u8],
    },
    /// Answers a handshake of TLS with a record that holds nonsense.
    TlsGarbage,
    /// Sends headers of HTTP and never the end of them.
    EndlessHeaders,
    /// Sends a body in gzip that never ends and is a thousand times as long once decoded.
    GzipBomb,
    /// Redirects every request of HTTP to another path of itself.
    RedirectLoop,
    /// Closes without a word once it has been asked.
    EarlyEof,
    /// No fault but distance: hands everything on, each way that much later.
    Delay {
        /// To whom.
        upstream: SocketAddr,
        /// How much later, each way.
        by: Duration,
    },
    /// Hands everything on and cuts what comes back after so many bytes.
    CutUpstream {
        /// To whom.
        upstream: SocketAddr,
        /// How many bytes come back.
        at: u64,
    },
}

/// A server that is at fault.
pub(crate) struct FaultServer {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    counts: Arc<Counts>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Counts {
    accepted: AtomicUsize,
    sent: AtomicU64,
}

impl FaultServer {
    /// Connections accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        self.counts.accepted.load(Ordering::SeqCst)
    }

    /// Bytes said so far, over all connections, as far as the other ends made room for them.
    pub(crate) fn sent(&self) -> u64 {
        self.counts.sent.load(Ordering::SeqCst)
    }
}

impl Fault {
    /// Starts a server on a free port of 127.0.0.1 that speaks when it has been spoken to.
    pub(crate) async fn start(self) -> FaultServer {
        self.serve(true).await
    }

    /// Starts one that speaks first, as servers of SMTP and MySQL do.
    pub(crate) async fn start_speaking(self) -> FaultServer {
        self.serve(false).await
    }

    async fn serve(self, listens_first: bool) -> FaultServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let addr = listener.local_addr().expect("bound");
        let counts = Arc::new(Counts::default());
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&counts);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                // Before the connection goes wrong, so that a test can rely on the count.
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                let (fault, counts) = (self.clone(), Arc::clone(&shared));
                connections.spawn(async move {
                    // That the other end leaves is no fault of the test.
                    let wrong = fault.go_wrong(stream, addr, listens_first, &counts);
                    let _ = Box::pin(wrong).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        FaultServer {
            addr,
            counts,
            _tasks: tasks,
        }
    }

    async fn go_wrong(
        self,
        mut stream: TcpStream,
        addr: SocketAddr,
        listens_first: bool,
        counts: &Counts,
    ) -> io::Result<()> {
        stream.set_nodelay(true)?;
        match self {
            Self::Delay { upstream, by } => {
                return hand_on(stream, upstream, by, u64::MAX, counts).await;
            }
            Self::CutUpstream { upstream, at } => {
                return hand_on(stream, upstream, Duration::ZERO, at, counts).await;
            }
            _ => {}
        }
        if listens_first && stream.read(&mut vec![0; 16 << 10]).await? == 0 {
            return Ok(());
        }
        // What the other end goes on to say is read, so that closing does not reset.
        let (mut hears, says) = stream.split();
        let mut says = Counted { says, counts };
        tokio::select! {
            result = self.speak(&mut says, addr) => match result? {
                End::Close => return Ok(()),
                End::Hold | End::HalfClose | End::Reset => {}
            },
            // That the other end has said all does not silence this one.
            result = async { drain(&mut hears).await?; std::future::pending().await } => return result,
        }
        if let Self::Reset { .. } = self {
            return stream.set_zero_linger();
        }
        drain(&mut stream).await?;
        if let Self::HalfClose { .. } = self {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn speak(&self, says: &mut Counted<'_>, addr: SocketAddr) -> io::Result<End> {
        match self {
            Self::Silence => {}
            Self::Drip { text, every } => {
                for byte in text.chunks(1) {
                    says.say(byte).await?;
                    sleep(*every).await;
                }
            }
            Self::Cut { text, at } => {
                says.say(&text[..*at]).await?;
                return Ok(End::Close);
            }
            Self::Reset { text, at } => {
                says.say(&text[..*at]).await?;
                return Ok(End::Reset);
            }
            Self::HalfClose { text } => {
                says.say(text).await?;
                says.says.shutdown().await?;
                return Ok(End::HalfClose);
            }
            Self::TlsGarbage => {
                // The head of a handshake record of TLS 1.2 with 64 bytes.
                says.say(&[0x16, 3, 3, 0, 64]).await?;
                says.say(&[0xa5; 64]).await?;
            }
            Self::EndlessHeaders => {
                says.say(b"HTTP/1.1 200 OK\r\n").await?;
                return says
                    .repeat(b"x-filler: abcdefghijklmnopqrstuvwxyz\r\n")
                    .await;
            }
            Self::GzipBomb => {
                says.say(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n")
                    .await?;
                // The head of a gzip file: deflate, no flags, no time, unknown system.
                says.say(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]).await?;
                return says.repeat(&zeros()).await;
            }
            Self::RedirectLoop => {
                let to = says.counts.sent.load(Ordering::SeqCst);
                let answer = format!(
                    "HTTP/1.1 302 Found\r\nlocation: http://{addr}/{to}\r\n\
                     content-length: 0\r\nconnection: close\r\n\r\n"
                );
                says.say(answer.as_bytes()).await?;
                return Ok(End::Close);
            }
            Self::EarlyEof => return Ok(End::Close),
            Self::Delay { .. } | Self::CutUpstream { .. } => unreachable!("they are handed on"),
        }
        Ok(End::Hold)
    }
}

/// How a connection ends once everything is said.
enum End {
    Close,
    Hold,
    HalfClose,
    Reset,
}

struct Counted<'a> {
    says: tokio::net::tcp::WriteHalf<'a>,
    counts: &'a Counts,
}

impl Counted<'_> {
    async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.says.write_all(bytes).await?;
        self.counts
            .sent
            .fetch_add(bytes.len() as u64, Ordering::SeqCst);
        Ok(())
    }

    /// For ever; ends by the other end's leaving.
    async fn repeat(&mut self, unit: &[u8]) -> io::Result<End> {
        let chunk = unit.repeat((8 << 10) / unit.len() + 1);
        loop {
            self.say(&chunk).await?;
        }
    }
}

async fn drain(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut sink = vec![0; 16 << 10];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}

/// A piece of a stream of deflate that stands for a megabyte of zeros and can be repeated: after a
/// full flush nothing refers to what came before.
fn zeros() -> Vec<u8> {
    let mut piece = Vec::with_capacity(64 << 10);
    Compress::new(Compression::best(), false)
        .compress_vec(&vec![0; 1 << 20], &mut piece, FlushCompress::Full)
        .expect("fits");
    piece
}

async fn hand_on(
    mut client: TcpStream,
    upstream: SocketAddr,
    by: Duration,
    at: u64,
    counts: &Counts,
) -> io::Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let back = async {
        let mut limited = (&mut from_server).take(at);
        later(&mut limited, &mut to_client, by, Some(counts)).await
    };
    let forth = later(&mut from_client, &mut to_server, by, None);
    if at == u64::MAX {
        tokio::try_join!(back, forth)?;
        return Ok(());
    }
    tokio::select! {
        result = back => result,
        result = async { forth.await?; std::future::pending().await } => result,
    }
}

/// Copies, each piece that much later than it came; pieces on their way do not wait for each other.
async fn later(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    by: Duration,
    counts: Option<&Counts>,
) -> io::Result<()> {
    let (enter, mut leave) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let read = async move {
        loop {
            let mut piece = Vec::with_capacity(16 << 10);
            let end = from.read_buf(&mut piece).await? == 0;
            if enter.send((Instant::now() + by, piece)).await.is_err() || end {
                return Ok(());
            }
        }
    };
    let write = async {
        while let Some((due, piece)) = leave.recv().await {
            sleep_until(due).await;
            if piece.is_empty() {
                break;
            }
            to.write_all(&piece).await?;
            if let Some(counts) = counts {
                let length = piece.len() as u64;
                counts.sent.fetch_add(length, Ordering::SeqCst);
            }
        }
        to.shutdown().await
    };
    tokio::try_join!(read, write).map(|((), ())| ())
}

/// The outcome, or a panic where a test would otherwise hang.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, future).await.expect("an end")
}

mod tests {
    use super::*;
    use std::io::Read;

    async fn asked(server: &FaultServer) -> TcpStream {
        let mut stream = TcpStream::connect(server.addr).await.expect("connected");
        stream
            .write_all(b"GET / HTTP/1.1\r\n\r\n")
            .await
            .expect("sent");
        stream
    }

    /// Everything that the server says until the connection ends.
    async fn answer(server: &FaultServer) -> io::Result<Vec<u8>> {
        let mut stream = asked(server).await;
        let mut heard = Vec::new();
        soon(stream.read_to_end(&mut heard)).await?;
        Ok(heard)
    }

    #[tokio::test]
    async fn silence_says_nothing_but_is_there() {
        let server = Fault::Silence.start().await;
        let mut stream = asked(&server).await;
        let read = stream.read_u8();
        let quiet = tokio::time::timeout(Duration::from_millis(200), read).await;
        assert!(quiet.is_err());
        assert_eq!((server.accepted(), server.sent()), (1, 0));
    }

    #[tokio::test]
    async fn a_drip_takes_its_time() {
        let every = Duration::from_millis(20);
        let server = Fault::Drip {
            text: b"abcd",
            every,
        }
        .start_speaking()
        .await;
        let started = Instant::now();
        let mut stream = TcpStream::connect(server.addr).await.expect("connected");
        let mut heard = [0; 4];
        soon(stream.read_exact(&mut heard))
            .await
            .expect("all of it");
        assert_eq!(&heard, b"abcd");
        assert!(started.elapsed() >= 3 * every);
        let more = tokio::time::timeout(3 * every, stream.read_u8()).await;
        assert!(more.is_err(), "it is held, not closed");
    }

    #[tokio::test]
    async fn cut_early_eof_and_half_close_end_and_a_reset_breaks() {
        let text = HTTP_ANSWER;
        let cut = Fault::Cut { text, at: 50 }.start().await;
        assert_eq!(answer(&cut).await.expect("an end"), text[..50]);
        let eof = Fault::EarlyEof.start().await;
        assert_eq!(answer(&eof).await.expect("an end"), b"");
        let reset = Fault::Reset { text, at: 50 }.start().await;
        let error = answer(&reset).await.expect_err("no end");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);

        let half = Fault::HalfClose { text: b"bye" }.start().await;
        let mut stream = asked(&half).await;
        let mut heard = Vec::new();
        soon(stream.read_to_end(&mut heard)).await.expect("an end");
        assert_eq!(heard, b"bye");
        for _ in 0..3 {
            // A closed other end would answer the first with a reset, and the next would fail.
            stream.write_all(b"still there?").await.expect("listens");
            sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn garbage_is_no_handshake() {
        let server = Fault::TlsGarbage.start().await;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(server.addr).await.expect("connected");
        let name = "db.test".try_into().expect("name");
        let error = soon(connector.connect(name, stream)).await;
        let error = error.expect_err("no session");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    }

    #[tokio::test]
    async fn headers_and_bomb_never_end() {
        let headers = Fault::EndlessHeaders.start().await;
        let mut stream = asked(&headers).await;
        let mut heard = vec![0; 1 << 20];
        soon(stream.read_exact(&mut heard)).await.expect("more");
        assert!(!heard.windows(4).any(|end| end == b"\r\n\r\n"));
        drop(stream);
        assert!(headers.sent() >= 1 << 20);

        let bomb = Fault::GzipBomb.start().await;
        let mut stream = asked(&bomb).await;
        let mut heard = vec![0; 32 << 10];
        soon(stream.read_exact(&mut heard)).await.expect("more");
        let end = heard.windows(4).position(|at| at == b"\r\n\r\n");
        let body = &heard[end.expect("headers end") + 4..];
        let mut decoded = Vec::new();
        let body = flate2::read::GzDecoder::new(body);
        let _ = body.take(20 << 20).read_to_end(&mut decoded);
        assert_eq!(decoded.len(), 20 << 20, "32 KiB are more than 20 MiB");
        assert!(decoded.iter().all(|byte| *byte == 0));
    }

    #[tokio::test]
    async fn a_redirect_leads_to_a_redirect() {
        let server = Fault::RedirectLoop.start().await;
        let mut seen = Vec::new();
        for _ in 0..3 {
            let heard = answer(&server).await.expect("an end");
            let text = String::from_utf8(heard).expect("text");
            let start = format!("location: http://{}/", server.addr);
            assert!(text.contains(&start), "{text}");
            seen.push(text);
        }
        assert!(seen[0] != seen[1] && seen[1] != seen[2]);
        assert_eq!(server.accepted(), 3);
    }

    #[tokio::test]
    async fn a_distance_changes_nothing_but_the_time() {
        let upstream = Fault::Cut {
            text: HTTP_ANSWER,
            at: HTTP_ANSWER.len(),
        }
        .start()
        .await;
        let by = Duration::from_millis(30);
        let far = Fault::Delay {
            upstream: upstream.addr,
            by,
        }
        .start()
        .await;
        let started = Instant::now();
        assert_eq!(answer(&far).await.expect("an end"), HTTP_ANSWER);
        assert!(started.elapsed() >= 2 * by);
        assert_eq!(far.sent(), HTTP_ANSWER.len() as u64);

        let cutting = Fault::CutUpstream {
            upstream: upstream.addr,
            at: 60,
        }
        .start()
        .await;
        assert_eq!(answer(&cutting).await.expect("an end"), HTTP_ANSWER[..60]);
    }

    #[tokio::test]
    async fn a_dropped_server_is_gone() {
        let server = Fault::Silence.start().await;
        let mut stream = asked(&server).await;
        let addr = server.addr;
        drop(server);
        let end = soon(stream.read(&mut [0; 1])).await;
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
        soon(async {
            while TcpStream::connect(addr).await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}
