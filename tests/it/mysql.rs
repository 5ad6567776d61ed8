//! The probe `mysql` against a real MariaDB.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hotspare::files::Files;
use hotspare::model::{Epoch, Phase, PhaseSet, Problem, Reason};
use hotspare::net::{Icmp, Resolver, Roots, Stopwatch};
use hotspare::probe::{CanaryName, Check, Context, Probe};
use serde_json::{Value, json};

use crate::authority::Authority;
use crate::mariadb_server::MariadbServer;
use crate::postgres::{Outcome, eventually, run};

/// No run here should come near it.
pub(crate) const GUARD: Duration = Duration::from_mins(1);

/// This daemon's life, as far as canaries know it.
pub(crate) const EPOCH: Epoch = Epoch(0xfeed);

pub(crate) fn probe(
    settings: &Value,
    address: &str,
    folder: &Path,
    deadline: Duration,
) -> Result<Arc<dyn Probe>, Vec<Problem>> {
    let check: Check = serde_json::from_value(json!({ "mysql": settings })).expect("settings");
    let context = Context {
        icmp: Arc::new(Icmp::new()),
        resolver: Arc::new(Resolver::from_system().expect("resolver")),
        roots: Arc::new(Roots::default()),
        files: Files::new(None, folder.to_owned()),
        timeout: deadline,
        canary: CanaryName {
            vantage: "eu-west".into(),
            probe: "orders".into(),
            epoch: EPOCH,
        },
    };
    let template = check.prepare(&context)?;
    let target = template.target(address);
    target.map_err(|why| vec![Problem::new("address", why)])
}

/// A server with one account for each way to log in, and what its clients need.
struct Stage {
    server: MariadbServer,
    files: tempfile::TempDir,
}

const ACCOUNTS: &str = "
    CREATE USER probe@'127.0.0.1' IDENTIFIED BY 'no word of it';
    CREATE USER over_tls@'127.0.0.1' IDENTIFIED BY 'no word of it' REQUIRE SSL;
    CREATE USER by_certificate@'127.0.0.1' REQUIRE SUBJECT '/CN=by_certificate';
    CREATE USER empty@'127.0.0.1';
    CREATE USER by_ed25519@'127.0.0.1' IDENTIFIED VIA ed25519 USING PASSWORD('no word of it');
    CREATE USER by_either@'127.0.0.1' IDENTIFIED VIA ed25519 USING PASSWORD('other')
        OR mysql_native_password USING PASSWORD('no word of it');
    CREATE USER by_socket@'127.0.0.1' IDENTIFIED VIA unix_socket;
    CREATE USER by_pam@'127.0.0.1' IDENTIFIED VIA pam;
    CREATE USER locked@'127.0.0.1' IDENTIFIED BY 'no word of it' ACCOUNT LOCK;
    CREATE USER once@'127.0.0.1' IDENTIFIED BY 'no word of it' WITH MAX_CONNECTIONS_PER_HOUR 1;
    CREATE DATABASE orders; CREATE DATABASE private;
    CREATE TABLE orders.t (n INT); CREATE TABLE private.t (secret TEXT);
    INSERT INTO orders.t VALUES (7);
    GRANT ALL ON orders.* TO probe@'127.0.0.1'; GRANT ALL ON absent.* TO probe@'127.0.0.1'";

const PROCEDURES: &str = "DELIMITER //
    CREATE PROCEDURE orders.two() BEGIN SELECT 1; SELECT 2; END//
    CREATE PROCEDURE orders.sneaky() BEGIN COMMIT; INSERT INTO orders.t VALUES (8); END//";

impl Stage {
    fn set() -> Self {
        Self::with("performance_schema = on")
    }

    fn with(options: &str) -> Self {
        let authority = Authority::new("authority");
        let mut server = MariadbServer::init(1);
        server.use_tls(&authority, &authority.identity(&["db.test", "127.0.0.1"]));
        server.configure("plugin_load_add = auth_ed25519\nplugin_load_add = auth_pam");
        server.configure(options);
        server.start();
        server.sql(ACCOUNTS);
        server.sql(PROCEDURES);
        let files = tempfile::tempdir().expect("folder");
        let write = |name: &str, text: &str| {
            std::fs::write(files.path().join(name), text).expect("write");
        };
        let client = authority.identity(&["by_certificate"]);
        let stranger = Authority::new("stranger");
        let forged = stranger.identity(&["by_certificate"]);
        write("right.pw", "no word of it\n");
        write("wrong.pw", "wrong\n");
        write("ca.pem", &authority.pem);
        write("stranger.pem", &stranger.pem);
        write("client.pem", &client.certificate);
        write("client.key", &client.key);
        write("forged.pem", &forged.certificate);
        write("forged.key", &forged.key);
        Self { server, files }
    }

    /// The settings that work, changed by `changes`; a null takes a setting away.
    fn settings(changes: &Value) -> Value {
        let mut settings = json!({
            "user": "probe", "password_file": "right.pw", "ca_file": "ca.pem",
        });
        let all = settings.as_object_mut().expect("object");
        for (key, value) in changes.as_object().expect("object") {
            all.insert(key.clone(), value.clone());
        }
        all.retain(|_, value| !value.is_null());
        settings
    }

    fn prepared(&self, changes: &Value, address: &str, deadline: Duration) -> Arc<dyn Probe> {
        let settings = Self::settings(changes);
        probe(&settings, address, self.files.path(), deadline)
            .unwrap_or_else(|problems| panic!("{settings}: {problems:?}"))
    }

    async fn run(&self, changes: &Value) -> Outcome {
        self.run_at(changes, &self.address(), GUARD).await
    }

    async fn run_at(&self, changes: &Value, address: &str, deadline: Duration) -> Outcome {
        run(&*self.prepared(changes, address, deadline), deadline).await
    }

    fn address(&self) -> String {
        self.server.address().to_string()
    }

    /// Runs every row; what came out otherwise than expected.
    async fn wrong(&self, rows: Vec<Row>) -> String {
        let mut wrong = Vec::new();
        for (changes, expected) in rows {
            let outcome = self.run(&changes).await;
            let right = match (&outcome.result, &expected) {
                (Ok(_), None) => true,
                (Err(failure), Some((reason, words))) => {
                    failure.reason == *reason && failure.detail.contains(words)
                }
                _ => false,
            };
            if !right {
                wrong.push(format!("{changes}: {expected:?}, but {:?}", outcome.result));
            }
        }
        wrong.join("\n")
    }
}

/// What differs from settings that work, and the reason and the words of the failure, if any.
type Row = (Value, Option<(Reason, &'static str)>);

fn good(changes: Value) -> Row {
    (changes, None)
}

fn bad(changes: Value, reason: Reason, words: &'static str) -> Row {
    (changes, Some((reason, words)))
}

/// The changes, without TLS.
fn plain(mut changes: Value) -> Value {
    changes["tls"] = json!("disable");
    changes["ca_file"] = Value::Null;
    changes
}

/// The changes, with TLS to whomever.
fn unverified(mut changes: Value) -> Value {
    changes["tls"] = json!("require");
    changes["ca_file"] = Value::Null;
    changes
}

#[tokio::test]
async fn every_way_to_be_safe_has_its_outcome() {
    use Reason::{Auth, TlsCertificate, TlsHandshake};
    let stage = Stage::set();
    let mut other = json!({ "server_name": "other.test" });
    let mut stranger = json!({ "ca_file": "stranger.pem" });
    let certificate = |name: &str| {
        let (cert, key) = (format!("{name}.pem"), format!("{name}.key"));
        json!({ "user": "by_certificate", "password_file": null, "cert_file": cert, "key_file": key })
    };
    let mut rows = vec![
        good(json!({})),
        good(json!({ "tls": "verify-full", "server_name": "db.test" })),
        good(json!({ "tls": "prefer", "ca_file": null })),
        good(unverified(json!({}))),
        good(plain(json!({}))),
        good(json!({ "user": "over_tls" })),
        bad(plain(json!({ "user": "over_tls" })), Auth, "1045"),
        good(certificate("client")),
        bad(certificate("forged"), TlsHandshake, "alert"),
        bad(
            json!({ "user": "by_certificate", "password_file": null }),
            Auth,
            "1045",
        ),
        bad(other.clone(), TlsCertificate, "not valid for name"),
        bad(stranger.clone(), TlsCertificate, "UnknownIssuer"),
    ];
    other["tls"] = json!("verify-ca");
    stranger["tls"] = json!("verify-ca");
    rows.push(good(other));
    rows.push(bad(stranger, TlsCertificate, "UnknownIssuer"));
    assert_eq!(stage.wrong(rows).await, "");
}

#[tokio::test]
async fn every_way_to_log_in_has_its_outcome() {
    use Reason::{Auth, NotAccepting};
    let stage = Stage::set();
    let rows = vec![
        bad(
            json!({ "password_file": "wrong.pw" }),
            Auth,
            "ERROR 1045: (28000) Access denied",
        ),
        bad(json!({ "password_file": null }), Auth, "using password: NO"),
        // It is asked for whatever plugin, so that nobody learns which accounts there are.
        bad(json!({ "user": "nobody" }), Auth, ""),
        good(plain(json!({ "user": "empty", "password_file": null }))),
        bad(json!({ "user": "empty" }), Auth, "1045"),
        good(plain(json!({ "user": "by_ed25519" }))),
        bad(
            json!({ "user": "by_ed25519", "password_file": "wrong.pw" }),
            Auth,
            "1045",
        ),
        good(json!({ "user": "by_either" })),
        bad(
            json!({ "user": "by_either", "password_file": "wrong.pw" }),
            Auth,
            "1045",
        ),
        bad(json!({ "user": "by_socket" }), Auth, "1698"),
        bad(
            json!({ "user": "by_pam" }),
            Auth,
            "plugin `dialog`, which is not supported",
        ),
        bad(json!({ "user": "locked" }), Auth, "4151"),
        good(json!({ "user": "once" })),
        bad(json!({ "user": "once" }), NotAccepting, "1226"),
        good(json!({ "database": "orders" })),
        bad(json!({ "database": "absent" }), Auth, "1049"),
        bad(json!({ "database": "private" }), Auth, "1044"),
        // Only accounts of 127.0.0.1 exist: the server says so instead of a greeting.
        bad(
            plain(json!({ "source_address": "127.0.0.2" })),
            Auth,
            "1130",
        ),
        bad(json!({ "source_address": "127.0.0.2" }), Auth, "1130"),
    ];
    assert_eq!(stage.wrong(rows).await, "");
}

#[tokio::test]
async fn every_way_to_ask_has_its_outcome() {
    use Reason::{Answer, Query, TooLarge};
    let stage = Stage::set();
    let ask = |query: &str| json!({ "query": query });
    let expect = |query: &str, expect: &str| json!({ "query": query, "expect": expect });
    let mut free = expect("SELECT @@tx_read_only", "0");
    free["read_only"] = json!(false);
    let many = "SELECT REPEAT('x', 900) FROM orders.seq_1_to_3000";
    let file = "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE orders.t";
    let rows = vec![
        good(expect("SELECT 2 > 1", "1")),
        good(expect("SELECT 'ü'", "ü")),
        good(expect("SELECT n, NULL FROM orders.t", "7")),
        good(ask("SELECT 1 FROM DUAL WHERE false")),
        good(ask("DO 1")),
        good(expect("CALL orders.two()", "1")),
        good(expect("SELECT @@tx_read_only", "1")),
        good(expect("SELECT @@max_statement_time", "60.000000")),
        good(expect("SELECT @@character_set_client", "utf8mb4")),
        good(expect(
            "SELECT attr_value FROM performance_schema.session_account_connect_attrs \
             WHERE attr_name = 'program_name'",
            "hotspare",
        )),
        good(free),
        bad(
            expect("SELECT 1 > 2", "1"),
            Answer,
            "expected `1`, the first value was `0`",
        ),
        bad(expect("SELECT NULL", ""), Answer, "NULL"),
        bad(
            expect("SELECT 1 FROM DUAL WHERE false", "1"),
            Answer,
            "no value",
        ),
        bad(expect("DO 1", "1"), Answer, "no value"),
        bad(
            ask("SELECT secret FROM private.t"),
            Query,
            "ERROR 1142: (42000)",
        ),
        bad(ask("SELEC 1"), Query, "1064"),
        bad(ask("SELECT 1; SELECT 2"), Query, "1064"),
        bad(ask("INSERT INTO orders.t VALUES (1)"), Query, "1792"),
        bad(ask("CREATE TABLE orders.u (n INT)"), Query, "1792"),
        bad(ask("CALL orders.sneaky()"), Query, "1792"),
        bad(ask(file), Query, "ERROR"),
        bad(
            ask("SELECT REPEAT('x', 2000000)"),
            TooLarge,
            "a packet of 20000",
        ),
        bad(ask(many), TooLarge, "more than 1048576 bytes"),
        bad(ask("KILL CONNECTION_ID()"), Reason::NotAccepting, "1927"),
    ];
    assert_eq!(stage.wrong(rows).await, "");
    assert_eq!(stage.server.sql("SELECT n FROM orders.t"), "7");
}

#[tokio::test]
async fn phases_and_facts_are_those_of_the_session() {
    let stage = Stage::set();
    let all = PhaseSet::of(&[Phase::Resolve, Phase::Connect, Phase::Tls, Phase::Auth])
        .with_if(true, Phase::QueryRead);
    let named = format!("localhost:{}", stage.server.port());
    let changes = json!({ "server_name": "db.test", "ip_version": "4" });
    let outcome = stage.run_at(&changes, &named, GUARD).await;
    let reply = outcome.result.as_ref().expect("reply");
    let laps = outcome.watch.laps();
    assert_eq!(
        laps.iter().map(|lap| lap.0).collect::<Vec<_>>(),
        all.iter().collect::<Vec<_>>()
    );
    assert!(laps.iter().all(|(_, spent)| !spent.is_zero()));
    assert_eq!(reply.latencies.as_slice(), [laps.total()]);
    assert_eq!(outcome.watch.current(), None);
    assert_eq!(
        reply.facts.addresses.as_slice(),
        [std::net::IpAddr::from([127, 0, 0, 1])]
    );
    let database = reply.facts.database.as_ref().expect("database");
    assert_eq!(database.engine, "mariadb");
    assert_eq!(*database.version, *stage.server.sql("SELECT @@version"));
    let tls = reply.facts.tls.as_ref().expect("tls");
    assert_eq!(tls.verified, Some(true));
    assert!(tls.version.is_some() && tls.leaf_not_after.is_some());

    // A login that is refused keeps what the handshake told; without TLS there is none of it.
    let refused = stage.run(&json!({ "password_file": "wrong.pw" })).await;
    assert!(refused.facts().tls.is_some() && refused.facts().database.is_none());
    assert_eq!(refused.watch.current(), Some(Phase::Auth));
    let forged = stage.run(&json!({ "server_name": "other.test" })).await;
    assert_eq!(
        forged.facts().tls.as_ref().expect("tls").verified,
        Some(false)
    );
    let plain = stage.run(&plain(json!({}))).await;
    assert!(plain.facts().tls.is_none() && plain.facts().database.is_some());
    assert_eq!(plain.watch.laps().get(Phase::Tls), None);

    // What a query that fails says of the server is nothing; the server still says it.
    for query in ["SELEC 1", "SELECT 2"] {
        let outcome = stage.run(&json!({ "query": query, "expect": "1" })).await;
        let database = outcome.facts().database.as_ref().expect("database");
        assert!(outcome.result.is_err() && database.replication.is_some());
        assert_eq!(outcome.watch.current(), None);
    }
}

#[tokio::test]
async fn a_client_leaves_politely() {
    let stage = Stage::set();
    for changes in [json!({}), plain(json!({})), json!({ "query": "SELEC" })] {
        stage.run(&changes).await;
    }
    let sessions = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'probe'";
    stage.server.wait_for(sessions, "0");
    let status = "SHOW GLOBAL STATUS LIKE 'Aborted_c%'";
    assert_eq!(
        stage.server.sql(status),
        "Aborted_clients\t0\nAborted_connects\t0\nAborted_connects_preauth\t0"
    );
}

#[tokio::test]
async fn a_query_that_outlives_its_run_is_ended_by_the_server() {
    let stage = Stage::set();
    let changes = json!({ "query": "SELECT SLEEP(3600)" });
    let probe = stage.prepared(&changes, &stage.address(), Duration::from_secs(2));

    // Nobody gives this one up, so that the server's answer can be seen.
    let outcome = run(&*probe, GUARD).await;
    let failure = outcome.result.as_ref().expect_err("ended");
    assert_eq!(failure.reason, Reason::Query);
    assert!(failure.detail.contains("1969"), "{failure}");

    let running = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%(3600)'";
    let mut watch = Stopwatch::start();
    tokio::select! {
        _ = probe.run(&mut watch) => {} // this machine was too slow to see it run
        () = eventually(async || (stage.server.sql(running) == "1").then_some(())) => {
            assert_eq!(watch.current(), Some(Phase::QueryRead));
        }
    }
    eventually(async || (stage.server.sql(running) == "0").then_some(())).await;
}

#[tokio::test]
async fn a_frozen_server_fails_in_the_phase_that_waits_for_it() {
    let stage = Stage::set();
    stage.server.freeze();
    let deadline = Duration::from_secs(2);
    let with_tls = stage.run_at(&json!({}), &stage.address(), deadline).await;
    assert_eq!(with_tls.reason(), Some(Reason::TimeoutTls));
    assert!(with_tls.watch.laps().get(Phase::Connect).is_some());
    let without = stage
        .run_at(&plain(json!({})), &stage.address(), deadline)
        .await;
    assert_eq!(without.reason(), Some(Reason::TimeoutAuth));
    assert_eq!(without.watch.laps().get(Phase::Auth), None);
    stage.server.thaw();
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_not_accepting() {
    let stage = Stage::set();
    stage.server.sql("SET GLOBAL max_connections = 10");
    let address: SocketAddr = stage.server.address();
    let connected = (0..10).map(|_| TcpStream::connect(address).expect("connected"));
    let held: Vec<_> = connected.collect();
    stage.server.wait_for(
        "SELECT COUNT(*) > 10 FROM information_schema.processlist",
        "1",
    );
    for changes in [json!({}), plain(json!({}))] {
        let outcome = stage.run(&changes).await;
        let failure = outcome.result.as_ref().expect_err("no place");
        assert_eq!(failure.reason, Reason::NotAccepting, "{failure}");
        assert!(failure.detail.contains("1040"), "{failure}");
    }
    drop(held);
    eventually(async || stage.run(&json!({})).await.result.ok()).await;
}

#[tokio::test]
async fn a_password_in_clear_goes_only_to_a_server_that_is_verified() {
    let stage = Stage::with("pam_use_cleartext_plugin = on");
    let account = json!({ "user": "by_pam" });
    let mut allowed = plain(account.clone());
    allowed["allow_cleartext"] = json!(true);
    let rows = vec![
        bad(plain(account.clone()), Reason::Auth, "nobody vouches"),
        bad(unverified(account.clone()), Reason::Auth, "nobody vouches"),
        // Nothing is behind PAM here: it is the server that refuses these.
        bad(account, Reason::Auth, "1045"),
        bad(allowed, Reason::Auth, "1045"),
    ];
    assert_eq!(stage.wrong(rows).await, "");
}

#[tokio::test]
async fn a_connection_is_kept_while_it_works() {
    let stage = Stage::set();
    let changes = json!({ "connection": "reuse" });
    let probe = stage.prepared(&changes, &stage.address(), GUARD);
    let connected = async || {
        let outcome = run(&*probe, GUARD).await;
        let reply = outcome.result.expect("reply");
        assert_eq!(reply.latencies.as_slice(), [outcome.watch.laps().total()]);
        assert!(reply.facts.tls.is_some());
        let database = reply.facts.database.expect("database");
        assert!(database.replication.is_some() && database.withheld.is_some());
        let laps = outcome.watch.laps();
        assert!(laps.get(Phase::QueryRead).is_some());
        laps.get(Phase::Connect).is_some() && laps.get(Phase::Auth).is_some()
    };
    assert!(connected().await);
    assert!(!connected().await);
    assert!(!connected().await);
    // A session that is gone is no failure of the server.
    stage.server.sql("KILL USER probe@'127.0.0.1'");
    stage.server.wait_for(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'probe'",
        "0",
    );
    assert!(connected().await);
    assert!(!connected().await);

    let aborted = "SHOW GLOBAL STATUS LIKE 'Aborted_clients'";
    let before = stage.server.sql(aborted);
    let short = json!({ "connection": "reuse", "max_connection_age": "1us" });
    let probe = stage.prepared(&short, &stage.address(), GUARD);
    for _ in 0..2 {
        let outcome = run(&*probe, GUARD).await;
        assert!(outcome.watch.laps().get(Phase::Connect).is_some());
    }
    assert_eq!(stage.server.sql(aborted), before);
}

/// What is wrong with the settings of a probe of 127.0.0.1.
fn problems(settings: &Value) -> Vec<String> {
    let folder = tempfile::tempdir().expect("folder");
    probe(settings, "127.0.0.1", folder.path(), GUARD)
        .err()
        .unwrap_or_default()
        .into_iter()
        .map(|problem| format!("{}: {}", problem.field, problem.message))
        .collect()
}

#[test]
fn settings_that_contradict_each_other_are_all_told() {
    assert_eq!(problems(&json!({ "user": "u", "tls": "disable" })), [""; 0]);
    assert_eq!(
        problems(&json!({
            "user": "", "tls": "disable", "ca_file": "ca.pem", "server_name": "x", "dscp": 64,
            "expect": "1", "database": "a\0b", "max_connection_age": "1m",
        })),
        [
            "user: it is empty",
            "database: it has a NUL character, which no server takes",
            "expect: there is no query whose answer it could be",
            "ca_file: it is not used: only tls: verify-ca and verify-full verify the server",
            "server_name: it is not used with tls: disable",
            "dscp: 64 is not a code point: 0 to 63",
            "max_connection_age: it is not used without connection: reuse",
        ]
    );
    let long = "x".repeat((1 << 20) + 1);
    for (settings, field) in [
        (json!({ "user": "u", "tls": "verify-ca" }), "ca_file"),
        (json!({ "user": "u", "ca_file": "absent.pem" }), "ca_file"),
        (
            json!({ "user": "u", "tls": "disable", "password_file": "absent" }),
            "password_file",
        ),
        (
            json!({ "user": "u", "tls": "disable", "query": long }),
            "query",
        ),
        (
            json!({
                "user": "u", "tls": "disable", "connection": "reuse", "max_connection_age": "0",
            }),
            "max_connection_age",
        ),
    ] {
        let found = problems(&settings);
        assert!(found.len() == 1 && found[0].starts_with(field), "{found:?}");
    }
    for unreadable in [
        json!({ "mysql": {} }),
        json!({ "mysql": { "user": "u", "ssl_mode": "REQUIRED" } }),
        json!({ "mysql": { "user": "u", "connection": "sometimes" } }),
    ] {
        assert!(serde_json::from_value::<Check>(unreadable).is_err());
    }
}
