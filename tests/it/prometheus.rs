//! A real Prometheus that scrapes the daemon.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use tokio::time::Instant;

use crate::daemon::get;
use crate::process::{PATIENCE, Process, free_port, wait_for_port};

/// A Prometheus with one job that scrapes every second.
pub(crate) struct Prometheus {
    address: SocketAddr,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    pub(crate) fn start(targets: &[SocketAddr]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let targets: Vec<_> = targets.iter().map(|t| format!("\"{t}\"")).collect();
        let config = format!(
            "scrape_configs:\n- job_name: hotspare\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  \
             static_configs: [{{ targets: [{}] }}]\n",
            targets.join(", ")
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).expect("writable");
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn");
        let process = Process::start(command);
        wait_for_port(address);
        // It listens before it can answer.
        let since = Instant::now();
        while get(address, "/-/ready").status != 200 {
            assert!(since.elapsed() < PATIENCE, "Prometheus does not get ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self {
            address,
            _process: process,
            _folder: folder,
        }
    }

    /// The values of an instant query's result, by the label asked for.
    pub(crate) fn query(&self, query: &str, label: &str) -> Vec<(String, f64)> {
        let encoded: String = query
            .bytes()
            .map(|b| match b {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(b).to_string(),
                _ => format!("%{b:02X}"),
            })
            .collect();
        let response = get(self.address, &format!("/api/v1/query?query={encoded}"));
        let body: serde_json::Value =
            serde_json::from_slice(&response.body).expect("Prometheus answers JSON");
        assert_eq!(body["status"], "success", "{query}: {body}");
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

/// A proxy in front of the server that takes the wish for a format out of every request. It ends
/// with the runtime of the test.
pub(crate) async fn without_accept(server: SocketAddr) -> SocketAddr {
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
                let text = String::from_utf8_lossy(&request[..length])
                    .replace("\r\nAccept:", "\r\nX-Wish:");
                upstream.write_all(text.as_bytes()).await.expect("sent");
                let Some(()) = answer(&mut upstream, &mut client).await else {
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
async fn answer(from: &mut tokio::net::TcpStream, to: &mut tokio::net::TcpStream) -> Option<()> {
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
            assert!(
                String::from_utf8_lossy(&bytes).contains("text/plain"),
                "not text"
            );
            to.write_all(&bytes).await.ok()?;
            return Some(());
        }
        if read == 0 {
            return None;
        }
    }
}
