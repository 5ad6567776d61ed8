//! Real `PostgreSQL` servers, where this host has its programs.

mod programs;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

use super::folder::{subfolder, write};
use super::program::Program;
use super::regions::Region;
use super::{password, shop};
use crate::probe::{DEFAULT_USER, setup};

pub(super) use programs::Programs;

/// How long a server may take to start, and a statement.
const PATIENCE: Duration = Duration::from_mins(1);
/// The number in the name of every server's socket: none of them listens on a port.
const PORT: u16 = 5432;
/// What a path of a UNIX socket may be long, everywhere.
const LONGEST_SOCKET: usize = 100;
const SUPERUSER: &str = "postgres";
const REPLICATOR: &str = "replicator";

/// Who may connect: everyone with a password, since the paths that lead here are open to every
/// account of this host.
const HBA: &str = "local all,replication all scram-sha-256\n";
/// Small, and with no port of its own. It may lose what it wrote when the host dies: so do the others.
const SETTINGS: &str = "\
listen_addresses = ''
max_connections = 60
shared_buffers = 4MB
fsync = off
wal_keep_size = 64MB
wal_retrieve_retry_interval = 200ms
hot_standby = on
";

/// Where servers are made, and what they have in common.
pub(super) struct Cluster {
    programs: Programs,
    folder: PathBuf,
    superuser: String,
    /// The password of everybody else.
    password: String,
}

/// A server; it ends with the value.
pub(super) struct Server {
    cluster: Arc<Cluster>,
    home: PathBuf,
    process: Program,
}

impl Cluster {
    /// A place for servers below the folder.
    pub(super) fn new(programs: Programs, folder: &Path) -> Result<Self, String> {
        let folder = folder.join("postgres");
        subfolder(&folder, 0o700)?;
        programs.give(&folder)?;
        Ok(Self {
            programs,
            folder,
            superuser: password::random()?,
            password: password::random()?,
        })
    }

    /// The version of the servers.
    pub(super) fn version(&self) -> &str {
        self.programs.version()
    }

    /// The password of the users other than the superuser.
    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// The socket of the server in a region.
    pub(super) fn socket(&self, region: Region) -> PathBuf {
        let home = self.folder.join(region.name());
        home.join(format!(".s.PGSQL.{PORT}"))
    }

    /// An empty home for the server in a region; what was there is gone.
    fn home(&self, region: Region) -> Result<PathBuf, String> {
        let home = self.folder.join(region.name());
        if self.socket(region).as_os_str().len() > LONGEST_SOCKET {
            let home = home.display();
            return Err(format!(
                "{home} is too long for a socket: set TMPDIR to a shorter path"
            ));
        }
        if home.exists() {
            let gone = std::fs::remove_dir_all(&home);
            gone.map_err(|e| format!("cannot remove {}: {e}", home.display()))?;
        }
        subfolder(&home, 0o700)?;
        self.programs.give(&home)?;
        Ok(home)
    }

    fn put(&self, file: &Path, content: &str) -> Result<(), String> {
        write(file, content)?;
        self.programs.give(file)
    }
}

impl Server {
    /// Makes the primary, with everything that the shop and hotspare need.
    pub(super) async fn primary(cluster: &Arc<Cluster>, region: Region) -> Result<Self, String> {
        let home = cluster.home(region)?;
        let secret = home.join("superuser.pw");
        cluster.put(&secret, &cluster.superuser)?;
        let mut initdb = cluster.programs.command("initdb", &home);
        initdb
            .args(["--username", SUPERUSER, "--auth=scram-sha-256", "--pwfile"])
            .arg(&secret)
            .args(["--encoding=UTF8", "--locale=C", "--no-sync"])
            .args(["--wal-segsize=1", "--pgdata=data"]);
        Program::start(&mut initdb, Signal::TERM, &home.join("log"))?
            .done()
            .await?;
        cluster.put(&home.join("data/pg_hba.conf"), HBA)?;
        append(&home.join("data/postgresql.conf"), SETTINGS)?;
        let primary = Self::start(Arc::clone(cluster), home).await?;
        primary.sql(&primary.accounts()).await?;
        Ok(primary)
    }

    /// Makes a standby of the server, which streams from an address of 127.0.0.1.
    pub(super) async fn standby_of(
        primary: &Self,
        region: Region,
        via: u16,
    ) -> Result<Self, String> {
        let cluster = &primary.cluster;
        let home = cluster.home(region)?;
        let mut backup = cluster.programs.command("pg_basebackup", &home);
        backup
            .args(["--checkpoint=fast", "--wal-method=stream", "--no-sync"])
            .args(["--username", REPLICATOR, "--pgdata=data", "--host"])
            .arg(&primary.home)
            .args(["--port", &PORT.to_string()])
            .env("PGPASSWORD", &cluster.password);
        Program::start(&mut backup, Signal::TERM, &home.join("log"))?
            .done()
            .await?;
        let password = &cluster.password;
        let source = format!(
            "primary_conninfo = 'host=127.0.0.1 port={via} user={REPLICATOR} \
             password={password} application_name={region}'\n"
        );
        append(&home.join("data/postgresql.conf"), &source)?;
        cluster.put(&home.join("data/standby.signal"), "")?;
        Self::start(Arc::clone(cluster), home).await
    }

    async fn start(cluster: Arc<Cluster>, home: PathBuf) -> Result<Self, String> {
        let mut postgres = cluster.programs.command("postgres", &home);
        postgres
            .args(["-D", "data", "-p", &PORT.to_string(), "-k"])
            .arg(&home);
        // The immediate shutdown: what is here is thrown away, and SIGKILL would leave a segment of
        // shared memory behind on the host.
        let process = Program::start(&mut postgres, Signal::QUIT, &home.join("log"))?;
        let mut server = Self {
            cluster,
            home,
            process,
        };
        let begun = Instant::now();
        loop {
            server.process.runs()?;
            match server.sql("SELECT 1").await {
                Ok(_) => return Ok(server),
                Err(why) if begun.elapsed() > PATIENCE => return Err(why),
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Ends as in a crash: nothing more is written, and nothing is sent.
    pub(super) async fn kill(self) {
        self.process.stop().await;
    }

    /// An error once it has ended by itself.
    pub(super) fn runs(&mut self) -> Result<(), String> {
        self.process.runs()
    }

    /// Makes this standby the primary.
    pub(super) async fn promote(&self) -> Result<(), String> {
        self.sql("SELECT pg_promote()").await.map(drop)
    }

    /// The first column of the first row, as text.
    pub(super) async fn value(&self, question: &str) -> Result<String, String> {
        let rows = self.sql(question).await?;
        let first = rows.into_iter().next();
        first.ok_or_else(|| format!("no answer to {question}"))
    }

    /// Runs statements as the superuser; the first columns of the rows, as text.
    pub(super) async fn sql(&self, statements: &str) -> Result<Vec<String>, String> {
        let mut config = Config::new();
        config
            .host_path(&self.home)
            .port(PORT)
            .user(SUPERUSER)
            .password(&self.cluster.superuser)
            .dbname("postgres");
        let asked = async {
            let (client, connection) = config.connect(NoTls).await?;
            tokio::select! {
                result = client.simple_query(statements) => result,
                ended = connection => ended.map(|()| Vec::new()),
            }
        };
        let asked = timeout(PATIENCE, asked).await;
        let asked = asked.map_err(|_| format!("PostgreSQL does not answer to {statements}"))?;
        let answers = asked.map_err(|e| format!("PostgreSQL: {statements}: {}", causes(&e)))?;
        let rows = answers.iter().filter_map(|answer| match answer {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// The users, their passwords and their tables.
    fn accounts(&self) -> String {
        let password = &self.cluster.password;
        format!(
            "{}; ALTER ROLE {DEFAULT_USER} PASSWORD '{password}'; \
             CREATE ROLE {REPLICATOR} LOGIN REPLICATION PASSWORD '{password}'; \
             CREATE ROLE {} LOGIN PASSWORD '{password}'; {}",
            setup::POSTGRES,
            shop::USER,
            shop::SETUP
        )
    }
}

/// Adds to a file of a server; later lines win.
fn append(file: &Path, lines: &str) -> Result<(), String> {
    use std::io::Write;
    let added = std::fs::OpenOptions::new().append(true).open(file);
    added
        .and_then(|mut file| file.write_all(lines.as_bytes()))
        .map_err(|e| format!("cannot write {}: {e}", file.display()))
}

/// An error with what it comes from.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
