//! A real PostgreSQL server in a folder of its own, and certificates for it.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::Instant;

/// How long anything here may take before it counts as broken.
const PATIENCE: Duration = Duration::from_mins(1);

/// A cluster of databases and, once started, the server on it. It ends with the value.
pub(crate) struct PostgresServer {
    folder: TempDir,
    account: Option<Account>,
    process: Option<Child>,
    port: u16,
}

/// The account that the server runs as: it refuses to run as root.
#[derive(Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

impl PostgresServer {
    /// Makes the cluster, with the superuser `postgres`; nothing runs yet. Connections over the
    /// local socket need no password, others are refused until [`Self::allow`] lets them in.
    pub(crate) fn init() -> Self {
        let server = Self {
            folder: tempfile::tempdir().expect("folder"),
            account: rustix::process::getuid().is_root().then(Account::find),
            process: None,
            port: 0,
        };
        let folder = server.folder.path();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("permissions");
        server.give(folder);
        let mut initdb = server.command("initdb");
        initdb
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "--wal-segsize=1", "--pgdata"])
            .arg(server.data());
        run(&mut initdb);
        server.configure(
            "listen_addresses = '127.0.0.1'\nfsync = off\nshared_buffers = 2MB\n\
             logging_collector = off\nlog_connections = on\nautovacuum = off",
        );
        server.write("pg_hba.conf", "local all all trust\n");
        server
    }

    /// Adds lines to `postgresql.conf`; later ones win.
    pub(crate) fn configure(&self, lines: &str) {
        self.append("postgresql.conf", lines);
    }

    /// Adds lines to `pg_hba.conf`; the first that matches wins.
    pub(crate) fn allow(&self, lines: &str) {
        self.append("pg_hba.conf", lines);
    }

    /// Switches TLS on.
    pub(crate) fn use_tls(&self, authority: &Authority, identity: &Identity) {
        self.write("ca.pem", &authority.pem);
        self.write("server.pem", &identity.certificate);
        self.write("server.key", &identity.key);
        self.configure(
            "ssl = on\nssl_ca_file = 'ca.pem'\nssl_cert_file = 'server.pem'\n\
             ssl_key_file = 'server.key'",
        );
    }

    /// Writes a file of the data folder, as the server's own.
    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.data().join(name);
        fs::write(&path, content).expect("write");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
        self.give(&path);
    }

    /// Starts the server and waits until it takes connections.
    pub(crate) fn start(&mut self) {
        self.start_until(0);
    }

    /// Starts the server and waits until it answers that it takes no connections.
    pub(crate) fn start_rejecting(&mut self) {
        self.start_until(1);
    }

    /// The address that clients connect to; the same from the first start on.
    pub(crate) fn address(&self) -> String {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)).to_string()
    }

    /// The port of [`Self::address`].
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Runs statements as the superuser over the local socket; the rows, one a line.
    pub(crate) fn sql(&self, statements: &str) -> String {
        let mut psql = self.command("psql");
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d"])
            .args(["postgres", "-p", &self.port.to_string(), "-c", statements])
            .arg("-h")
            .arg(self.folder.path());
        run(&mut psql).trim_end().to_owned()
    }

    /// Freezes the server's first process: the kernel still completes connections for it.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// What the server logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn start_until(&mut self, status: i32) {
        let begun = Instant::now();
        loop {
            if self.port == 0 {
                self.port = free_port();
            }
            // Kept at once, so that a test which gives up here ends the server too.
            self.process = Some(self.spawn());
            while self.is_running() {
                if self.status() == Some(status) {
                    return;
                }
                assert!(begun.elapsed() < PATIENCE, "no server: {}", self.log());
                sleep(Duration::from_millis(20));
            }
            // Someone else took the port between the choice and the start.
            let log = self.log();
            assert!(log.contains("Address already in use"), "it ended: {log}");
            self.port = 0;
        }
    }

    fn is_running(&mut self) -> bool {
        let process = self.process.as_mut().expect("started");
        process.try_wait().expect("process").is_none()
    }

    fn spawn(&self) -> Child {
        let log = fs::File::create(self.folder.path().join("log")).expect("log");
        self.command("postgres")
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.folder.path())
            .args(["-p", &self.port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("postgres")
    }

    fn status(&self) -> Option<i32> {
        self.command("pg_isready")
            .args(["-q", "-p", &self.port.to_string(), "-h"])
            .arg(self.folder.path())
            .status()
            .expect("pg_isready")
            .code()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn append(&self, name: &str, lines: &str) {
        let path = self.data().join(name);
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(path)
            .expect("configuration");
        writeln!(file, "{lines}").expect("write");
    }

    fn give(&self, path: &Path) {
        if let Some(account) = self.account {
            chown(path, Some(account.user), Some(account.group)).expect("owner");
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(binary(program));
        command.current_dir(self.folder.path()).env_remove("PGHOST");
        if let Some(account) = self.account {
            command.uid(account.user).gid(account.group);
        }
        command
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("started");
        let id = Pid::from_raw(process.id().cast_signed()).expect("process id");
        // It may have ended by itself.
        let _ = kill_process(id, signal);
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if self.process.is_none() {
            return;
        }
        self.signal(Signal::CONT);
        self.signal(Signal::INT);
        let Some(mut process) = self.process.take() else {
            return;
        };
        let begun = Instant::now();
        while matches!(process.try_wait(), Ok(None)) {
            if begun.elapsed() > Duration::from_secs(10) {
                let _ = process.kill();
            }
            sleep(Duration::from_millis(5));
        }
    }
}

impl Account {
    /// The account `postgres`, which the packages make.
    fn find() -> Self {
        let id = |option| {
            let text = run(Command::new("id").args([option, "postgres"]));
            text.trim().parse().expect("a number")
        };
        Self {
            user: id("-u"),
            group: id("-g"),
        }
    }
}

/// The program of the newest PostgreSQL of this machine.
fn binary(program: &str) -> PathBuf {
    let versions = glob::glob("/usr/lib/postgresql/*/bin").expect("pattern");
    let newest = versions.filter_map(Result::ok).max_by_key(|folder| {
        let version = folder.iter().rev().nth(1).and_then(|v| v.to_str());
        version.and_then(|v| v.parse::<u32>().ok())
    });
    newest
        .expect("PostgreSQL is not installed: apt-get install postgresql")
        .join(program)
}

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("command");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.local_addr().expect("bound").port()
}

/// An authority that signs certificates.
pub(crate) struct Authority {
    /// Its own certificate.
    pub(crate) pem: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

/// A certificate with its key, PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    /// A new one that nobody trusts yet.
    pub(crate) fn new(name: &str) -> Self {
        let key = rcgen::KeyPair::generate().expect("key");
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        Self {
            pem: params.self_signed(&key).expect("certificate").pem(),
            issuer: rcgen::Issuer::new(params, key),
        }
    }

    /// A certificate for the names and addresses, the first of which is its common name.
    pub(crate) fn identity(&self, names: &[&str]) -> Identity {
        let key = rcgen::KeyPair::generate().expect("key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names.clone()).expect("names");
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, &*names[0]);
        Identity {
            certificate: params.signed_by(&key, &self.issuer).expect("signed").pem(),
            key: key.serialize_pem(),
        }
    }
}
