//! A real MariaDB server in a folder of its own, with a binary log and GTIDs.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;

use crate::authority::{Authority, Identity};
use crate::local_server::LocalServer;
use crate::process::{PATIENCE, run, wait_for};

/// What every server starts with: small, never waiting for the disk (what it wrote outlives its
/// processes all the same), and as a replica that may become a primary.
const OPTIONS: &str = "[mariadbd]
bind_address = 127.0.0.1
skip_name_resolve = on
innodb_buffer_pool_size = 8M
innodb_log_file_size = 4M
innodb_flush_method = nosync
innodb_flush_log_at_trx_commit = 2
debug_no_sync = on
aria_pagecache_buffer_size = 1M
key_buffer_size = 1M
log_bin = binlog
relay_log = relay
log_slave_updates = on
gtid_strict_mode = on
";

const MISSING: &str = "MariaDB is not installed: apt-get install mariadb-server";

/// The account of replicas. It is made before there is a binary log: nobody replicates it.
const ACCOUNT: &str = "FLUSH PRIVILEGES;
CREATE USER replicator@'127.0.0.1' IDENTIFIED BY 'replicator';
GRANT REPLICATION SLAVE ON *.* TO replicator@'127.0.0.1';
";

/// Its databases and, once started, the server on them. It ends with the value.
pub(crate) struct MariadbServer {
    local: LocalServer,
}

impl MariadbServer {
    /// Makes the system tables, with the superuser `root` who needs no password on this machine;
    /// nothing runs yet. The number is the server's in its GTIDs: a pair needs two.
    pub(crate) fn init(id: u32) -> Self {
        let server = Self {
            local: LocalServer::new("mysql"),
        };
        server.local.write("options", OPTIONS);
        server.configure(&format!("server_id = {id}"));
        // A third of what `mariadb-install-db` does, which also fills the tables of the manual.
        run(server.local.command("mkdir").arg("data"));
        server.local.write("install.sql", &installation());
        let statements = File::open(server.path("install.sql")).expect("written");
        let mut install = server.local.command(binary());
        install
            .args(["--no-defaults", "--bootstrap", "--innodb-log-file-size=4M"])
            .args(["--innodb-flush-method=nosync", "--debug-no-sync"])
            .args(server.folders())
            .stdin(statements);
        run(&mut install);
        server
    }

    /// Adds lines to the option file; later ones win.
    pub(crate) fn configure(&self, lines: &str) {
        self.local.append("options", lines);
    }

    /// Switches TLS on.
    pub(crate) fn use_tls(&self, authority: &Authority, identity: &Identity) {
        self.local.write("ca.pem", &authority.pem);
        self.local.write("server.pem", &identity.certificate);
        self.local.write("server.key", &identity.key);
        for (option, name) in [
            ("ca", "ca.pem"),
            ("cert", "server.pem"),
            ("key", "server.key"),
        ] {
            let path = self.path(name);
            self.configure(&format!("ssl_{option} = {}", path.display()));
        }
    }

    /// Starts the server and waits until it takes connections. A replica goes on by itself.
    pub(crate) fn start(&mut self) {
        let options = self.path_option("defaults-file", "options");
        let (folders, socket) = (self.folders(), self.socket());
        let mariadbd = |local: &LocalServer| {
            let mut mariadbd = local.command(binary());
            let port = format!("--port={}", local.port());
            mariadbd.arg(&options).args(&folders).args([&socket, &port]);
            mariadbd
        };
        let answers = |local: &LocalServer| {
            let mut client = client(local, &socket);
            let output = client.args(["--execute", "DO 1"]).output();
            output.expect("mariadb").status.success()
        };
        self.local.start(mariadbd, answers);
    }

    /// The address that clients connect to; the same from the first start on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.local.address()
    }

    /// The port of [`Self::address`].
    pub(crate) fn port(&self) -> u16 {
        self.local.port()
    }

    /// Runs statements as the superuser over the local socket; the rows, one a line, with tabs
    /// between the columns.
    pub(crate) fn sql(&self, statements: &str) -> String {
        let mut client = client(&self.local, &self.socket());
        client.args(["--skip-column-names", "--raw", "--execute", statements]);
        run(&mut client).trim_end().to_owned()
    }

    /// Waits until the statements give these rows.
    pub(crate) fn wait_for(&self, statements: &str, rows: &str) {
        wait_for(|| self.sql(statements), |found| found == rows);
    }

    /// Makes this server a replica of the one at the address, from the beginning of its binary log
    /// or from where this server is. It tries every second if it is not connected. Heartbeats come
    /// in half of what `slave_net_timeout` is by then.
    pub(crate) fn replicate_from(&self, primary: SocketAddr) {
        let (host, port) = (primary.ip(), primary.port());
        self.sql(&format!(
            "STOP SLAVE; CHANGE MASTER TO MASTER_HOST = '{host}', MASTER_PORT = {port}, \
             MASTER_USER = 'replicator', MASTER_PASSWORD = 'replicator', \
             MASTER_CONNECT_RETRY = 1, MASTER_USE_GTID = slave_pos; START SLAVE"
        ));
    }

    /// A field of `SHOW SLAVE STATUS`.
    pub(crate) fn slave_status(&self, field: &str) -> String {
        let mut client = client(&self.local, &self.socket());
        client.args(["--vertical", "--execute", "SHOW SLAVE STATUS"]);
        let text = run(&mut client);
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        let value = fields.into_iter().find(|(name, _)| name.trim() == field);
        value.expect("a field").1.trim().to_owned()
    }

    /// Waits until this replica has applied what the server has logged by now.
    pub(crate) fn catch_up_with(&self, primary: &Self) {
        let position = primary.sql("SELECT @@gtid_binlog_pos");
        let limit = PATIENCE.as_secs();
        let wait = format!("SELECT MASTER_GTID_WAIT('{position}', {limit})");
        let error = || ["Last_IO_Error", "Last_SQL_Error"].map(|field| self.slave_status(field));
        assert_eq!(self.sql(&wait), "0", "no {position}: {:?}", error());
    }

    /// What `mariadb-binlog` prints of everything that this server has logged: what was written
    /// here has this server's number in its GTIDs, what it replicated that of another.
    pub(crate) fn binlog_text(&self) -> String {
        let logs = self.path("data/binlog.[0-9]*");
        let logs = glob::glob(logs.to_str().expect("UTF-8")).expect("pattern");
        let mut binlog = self.local.command("mariadb-binlog");
        binlog
            .args(["--no-defaults", "--verbose", "--base64-output=decode-rows"])
            .args(logs.map(|log| log.expect("readable")));
        run(&mut binlog)
    }

    /// Freezes the server: the kernel still completes connections for it.
    pub(crate) fn freeze(&self) {
        self.local.freeze();
    }

    /// Lets a frozen server go on.
    pub(crate) fn thaw(&self) {
        self.local.thaw();
    }

    /// Shuts the server down.
    pub(crate) fn stop(&mut self) {
        self.local.stop(Signal::TERM);
    }

    /// Ends the server as a crash does: the next start recovers.
    pub(crate) fn kill(&mut self) {
        self.local.kill(Signal::KILL);
    }

    /// What the server logged so far.
    pub(crate) fn log(&self) -> String {
        self.local.log()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.local.folder().join(name)
    }

    fn path_option(&self, option: &str, name: &str) -> String {
        format!("--{option}={}", self.path(name).display())
    }

    /// With one of its own for temporary tables: each server that starts removes all that it finds.
    fn folders(&self) -> [String; 2] {
        [
            self.path_option("datadir", "data"),
            self.path_option("tmpdir", ""),
        ]
    }

    fn socket(&self) -> String {
        self.path_option("socket", "socket")
    }
}

/// The system tables by the package's own statements, and the account of replicas.
fn installation() -> String {
    let mut statements = "CREATE DATABASE mysql;\nUSE mysql;\n".to_owned();
    // The package is on its way from one name to the other.
    for pattern in ["tables", "tables_data"] {
        let pattern = format!("/usr/share/m*/m*_system_{pattern}.sql");
        let mut found = glob::glob(&pattern).expect("pattern");
        let path = found.next().expect(MISSING).expect("readable");
        statements += &fs::read_to_string(path).expect("readable");
    }
    statements + ACCOUNT
}

/// Debian's is not on the path of every user.
fn binary() -> PathBuf {
    let places = [
        "/usr/sbin/mariadbd",
        "/usr/libexec/mariadbd",
        "/usr/bin/mariadbd",
    ];
    let found = places.map(PathBuf::from).into_iter().find(|p| p.exists());
    found.expect(MISSING)
}

fn client(local: &LocalServer, socket: &str) -> Command {
    let mut client = local.command("mariadb");
    client.args(["--no-defaults", "--protocol=socket", socket]);
    client.args(["--user=root", "--batch"]);
    client
}

mod tests {
    use super::*;
    use crate::link::Link;

    const COUNT: &str = "SELECT COUNT(*) FROM test.t";
    const INSERT: &str = "INSERT INTO test.t VALUES (1)";

    fn server(id: u32) -> MariadbServer {
        let mut server = MariadbServer::init(id);
        // A link that is silent must not be found out, however long the test takes.
        server.configure("slave_net_timeout = 3600");
        server.start();
        server
    }

    /// A primary with a table, and its replica at the end of the link.
    fn pair() -> (MariadbServer, Link, MariadbServer) {
        let (primary, replica) = (server(1), server(2));
        primary.sql("CREATE DATABASE test; CREATE TABLE test.t (n INT)");
        let link = Link::to(primary.address());
        replica.replicate_from(link.address());
        replica.catch_up_with(&primary);
        (primary, link, replica)
    }

    #[test]
    fn a_black_hole_hides_a_write_without_a_word() {
        let (primary, link, replica) = pair();
        primary.sql(INSERT);
        replica.catch_up_with(&primary);
        assert_eq!(replica.sql(COUNT), "1");
        // It counts seconds until it has looked for more to apply, which is after the commit.
        let behind = || replica.slave_status("Seconds_Behind_Master");
        wait_for(behind, |seconds| seconds == "0");

        link.black_hole();
        primary.sql(INSERT);
        assert_eq!(replica.sql(COUNT), "1");
        assert_eq!(replica.slave_status("Slave_IO_Running"), "Yes");
        assert_eq!(behind(), "0");
        link.pass();
        replica.catch_up_with(&primary);
        assert_eq!(replica.sql(COUNT), "2");

        link.cut();
        let state = || replica.slave_status("Slave_IO_Running");
        wait_for(state, |state| state == "Connecting");
        primary.sql(INSERT);
        link.pass();
        replica.catch_up_with(&primary);
        assert_eq!(replica.sql(COUNT), "3");
    }

    #[test]
    fn the_binary_log_tells_what_was_written_where() {
        let (primary, _link, replica) = pair();
        primary.sql(INSERT);
        replica.catch_up_with(&primary);
        let text = replica.binlog_text();
        assert!(
            text.contains("GTID 0-1-3") && text.contains(INSERT),
            "{text}"
        );
        assert!(!text.contains("GTID 0-2-"), "{text}");
        replica.sql("FLUSH BINARY LOGS; DELETE FROM test.t");
        let text = replica.binlog_text();
        assert!(
            text.contains(INSERT) && text.contains("GTID 0-2-4"),
            "{text}"
        );
        let position = "SELECT @@gtid_binlog_pos, @@gtid_slave_pos";
        assert_eq!(replica.sql(position), "0-2-4\t0-1-3");
    }

    #[test]
    fn it_comes_back_from_a_crash_on_the_same_port() {
        let (mut primary, _link, mut replica) = pair();
        primary.freeze();
        primary.kill();
        replica.stop();
        assert!(replica.log().contains("Shutdown complete"));
        let port = primary.port();
        primary.start();
        replica.start();
        assert_eq!(primary.port(), port);
        primary.sql(INSERT);
        replica.catch_up_with(&primary);
        replica.freeze();
        let connected = std::net::TcpStream::connect(replica.address());
        connected.expect("the kernel answers for it");
        replica.thaw();
        replica.wait_for(COUNT, "1");
    }

    #[test]
    fn it_shows_its_certificate() {
        let authority = Authority::new("authority");
        let mut server = MariadbServer::init(1);
        server.use_tls(&authority, &authority.identity(&["127.0.0.1"]));
        server.start();
        server.sql("CREATE USER u@'127.0.0.1' IDENTIFIED BY 'p' REQUIRE SSL");
        let mut client = server.local.command("mariadb");
        client
            .args([
                "--no-defaults",
                "--host=127.0.0.1",
                "--user=u",
                "--password=p",
            ])
            .args(["--ssl-verify-server-cert", "--batch", "--skip-column-names"])
            .arg(server.path_option("ssl-ca", "ca.pem"))
            .arg(format!("--port={}", server.port()))
            .args(["--execute", "SHOW STATUS LIKE 'Ssl_version'"]);
        assert_eq!(run(&mut client).trim_end(), "Ssl_version\tTLSv1.3");
    }
}
