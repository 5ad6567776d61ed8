//! The probe `redis` against a real server.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hotspare::files::Files;
use hotspare::model::{
    DatabaseFacts, Epoch, Facts, Identity, Phase, Position, Problem, Reason, ReplicationFacts, Role,
};
use hotspare::net::{Icmp, Resolver, Roots};
use hotspare::probe::{CanaryName, Check, Context, Probe};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::authority::Authority;
use crate::postgres::{Outcome, run};
use crate::process::PATIENCE;
use crate::redis_server::RedisServer;

/// No run here should come near it.
pub(crate) const GUARD: Duration = PATIENCE;
/// Where nothing listens.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
pub(crate) fn probe(
    settings: &Value,
    address: &str,
    folder: &Path,
) -> Result<Arc<dyn Probe>, Vec<Problem>> {
    probe_within(settings, address, folder, GUARD)
}

/// The probe, for runs with this timeout.
pub(crate) fn probe_within(
    settings: &Value,
    address: &str,
    folder: &Path,
    timeout: Duration,
) -> Result<Arc<dyn Probe>, Vec<Problem>> {
    let check: Check = serde_json::from_value(json!({ "redis": settings })).expect("settings");
    let context = Context {
        icmp: Arc::new(Icmp::new()),
        resolver: Arc::new(Resolver::from_system().expect("resolver")),
        roots: Arc::new(Roots::default()),
        files: Files::new(None, folder.to_owned()),
        timeout,
        canary: CanaryName {
            vantage: "here".into(),
            probe: "orders".into(),
            epoch: Epoch(7),
        },
    };
    let template = check.prepare(&context)?;
    let target = template.target(address);
    target.map_err(|why| vec![Problem::new("address", why)])
}

pub(crate) fn started(lines: &str) -> RedisServer {
    let mut server = RedisServer::new();
    server.configure(lines);
    server.start();
    server
}

pub(crate) fn prepared(settings: &Value, server: &RedisServer) -> Arc<dyn Probe> {
    let address = server.address().to_string();
    probe(settings, &address, Path::new("/nowhere")).expect("prepared")
}

async fn probed(settings: &Value, server: &RedisServer) -> Outcome {
    run(&*prepared(settings, server), GUARD).await
}

pub(crate) fn database(facts: &Facts) -> &DatabaseFacts {
    facts.database.as_deref().expect("of a database")
}

pub(crate) fn replication(facts: &Facts) -> &ReplicationFacts {
    database(facts).replication.as_deref().expect("told")
}

pub(crate) fn phases(outcome: &Outcome) -> Vec<Phase> {
    outcome
        .watch
        .laps()
        .iter()
        .map(|(phase, _)| phase)
        .collect()
}

/// Runs until the facts are as they should be.
pub(crate) async fn until(
    probe: &dyn Probe,
    right: impl Fn(&ReplicationFacts) -> bool,
) -> ReplicationFacts {
    let begun = Instant::now();
    loop {
        let outcome = run(probe, GUARD).await;
        let told = replication(outcome.facts());
        if right(told) {
            return told.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{told:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_visit_to_a_primary_tells_what_it_is() {
    let server = started("");
    server.command(&["SET", "a", "1"]);
    let outcome = probed(&json!({}), &server).await;
    let reply = outcome.result.as_ref().expect("reply");
    assert_eq!(phases(&outcome), [Phase::Connect, Phase::QueryRead]);
    assert_eq!(reply.latencies[..], [outcome.watch.laps().total()]);
    let facts = database(&reply.facts);
    assert_eq!(facts.engine, "redis");
    assert!(facts.version.starts_with(|c: char| c.is_ascii_digit()));
    assert_eq!((facts.withheld, &facts.canary), (None, &None));
    let told = replication(&reply.facts);
    assert_eq!((told.role, told.writable), (Role::Primary, Some(true)));
    assert_eq!(told.position, Some(Position::Offset(0)));
    assert_eq!(
        (told.keys, &told.link, &told.received),
        (Some(1), &None, &None)
    );
    assert!(told.asked <= told.answered);
    let Some(Identity::History { id, previous }) = &told.identity else {
        panic!("{told:?}");
    };
    assert_eq!((id.len(), previous), (40, &None));
}

#[tokio::test]
async fn a_server_is_found_by_name_and_default_port_only_where_it_is() {
    let nobody = probe(&json!({}), "127.0.0.1:1", Path::new("/nowhere")).expect("prepared");
    let outcome = run(&*nobody, GUARD).await;
    assert_eq!(outcome.reason(), Some(Reason::Refused));
    assert!(probe(&json!({}), "db.test", Path::new("/nowhere")).is_ok());
    assert!(probe(&json!({}), "redis://db.test", Path::new("/nowhere")).is_err());
    let other = probe(
        &json!({ "ip_version": "6" }),
        "127.0.0.1",
        Path::new("/nowhere"),
    );
    assert_eq!(other.err().expect("refused")[0].field, "address");
}

#[tokio::test]
async fn a_login_tells_what_is_wrong_with_whom() {
    let server =
        started("requirepass master\nuser app on >right ~* +@all\nuser off off >right ~* +@all");
    let folder = tempfile::tempdir().expect("folder");
    for password in ["master", "right", "wrong"] {
        std::fs::write(folder.path().join(password), format!("{password}\n")).expect("write");
    }
    let refused = Some(Reason::Auth);
    for (settings, reason, reached) in [
        (json!({ "password_file": "master" }), None, Phase::Auth),
        (
            json!({ "username": "app", "password_file": "right" }),
            None,
            Phase::Auth,
        ),
        (
            json!({ "username": "app", "password_file": "right", "database": 3 }),
            None,
            Phase::Auth,
        ),
        (json!({ "password_file": "wrong" }), refused, Phase::Auth),
        (
            json!({ "username": "app", "password_file": "wrong" }),
            refused,
            Phase::Auth,
        ),
        (
            json!({ "username": "off", "password_file": "right" }),
            refused,
            Phase::Auth,
        ),
        (
            json!({ "username": "nobody", "password_file": "right" }),
            refused,
            Phase::Auth,
        ),
        (
            json!({ "password_file": "master", "database": 99 }),
            refused,
            Phase::Auth,
        ),
        (json!({ "database": 3 }), refused, Phase::Auth),
        (json!({}), refused, Phase::QueryRead),
    ] {
        let mut settings = settings;
        settings["allow_cleartext"] = json!(true);
        let address = server.address().to_string();
        let probe = probe(&settings, &address, folder.path()).expect("prepared");
        let outcome = run(&*probe, GUARD).await;
        assert_eq!(outcome.reason(), reason, "{settings}: {:?}", outcome.result);
        if reason.is_some() {
            assert_eq!(outcome.watch.current(), Some(reached), "{settings}");
            assert_eq!(outcome.facts().database, None, "{settings}");
        } else {
            let all = [Phase::Connect, Phase::Auth, Phase::QueryRead];
            assert_eq!(phases(&outcome), all, "{settings}");
        }
    }
}

#[tokio::test]
async fn a_password_needs_tls_that_is_verified_or_consent() {
    let folder = tempfile::tempdir().expect("folder");
    let authority = Authority::new("authority");
    std::fs::write(folder.path().join("pw"), "right").expect("write");
    std::fs::write(folder.path().join("ca.pem"), &authority.pem).expect("write");
    for (settings, field) in [
        (json!({ "password_file": "pw" }), Some("allow_cleartext")),
        (
            json!({ "password_file": "pw", "tls": { "insecure_skip_verify": true } }),
            Some("allow_cleartext"),
        ),
        (
            json!({ "password_file": "pw", "tls": { "ca_file": "ca.pem" } }),
            None,
        ),
        (
            json!({ "password_file": "pw", "allow_cleartext": true }),
            None,
        ),
        (json!({ "username": "app" }), Some("username")),
        (json!({ "query": [] }), Some("query")),
        (json!({ "query": [""] }), Some("query")),
        (json!({ "expect": "1" }), Some("expect")),
        (
            json!({ "max_connection_age": "1m" }),
            Some("max_connection_age"),
        ),
        (
            json!({ "connection": "reuse", "max_connection_age": "0" }),
            Some("max_connection_age"),
        ),
        (
            json!({ "tls": { "ca_file": "missing" } }),
            Some("tls.ca_file"),
        ),
        (
            json!({ "tls": { "ca_file": "ca.pem", "server_name": "a b" } }),
            Some("tls.server_name"),
        ),
        (json!({ "dscp": 64 }), Some("dscp")),
    ] {
        let problems = probe(&settings, "127.0.0.1", folder.path()).err();
        let fields: Vec<_> = problems
            .iter()
            .flatten()
            .map(|p| p.field.as_str())
            .collect();
        assert_eq!(fields, field.into_iter().collect::<Vec<_>>(), "{settings}");
    }
}

#[tokio::test]
async fn a_query_is_good_if_its_answer_is_the_expected_one() {
    let server = started("");
    server.command(&["SET", "word", "a b\r\n"]);
    server.command(&["RPUSH", "list", "1"]);
    for (query, expect, reason) in [
        (json!(["GET", "word"]), Some("a b\r\n"), None),
        (json!(["GET", "word"]), Some("a b"), Some(Reason::Answer)),
        (json!(["STRLEN", "word"]), Some("5"), None),
        (json!(["STRLEN", "word"]), Some("05"), Some(Reason::Answer)),
        (json!(["GET", "nothing"]), Some(""), Some(Reason::Answer)),
        (json!(["GET", "nothing"]), None, None),
        (
            json!(["LRANGE", "list", "0", "-1"]),
            Some("1"),
            Some(Reason::Answer),
        ),
        (json!(["COMMAND"]), None, None),
        (json!(["ECHO", "word"]), Some("word"), None),
        (json!(["GET", "list"]), None, Some(Reason::Query)),
        (json!(["NOSUCH"]), None, Some(Reason::Query)),
    ] {
        let mut settings = json!({ "query": query });
        if let Some(expect) = expect {
            settings["expect"] = json!(expect);
        }
        let outcome = probed(&settings, &server).await;
        assert_eq!(outcome.reason(), reason, "{settings}: {:?}", outcome.result);
        // Whatever the answer was, the server told what it is.
        assert_eq!(
            replication(outcome.facts()).role,
            Role::Primary,
            "{settings}"
        );
    }
}

/// A folder with what clients of a server with TLS need.
fn tls_stage(clients: &str) -> (RedisServer, tempfile::TempDir) {
    let authority = Authority::new("authority");
    let mut server = RedisServer::new();
    server.use_tls(&authority, &authority.identity(&["db.test", "127.0.0.1"]));
    server.configure(&format!("tls-auth-clients {clients}"));
    server.start();
    let folder = tempfile::tempdir().expect("folder");
    let stranger = Authority::new("stranger");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("write");
    };
    for (name, authority) in [("client", &authority), ("forged", &stranger)] {
        let identity = authority.identity(&["client"]);
        write(&format!("{name}.pem"), &identity.certificate);
        write(&format!("{name}.key"), &identity.key);
    }
    write("ca.pem", &authority.pem);
    write("stranger.pem", &stranger.pem);
    (server, folder)
}

#[tokio::test]
async fn a_session_counts_only_if_the_server_is_vouched_for() {
    let (server, folder) = tls_stage("no");
    let address = server.address().to_string();
    for (tls, reason, verified) in [
        (json!({ "ca_file": "ca.pem" }), None, Some(true)),
        (
            json!({ "ca_file": "ca.pem", "server_name": "db.test" }),
            None,
            Some(true),
        ),
        (
            json!({ "ca_file": "ca.pem", "server_name": "other.test" }),
            Some(Reason::TlsCertificate),
            Some(false),
        ),
        (
            json!({ "ca_file": "stranger.pem" }),
            Some(Reason::TlsCertificate),
            Some(false),
        ),
        (
            json!({ "ca_file": "stranger.pem", "insecure_skip_verify": true }),
            None,
            Some(false),
        ),
    ] {
        let probe = probe(&json!({ "tls": tls }), &address, folder.path()).expect("prepared");
        let outcome = run(&*probe, GUARD).await;
        assert_eq!(outcome.reason(), reason, "{tls}: {:?}", outcome.result);
        let facts = outcome.facts().tls.as_ref().expect("seen");
        assert_eq!(facts.verified, verified, "{tls}");
        assert!(facts.leaf_not_after.is_some(), "{tls}");
        let skips = tls["insecure_skip_verify"] == json!(true);
        assert_eq!(probe.shape().facts.tls_unverified, skips, "{tls}");
        if reason.is_none() {
            assert_eq!(
                phases(&outcome),
                [Phase::Connect, Phase::Tls, Phase::QueryRead]
            );
            assert_eq!(replication(outcome.facts()).role, Role::Primary);
        }
    }
    // The other way round, a server with TLS is no server without.
    let plain = probe(&json!({}), &address, folder.path()).expect("prepared");
    let reason = run(&*plain, GUARD).await.reason().expect("a failure");
    let expected = [Reason::Eof, Reason::Reset, Reason::Protocol];
    assert!(expected.contains(&reason), "{reason:?}");
}

#[tokio::test]
async fn a_server_may_want_a_certificate_of_the_client() {
    let (server, folder) = tls_stage("yes");
    let address = server.address().to_string();
    for (certificate, reason) in [
        (Some("client"), None),
        (Some("forged"), Some(Reason::TlsHandshake)),
        (None, Some(Reason::TlsHandshake)),
    ] {
        let mut tls = json!({ "ca_file": "ca.pem" });
        if let Some(name) = certificate {
            tls["cert_file"] = json!(format!("{name}.pem"));
            tls["key_file"] = json!(format!("{name}.key"));
        }
        let probe = probe(&json!({ "tls": tls }), &address, folder.path()).expect("prepared");
        let outcome = run(&*probe, GUARD).await;
        assert_eq!(outcome.reason(), reason, "{tls}: {:?}", outcome.result);
    }
}

#[tokio::test]
async fn a_server_without_room_or_that_may_not_serve_does_not_accept() {
    let server = started("maxclients 1");
    let _only = TcpStream::connect(server.address()).expect("connected");
    let outcome = probed(&json!({}), &server).await;
    assert_eq!(
        outcome.reason(),
        Some(Reason::NotAccepting),
        "{:?}",
        outcome.result
    );
    let failure = outcome.result.as_ref().expect_err("no room");
    assert!(
        failure.detail.contains("max number of clients"),
        "{failure}"
    );

    // A replica without its primary, told not to serve what it has.
    let cut_off = started("");
    cut_off.command(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    cut_off.replicate_from(NOWHERE);
    let outcome = probed(&json!({}), &cut_off).await;
    assert_eq!(
        outcome.reason(),
        Some(Reason::NotAccepting),
        "{:?}",
        outcome.result
    );
    let told = replication(outcome.facts());
    assert_eq!((told.role, told.keys), (Role::Standby, None));
    assert!(told.link.expect("a link").initial_sync);
}

#[tokio::test]
async fn a_pair_tells_of_its_link_from_the_first_copy_to_the_promotion() {
    let (mut primary, replica) = (started(""), started(""));
    replica.replicate_from(NOWHERE);
    let ask_primary = prepared(&json!({}), &primary);
    let ask_replica = prepared(&json!({}), &replica);

    let told = until(&*ask_replica, |_| true).await;
    let link = told.link.expect("a link");
    assert_eq!(
        (link.up, link.silence, link.initial_sync),
        (Some(false), None, true)
    );
    assert_eq!((told.role, told.writable), (Role::Standby, Some(false)));

    primary.command(&["SET", "a", "1"]);
    replica.replicate_from(primary.address());
    let up = |told: &ReplicationFacts| told.link.is_some_and(|link| link.up == Some(true));
    until(&*ask_replica, up).await;
    primary.command(&["SET", "b", "2"]);
    let ahead = until(&*ask_primary, |_| true).await;
    let position = ahead.position.clone().expect("an offset");
    let level = |told: &ReplicationFacts| {
        told.position.as_ref().and_then(|at| at.covers(&position)) == Some(true)
    };
    let told = until(&*ask_replica, level).await;
    let link = told.link.expect("a link");
    assert!(!link.initial_sync && link.silence.is_some(), "{link:?}");
    assert_eq!((told.keys, told.received), (Some(2), told.position.clone()));
    assert_eq!(told.identity, ahead.identity);

    // The server still calls the link up when nothing comes over it any more.
    primary.freeze();
    let silent = |told: &ReplicationFacts| {
        let silence = told.link.and_then(|link| link.silence);
        silence >= Some(Duration::from_secs(2))
    };
    assert!(up(&until(&*ask_replica, silent).await));
    primary.kill();
    let down = |told: &ReplicationFacts| told.link.is_some_and(|link| link.up == Some(false));
    let told = until(&*ask_replica, down).await;
    let link = told.link.expect("a link");
    assert!(!link.initial_sync && link.silence.is_none(), "{link:?}");
    let (Some(before), at) = (told.identity.clone(), told.position.clone()) else {
        panic!("{told:?}");
    };

    replica.command(&["REPLICAOF", "NO", "ONE"]);
    let promoted = until(&*ask_replica, |told| told.role == Role::Primary).await;
    assert_eq!((promoted.writable, promoted.link), (Some(true), None));
    assert_ne!(promoted.incarnation(), told.incarnation());
    let (Identity::History { id: old, .. }, Some(Position::Offset(at))) = (before, at) else {
        panic!("{promoted:?}");
    };
    let Some(Identity::History {
        id,
        previous: Some((left, until)),
    }) = promoted.identity
    else {
        panic!("{promoted:?}");
    };
    assert!(id != left && left == old, "{id} after {left}, not {old}");
    assert_eq!(until, at + 1);
}

#[tokio::test]
async fn a_replica_that_takes_writes_says_so() {
    let replica = started("replica-read-only no");
    replica.replicate_from(NOWHERE);
    let outcome = probed(&json!({}), &replica).await;
    let told = replication(outcome.facts());
    assert_eq!((told.role, told.writable), (Role::Standby, Some(true)));
}

#[tokio::test]
async fn a_connection_is_used_again_while_it_works() {
    let server = started("");
    let probe = prepared(&json!({ "connection": "reuse" }), &server);
    let connections = || -> u64 {
        let count = server.info("total_connections_received");
        count.parse().expect("a number")
    };
    let fresh = [Phase::Connect, Phase::QueryRead];
    assert_eq!(phases(&run(&*probe, GUARD).await), fresh);
    let after_first = connections();
    for _ in 0..3 {
        let outcome = run(&*probe, GUARD).await;
        assert_eq!(phases(&outcome), [Phase::QueryRead], "{:?}", outcome.result);
        assert_eq!(replication(outcome.facts()).role, Role::Primary);
        let reply = outcome.result.expect("reply");
        assert_eq!(reply.latencies[..], [outcome.watch.laps().total()]);
    }
    // The only other one is that of the test which asks.
    assert_eq!(connections(), after_first + 1);

    // Ended by the server between two runs: the next one opens another and does not fail.
    server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    let outcome = run(&*probe, GUARD).await;
    assert_eq!(outcome.reason(), None, "{:?}", outcome.result);
    assert_eq!(phases(&outcome), fresh);
    assert_eq!(phases(&run(&*probe, GUARD).await), [Phase::QueryRead]);
}

#[tokio::test]
async fn a_connection_that_is_too_old_or_that_a_run_failed_on_is_not_used_again() {
    let server = started("");
    let fresh = [Phase::Connect, Phase::QueryRead];
    let short = json!({ "connection": "reuse", "max_connection_age": "1us" });
    let failing = json!({ "connection": "reuse", "query": ["ECHO", "a"], "expect": "b" });
    for settings in [short, failing] {
        let probe = prepared(&settings, &server);
        for _ in 0..2 {
            assert_eq!(phases(&run(&*probe, GUARD).await), fresh, "{settings}");
        }
    }
    // Nothing is left open.
    let begun = Instant::now();
    while server.info("connected_clients") != "1" {
        assert!(begun.elapsed() < PATIENCE);
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_session_of_tls_is_used_again_and_still_known() {
    let (server, folder) = tls_stage("no");
    let settings = json!({ "connection": "reuse", "tls": { "ca_file": "ca.pem" } });
    let address = server.address().to_string();
    let probe = probe(&settings, &address, folder.path()).expect("prepared");
    let first = run(&*probe, GUARD).await;
    let second = run(&*probe, GUARD).await;
    assert_eq!(phases(&second), [Phase::QueryRead], "{:?}", second.result);
    assert!(first.facts().tls.is_some());
    assert_eq!(first.facts().tls, second.facts().tls);
}

#[test]
fn the_shape_follows_the_settings() {
    let phases = |settings: Value| -> BTreeSet<Phase> {
        let address = SocketAddr::from(([127, 0, 0, 1], 1)).to_string();
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("pw"), "right").expect("write");
        let probe = probe(&settings, &address, folder.path()).expect("prepared");
        let shape = probe.shape();
        assert!(shape.facts.database && shape.facts.replication);
        assert_eq!(
            shape.phases.contains(Phase::QueryWrite),
            probe.pen().is_some()
        );
        shape.phases.iter().collect()
    };
    let least = BTreeSet::from([Phase::Connect, Phase::QueryRead]);
    assert_eq!(phases(json!({})), least);
    let with = |phase| {
        least
            .iter()
            .copied()
            .chain([phase])
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(phases(json!({ "canary": true })), with(Phase::QueryWrite));
    assert_eq!(phases(json!({ "database": 1 })), with(Phase::Auth));
    let login = json!({ "password_file": "pw", "allow_cleartext": true });
    assert_eq!(phases(login), with(Phase::Auth));
    assert_eq!(
        phases(json!({ "tls": { "insecure_skip_verify": true } })),
        with(Phase::Tls)
    );
}
