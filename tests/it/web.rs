//! TLS, users and client certificates at the daemon's own server, asked by curl.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use hotspare::app::WebConfig;
use hotspare::model::WebSettings;
use hotspare::server::{Limits, Web};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::authority::Authority;
use crate::server::{HANG, Served, closed, patient};

/// A folder with certificates: `ca.pem`, `server.pem`, and for clients `client.pem` and one of
/// somebody else, `foreign.pem`; a key is in the file that ends with `.key`.
pub(crate) struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        certificates(folder.path());
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("written");
    }

    /// What the server works with, of such a file.
    pub(crate) fn web(&self, text: &str) -> Web {
        self.write("web.yml", text);
        WebConfig::read(Some(self.folder.path().join("web.yml"))).expect(text);
        let settings: WebSettings =
            hotspare::config::WebFile::read(Path::new(&self.path("web.yml")))
                .expect(text)
                .settings;
        let read = |path: &Path| {
            std::fs::read(self.folder.path().join(path)).map_err(|error| error.to_string())
        };
        Web::new(&settings, read).expect(text)
    }
}

pub(crate) fn certificates(folder: &Path) {
    let ours = Authority::new("ours");
    let foreign = Authority::new("foreign");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).expect("written");
    };
    write("ca.pem", &ours.pem);
    for (name, identity) in [
        ("server", ours.identity(&["localhost", "127.0.0.1"])),
        ("client", ours.identity(&["prometheus.example.com"])),
        ("foreign", foreign.identity(&["prometheus.example.com"])),
    ] {
        write(&format!("{name}.pem"), &identity.certificate);
        write(&format!("{name}.key"), &identity.key);
    }
}

/// The line of a user in `basic_auth_users`; the lowest cost, since it is not the hash that is tested.
pub(crate) fn user(name: &str, password: &str) -> String {
    let hash = bcrypt::hash(password, 4).expect("hashed");
    format!("basic_auth_users:\n  {name}: {hash}\n")
}

pub(crate) const TLS: &str =
    "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

/// The head and the body that curl gets, or what it says.
async fn curl(arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new("curl");
    command.args(["-sSi", "--max-time", "60"]).args(arguments);
    let output = command.output().await.expect("curl runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() {
        return Ok(text(output.stdout));
    }
    Err(text(output.stderr))
}

async fn status(arguments: &[&str]) -> Option<u16> {
    let answer = curl(arguments).await.ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

pub(crate) fn refused(served: &Served, cause: &str) -> u64 {
    let refused = &served.own.http_requests_refused_total;
    refused.with_label_values(&[cause]).get()
}

fn failed(served: &Served, cause: &str) -> u64 {
    let failed = &served.own.http_tls_handshake_failures_total;
    failed.with_label_values(&[cause]).get()
}

pub(crate) fn basic(text: &str) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(text);
    format!("authorization: Basic {text}\r\n")
}

#[tokio::test]
async fn with_users_nothing_is_told_to_whoever_is_none() {
    let folder = Folder::new();
    let served = Served::guarded(folder.web(&user("alice", "hunter2")), patient());
    for path in [
        "/",
        "/metrics",
        "/sd",
        "/-/healthy",
        "/-/ready",
        "/api/v1/groups",
        "/nothing",
    ] {
        let answer = served.get(path, "").await;
        assert_eq!(answer.status, 401, "{path}");
        let asked = answer.header("www-authenticate");
        assert_eq!(asked, Some("basic realm=\"hotspare\""));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(!answer.text().contains("eu-west"), "{path}");
    }
    assert_eq!(refused(&served, "missing"), 7);
    let wrong = served.get("/metrics", &basic("alice:hunter3")).await;
    assert_eq!((wrong.status, refused(&served, "wrong")), (401, 1));
    let right = served.get("/metrics", &basic("alice:hunter2")).await;
    assert_eq!(right.status, 200);
    assert_eq!(served.own.http_open_listeners.get(), 0);
    served.stop().await;
}

#[tokio::test]
async fn orders_of_those_who_may_be_anywhere_need_a_user() {
    let order = |headers: &str| {
        format!(
            "POST /api/v1/silences HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: \
             application/json\r\nx-hotspare-order: 1\r\ncontent-length: 2\r\n{headers}\r\n{{}}"
        )
    };
    let far = "x-forwarded-for: 10.1.0.5\r\n";
    let folder = Folder::new();
    let open = Served::guarded(Web::default(), patient());
    let users = Served::guarded(folder.web(&user("alice", "hunter2")), patient());
    // 400: the order is read, and says nothing.
    for (served, headers, expected) in [
        (&open, String::new(), 400),
        (&open, far.to_owned(), 403),
        (&open, format!("{far}{}", basic("alice:hunter2")), 403),
        (&users, String::new(), 401),
        (&users, far.to_owned(), 401),
        (&users, format!("{far}{}", basic("alice:hunter2")), 400),
    ] {
        let answer = crate::server::ask(&mut served.connect().await, &order(&headers)).await;
        assert_eq!(answer.status, expected, "{headers}: {}", answer.text());
    }
    // They listen on all addresses.
    let open_listeners = |served: &Served| served.own.http_open_listeners.get();
    assert_eq!((open_listeners(&open), open_listeners(&users)), (1, 0));
    assert_eq!(refused(&open, "order"), 2);
    open.stop().await;
    users.stop().await;
}

#[tokio::test]
async fn every_answer_has_the_headers_of_the_file() {
    let folder = Folder::new();
    let headers = "http_server_config:\n  http2: true\n  headers:\n    \
         Content-Security-Policy: default-src 'self'\n    X-Frame-Options: deny\n    \
         Strict-Transport-Security: max-age=31536000\n";
    let web = folder.web(&format!("{headers}{}", user("alice", "hunter2")));
    let served = Served::guarded(web, patient());
    for credentials in ["", &basic("alice:hunter2")] {
        for path in ["/", "/nothing"] {
            let answer = served.get(path, credentials).await;
            let policy = answer.header("content-security-policy");
            assert_eq!(policy, Some("default-src 'self'"), "{path}");
            assert_eq!(answer.header("x-frame-options"), Some("deny"));
            let strict = answer.header("strict-transport-security");
            assert_eq!(strict, Some("max-age=31536000"));
        }
    }
    served.stop().await;
}

#[tokio::test]
async fn no_more_requests_are_answered_than_the_file_says() {
    let folder = Folder::new();
    let web = folder.web("rate_limit: {interval: 1h, burst: 2}\n");
    let served = Served::guarded(web, patient());
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(served.get("/-/healthy", "").await.status);
    }
    assert_eq!(statuses, [200, 200, 429]);
    assert_eq!(refused(&served, "rate"), 1);
    served.stop().await;
}

#[tokio::test]
async fn tls_is_spoken_and_nothing_else_and_silence_ends() {
    let folder = Folder::new();
    let served = Served::guarded(folder.web(TLS), patient());
    let url = format!("https://localhost:{}/metrics", served.address.port());
    let trusting = ["--cacert", &folder.path("ca.pem"), &url];
    let answer = curl(&trusting).await.expect("answered");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("hotspare_build_info"));
    // curl offers HTTP/2 too: it is not promised what is not served.
    let old = ["--tls-max", "1.2", "--cacert", &folder.path("ca.pem"), &url];
    assert_eq!(status(&old).await, Some(200));
    let mut plain = served.connect().await;
    plain
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .expect("sent");
    // It gets an alert, which is no HTTP.
    let mut told = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut plain, &mut told);
    let _reset_or_end = tokio::time::timeout(HANG, read).await.expect("ended");
    assert!(!told.starts_with(b"HTTP"), "{told:?}");
    assert_eq!(failed(&served, "protocol"), 1);
    served.stop().await;

    let short = Limits {
        header: Duration::from_millis(50),
        ..patient()
    };
    let served = Served::guarded(folder.web(TLS), short);
    closed(&mut served.connect().await).await;
    assert_eq!(failed(&served, "timeout"), 1);
    served.stop().await;
}

#[tokio::test]
async fn clients_show_the_certificates_that_are_asked_for() {
    let folder = Folder::new();
    let ca = folder.path("ca.pem");
    let verifying = "  client_ca_file: ca.pem\n";
    let named = "  client_ca_file: ca.pem\n  client_allowed_sans: [prometheus.example.com]\n";
    let others = "  client_ca_file: ca.pem\n  client_allowed_sans: [other.example.com]\n";
    for (kind, more, [none, ours, foreign]) in [
        ("NoClientCert", "", [true, true, true]),
        ("RequestClientCert", "", [true, true, true]),
        ("RequireAnyClientCert", "", [false, true, true]),
        ("VerifyClientCertIfGiven", verifying, [true, true, false]),
        (
            "RequireAndVerifyClientCert",
            verifying,
            [false, true, false],
        ),
        ("RequireAndVerifyClientCert", named, [false, true, false]),
        ("RequireAndVerifyClientCert", others, [false, false, false]),
    ] {
        let web = folder.web(&format!("{TLS}  client_auth_type: {kind}\n{more}"));
        assert_eq!(web.asks_who(), kind == "RequireAndVerifyClientCert");
        let served = Served::guarded(web, patient());
        let url = format!("https://127.0.0.1:{}/-/healthy", served.address.port());
        for (shown, expected) in [
            (None, none),
            (Some("client"), ours),
            (Some("foreign"), foreign),
        ] {
            let files = shown.map(|name| {
                [
                    folder.path(&format!("{name}.pem")),
                    folder.path(&format!("{name}.key")),
                ]
            });
            let mut arguments = vec!["--cacert", &*ca, &*url];
            if let Some([certificate, key]) = &files {
                arguments.extend(["--cert", certificate, "--key", key]);
            }
            let came = status(&arguments).await;
            assert_eq!(came, expected.then_some(200), "{kind} {more} {shown:?}");
        }
        let refused = [none, ours, foreign].iter().filter(|good| !**good).count();
        assert_eq!(
            failed(&served, "certificate"),
            refused as u64,
            "{kind} {more}"
        );
        served.stop().await;
    }
}

#[tokio::test]
async fn only_a_certificate_that_was_verified_may_order() {
    let folder = Folder::new();
    for (kind, expected) in [
        ("RequestClientCert", 403),
        ("VerifyClientCertIfGiven\n  client_ca_file: ca.pem", 400),
    ] {
        let web = folder.web(&format!("{TLS}  client_auth_type: {kind}\n"));
        let served = Served::guarded(web, patient());
        let url = format!(
            "https://127.0.0.1:{}/api/v1/silences",
            served.address.port()
        );
        let order = [
            "--cacert",
            &folder.path("ca.pem"),
            "--cert",
            &folder.path("client.pem"),
            "--key",
            &folder.path("client.key"),
            "-H",
            "x-hotspare-order: 1",
            "-H",
            "x-forwarded-for: 10.1.0.5",
            "-H",
            "content-type: application/json",
            "-d",
            "{}",
            &url,
        ];
        assert_eq!(status(&order).await, Some(expected), "{kind}");
        served.stop().await;
    }
}
