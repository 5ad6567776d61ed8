//! A real Redis server in a folder of its own, which keeps nothing on the disk.

use std::net::SocketAddr;
use std::process::Command;

use rustix::process::Signal;

use crate::authority::{Authority, Identity};
use crate::local_server::LocalServer;
use crate::process::{run, wait_for};

/// What every server starts with. The tests and its replicas are `keeper`, whatever the others may
/// do; a replica asks for its copy without delay, and gets it without a file.
const OPTIONS: &str = "bind 127.0.0.1
unixsocket socket
dir .
save \"\"
appendonly no
daemonize no
repl-diskless-sync yes
repl-diskless-sync-delay 0
user keeper on >keeper ~* &* +@all
masteruser keeper
masterauth keeper
";

/// A server, once started. It ends with the value, and what it holds with each stop.
pub(crate) struct RedisServer {
    local: LocalServer,
    tls: bool,
}

impl RedisServer {
    /// A server without data; nothing runs yet. Everybody may do everything, until it is
    /// configured otherwise.
    pub(crate) fn new() -> Self {
        let server = Self {
            local: LocalServer::new("redis"),
            tls: false,
        };
        server.local.write("redis.conf", OPTIONS);
        server
    }

    /// Adds lines to `redis.conf`; later ones win.
    pub(crate) fn configure(&self, lines: &str) {
        self.local.append("redis.conf", lines);
    }

    /// Takes TLS only on its port; a client needs no certificate. For a pair, `tls-replication yes`
    /// on the replica goes with it.
    pub(crate) fn use_tls(&mut self, authority: &Authority, identity: &Identity) {
        self.local.write("ca.pem", &authority.pem);
        self.local.write("server.pem", &identity.certificate);
        self.local.write("server.key", &identity.key);
        self.configure(
            "tls-ca-cert-file ca.pem\ntls-cert-file server.pem\ntls-key-file server.key\n\
             tls-auth-clients optional",
        );
        self.tls = true;
    }

    /// Starts the server and waits until it takes connections.
    pub(crate) fn start(&mut self) {
        let tls = self.tls;
        let redis = |local: &LocalServer| {
            let mut redis = local.command("redis-server");
            let port = local.port().to_string();
            redis.arg("redis.conf");
            if tls {
                redis.args(["--port", "0", "--tls-port", &port]);
            } else {
                redis.args(["--port", &port]);
            }
            redis
        };
        let answers = |local: &LocalServer| {
            let ping = client(local).arg("PING").output();
            ping.expect("redis-cli").stdout == b"PONG\n"
        };
        self.local.start(redis, answers);
    }

    /// The address that clients connect to; the same from the first start on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.local.address()
    }

    /// Runs a command as `keeper` over the local socket; its answer, which must be no error.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        run(client(&self.local).args(words)).trim_end().to_owned()
    }

    /// A field of `INFO`.
    pub(crate) fn info(&self, field: &str) -> String {
        let text = self.command(&["INFO"]);
        let mut fields = text.lines().filter_map(|line| line.split_once(':'));
        let found = fields.find(|(name, _)| *name == field);
        found.expect("a field").1.trim().to_owned()
    }

    /// Waits until a field of `INFO` is so.
    pub(crate) fn wait_for(&self, field: &str, value: &str) {
        wait_for(|| self.info(field), |found| found == value);
    }

    /// Makes this server a replica of the one at the address.
    pub(crate) fn replicate_from(&self, primary: SocketAddr) {
        let (host, port) = (primary.ip().to_string(), primary.port().to_string());
        self.command(&["REPLICAOF", &host, &port]);
    }

    /// Waits until this replica has what the server has by now.
    pub(crate) fn catch_up_with(&self, primary: &Self) {
        let offset = |server: &Self| {
            let offset = server.info("master_repl_offset");
            offset.parse::<u64>().expect("a number")
        };
        let end = offset(primary);
        // Offsets of another history tell nothing, and the first replica begins a new one.
        let histories = || [self, primary].map(|server| server.info("master_replid"));
        wait_for(
            || (histories(), offset(self)),
            |([own, its], at)| own == its && *at >= end,
        );
    }

    /// Freezes the server: the kernel still completes connections for it.
    pub(crate) fn freeze(&self) {
        self.local.freeze();
    }

    /// Lets a frozen server go on.
    pub(crate) fn thaw(&self) {
        self.local.thaw();
    }

    /// Shuts the server down; its replicas may get everything first.
    pub(crate) fn stop(&mut self) {
        self.local.stop(Signal::TERM);
    }

    /// Ends the server as a crash does. The next start has no data.
    pub(crate) fn kill(&mut self) {
        self.local.kill(Signal::KILL);
    }

    /// What the server logged so far.
    pub(crate) fn log(&self) -> String {
        self.local.log()
    }
}

fn client(local: &LocalServer) -> Command {
    let mut client = local.command("redis-cli");
    // Fails if the answer is an error.
    client.args(["-e", "-s", "socket", "--user", "keeper", "--pass", "keeper"]);
    client.arg("--no-auth-warning");
    client
}

mod tests {
    use super::*;
    use crate::link::Link;

    fn server() -> RedisServer {
        let mut server = RedisServer::new();
        // A link that is silent must not be found out, however long the test takes.
        server.configure("repl-timeout 3600");
        server.start();
        server
    }

    #[test]
    fn a_black_hole_hides_a_write_without_a_word() {
        let (primary, replica) = (server(), server());
        let link = Link::to(primary.address());
        primary.command(&["SET", "key", "1"]);
        replica.replicate_from(link.address());
        replica.wait_for("master_link_status", "up");
        replica.catch_up_with(&primary);
        assert_eq!(replica.command(&["GET", "key"]), "1");

        link.black_hole();
        primary.command(&["SET", "key", "2"]);
        assert_eq!(replica.command(&["GET", "key"]), "1");
        assert_eq!(replica.info("master_link_status"), "up");
        link.pass();
        replica.catch_up_with(&primary);
        assert_eq!(replica.command(&["GET", "key"]), "2");

        link.cut();
        replica.wait_for("master_link_status", "down");
        primary.command(&["SET", "key", "3"]);
        link.pass();
        replica.catch_up_with(&primary);
        assert_eq!(replica.command(&["GET", "key"]), "3");
    }

    #[test]
    fn a_primary_that_comes_back_empty_empties_its_replica() {
        let (mut primary, replica) = (server(), server());
        let link = Link::to(primary.address());
        primary.command(&["SET", "key", "1"]);
        replica.replicate_from(link.address());
        replica.catch_up_with(&primary);
        let address = primary.address();
        primary.freeze();
        primary.kill();
        replica.wait_for("master_link_status", "down");
        assert_eq!(replica.command(&["DBSIZE"]), "1");
        primary.start();
        assert_eq!(primary.address(), address);
        replica.catch_up_with(&primary);
        assert_eq!(replica.command(&["DBSIZE"]), "0");
        primary.freeze();
        std::net::TcpStream::connect(address).expect("the kernel answers for it");
        primary.thaw();
        primary.stop();
        assert!(primary.log().contains("Redis is now ready to exit"));
    }

    #[test]
    fn its_users_are_those_of_the_test() {
        let mut server = RedisServer::new();
        server.configure("requirepass secret\nuser probe on >probe +ping");
        server.start();
        let ask = |words: &[&str]| {
            let mut client = server.local.command("redis-cli");
            client.args(["-p", &server.address().port().to_string()]);
            run(client.args(words)).trim_end().to_owned()
        };
        assert!(ask(&["PING"]).starts_with("NOAUTH"));
        assert_eq!(ask(&["-a", "secret", "PING"]), "PONG");
        let probe = ["--user", "probe", "--pass", "probe"];
        assert_eq!(ask(&[&probe[..], &["PING"]].concat()), "PONG");
        assert!(ask(&[&probe[..], &["GET", "key"]].concat()).starts_with("NOPERM"));
        assert_eq!(server.command(&["PING"]), "PONG");
    }

    #[test]
    fn a_pair_over_tls() {
        let authority = Authority::new("authority");
        let [primary, replica] = [(); 2].map(|()| {
            let mut server = RedisServer::new();
            server.use_tls(&authority, &authority.identity(&["127.0.0.1"]));
            server.configure("tls-replication yes");
            server.start();
            server
        });
        primary.command(&["SET", "key", "1"]);
        replica.replicate_from(primary.address());
        replica.catch_up_with(&primary);
        assert_eq!(replica.command(&["GET", "key"]), "1");
        let plain = std::net::TcpStream::connect(primary.address());
        let mut plain = plain.expect("connected");
        std::io::Write::write_all(&mut plain, b"PING\r\n").expect("sent");
        let mut heard = Vec::new();
        // Redis may reset what is no handshake; a word of its own it never says.
        let _ = std::io::Read::read_to_end(&mut plain, &mut heard);
        assert!(!heard.starts_with(b"+PONG"), "{heard:?}");
    }
}
