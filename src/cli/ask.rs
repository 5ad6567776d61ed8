//! Asks a daemon's API: one request over a connection of its own.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokio::net::UnixStream;
use url::{Position, Url};

use super::local::Local;
use crate::files::Files;
use crate::model::{Failure, Reason, Secret};
use crate::net::http::{Answer, Exchange, wire_cap};
use crate::net::{
    Capped, Dial, Endpoint, Host, IpVersion, Resolver, Roots, Stopwatch, TlsClient, TlsSettings,
    failure_of,
};
use crate::server::{ORDER_HEADER, RELOAD_LIMIT};

/// How long a daemon may take to answer: from its name to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);
/// And what came of reading its configuration again, of which it tells itself if it takes too long.
const RELOAD_TIMEOUT: Duration = RELOAD_LIMIT.saturating_add(TIMEOUT);
/// Bytes of an answer: some thousand checks, or all that is kept of the past of several hundred groups.
const MAX_BODY: u64 = 32 << 20;
/// Where a daemon says whether it makes progress.
const HEALTHY: [&str; 2] = ["-", "healthy"];
const HTTP1: &[u8] = b"http/1.1";

/// A daemon that can be asked.
#[derive(Clone, Debug)]
pub(super) struct Daemon {
    url: Url,
    way: Way,
    /// What says who asks.
    credentials: Option<HeaderValue>,
    tls: TlsSettings,
    /// What to say if it cannot be reached.
    advice: Option<String>,
}

/// How a daemon is reached.
#[derive(Clone, Debug)]
enum Way {
    /// Over a file of this host.
    Socket(PathBuf),
    /// Over the network.
    Host {
        dial: Endpoint,
        /// The name to verify; none without TLS.
        name: Option<ServerName<'static>>,
    },
}

/// Who asks, and whom they trust.
#[derive(Default)]
pub(super) struct Trust {
    /// The password of the users that URLs name.
    pub(super) password: Option<Secret>,
    /// The authorities, instead of this host's.
    pub(super) ca_file: Option<PathBuf>,
}

impl Daemon {
    /// Reads the URL below which its API is.
    pub(super) fn parse(text: &str, trust: &Trust) -> Result<Self, String> {
        let tls = TlsSettings {
            ca_file: trust.ca_file.clone(),
            ..TlsSettings::default()
        };
        if let Some(path) = text.strip_prefix("unix:") {
            if !path.starts_with('/') {
                return Err("expected an absolute path after `unix:`".to_owned());
            }
            return Ok(Self {
                url: Url::parse("http://localhost/").map_err(|error| error.to_string())?,
                way: Way::Socket(path.into()),
                credentials: None,
                tls,
                advice: None,
            });
        }
        let url = Url::parse(text).map_err(|error| {
            format!("not a URL like http://10.1.0.5:9887 or https://hotspare.example.com: {error}")
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("expected http or https".to_owned());
        }
        if url.password().is_some() {
            return Err("a password does not belong in a URL: --password-file".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("expected the daemon's address, without a query".to_owned());
        }
        let host = Host::parse(url.host_str().unwrap_or_default())?;
        let name = match url.scheme() {
            "https" => Some(host.certified_name(None)?),
            _ => None,
        };
        let port = url.port_or_known_default().ok_or("there is no port")?;
        let credentials = credentials(&url, &host, trust)?;
        let dial = Endpoint { host, port };
        Ok(Self {
            url,
            way: Way::Host { dial, name },
            credentials,
            tls,
            advice: None,
        })
    }

    /// The daemon of this host.
    pub(super) fn local(local: Local, trust: &Trust) -> Result<Self, String> {
        let mut daemon = Self::parse(&local.url, trust)?;
        daemon.advice = local.advice;
        Ok(daemon)
    }

    /// The daemons at these URLs. The error does not repeat what may hold a password.
    pub(super) fn all(urls: &[String], trust: &Trust) -> Result<Vec<Self>, String> {
        let parsed = urls.iter().enumerate().map(|(place, url)| {
            Self::parse(url, trust).map_err(|why| format!("--server, number {}: {why}", place + 1))
        });
        parsed.collect()
    }

    /// Where a part of the API is.
    fn part(&self, names: &[&str]) -> Url {
        self.page(&[&["api", "v1"], names].concat())
    }

    /// Where a page is.
    fn page(&self, names: &[&str]) -> Url {
        let mut url = self.url.clone();
        // An error would be a URL that has no path, which http and https have.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(names);
        }
        url
    }
}

impl std::fmt::Display for Daemon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.way {
            Way::Socket(path) => write!(f, "unix:{}", path.display()),
            Way::Host { .. } => f.write_str(self.url.as_str().trim_end_matches('/')),
        }
    }
}

/// What says that the URL's user asks. A password goes in the clear to this host only.
fn credentials(url: &Url, host: &Host, trust: &Trust) -> Result<Option<HeaderValue>, String> {
    if url.username().is_empty() {
        return Ok(None);
    }
    let password = trust.password.as_ref();
    let password = password.ok_or("a user needs a password: --password-file")?;
    if url.scheme() == "http" && !host.is_here() {
        return Err("a password goes to other hosts over https only".to_owned());
    }
    let text = format!("{}:{}", url.username(), password.expose());
    let value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(text)));
    let mut value = value.map_err(|error| error.to_string())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// What asks.
pub(super) struct Client {
    resolver: Resolver,
    roots: Roots,
}

impl Client {
    /// A client that resolves names and trusts authorities as this host does.
    pub(super) fn new() -> Result<Self, String> {
        Ok(Self {
            resolver: Resolver::from_system()?,
            roots: Roots::default(),
        })
    }

    /// What the daemon says of a part of its API; the error says why that is not known.
    pub(super) async fn ask(&self, daemon: &Daemon, names: &[&str]) -> Result<Vec<u8>, String> {
        let request = request(&daemon.part(names));
        self.send(daemon, request, TIMEOUT).await
    }

    /// Whether every part of the daemon makes progress; the error says which does not, or why that is
    /// not known.
    pub(super) async fn healthy(&self, daemon: &Daemon) -> Result<(), String> {
        let request = request(&daemon.page(&HEALTHY));
        let answer = self.answer(daemon, request, TIMEOUT).await?;
        match answer.status {
            StatusCode::OK => Ok(()),
            StatusCode::SERVICE_UNAVAILABLE => {
                Err(String::from_utf8_lossy(&answer.body).trim_end().to_owned())
            }
            status => Err(refusal(status, &answer.body)),
        }
    }

    /// What the daemon says to an order.
    pub(super) async fn order(
        &self,
        daemon: &Daemon,
        names: &[&str],
        order: Vec<u8>,
    ) -> Result<Vec<u8>, String> {
        let request = ordered(&daemon.part(names), order);
        self.send(daemon, request, TIMEOUT).await
    }

    /// What the daemon says to the order to read its configuration again.
    pub(super) async fn reload(&self, daemon: &Daemon) -> Result<Vec<u8>, String> {
        let url = daemon.page(&["-", "reload"]);
        let request = ordered(&url, Vec::new());
        self.send(daemon, request, RELOAD_TIMEOUT).await
    }

    async fn send(
        &self,
        daemon: &Daemon,
        request: Prepared,
        limit: Duration,
    ) -> Result<Vec<u8>, String> {
        let answer = self.answer(daemon, request, limit).await?;
        match answer.status {
            StatusCode::OK => Ok(answer.body),
            status => Err(refusal(status, &answer.body)),
        }
    }

    async fn answer(
        &self,
        daemon: &Daemon,
        request: Prepared,
        limit: Duration,
    ) -> Result<Answer, String> {
        let mut request = request.map_err(|error| error.to_string())?;
        if let Some(credentials) = &daemon.credentials {
            let headers = request.headers_mut();
            headers.insert(AUTHORIZATION, credentials.clone());
        }
        let asked = tokio::time::timeout(limit, self.exchange(daemon, request)).await;
        let asked = asked.map_err(|_| format!("no answer within {}s", limit.as_secs()));
        let answer = asked.and_then(|came| came.map_err(|failure| failure.detail.to_string()));
        answer.map_err(|why| match &daemon.advice {
            None => why,
            Some(advice) => format!("{why}; {advice}"),
        })
    }

    async fn exchange(
        &self,
        daemon: &Daemon,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Failure> {
        let mut watch = Stopwatch::start();
        let exchange = Exchange {
            request,
            max_body_bytes: MAX_BODY,
            keep_body: true,
        };
        let (dial, name) = match &daemon.way {
            Way::Host { dial, name } => (dial, name),
            Way::Socket(path) => {
                let opened = UnixStream::connect(path).await;
                let stream = opened.map_err(|error| failure_of(&error, "the socket"))?;
                let wire = Capped::new(stream, wire_cap(MAX_BODY));
                return exchange.http1(wire, &mut watch).await;
            }
        };
        let addresses = self
            .resolver
            .resolve(&dial.host, IpVersion::Any, &mut watch)
            .await?;
        let wire = connect(&addresses, dial.port, &mut watch).await?;
        let Some(name) = name else {
            return exchange.http1(wire, &mut watch).await;
        };
        let files = Files::new(None, PathBuf::new());
        let tls = TlsClient::new(&daemon.tls, &self.roots, |path| files.read(path))
            .map_err(|(_, why)| Failure::new(Reason::LocalResources, why))?;
        let stream = tls
            .handshake(wire, name, &[HTTP1], &mut None, &mut watch)
            .await?;
        exchange.http1(stream, &mut watch).await
    }
}

/// A connection to the first of the addresses that takes one.
async fn connect(
    addresses: &[IpAddr],
    port: u16,
    watch: &mut Stopwatch,
) -> Result<crate::net::Wire, Failure> {
    let mut last = Failure::new(Reason::DnsNotFound, "the name has no address");
    for address in addresses {
        let to = SocketAddr::new(*address, port);
        match Dial::default().connect(to, wire_cap(MAX_BODY), watch).await {
            Ok(wire) => return Ok(wire),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

type Prepared = Result<Request<Full<Bytes>>, http::Error>;

fn request(url: &Url) -> Prepared {
    let host = &url[Position::BeforeHost..Position::AfterPort];
    Request::get(&url[Position::BeforePath..Position::AfterPath])
        .header(HOST, host)
        .header(ACCEPT, HeaderValue::from_static("application/json"))
        .body(Full::default())
}

fn ordered(url: &Url, order: Vec<u8>) -> Prepared {
    let host = &url[Position::BeforeHost..Position::AfterPort];
    Request::post(&url[Position::BeforePath..Position::AfterPath])
        .header(HOST, host)
        .header(ACCEPT, HeaderValue::from_static("application/json"))
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(ORDER_HEADER, HeaderValue::from_static("drill"))
        .body(Full::from(order))
}

/// What a daemon says that does not answer the question.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
        #[serde(default)]
        known: Vec<String>,
    }
    if status == StatusCode::UNAUTHORIZED {
        return "it asks who is there: name a user in the URL (https://USER@HOST) and the password's file by \
                --password-file; if it has both, one of them is wrong"
            .to_owned();
    }
    match serde_json::from_slice(body) {
        Ok(Problem { detail, known }) if known.is_empty() => detail,
        Ok(Problem { detail, known }) => format!("{detail}; there are: {}", known.join(", ")),
        Err(_) => format!("the answer is {status}: is that a daemon's address?"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_below_that_of_the_url_and_a_name_stays_one_part_of_it() {
        for (url, group, path) in [
            ("http://h", "g", "http://h/api/v1/groups/g"),
            (
                "http://h:9887/",
                "a/b c?d#e",
                "http://h:9887/api/v1/groups/a%2Fb%20c%3Fd%23e",
            ),
            (
                "https://h/hotspare/",
                "%2e",
                "https://h/hotspare/api/v1/groups/%252e",
            ),
            (
                "https://[::1]/hotspare",
                "g\r\nx: y",
                "https://[::1]/hotspare/api/v1/groups/gx:%20y",
            ),
        ] {
            let daemon = Daemon::parse(url, &Trust::default()).expect(url);
            let asked = daemon.part(&["groups", group]);
            assert_eq!(asked.as_str(), path);
            assert!(request(&asked).is_ok(), "{path}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_daemon_is_refused_without_telling_a_password() {
        for url in [
            "",
            "localhost:9887",
            "10.1.0.5",
            "ftp://h",
            "http://",
            "http://u:secret@h",
            "https://u:secret@h",
            "https://u@h",
            "unix:run/hotspare.sock",
            "http://h?token=secret",
            "http://h#secret",
        ] {
            let why = Daemon::parse(url, &Trust::default()).expect_err(url);
            assert!(!why.contains("secret"), "{url}: {why}");
        }
    }

    #[test]
    fn a_password_goes_to_other_hosts_over_tls_only_and_is_never_shown() {
        let trust = Trust {
            password: Some(Secret::new("secret".to_owned())),
            ca_file: None,
        };
        for (url, sent) in [
            ("https://u@h", true),
            ("http://u@127.0.0.1:9887", true),
            ("http://u@localhost", true),
            ("https://h", false),
            ("unix:/run/hotspare/hotspare.sock", false),
        ] {
            let daemon = Daemon::parse(url, &trust).expect(url);
            assert_eq!(daemon.to_string(), url);
            assert_eq!(daemon.credentials.is_some(), sent, "{url}");
            let shown = format!("{daemon:?}");
            assert!(
                !shown.contains("secret") && !shown.contains("Basic"),
                "{shown}"
            );
        }
        assert!(Daemon::parse("http://u@h", &trust).is_err());
    }

    #[test]
    fn a_refusal_is_told_in_the_daemons_words_if_it_has_any() {
        let words = br#"{"type":"/problems/no-such-group","title":"t","status":404,
            "detail":"there is no such group","known":["a","b"]}"#;
        let told = refusal(StatusCode::NOT_FOUND, words);
        assert_eq!(told, "there is no such group; there are: a, b");
        let told = refusal(StatusCode::BAD_GATEWAY, b"<html>");
        let guess = "the answer is 502 Bad Gateway: is that a daemon's address?";
        assert_eq!(told, guess);
    }
}
