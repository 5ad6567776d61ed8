//! A real Prometheus that scrapes the daemon.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::time::Instant;

use crate::daemon::get;
use crate::process::{PATIENCE, Process};

/// That of this machine, or another version of it.
fn program() -> OsString {
    std::env::var_os("HOTSPARE_PROMETHEUS").unwrap_or_else(|| "prometheus".into())
}

/// A Prometheus with one job that scrapes every second.
pub(crate) struct Prometheus {
    pub(crate) address: SocketAddr,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    pub(crate) fn start(targets: &[SocketAddr]) -> Self {
        Self::start_with(targets, "", |_| {})
    }

    /// The same with more of its configuration, after `prepare` has put more files into its folder.
    pub(crate) fn start_with(
        targets: &[SocketAddr],
        more: &str,
        prepare: impl FnOnce(&Path),
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        prepare(folder.path());
        let targets: Vec<_> = targets.iter().map(|t| format!("\"{t}\"")).collect();
        let config = format!(
            "scrape_configs:\n- job_name: hotspare\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  \
             static_configs: [{{ targets: [{}] }}]\n{more}",
            targets.join(", ")
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).expect("writable");
        let mut command = Command::new(program());
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg("--web.listen-address=127.0.0.1:0")
            .arg("--rules.alert.resend-delay=1s")
            .arg("--log.level=info");
        let mut process = Process::start(command);
        let address = listening(&mut process);
        // It listens before it can answer.
        process.wait_for_line(|line| line.contains("Server is ready").then_some(()));
        Self {
            address,
            _process: process,
            _folder: folder,
        }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The values of an instant query's result, by the label asked for.
    pub(crate) fn query(&self, query: &str, label: &str) -> Vec<(String, f64)> {
        let body = self.ask(&format!("/api/v1/query?query={}", encoded(query)));
        body["data"]["result"]
            .as_array()
            .expect("a vector")
            .iter()
            .map(|sample| {
                let value = sample["value"][1].as_str().expect("a value");
                let label = sample["metric"][label].as_str().unwrap_or_default();
                (label.to_owned(), value.parse().expect("a number"))
            })
            .collect()
    }

    /// What it answers to a question of its API.
    pub(crate) fn ask(&self, path: &str) -> serde_json::Value {
        let response = get(self.address, path);
        let body: serde_json::Value =
            serde_json::from_slice(&response.body).expect("Prometheus answers JSON");
        assert_eq!(body["status"], "success", "{path}: {body}");
        body
    }

    /// Asks until the result is as wanted, and returns it.
    pub(crate) fn wait_for(
        &self,
        query: &str,
        label: &str,
        wanted: impl Fn(&[(String, f64)]) -> bool,
    ) -> Vec<(String, f64)> {
        let since = Instant::now();
        loop {
            let result = self.query(query, label);
            if wanted(&result) {
                return result;
            }
            assert!(
                since.elapsed() < PATIENCE,
                "never as wanted: {query}: {result:?}"
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

/// A text as a part of a URL.
pub(crate) fn encoded(text: &str) -> String {
    let encoded = text.bytes().map(|b| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(b).to_string(),
        _ => format!("%{b:02X}"),
    });
    encoded.collect()
}

/// Waits for the line in which programs of the Prometheus project say where they listen.
pub(crate) fn listening(process: &mut Process) -> SocketAddr {
    process.wait_for_line(|line| {
        let (_, address) = line.split_once("Listening on")?.1.split_once("address=")?;
        address.split_whitespace().next()?.parse().ok()
    })
}

/// What a proxy does with the wish for a format, and the format that the answers must have then.
#[derive(Clone, Copy)]
pub(crate) enum Wish {
    /// Hands it on: Prometheus wishes for OpenMetrics.
    Kept,
    /// Takes it out: then the answer is text.
    Hidden,
}

impl Wish {
    fn format(self) -> &'static str {
        match self {
            Self::Kept => "\r\ncontent-type: application/openmetrics-text;",
            Self::Hidden => "\r\ncontent-type: text/plain;",
        }
    }
}

/// A proxy in front of the server that hands on only answers in the right format. It ends with the
/// runtime of the test.
pub(crate) async fn proxy(server: SocketAddr, wish: Wish) -> SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bind");
    let address = listener.local_addr().expect("bound");
    let serve = async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut upstream = tokio::net::TcpStream::connect(server)
                .await
                .expect("connected");
            let mut request = vec![0; 8192];
            while let Ok(length @ 1..) = client.read(&mut request).await {
                let mut text = String::from_utf8_lossy(&request[..length]).into_owned();
                if let Wish::Hidden = wish {
                    text = text.replace("\r\nAccept:", "\r\nX-Wish:");
                }
                upstream.write_all(text.as_bytes()).await.expect("sent");
                let Some(()) = answer(&mut upstream, &mut client, wish).await else {
                    break;
                };
            }
        }
    };
    #[expect(clippy::disallowed_methods, reason = "the test's own server")]
    tokio::spawn(serve);
    address
}

/// Hands one answer on; its length is in its head.
async fn answer(
    from: &mut tokio::net::TcpStream,
    to: &mut tokio::net::TcpStream,
    wish: Wish,
) -> Option<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut bytes = Vec::new();
    loop {
        let read = from.read_buf(&mut bytes).await.ok()?;
        let head = bytes.windows(4).position(|w| w == b"\r\n\r\n");
        let whole = head.and_then(|end| {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let (_, length) = head.split_once("content-length: ")?;
            let length: usize = length.lines().next()?.parse().ok()?;
            Some(end + 4 + length)
        });
        if whole == Some(bytes.len()) {
            let head = String::from_utf8_lossy(&bytes[..head?]).to_lowercase();
            // Without an answer, the test never sees this instance up.
            assert!(head.contains(wish.format()), "not as wished for: {head}");
            to.write_all(&bytes).await.ok()?;
            return Some(());
        }
        if read == 0 {
            return None;
        }
    }
}

const DEPLOYMENT: &str = include_str!("../../docs/deployment.md");

#[test]
fn the_documented_configurations_are_ones_that_prometheus_takes() {
    let (_, section) = DEPLOYMENT
        .split_once("\n## Prometheus\n")
        .expect("a section");
    let section = section.split("\n## ").next().unwrap_or(section);
    let blocks = section.split("```yaml\n").skip(1);
    let configs: Vec<_> = blocks.filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(configs.len(), 2);
    for config in configs {
        assert!(config.contains("scrape_configs:"), "{config}");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).expect("writable");
        let output = Command::new("promtool")
            .args(["check", "config"])
            .arg(&file)
            .output()
            .expect("promtool runs");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{said}");
        assert!(!said.to_lowercase().contains("warn"), "{said}");
    }
}
