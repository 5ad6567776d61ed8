//! A real PostgreSQL server in a folder of its own, and standbys of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

pub(crate) use crate::authority::{Authority, Identity};
use crate::local_server::LocalServer;
use crate::process::{run, wait_for};

/// The folder of the cluster, in that of the server.
const DATA: &str = "data";

/// A cluster of databases and, once started, the server on it. It ends with the value.
pub(crate) struct PostgresServer {
    local: LocalServer,
}

impl PostgresServer {
    /// Makes the cluster, with the superuser `postgres`; nothing runs yet. Connections over the
    /// local socket need no password. Others are refused until [`Self::allow`] lets them in, but
    /// for those of standbys.
    pub(crate) fn init() -> Self {
        let server = Self::without_data();
        let mut initdb = server.command("initdb");
        initdb
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "--wal-segsize=1"])
            .args(["--pgdata", DATA]);
        run(&mut initdb);
        server.configure(
            "listen_addresses = '127.0.0.1'\nfsync = off\nshared_buffers = 2MB\n\
             logging_collector = off\nlog_connections = on\nautovacuum = off\n\
             wal_retrieve_retry_interval = 200ms",
        );
        server.write(
            "pg_hba.conf",
            "local all,replication all trust\nhost replication replicator 127.0.0.1/32 trust\n",
        );
        server
    }

    /// Makes a standby of a server that runs: a copy with all its configuration, which streams
    /// from an address (`host:port`) under a name, through a slot that is made if one is named.
    /// Nothing runs yet.
    pub(crate) fn standby_of(primary: &Self, via: &str, name: &str, slot: Option<&str>) -> Self {
        const NO_ACCOUNT: &str = "SELECT count(*) = 0 FROM pg_roles WHERE rolname = 'replicator'";
        if primary.sql(NO_ACCOUNT) == "t" {
            primary.sql("CREATE ROLE replicator LOGIN REPLICATION");
        }
        let server = Self::without_data();
        let mut backup = server.command("pg_basebackup");
        backup
            .args(["--checkpoint=fast", "--wal-method=stream", "--no-sync"])
            .args(["--username=replicator", "--pgdata", DATA, "--host"])
            .arg(primary.local.folder())
            .args(["--port", &primary.port().to_string()]);
        if let Some(slot) = slot {
            backup.args(["--create-slot", "--slot", slot]);
        }
        run(&mut backup);
        let (host, port) = via.rsplit_once(':').expect("host:port");
        let slot = slot.unwrap_or_default();
        server.configure(&format!(
            "hot_standby = on\nprimary_slot_name = '{slot}'\nprimary_conninfo = \
             'host={host} port={port} user=replicator application_name={name}'"
        ));
        server.write("standby.signal", "");
        server
    }

    /// Adds lines to `postgresql.conf`; later ones win.
    pub(crate) fn configure(&self, lines: &str) {
        self.local.append(within("postgresql.conf"), lines);
    }

    /// Adds lines to `pg_hba.conf`; the first that matches wins.
    pub(crate) fn allow(&self, lines: &str) {
        self.local.append(within("pg_hba.conf"), lines);
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
        self.local.write(within(name), content);
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
        self.local.address().to_string()
    }

    /// The port of [`Self::address`].
    pub(crate) fn port(&self) -> u16 {
        self.local.port()
    }

    /// Runs statements as the superuser over the local socket; the rows, one a line.
    pub(crate) fn sql(&self, statements: &str) -> String {
        let mut psql = self.command("psql");
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d"])
            .args(["postgres", "-p", &self.port().to_string(), "-c", statements])
            .arg("-h")
            .arg(self.local.folder());
        run(&mut psql).trim_end().to_owned()
    }

    /// Waits until the statements give these rows.
    pub(crate) fn wait_for(&self, statements: &str, rows: &str) {
        wait_for(|| self.sql(statements), |found| found == rows);
    }

    /// Waits until this standby shows what the server has committed by now.
    pub(crate) fn catch_up_with(&self, primary: &Self) {
        let end = primary.sql("SELECT pg_current_wal_flush_lsn()");
        let shown = format!("SELECT pg_last_wal_replay_lsn() >= '{end}'");
        self.wait_for(&shown, "t");
    }

    /// What `pg_waldump` prints of everything that this server, a primary, has logged since the
    /// position on its own timeline. What is in the tables can be overwritten; this cannot.
    pub(crate) fn log_since(&self, position: &str) -> String {
        let own = "SELECT ('x' || substr(pg_walfile_name(written), 1, 8))::bit(32)::int, written
                   FROM pg_current_wal_flush_lsn() written";
        // At its end, so that there is something and all before it is on the disk.
        self.sql("SELECT pg_logical_emit_message(true, 'end', '')");
        let own = self.sql(own);
        let (timeline, end) = own.split_once('|').expect("two columns");
        let mut waldump = self.command("pg_waldump");
        waldump
            .arg("--path")
            .arg(self.local.folder().join(within("pg_wal")))
            .args(["--timeline", timeline, "--start", position, "--end", end]);
        run(&mut waldump)
    }

    /// The name of a table in [`Self::log_since`].
    pub(crate) fn name_in_log(&self, table: &str) -> String {
        let name =
            "SELECT format('rel %s/%s/%s ', dattablespace, oid, pg_relation_filenode('TABLE'))
                    FROM pg_database WHERE datname = current_database()";
        // The blank at its end, which divides it from a longer one, is trimmed from a row.
        self.sql(&name.replace("TABLE", table)) + " "
    }

    /// Makes this standby a primary and waits until it is one.
    pub(crate) fn promote(&self) {
        self.sql("SELECT pg_promote(wait => false)");
        self.wait_for("SELECT pg_is_in_recovery()", "f");
    }

    /// Freezes every process of the server: the kernel still completes connections for it.
    pub(crate) fn freeze(&self) {
        self.local.freeze();
    }

    /// Lets a frozen server go on.
    pub(crate) fn thaw(&self) {
        self.local.thaw();
    }

    /// Shuts the server down: sessions end, and standbys that it reaches get everything first.
    pub(crate) fn stop(&mut self) {
        self.local.stop(Signal::INT);
    }

    /// Ends the server as a crash does: the next start recovers.
    pub(crate) fn kill(&mut self) {
        // For PostgreSQL this is the immediate shutdown; a real SIGKILL would leave a segment of
        // shared memory behind on the machine.
        self.local.kill(Signal::QUIT);
    }

    /// What the server logged so far.
    pub(crate) fn log(&self) -> String {
        self.local.log()
    }

    fn without_data() -> Self {
        Self {
            local: LocalServer::new("postgres"),
        }
    }

    fn start_until(&mut self, status: i32) {
        let postgres = |local: &LocalServer| {
            let mut postgres = local.command(binary("postgres"));
            postgres
                .args(["-D", DATA, "-k"])
                .arg(local.folder())
                .args(["-p", &local.port().to_string()]);
            postgres
        };
        let answers = |local: &LocalServer| {
            let mut pg_isready = local.command(binary("pg_isready"));
            pg_isready
                .args(["-q", "-p", &local.port().to_string(), "-h"])
                .arg(local.folder());
            pg_isready.status().expect("pg_isready").code() == Some(status)
        };
        self.local.start(postgres, answers);
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.local.command(binary(program));
        command.env_remove("PGHOST");
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A file of the cluster.
fn within(name: &str) -> PathBuf {
    Path::new(DATA).join(name)
}

/// The program of the newest PostgreSQL of this machine.
pub(crate) fn binary(program: &str) -> PathBuf {
    let versions = glob::glob("/usr/lib/postgresql/*/bin").expect("pattern");
    let newest = versions.filter_map(Result::ok).max_by_key(|folder| {
        let version = folder.iter().rev().nth(1).and_then(|v| v.to_str());
        version.and_then(|v| v.parse::<u32>().ok())
    });
    newest
        .expect("PostgreSQL is not installed: apt-get install postgresql")
        .join(program)
}

mod tests {
    use super::*;
    use crate::link::Link;

    const COUNT: &str = "SELECT count(*) FROM t";
    const RECEIVER: &str = "SELECT pid FROM pg_stat_wal_receiver WHERE status = 'streaming'";

    fn primary() -> PostgresServer {
        let mut primary = PostgresServer::init();
        // A link that is silent must not be found out, however long the test takes.
        primary.configure("wal_sender_timeout = 1h\nwal_receiver_timeout = 1h");
        primary.start();
        primary.sql("CREATE TABLE t (n int)");
        primary
    }

    fn link_to(server: &PostgresServer) -> Link {
        Link::to(server.address().parse().expect("address"))
    }

    fn insert(server: &PostgresServer) {
        server.sql("INSERT INTO t VALUES (1)");
    }

    #[test]
    fn two_standbys_stream_and_a_black_hole_hides_a_write_without_a_word() {
        let primary = primary();
        let link = link_to(&primary);
        let via = link.address().to_string();
        let mut one = PostgresServer::standby_of(&primary, &via, "one", Some("slot_one"));
        let mut two = PostgresServer::standby_of(&primary, &primary.address(), "two", None);
        one.start();
        two.start();
        insert(&primary);
        one.catch_up_with(&primary);
        two.catch_up_with(&primary);
        assert_eq!((one.sql(COUNT), two.sql(COUNT)), ("1".into(), "1".into()));
        let names = "SELECT application_name FROM pg_stat_replication ORDER BY 1";
        assert_eq!(primary.sql(names), "one\ntwo");
        let slots = "SELECT slot_name, active FROM pg_replication_slots";
        assert_eq!(primary.sql(slots), "slot_one|t");

        let receiver = one.sql(RECEIVER);
        link.black_hole();
        insert(&primary);
        two.catch_up_with(&primary);
        assert_eq!((one.sql(COUNT), two.sql(COUNT)), ("1".into(), "2".into()));
        assert_eq!(one.sql(RECEIVER), receiver, "it does not know");
        link.pass();
        one.catch_up_with(&primary);
        assert_eq!((one.sql(COUNT), one.sql(RECEIVER)), ("2".into(), receiver));

        link.cut();
        one.wait_for("SELECT count(*) FROM pg_stat_wal_receiver", "0");
        insert(&primary);
        link.pass();
        one.catch_up_with(&primary);
        assert_eq!(one.sql(COUNT), "3");
    }

    #[test]
    fn a_standby_takes_over_from_a_primary_that_crashed_and_comes_back() {
        let mut primary = primary();
        let link = link_to(&primary);
        let via = link.address().to_string();
        let mut standby = PostgresServer::standby_of(&primary, &via, "standby", None);
        standby.start();
        insert(&primary);
        standby.catch_up_with(&primary);
        link.black_hole();
        insert(&primary);
        // Frozen first, so that the crash is one in the middle of everything.
        primary.freeze();
        primary.kill();
        link.cut();
        standby.promote();
        assert_eq!(standby.sql(COUNT), "1", "the last row is lost");
        insert(&standby);

        let address = primary.address();
        primary.start();
        assert_eq!(primary.address(), address);
        assert_eq!(primary.sql(COUNT), "2", "but it is on the disk");
        assert!(primary.log().contains("not properly shut down"));
        primary.stop();
        assert!(primary.log().contains("database system is shut down"));
    }

    #[test]
    fn a_frozen_server_goes_on_where_it_was() {
        let primary = primary();
        primary.freeze();
        let connected = std::net::TcpStream::connect(primary.address());
        connected.expect("the kernel answers for it");
        primary.thaw();
        assert_eq!(primary.sql(COUNT), "0");
    }
}
