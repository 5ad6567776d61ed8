//! A real Patroni with its PostgreSQL server, and the etcd that a cluster of them has in common.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use crate::daemon::get;
use crate::local_server::LocalServer;
use crate::postgres_server::binary;
use crate::process::{PATIENCE, free_port, run};

/// The store of a cluster.
pub(crate) struct Etcd(LocalServer);

impl Etcd {
    pub(crate) fn start() -> Self {
        let mut local = LocalServer::new("postgres");
        let etcd = |local: &LocalServer| {
            let own = format!("http://{}", local.address());
            let peers = format!("http://127.0.0.1:{}", free_port());
            let mut etcd = local.command("etcd");
            etcd.args(["--data-dir", "data"])
                .args(["--listen-client-urls", &own])
                .args(["--advertise-client-urls", &own])
                .args(["--listen-peer-urls", &peers])
                .args(["--initial-advertise-peer-urls", &peers])
                .args(["--initial-cluster", &format!("default={peers}")]);
            etcd
        };
        local.start(etcd, |local| {
            local.log().contains("ready to serve client requests")
        });
        Self(local)
    }

    /// Ends it; Patroni gets no answer from now on.
    pub(crate) fn kill(&mut self) {
        self.0.kill(Signal::KILL);
    }
}

/// One Patroni. It ends with the value, and so does its server.
pub(crate) struct Patroni {
    name: &'static str,
    local: LocalServer,
}

impl Patroni {
    /// Starts it, and waits until its server runs. The first of a cluster becomes the primary, the
    /// next ones copy it.
    pub(crate) fn start(name: &'static str, etcd: &Etcd) -> Self {
        let mut patroni = Self {
            name,
            local: LocalServer::new("postgres"),
        };
        let (server, store) = (free_port(), etcd.0.address());
        let program = |local: &LocalServer| {
            local.write("patroni.yml", &config(name, local, server, store));
            let mut patroni = local.command("patroni");
            patroni.arg("patroni.yml").env("HOME", local.folder());
            patroni
        };
        let runs = |local: &LocalServer| {
            let address = local.address();
            TcpStream::connect(address).is_ok() && get(address, "/health").status == 200
        };
        patroni.local.start(program, runs);
        patroni
    }

    /// The URL of its API.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.local.address())
    }

    /// Has an operator's command done, like `pause`.
    pub(crate) fn control(&self, command: &[&str]) {
        let mut patronictl = self.local.command("patronictl");
        patronictl
            .args(["-c", "patroni.yml"])
            .args(command)
            .env("HOME", self.local.folder());
        run(&mut patronictl);
    }

    /// Sets its tags, as YAML has them.
    pub(crate) fn tag(&self, tags: &str) {
        self.local
            .append("patroni.yml", &format!("tags: {{ {tags} }}"));
        self.control(&["reload", SCOPE, self.name, "--force"]);
    }

    /// Asks the server, and not Patroni, to end.
    pub(crate) fn stop_server(&self) {
        self.signal_server(Signal::INT);
    }

    fn pid_file(&self) -> PathBuf {
        self.local.folder().join(DATA).join("postmaster.pid")
    }

    fn signal_server(&self, signal: Signal) {
        let text = fs::read_to_string(self.pid_file()).unwrap_or_default();
        let id = text.lines().next().and_then(|line| line.parse().ok());
        if let Some(id) = id.and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(id, signal);
        }
    }
}

impl Drop for Patroni {
    fn drop(&mut self) {
        // First whoever would start the server again: it is no child of Patroni's.
        self.local.kill(Signal::KILL);
        self.signal_server(Signal::QUIT);
        let begun = Instant::now();
        while self.pid_file().exists() && begun.elapsed() < PATIENCE {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

const SCOPE: &str = "demo";
const DATA: &str = "server";

fn config(name: &str, local: &LocalServer, server: u16, store: SocketAddr) -> String {
    let api = local.address();
    let folder = local.folder().display();
    let binary = binary("postgres");
    let programs = binary.parent().expect("a folder").display();
    format!(
        "scope: {SCOPE}
name: {name}
etcd3: {{ hosts: \"{store}\" }}
restapi: {{ listen: \"{api}\", connect_address: \"{api}\" }}
bootstrap:
  dcs: {{ ttl: 30, loop_wait: 1, retry_timeout: 5 }}
  initdb: [{{ encoding: UTF8 }}, no-sync]
postgresql:
  listen: \"127.0.0.1:{server}\"
  connect_address: \"127.0.0.1:{server}\"
  data_dir: \"{folder}/{DATA}\"
  bin_dir: \"{programs}\"
  pgpass: \"{folder}/pgpass\"
  pg_hba: [\"local all all trust\", \"host all all 127.0.0.1/32 trust\", \"host replication all 127.0.0.1/32 trust\"]
  authentication:
    superuser: {{ username: postgres, password: x }}
    replication: {{ username: standby, password: x }}
  parameters: {{ unix_socket_directories: \"{folder}\", fsync: off }}
"
    )
}
