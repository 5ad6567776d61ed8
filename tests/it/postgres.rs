//! The probe `postgres` against a real server.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hotspare::files::Files;
use hotspare::model::{
    DatabaseFacts, Epoch, Facts, Failure, Phase, PhaseSet, Problem, Reason, ReplicationFacts, Reply,
};
use hotspare::net::{Icmp, Resolver, Roots, Stopwatch};
use hotspare::probe::{CanaryName, Check, Context, Probe};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::postgres_server::{Authority, PostgresServer};

/// No run here should come near it.
const GUARD: Duration = Duration::from_mins(1);

/// The life of the daemon whose canaries probes write here.
pub(crate) const EPOCH: Epoch = Epoch(0xfeed);

/// What a run left behind.
pub(crate) struct Outcome {
    pub(crate) result: Result<Reply, Failure>,
    pub(crate) watch: Stopwatch,
}

impl Outcome {
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.result.as_ref().err().map(|failure| failure.reason)
    }

    pub(crate) fn facts(&self) -> &Facts {
        match &self.result {
            Ok(reply) => &reply.facts,
            Err(failure) => failure.facts.as_deref().expect("facts"),
        }
    }

    /// What the server told of itself.
    pub(crate) fn database(&self) -> &DatabaseFacts {
        let told = self.facts().database.as_deref();
        told.unwrap_or_else(|| panic!("{:?}", self.result))
    }

    /// What it told of replication.
    pub(crate) fn replication(&self) -> &ReplicationFacts {
        let told = self.database().replication.as_deref();
        told.unwrap_or_else(|| panic!("{:?}", self.result))
    }
}

pub(crate) fn probe(
    settings: &Value,
    address: &str,
    folder: &Path,
    deadline: Duration,
) -> Result<Arc<dyn Probe>, Vec<Problem>> {
    let check: Check = serde_json::from_value(json!({ "postgres": settings })).expect("settings");
    let context = Context {
        icmp: Arc::new(Icmp::new()),
        resolver: Arc::new(Resolver::from_system().expect("resolver")),
        roots: Arc::new(Roots::default()),
        files: Files::new(None, folder.to_owned()),
        timeout: deadline,
        canary: CanaryName {
            vantage: "eu-west".into(),
            probe: "orders-1.db".into(),
            epoch: EPOCH,
        },
    };
    let template = check.prepare(&context)?;
    let target = template.target(address);
    target.map_err(|why| vec![Problem::new("address", why)])
}

/// Runs as the schedule does: the deadline is outside.
pub(crate) async fn run(probe: &dyn Probe, deadline: Duration) -> Outcome {
    let mut watch = Stopwatch::start();
    let result = timeout(deadline, probe.run(&mut watch)).await;
    let result = result.unwrap_or_else(|_| {
        let reason = Reason::timeout_in(watch.current());
        Err(Failure::new(reason, "the deadline passed"))
    });
    if let Err(failure) = &result {
        let listed = probe.shape().reasons.contains(failure.reason);
        assert!(listed, "not in the shape: {failure}");
    }
    for (phase, _) in watch.laps().iter() {
        assert!(probe.shape().phases.contains(phase), "{phase:?}");
    }
    Outcome { result, watch }
}

/// A server with one role for each way to log in, and what its clients need.
struct Stage {
    server: PostgresServer,
    files: tempfile::TempDir,
}

impl Stage {
    fn set() -> Self {
        let authority = Authority::new("authority");
        let mut server = PostgresServer::init();
        server.use_tls(&authority, &authority.identity(&["db.test", "127.0.0.1"]));
        server.allow(
            "hostssl all by_certificate 127.0.0.1/32 cert\n\
             hostssl all over_tls 127.0.0.1/32 scram-sha-256\n\
             hostnossl all over_tls 127.0.0.1/32 reject\n\
             host all by_md5 127.0.0.1/32 md5\n\
             host all by_clear 127.0.0.1/32 password\n\
             host all by_trust 127.0.0.1/32 trust\n\
             host all all 127.0.0.1/32 scram-sha-256",
        );
        server.start();
        server.sql(
            "CREATE ROLE probe LOGIN PASSWORD 'right'; CREATE ROLE over_tls LOGIN PASSWORD 'right';
             CREATE ROLE by_clear LOGIN PASSWORD 'right'; CREATE ROLE by_trust LOGIN;
             CREATE ROLE by_certificate LOGIN; CREATE ROLE full LOGIN CONNECTION LIMIT 0
             PASSWORD 'right'; CREATE TABLE secrets (secret text);
             SET password_encryption = md5; CREATE ROLE by_md5 LOGIN PASSWORD 'right'",
        );
        server.sql("CREATE DATABASE closed ALLOW_CONNECTIONS false");
        server.sql("CREATE DATABASE private");
        server.sql("REVOKE CONNECT ON DATABASE private FROM PUBLIC");

        let files = tempfile::tempdir().expect("folder");
        let write = |name: &str, text: &str| {
            std::fs::write(files.path().join(name), text).expect("write");
        };
        let client = authority.identity(&["by_certificate"]);
        let stranger = Authority::new("stranger");
        let forged = stranger.identity(&["by_certificate"]);
        write("right.pw", "right\n");
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
            "database": "postgres", "user": "probe", "password_file": "right.pw",
            "ca_file": "ca.pem",
        });
        let all = settings.as_object_mut().expect("object");
        for (key, value) in changes.as_object().expect("object") {
            all.insert(key.clone(), value.clone());
        }
        all.retain(|_, value| !value.is_null());
        settings
    }

    async fn run(&self, changes: &Value) -> Outcome {
        self.run_at(changes, &self.server.address(), GUARD).await
    }

    async fn run_at(&self, changes: &Value, address: &str, deadline: Duration) -> Outcome {
        let settings = Self::settings(changes);
        let probe = probe(&settings, address, self.files.path(), deadline)
            .unwrap_or_else(|problems| panic!("{settings}: {problems:?}"));
        run(&*probe, deadline).await
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

fn ways_to_be_safe() -> Vec<Row> {
    use Reason::{Auth, TlsCertificate};
    let mut other = json!({ "server_name": "other.test" });
    let mut stranger = json!({ "ca_file": "stranger.pem" });
    let mut rows = vec![
        good(json!({})),
        good(json!({ "tls": "verify-full", "server_name": "db.test" })),
        good(json!({ "tls": "prefer", "ca_file": null })),
        good(unverified(json!({}))),
        good(plain(json!({}))),
        good(json!({ "user": "over_tls" })),
        bad(
            plain(json!({ "user": "over_tls" })),
            Auth,
            "28000: pg_hba.conf rejects",
        ),
        bad(other.clone(), TlsCertificate, "not valid for name"),
        bad(stranger.clone(), TlsCertificate, "UnknownIssuer"),
    ];
    other["tls"] = json!("verify-ca");
    stranger["tls"] = json!("verify-ca");
    rows.push(good(other));
    rows.push(bad(stranger, TlsCertificate, "UnknownIssuer"));
    rows
}

fn ways_to_log_in() -> Vec<Row> {
    use Reason::{Auth, NotAccepting, Protocol, TlsHandshake};
    let certificate = |name: &str| {
        let (cert, key) = (format!("{name}.pem"), format!("{name}.key"));
        json!({ "user": "by_certificate", "cert_file": cert, "key_file": key })
    };
    vec![
        bad(
            json!({ "password_file": "wrong.pw" }),
            Auth,
            "FATAL 28P01: password auth",
        ),
        bad(json!({ "password_file": null }), Auth, "none is set"),
        bad(json!({ "user": "nobody" }), Auth, "28P01"),
        bad(
            json!({ "max_scram_iterations": 4095 }),
            Protocol,
            "4096 SCRAM iterations",
        ),
        good(json!({ "user": "by_md5" })),
        good(json!({ "user": "by_clear" })),
        bad(
            unverified(json!({ "user": "by_md5" })),
            Auth,
            "as an MD5 hash",
        ),
        bad(plain(json!({ "user": "by_clear" })), Auth, "in clear"),
        good(unverified(
            json!({ "user": "by_md5", "allow_cleartext": true }),
        )),
        good(plain(
            json!({ "user": "by_clear", "allow_cleartext": true }),
        )),
        good(plain(json!({ "user": "by_trust", "password_file": null }))),
        good(certificate("client")),
        bad(certificate("forged"), TlsHandshake, "alert"),
        bad(
            json!({ "user": "by_certificate" }),
            Auth,
            "28000: connection requires",
        ),
        bad(json!({ "database": "absent" }), Auth, "3D000"),
        bad(json!({ "database": "private" }), Auth, "42501"),
        bad(json!({ "database": "closed" }), NotAccepting, "55000"),
        bad(json!({ "user": "full" }), NotAccepting, "53300"),
    ]
}

fn ways_to_ask() -> Vec<Row> {
    use Reason::{Answer, NotAccepting, Protocol, Query, TooLarge};
    let ask = |query: &str| json!({ "query": query });
    let expect = |query: &str, expect: &str| json!({ "query": query, "expect": expect });
    let mut writing = expect("SHOW transaction_read_only", "off");
    writing["read_only"] = json!(false);
    let many = "SELECT repeat('x', 900) FROM generate_series(1, 3000)";
    let end = "SELECT pg_terminate_backend(pg_backend_pid())";
    vec![
        good(expect("SELECT 2 > 1", "t")),
        good(ask("SELECT 1 WHERE false")),
        good(ask("")),
        good(ask("SELECT 1; -- once")),
        good(expect("SHOW transaction_read_only", "on")),
        good(expect("SHOW statement_timeout", "1min")),
        good(writing),
        bad(
            expect("SELECT 1 > 2", "t"),
            Answer,
            "expected `t`, the first value was `f`",
        ),
        bad(expect("SELECT NULL", ""), Answer, "NULL"),
        bad(expect("SELECT 1 WHERE false", "1"), Answer, "no value"),
        bad(expect("SELECT", "1"), Answer, "no value"),
        bad(
            ask("SELECT secret FROM secrets"),
            Query,
            "ERROR 42501: permission denied",
        ),
        bad(ask("SELEC 1"), Query, "42601"),
        bad(ask("CREATE TABLE t (x int)"), Query, "25006"),
        bad(
            ask("SELECT repeat('x', 2000000)"),
            TooLarge,
            "a message of 20000",
        ),
        bad(ask(many), TooLarge, "more than 1048576 bytes"),
        bad(
            ask("COPY (SELECT 1) TO STDOUT"),
            Protocol,
            "unexpected message",
        ),
        bad(ask(end), NotAccepting, "57P01"),
    ]
}

#[tokio::test]
async fn every_way_to_log_in_and_to_ask_has_its_outcome() {
    let stage = Stage::set();
    let mut wrong = Vec::new();
    let rows = [ways_to_be_safe(), ways_to_log_in(), ways_to_ask()].concat();
    for (changes, expected) in rows {
        let outcome = stage.run(&changes).await;
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
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
    assert_eq!(database.engine, "postgresql");
    let version = stage.server.sql("SHOW server_version");
    assert_eq!(*database.version, *version);
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
    let plain = stage
        .run(&json!({ "tls": "disable", "ca_file": null }))
        .await;
    assert!(plain.facts().tls.is_none() && plain.facts().database.is_some());
    assert_eq!(plain.watch.laps().get(Phase::Tls), None);
}

#[tokio::test]
async fn the_server_sees_a_named_client_that_leaves_politely() {
    let stage = Stage::set();
    let count = "SELECT count(*)::text || application_name FROM pg_stat_activity
                 WHERE usename = 'probe' GROUP BY application_name";
    // `probe` sees its own session; another one that lingered would be counted too.
    for _ in 0..5 {
        eventually(async || stage.server.sql(count).is_empty().then_some(())).await;
        let outcome = stage
            .run(&json!({ "query": count, "expect": "1hotspare" }))
            .await;
        assert_eq!(outcome.reason(), None, "{:?}", outcome.result);
    }
    let log = stage.server.log();
    for complaint in ["unexpected EOF", "reset by peer", "could not"] {
        assert!(!log.contains(complaint), "{log}");
    }
}

#[tokio::test]
async fn a_query_that_outlives_its_run_is_ended_by_the_server() {
    let stage = Stage::set();
    let settings = Stage::settings(&json!({ "query": "SELECT pg_sleep(3600)" }));
    let timeout = Duration::from_secs(2);
    let address = stage.server.address();
    let probe = probe(&settings, &address, stage.files.path(), timeout).expect("prepared");

    // Nobody gives this one up, so that the server's answer can be seen.
    let outcome = run(&*probe, GUARD).await;
    let failure = outcome.result.as_ref().expect_err("ended");
    assert_eq!(failure.reason, Reason::Query);
    assert!(failure.detail.contains("57014"), "{failure}");

    let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%'
                   AND pid <> pg_backend_pid()";
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
    let address = stage.server.address();
    let with_tls = stage.run_at(&json!({}), &address, deadline).await;
    assert_eq!(with_tls.reason(), Some(Reason::TimeoutTls));
    assert!(with_tls.watch.laps().get(Phase::Connect).is_some());
    let plain = json!({ "tls": "disable", "ca_file": null });
    let without = stage.run_at(&plain, &address, deadline).await;
    assert_eq!(without.reason(), Some(Reason::TimeoutAuth));
    assert_eq!(without.watch.laps().get(Phase::Auth), None);
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_not_accepting() {
    let mut server = PostgresServer::init();
    server
        .configure("max_connections = 4\nsuperuser_reserved_connections = 3\nmax_wal_senders = 0");
    server.allow("host all all 127.0.0.1/32 trust");
    server.start();
    server.sql("CREATE ROLE probe LOGIN");
    let folder = tempfile::tempdir().expect("folder");
    let settings = json!({ "user": "probe", "database": "postgres", "tls": "disable" });
    let probe = probe(&settings, &server.address(), folder.path(), GUARD).expect("prepared");

    // A session that ended keeps its place until its process is gone, which nobody can wait for.
    let mut holder = tokio_postgres::Config::new();
    holder.user("probe").dbname("postgres");
    let address: SocketAddr = server.address().parse().expect("address");
    let taken = eventually(async || {
        let socket = tokio::net::TcpStream::connect(address).await.ok()?;
        let session = holder.connect_raw(socket, tokio_postgres::NoTls).await;
        session.ok()
    });
    let taken = taken.await;
    let outcome = run(&*probe, GUARD).await;
    let failure = outcome.result.as_ref().expect_err("no place");
    assert_eq!(failure.reason, Reason::NotAccepting, "{failure}");
    drop(taken);
    eventually(async || run(&*probe, GUARD).await.result.ok()).await;
}

pub(crate) async fn eventually<T>(attempt: impl AsyncFn() -> Option<T>) -> T {
    let attempts = async {
        loop {
            if let Some(done) = attempt().await {
                return done;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(GUARD, attempts).await.expect("in time")
}

#[tokio::test]
async fn a_standby_closed_to_queries_is_not_accepting() {
    let mut server = PostgresServer::init();
    server.configure("hot_standby = off");
    server.allow("host all all 127.0.0.1/32 trust");
    server.write("standby.signal", "");
    server.start_rejecting();
    let folder = tempfile::tempdir().expect("folder");
    let settings = json!({ "user": "postgres", "tls": "disable" });
    let probe = probe(&settings, &server.address(), folder.path(), GUARD).expect("prepared");
    let outcome = run(&*probe, GUARD).await;
    let failure = outcome.result.as_ref().expect_err("closed");
    assert_eq!(failure.reason, Reason::NotAccepting);
    assert!(failure.detail.contains("57P03"), "{failure}");
    assert_eq!(outcome.watch.current(), Some(Phase::Auth));
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
fn the_address_is_of_the_family_that_it_is_sent_from() {
    let other = json!({
        "user": "u", "tls": "disable", "ip_version": "6", "source_address": "127.0.0.1",
    });
    assert_eq!(
        problems(&other),
        ["source_address: 127.0.0.1 is of the other IP version than `ip_version` asks for"]
    );
    for family in [
        json!({ "user": "u", "tls": "disable", "source_address": "::1" }),
        json!({ "user": "u", "tls": "disable", "ip_version": "6" }),
    ] {
        let found = problems(&family);
        assert!(
            found.len() == 1 && found[0].contains("127.0.0.1 is not of the family"),
            "{found:?}"
        );
    }
}

#[test]
fn settings_that_contradict_each_other_are_all_told() {
    assert_eq!(problems(&json!({ "user": "u", "tls": "disable" })), [""; 0]);
    assert_eq!(
        problems(&json!({
            "user": "", "tls": "disable", "ca_file": "ca.pem", "server_name": "x", "dscp": 64,
            "expect": "1", "application_name": "a\0b", "max_scram_iterations": 0,
        })),
        [
            "user: it is empty",
            "application_name: it has a NUL character, which no server takes",
            "expect: there is no query whose answer it could be",
            "max_scram_iterations: it must be 1 to 100000",
            "ca_file: it is not used: only tls: verify-ca and verify-full verify the server",
            "server_name: it is not used with tls: disable",
            "dscp: 64 is not a code point: 0 to 63",
        ]
    );
    for (settings, field) in [
        (json!({ "user": "u", "tls": "verify-ca" }), "ca_file"),
        (
            json!({ "user": "u", "tls": "require", "ca_file": "x" }),
            "ca_file",
        ),
        (json!({ "user": "u", "ca_file": "absent.pem" }), "ca_file"),
        (
            json!({ "user": "u", "tls": "disable", "password_file": "absent" }),
            "password_file",
        ),
        (
            json!({ "user": "u", "tls": "disable", "password_env": "NOT_SET_HERE" }),
            "password_env",
        ),
    ] {
        let found = problems(&settings);
        assert!(
            found.len() == 1 && found[0].starts_with(field),
            "{settings}: {found:?}"
        );
    }
    for unreadable in [
        json!({ "postgres": {} }),
        json!({ "postgres": { "user": "u", "sslmode": "require" } }),
        json!({ "postgres": { "user": "u", "tls": "allow" } }),
    ] {
        assert!(serde_json::from_value::<Check>(unreadable).is_err());
    }
}
