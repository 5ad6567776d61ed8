//! The probe `postgres` with a session that its runs share.

use std::sync::Arc;
use std::time::Duration;

use hotspare::model::{Phase, Reason, Role};
use hotspare::probe::Probe;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::link::Link;
use crate::postgres::{Outcome, probe, run};
use crate::postgres_replication::{GUARD, lone, with};
use crate::postgres_server::{Authority, PostgresServer};

/// A probe whose runs share a session.
struct Regular {
    probe: Arc<dyn Probe>,
    _folder: TempDir,
}

impl Regular {
    fn of(address: &str, changes: &Value) -> Self {
        let mut settings = json!({ "connection": "reuse" });
        let all = settings.as_object_mut().expect("object");
        all.extend(changes.as_object().expect("object").clone());
        let folder = tempfile::tempdir().expect("folder");
        let probe = probe(&with(&settings), address, folder.path(), GUARD).expect("prepared");
        Self {
            probe,
            _folder: folder,
        }
    }

    async fn run(&self) -> Outcome {
        run(&*self.probe, GUARD).await
    }

    /// Whether a good run logged in.
    async fn logs_in(&self) -> bool {
        logged_in(&self.run().await)
    }
}

/// Whether a good run logged in, which shows in its phases; it brought facts in any case.
fn logged_in(outcome: &Outcome) -> bool {
    let reply = outcome.result.as_ref().expect("reply");
    assert_eq!(outcome.replication().role, Role::Primary);
    let laps = outcome.watch.laps();
    assert_eq!(reply.latencies.as_slice(), [laps.total()]);
    assert!(laps.get(Phase::QueryRead).is_some());
    let connected = laps.get(Phase::Connect).is_some();
    assert_eq!(laps.get(Phase::Auth).is_some(), connected);
    connected
}

fn logins(server: &PostgresServer) -> usize {
    server
        .log()
        .matches("connection authorized: user=hotspare_probe")
        .count()
}

#[tokio::test]
async fn many_runs_take_one_login_and_fresh_ones_one_each() {
    let server = lone();
    let regular = Regular::of(&server.address(), &json!({}));
    assert!(regular.logs_in().await);
    for _ in 0..20 {
        assert!(!regular.logs_in().await);
    }
    assert_eq!(logins(&server), 1);
    let visitor = Regular::of(&server.address(), &json!({ "connection": "fresh" }));
    for _ in 0..3 {
        assert!(visitor.logs_in().await);
    }
    assert_eq!(logins(&server), 4);
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'hotspare_probe'";
    server.wait_for(sessions, "1");
}

#[tokio::test]
async fn a_session_is_not_used_beyond_its_age() {
    let server = lone();
    let age = Duration::from_millis(50);
    let regular = Regular::of(&server.address(), &json!({ "max_connection_age": "50ms" }));
    for _ in 0..3 {
        assert!(regular.logs_in().await);
        tokio::time::sleep(age).await;
    }
    // The one of the last run lies there still; the others are gone.
    let sessions = "SELECT count(*) < 2 FROM pg_stat_activity WHERE usename = 'hotspare_probe'";
    server.wait_for(sessions, "t");
}

#[tokio::test]
async fn a_session_that_is_gone_is_replaced_within_the_run() {
    let mut server = lone();
    let link = Link::to(server.address().parse().expect("address"));
    let regular = Regular::of(&link.address().to_string(), &json!({}));
    assert!(regular.logs_in().await);
    server.stop();
    server.start();
    assert!(regular.logs_in().await);
    server.kill();
    server.start();
    assert!(regular.logs_in().await);
    // It is gone only some time after it was told to go: that is waited for.
    let end = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity \
               WHERE usename = 'hotspare_probe'";
    assert_eq!(server.sql(end), "t");
    assert!(regular.logs_in().await);
    link.cut();
    link.pass();
    assert!(regular.logs_in().await);
    assert!(!regular.logs_in().await);
    // No session and no server is no loss to make good.
    server.stop();
    let outcome = regular.run().await;
    assert_eq!(
        outcome.reason(),
        Some(Reason::Reset),
        "{:?}",
        outcome.result
    );
}

#[tokio::test]
async fn a_session_that_ends_under_the_query_is_replaced_within_the_run() {
    let server = lone();
    server.sql("CREATE SEQUENCE runs; GRANT USAGE ON SEQUENCE runs TO hotspare_probe");
    // Every other query ends its own session after a while.
    let end = "SELECT CASE nextval('runs') % 2 WHEN 0 \
               THEN (SELECT pg_terminate_backend(pg_backend_pid()) FROM pg_sleep(0.5)) \
               ELSE true END";
    let changes = json!({ "query": end, "expect": "t", "read_only": false });
    let regular = Regular::of(&server.address(), &changes);
    assert!(regular.logs_in().await);
    for _ in 0..3 {
        let started = Instant::now();
        let outcome = regular.run().await;
        let elapsed = started.elapsed();
        assert!(logged_in(&outcome));
        // The latency is that of the session that answered.
        let latency = outcome.watch.laps().total();
        let lost = elapsed.saturating_sub(latency);
        assert!(lost >= Duration::from_millis(500), "{latency:?}");
    }
    assert_eq!(server.sql("SELECT last_value FROM runs"), "7");
}

#[tokio::test]
async fn a_session_that_is_given_up_half_read_is_never_used_again() {
    let server = lone();
    let link = Link::to(server.address().parse().expect("address"));
    let changes =
        json!({ "query": "SELECT current_setting('port')", "expect": server.port().to_string() });
    let regular = Regular::of(&link.address().to_string(), &changes);
    assert!(regular.logs_in().await);
    let deadline = Duration::from_millis(500);
    link.black_hole();
    let outcome = run(&*regular.probe, deadline).await;
    assert_eq!(outcome.reason(), Some(Reason::TimeoutQuery));
    assert_eq!(
        outcome.watch.laps().iter().count(),
        0,
        "no time of a session that failed"
    );
    link.pass();
    assert!(regular.logs_in().await);
    assert!(!regular.logs_in().await);

    server.freeze();
    let outcome = run(&*regular.probe, deadline).await;
    assert_eq!(outcome.reason(), Some(Reason::TimeoutQuery));
    // A new one is frozen, too.
    assert!(run(&*regular.probe, deadline).await.result.is_err());
    server.thaw();
    assert!(regular.logs_in().await);
    assert!(!regular.logs_in().await);
}

#[tokio::test]
async fn each_run_has_the_whole_cap_of_bytes() {
    let authority = Authority::new("authority");
    let mut server = lone();
    server.stop();
    server.use_tls(&authority, &authority.identity(&["127.0.0.1"]));
    server.start();
    let much = "SELECT repeat('x', 400000)";
    for tls in ["disable", "require"] {
        let before = logins(&server);
        let regular = Regular::of(&server.address(), &json!({ "query": much, "tls": tls }));
        for _ in 0..6 {
            regular.logs_in().await;
        }
        assert_eq!(logins(&server), before + 1, "{tls}");
    }
    let too_much = "SELECT repeat('x', 1000000) UNION ALL SELECT repeat('y', 100000)";
    let regular = Regular::of(&server.address(), &json!({ "query": too_much }));
    for _ in 0..2 {
        assert_eq!(regular.run().await.reason(), Some(Reason::TooLarge));
    }
}

#[tokio::test]
async fn a_wrong_answer_leaves_the_session_and_an_error_does_not() {
    let server = lone();
    let wrong = Regular::of(
        &server.address(),
        &json!({ "query": "SELECT 1", "expect": "2" }),
    );
    for _ in 0..3 {
        let outcome = wrong.run().await;
        assert_eq!(outcome.reason(), Some(Reason::Answer));
        assert_eq!(outcome.replication().role, Role::Primary);
    }
    assert_eq!(logins(&server), 1);
    // It fails within a transaction of its own, which the next run must not find.
    let transaction = "BEGIN; SELECT count(*) FROM later; COMMIT";
    let changes = json!({ "query": transaction, "read_only": false });
    let failing = Regular::of(&server.address(), &changes);
    assert_eq!(failing.run().await.reason(), Some(Reason::Query));
    server.sql("CREATE TABLE later (); GRANT SELECT ON later TO hotspare_probe");
    assert!(failing.logs_in().await);
    assert!(!failing.logs_in().await);
}
