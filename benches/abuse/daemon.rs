//! The daemon with a thousand targets that answer.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

const TARGETS: usize = 1_000;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub(crate) struct Daemon {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) socket: PathBuf,
    tls: Option<Arc<rustls::ClientConfig>>,
    _folder: tempfile::TempDir,
}

impl Daemon {
    pub(crate) fn start(tls: bool) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("hotspare.yaml"), configuration(targets())).expect("written");
        let socket = path("hotspare.sock");
        let mut command = Command::new(env!("CARGO_BIN_EXE_hotspare"));
        command
            .args(["run", "--web.listen-address=127.0.0.1:0", "--config.file"])
            .arg(path("hotspare.yaml"))
            .arg(format!("--web.listen-address=unix:{}", socket.display()))
            .stderr(Stdio::piped());
        let tls = tls.then(|| {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
            let made = made.expect("a certificate");
            let pem = made.cert.pem();
            std::fs::write(path("server.pem"), &pem).expect("written");
            std::fs::write(path("server.key"), made.signing_key.serialize_pem()).expect("written");
            let web = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n";
            std::fs::write(path("web.yml"), web).expect("written");
            command.arg("--web.config.file").arg(path("web.yml"));
            trusting(&pem)
        });
        let mut child = command.spawn().expect("started");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once("address=")?;
            rest.split_whitespace().next()?.parse().ok()
        });
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address: address.expect("it listens"),
            socket,
            tls,
            _folder: folder,
        }
    }

    /// A connection from an address of this host.
    pub(crate) async fn plain(&self, from: [u8; 4]) -> std::io::Result<TcpStream> {
        plain(self.address, from).await
    }

    /// A connection on which HTTP can be spoken.
    pub(crate) async fn connect(&self, from: [u8; 4]) -> std::io::Result<Box<dyn Stream>> {
        let stream = self.plain(from).await?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream);
        Ok(Box::new(stream.await?))
    }

    /// What a client says first, in TLS.
    pub(crate) fn hello(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(tls) = &self.tls {
            let name = ServerName::try_from("localhost").expect("a name");
            let client = rustls::ClientConnection::new(Arc::clone(tls), name);
            let mut client = client.expect("a client");
            client.write_tls(&mut bytes).expect("written");
        }
        bytes
    }

    async fn page(&self, path: &str) -> std::io::Result<String> {
        let mut stream = UnixStream::connect(&self.socket).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    pub(crate) async fn wait_until_ready(&self) {
        while !self
            .page("/-/ready")
            .await
            .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What the daemon says of itself.
    pub(crate) async fn series(&self) -> Series {
        let page = self.page("/metrics").await.expect("a page");
        let own = page.lines().filter(|line| {
            line.starts_with("hotspare_http_")
                || line.starts_with("hotspare_schedule_")
                || line.starts_with("hotspare_event_loop_")
        });
        let own = own.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Series(own.collect())
    }

    pub(crate) fn resident_mb(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(path).expect("it runs");
        let line = text.lines().find(|line| line.starts_with("VmRSS"));
        let kb = line.and_then(|line| line.split_whitespace().nth(1));
        kb.and_then(|kb| kb.parse::<u64>().ok()).expect("a number") / 1024
    }

    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) async fn plain(to: SocketAddr, from: [u8; 4]) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((IpAddr::from(from), 0).into())?;
    socket.connect(to).await
}

/// Takes every connection and ends it; the port.
fn targets() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    port
}

fn configuration(port: u16) -> String {
    let mut text = "region: here\nregions: [{ name: here }]\n\
                    defaults: { interval: 5s, timeout: 2s }\n\
                    probes:\n- name: healthy\n  check: { tcp: {} }\n  targets:\n    here:\n"
        .to_owned();
    for n in 0..TARGETS {
        writeln!(text, "    - \"127.20.{}.{}:{port}\"", n / 250, n % 250 + 1).expect("a string");
    }
    text
}

fn trusting(pem: &str) -> Arc<rustls::ClientConfig> {
    let mut trusted = rustls::RootCertStore::empty();
    let certificate = rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes());
    trusted
        .add(certificate.expect("PEM"))
        .expect("a certificate");
    let config = rustls::ClientConfig::builder().with_root_certificates(trusted);
    Arc::new(config.with_no_client_auth())
}

/// Samples by their names with labels.
pub(crate) struct Series(BTreeMap<String, f64>);

impl Series {
    fn change(&self, name: &str, before: &Self) -> f64 {
        let of = |series: &Self| series.0.get(name).copied().unwrap_or(0.0);
        of(self) - of(before)
    }

    /// By how much all of the family have grown.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a counter"
    )]
    pub(crate) fn grown(&self, family: &str, before: &Self) -> u64 {
        let names = self.0.keys().filter(|name| name.starts_with(family));
        names.map(|name| self.change(name, before)).sum::<f64>() as u64
    }

    /// The bound below which 99 of 100 were since then, of a histogram's buckets.
    pub(crate) fn p99(&self, buckets: &str, before: &Self) -> f64 {
        let names = self.0.keys().filter(|name| name.starts_with(buckets));
        let buckets = names.filter_map(|name| {
            let (_, bound) = name.split_once("le=\"")?;
            let bound = match bound.trim_end_matches("\"}") {
                "+Inf" => f64::INFINITY,
                number => number.parse().ok()?,
            };
            Some((bound, self.change(name, before)))
        });
        let mut buckets: Vec<(f64, f64)> = buckets.collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let all = buckets.last().map_or(0.0, |(_, count)| *count);
        let reached = buckets.iter().find(|(_, count)| *count >= all * 0.99);
        reached.map_or(f64::NAN, |(bound, _)| *bound)
    }

    /// What was refused since then, by cause.
    pub(crate) fn refusals(&self, before: &Self) -> String {
        let mut causes = Vec::new();
        for name in self.0.keys() {
            let count = self.change(name, before);
            if let Some((_, cause)) = name.split_once("cause=\"")
                && name.starts_with("hotspare_http_")
                && count > 0.0
            {
                causes.push(format!("{} {count}", cause.trim_end_matches("\"}")));
            }
        }
        causes.join(", ")
    }
}
