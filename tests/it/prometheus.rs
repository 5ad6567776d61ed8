//! A real Prometheus that scrapes the daemon.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::daemon::get;
use crate::process::{PATIENCE, Process, free_port, wait_for_port};

/// A Prometheus with one job that scrapes every second.
pub struct Prometheus {
    address: SocketAddr,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    pub fn start(targets: &[SocketAddr]) -> Self {
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
        Self {
            address,
            _process: process,
            _folder: folder,
        }
    }

    /// The values of an instant query's result, by the label asked for.
    pub fn query(&self, query: &str, label: &str) -> Vec<(String, f64)> {
        let encoded: String = query
            .bytes()
            .map(|b| match b {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(b).to_string(),
                _ => format!("%{b:02X}"),
            })
            .collect();
        let response = get(self.address, &format!("/api/v1/query?query={encoded}"), &[]);
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
    pub fn wait_for(
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
