//! Real Alertmanagers that know each other, and the webhook receiver behind them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::daemon::get;
use crate::process::{Process, free_port, wait_for};

/// One alert of a notification that came through: its status and its name.
pub(crate) type Heard = (String, String);

/// Takes the notifications of the whole cluster.
pub(crate) struct Hook {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Hook {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("bound");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let found = notification(stream.expect("accepted"));
                notes.lock().expect("not poisoned").extend(found);
            }
        });
        Self { address, heard }
    }

    /// What was heard of the alert: the states, in order.
    pub(crate) fn heard(&self, alert: &str) -> Vec<String> {
        let heard = self.heard.lock().expect("not poisoned");
        let of_alert = heard.iter().filter(|(_, name)| name == alert);
        of_alert.map(|(status, _)| status.clone()).collect()
    }
}

/// Reads one notification and answers it.
fn notification(stream: TcpStream) -> Vec<Heard> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a request");
        let line = line.trim().to_lowercase();
        if let Some(number) = line.strip_prefix("content-length:") {
            length = number.trim().parse().expect("a number");
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    // Whoever went away meanwhile has told it all the same.
    let _ = reader.get_mut().write_all(answer);
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return Vec::new();
    };
    let alerts = body["alerts"].as_array().expect("alerts").iter();
    alerts
        .map(|alert| {
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            (text(&alert["status"]), text(&alert["labels"]["alertname"]))
        })
        .collect()
}

/// How often a group is looked at. It has to be more than the second member of two waits for the
/// first: what that one saw before would be told after what the first saw since.
pub(crate) const GROUP_INTERVAL: Duration = Duration::from_secs(8);

/// How long the second member waits for the first.
pub(crate) const PEER_TIMEOUT: Duration = Duration::from_secs(3);

/// Alertmanagers with one configuration: each alert is a group and told at once.
pub(crate) struct Cluster {
    pub(crate) members: Vec<Alertmanager>,
    _folder: TempDir,
}

/// One of them. It keeps its ports and what it has on disk.
pub(crate) struct Alertmanager {
    port: u16,
    arguments: Vec<String>,
    process: Option<Process>,
}

impl Cluster {
    pub(crate) fn start(size: usize, hook: &Hook) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = format!(
            "route: {{ receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: {}s }}\n\
             receivers: [{{ name: hook, webhook_configs: [{{ url: 'http://{}/' }}] }}]\n",
            GROUP_INTERVAL.as_secs(),
            hook.address
        );
        let file = folder.path().join("alertmanager.yml");
        std::fs::write(&file, config).expect("writable");
        let gossip: Vec<_> = (0..size).map(|_| free_port()).collect();
        let members = gossip.iter().enumerate().map(|(number, own)| {
            let data = folder.path().join(number.to_string());
            let mut arguments = vec![
                format!("--config.file={}", file.display()),
                format!("--storage.path={}", data.display()),
                format!("--cluster.listen-address=127.0.0.1:{own}"),
                format!("--cluster.advertise-address=127.0.0.1:{own}"),
                format!("--cluster.peer-timeout={}s", PEER_TIMEOUT.as_secs()),
                "--cluster.reconnect-interval=1s".to_owned(),
                "--cluster.settle-timeout=10s".to_owned(),
            ];
            let peers = gossip.iter().filter(|port| *port != own);
            arguments.extend(peers.map(|port| format!("--cluster.peer=127.0.0.1:{port}")));
            Alertmanager {
                port: free_port(),
                arguments,
                process: None,
            }
        });
        let mut cluster = Self {
            members: members.collect(),
            _folder: folder,
        };
        for member in &mut cluster.members {
            member.start();
        }
        for member in &cluster.members {
            member.wait_until_ready(size);
        }
        cluster
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.members.iter().map(Alertmanager::url).collect()
    }
}

impl Alertmanager {
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    pub(crate) fn start(&mut self) {
        let mut command = Command::new("prometheus-alertmanager");
        command
            .args(&self.arguments)
            .arg(format!("--web.listen-address=127.0.0.1:{}", self.port));
        self.process = Some(Process::start(command));
    }

    /// Waits until it knows so many members, itself included, and notifies.
    pub(crate) fn wait_until_ready(&self, members: usize) {
        let status = || -> Option<Value> {
            let is_there = TcpStream::connect(self.address()).is_ok();
            let response = is_there.then(|| get(self.address(), "/api/v2/status"))?;
            serde_json::from_slice(&response.body).ok()
        };
        wait_for(status, |status| {
            status.as_ref().is_some_and(|status| {
                let peers = status["cluster"]["peers"].as_array();
                status["cluster"]["status"] == "ready"
                    && peers.is_some_and(|peers| peers.len() == members)
            })
        });
    }

    /// Ends it in order, so that what it has is on disk.
    pub(crate) fn stop(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.signal(Signal::TERM);
        process.wait();
    }

    /// The names of the alerts that fire, as it shows them.
    pub(crate) fn fires(&self) -> Vec<String> {
        let response = get(self.address(), "/api/v2/alerts");
        let alerts: Value = serde_json::from_slice(&response.body).expect("JSON");
        let alerts = alerts.as_array().expect("a list").iter();
        let mut names: Vec<_> = alerts
            .map(|alert| alert["labels"]["alertname"].as_str().expect("a name"))
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    }
}
