//! What the probe `postgres` tells of a primary and a standby of it, and what it may see.

use std::time::Duration;

use hotspare::model::{
    Identity, Link as LinkFacts, Position, Reason, ReplicationFacts, Role, StandbyLimits, Withheld,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::link::Link;
use crate::postgres::{Outcome, probe, run};
use crate::postgres_server::PostgresServer;
use crate::replication::setup;

/// No run here should come near it.
pub(crate) const GUARD: Duration = Duration::from_mins(1);

/// A primary, and a standby that streams from it over a link.
pub(crate) struct Pair {
    pub(crate) primary: PostgresServer,
    pub(crate) link: Link,
    pub(crate) standby: PostgresServer,
    folder: TempDir,
}

impl Pair {
    /// Both, with the role that the probe logs in as.
    pub(crate) fn set() -> Self {
        let primary = lone();
        let link = Link::to(primary.address().parse().expect("address"));
        let via = link.address().to_string();
        let mut standby = PostgresServer::standby_of(&primary, &via, "standby", Some("north"));
        standby.start();
        insert(&primary);
        standby.catch_up_with(&primary);
        Self {
            primary,
            link,
            standby,
            folder: tempfile::tempdir().expect("folder"),
        }
    }

    async fn look(&self, server: &PostgresServer, settings: &Value) -> Outcome {
        let address = server.address();
        let probe = probe(settings, &address, self.folder.path(), GUARD).expect("prepared");
        run(&*probe, GUARD).await
    }

    async fn primary(&self) -> Outcome {
        self.look(&self.primary, &settings()).await
    }

    async fn standby(&self) -> Outcome {
        self.look(&self.standby, &settings()).await
    }

    /// Looks at the standby until it is as it should be.
    async fn standby_until(&self, mut is_right: impl FnMut(&Outcome) -> bool) -> Outcome {
        let attempts = async {
            loop {
                let outcome = self.standby().await;
                if is_right(&outcome) {
                    return outcome;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let found = tokio::time::timeout(GUARD, attempts).await;
        found.expect("the standby never is as it should be")
    }
}

/// A server with the role that the probe logs in as.
pub(crate) fn lone() -> PostgresServer {
    let mut server = PostgresServer::init();
    // A link that is silent must not be found out, however long the test takes.
    server.configure("wal_sender_timeout = 1h\nwal_receiver_timeout = 1h");
    server.configure("max_prepared_transactions = 1");
    server.allow("host all all 127.0.0.1/32 trust");
    server.start();
    let [role, ..] = set_up();
    server.sql(&role);
    server.sql("CREATE TABLE t (n int); INSERT INTO t VALUES (0)");
    server
}

/// What an operator sets up: the role, the canary's table and the grants on it.
pub(crate) fn set_up() -> [String; 3] {
    let all = setup("postgres");
    let (role, rest) = all.split_once("CREATE SCHEMA").expect("a table");
    let (table, grants) = rest.split_once("GRANT").expect("grants");
    let [table, grants] =
        [("CREATE SCHEMA", table), ("GRANT", grants)].map(|(a, b)| a.to_owned() + b);
    [role.to_owned(), table, grants]
}

/// The settings to look at such a server.
pub(crate) fn settings() -> Value {
    json!({ "user": "hotspare_probe", "database": "postgres", "tls": "disable" })
}

/// The settings with others.
pub(crate) fn with(changes: &Value) -> Value {
    let mut settings = settings();
    let all = settings.as_object_mut().expect("object");
    all.extend(changes.as_object().expect("object").clone());
    settings
}

fn insert(server: &PostgresServer) {
    server.sql("INSERT INTO t VALUES (1)");
}

/// A position as a statement gives it, `0/3000060`.
fn lsn(server: &PostgresServer, expression: &str) -> Position {
    let bytes = server.sql(&format!("SELECT pg_wal_lsn_diff({expression}, '0/0')"));
    Position::Lsn(bytes.parse().expect("bytes"))
}

fn system(server: &PostgresServer) -> Identity {
    let number = server.sql("SELECT system_identifier FROM pg_control_system()");
    Identity::System(number.parse().expect("number"))
}

fn link(outcome: &Outcome) -> LinkFacts {
    outcome.replication().link.expect("a standby's link")
}

#[tokio::test]
async fn both_sides_tell_who_they_are_and_where() {
    let pair = Pair::set();
    let before = lsn(&pair.primary, "pg_current_wal_lsn()");
    let restart = "(SELECT restart_lsn FROM pg_replication_slots)";
    let kept_from = lsn(&pair.primary, restart);
    let outcome = pair.primary().await;
    let after = lsn(&pair.primary, "pg_current_wal_lsn()");
    let told = outcome.replication();
    assert_eq!((told.role, told.writable), (Role::Primary, Some(true)));
    assert_eq!(told.identity, Some(system(&pair.primary)));
    assert_eq!((told.timeline, told.link), (Some(1), None));
    assert_eq!((&told.received, told.replay_paused), (&None, None));
    assert_eq!((told.native_lag, &told.slot), (None, &None));
    let position = told.position.as_ref().expect("position");
    assert_eq!(position.covers(&before), Some(true));
    assert_eq!(after.covers(position), Some(true));
    let [slot] = &told.slots[..] else {
        panic!("{:?}", told.slots)
    };
    assert_eq!(
        (&*slot.name, slot.active, slot.lost),
        ("north", true, false)
    );
    assert!(slot.retained_bytes.expect("known") <= after.bytes_beyond(&kept_from).expect("bytes"));
    assert!(told.asked < told.answered);

    let version = pair.primary.sql("SHOW server_version");
    let standby = pair.standby().await;
    for outcome in [&outcome, &standby] {
        assert_eq!(outcome.reason(), None);
        assert_eq!(outcome.database().withheld, None);
        assert_eq!(outcome.database().canary, None);
        assert_eq!(*outcome.database().version, *version);
    }
    let told = standby.replication();
    assert_eq!((told.role, told.writable), (Role::Standby, Some(false)));
    assert_eq!(told.identity, Some(system(&pair.primary)));
    assert_eq!(told.timeline, Some(1));
    assert_eq!(
        told.received.as_ref().expect("received").covers(&before),
        Some(true)
    );
    assert_eq!(
        told.position.as_ref().expect("position").covers(&before),
        Some(true)
    );
    assert_eq!(told.replay_paused, Some(false));
    assert_eq!(
        (link(&standby).up, link(&standby).initial_sync),
        (Some(true), false)
    );
    assert!(link(&standby).silence.is_some() && told.native_lag.is_some());
    assert_eq!(told.slot.as_deref(), Some("north"));
    assert_eq!(told.slots, []);
}

/// The values that the server itself shows.
fn shown(server: &PostgresServer) -> StandbyLimits {
    let show = |name| server.sql(&format!("SHOW {name}"));
    StandbyLimits(StandbyLimits::NAMES.map(|name| show(name).parse().expect("number")))
}

#[tokio::test]
async fn a_standby_that_has_less_than_its_primary_needs_is_told() {
    let mut pair = Pair::set();
    let one = pair.primary().await.replication().limits.expect("limits");
    let two = pair.standby().await.replication().limits.expect("limits");
    assert_eq!((one, two), (shown(&pair.primary), shown(&pair.standby)));
    assert_eq!(two.lower_than(&one), [""; 0]);

    pair.primary.stop();
    pair.primary
        .configure("max_connections = 101\nmax_locks_per_transaction = 65");
    pair.primary.start();
    let one = pair.primary().await.replication().limits.expect("limits");
    assert_eq!(one, shown(&pair.primary));
    let lower = ["max_connections", "max_locks_per_transaction"];
    assert_eq!(two.lower_than(&one), lower);
    // It runs, and has stopped replaying.
    let stopped = pair.standby_until(|outcome| outcome.replication().replay_paused == Some(true));
    assert_eq!(stopped.await.replication().limits, Some(two));
}

#[tokio::test]
async fn once_nothing_is_written_any_more_all_positions_are_the_same() {
    let pair = Pair::set();
    let mut end = pair.primary().await.replication().position.clone();
    pair.standby_until(|outcome| {
        let told = outcome.replication();
        told.received == end && told.position == end || {
            end = Some(lsn(&pair.primary, "pg_current_wal_lsn()"));
            false
        }
    })
    .await;
}

#[tokio::test]
async fn paused_replay_lets_changes_in_but_shows_none() {
    let pair = Pair::set();
    let before = pair.standby().await;
    pair.standby.sql("SELECT pg_wal_replay_pause()");
    // It pauses before the next change, not at once.
    pair.standby
        .wait_for("SELECT pg_get_wal_replay_pause_state()", "paused");
    let shown = pair.standby().await.replication().position.clone();
    insert(&pair.primary);
    let end = lsn(&pair.primary, "pg_current_wal_lsn()");
    let came = |told: &Option<Position>| told.as_ref().and_then(|at| at.covers(&end)) == Some(true);
    let paused = pair
        .standby_until(|outcome| came(&outcome.replication().received))
        .await;
    let told = paused.replication();
    assert_eq!(before.replication().replay_paused, Some(false));
    assert_eq!(
        (told.replay_paused, link(&paused).up),
        (Some(true), Some(true))
    );
    assert_eq!(told.position, shown);
    assert!(!came(&told.position));
    pair.standby.sql("SELECT pg_wal_replay_resume()");
    let resumed = pair
        .standby_until(|outcome| came(&outcome.replication().position))
        .await;
    assert_eq!(resumed.replication().replay_paused, Some(false));
}

#[tokio::test]
async fn a_black_hole_is_seen_by_its_silence_and_a_cut_by_the_link() {
    let mut pair = Pair::set();
    pair.link.black_hole();
    // What it had received before may still have to be looked at.
    let first = pair.standby().await;
    let silent = pair.standby_until(|outcome| {
        insert(&pair.primary);
        link(outcome).silence > link(&first).silence.map(|s| s + Duration::from_secs(1))
    });
    let silent = silent.await;
    assert_eq!(link(&silent).up, Some(true), "it does not know");
    assert_eq!(silent.replication().received, first.replication().received);

    pair.link.cut();
    let cut = pair
        .standby_until(|outcome| link(outcome).up == Some(false))
        .await;
    assert_eq!(link(&cut).silence, None);
    assert_eq!(cut.database().withheld, None);

    // Nothing is received in its next life: there is only what was replayed from its own disk.
    let slot = "SELECT pg_create_physical_replication_slot('next', true)";
    pair.standby.sql(slot);
    pair.standby.stop();
    pair.standby.start();
    let alone = pair.standby().await;
    let told = alone.replication();
    assert_eq!((told.role, told.timeline), (Role::Standby, Some(1)));
    assert_eq!((link(&alone).up, link(&alone).silence), (Some(false), None));
    assert!(told.received.is_some());
    assert_eq!(told.received, told.position);
    assert_eq!(told.identity, Some(system(&pair.primary)));
    assert_eq!(kept(told), [("next", true)]);

    pair.link.pass();
    pair.standby_until(|outcome| link(outcome).up == Some(true))
        .await;

    // Without a primary to ask, it does not even know from where on it would receive.
    pair.standby.configure("primary_conninfo = ''");
    pair.standby.stop();
    pair.standby.start();
    assert_eq!(pair.standby.sql("SELECT pg_last_wal_receive_lsn()"), "");
    let alone = pair.standby().await;
    assert_eq!(alone.replication().received, alone.replication().position);
    assert_eq!(kept(alone.replication()), [("next", true)]);
}

/// The slots, and whether it is known what each keeps.
fn kept(told: &ReplicationFacts) -> Vec<(&str, bool)> {
    let slots = told.slots.iter();
    slots
        .map(|slot| (&*slot.name, slot.retained_bytes.is_some()))
        .collect()
}

#[tokio::test]
async fn a_promoted_standby_is_on_a_timeline_of_its_own_at_once() {
    let pair = Pair::set();
    pair.standby
        .sql("SELECT pg_create_physical_replication_slot('next', true)");
    // Without its checkpointer, the server's control file stays as it was.
    let checkpointer = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
    let pid: i32 = pair.standby.sql(checkpointer).parse().expect("process");
    let pid = Pid::from_raw(pid).expect("process");
    kill_process(pid, Signal::STOP).expect("a process of the server");
    pair.standby.promote();
    let old = "SELECT timeline_id FROM pg_control_checkpoint()";
    assert_eq!(pair.standby.sql(old), "1");
    let promoted = pair.standby().await;
    let told = promoted.replication();
    assert_eq!((told.role, told.writable), (Role::Primary, Some(true)));
    assert_eq!((told.timeline, told.link), (Some(2), None));
    assert_eq!((&told.received, told.replay_paused), (&None, None));
    assert_eq!(told.identity, Some(system(&pair.primary)));
    assert_eq!(told.slots.len(), 1);
    assert!(told.slots[0].retained_bytes.is_some());
    let old = pair.primary().await;
    assert_eq!(old.replication().timeline, Some(1));
    assert_eq!(old.replication().writable, Some(true), "both, and it shows");
}

#[tokio::test]
async fn a_lost_slot_is_told() {
    let server = lone();
    server.configure("max_slot_wal_keep_size = 1MB\nmin_wal_size = 2MB\nmax_wal_size = 2MB");
    server.sql("SELECT pg_reload_conf()");
    server.sql("SELECT pg_create_physical_replication_slot('idle', true)");
    for _ in 0..5 {
        server
            .sql("SELECT pg_switch_wal() FROM (SELECT pg_logical_emit_message(false, '', 'x')) m");
    }
    server.sql("CHECKPOINT");
    server.wait_for("SELECT wal_status FROM pg_replication_slots", "lost");
    let folder = tempfile::tempdir().expect("folder");
    let probe = probe(&settings(), &server.address(), folder.path(), GUARD).expect("prepared");
    let outcome = run(&*probe, GUARD).await;
    let slot = &outcome.replication().slots[0];
    assert_eq!((slot.active, slot.lost), (false, true));
}

#[tokio::test]
async fn a_primary_is_writable_if_this_role_can_write_there() {
    let server = lone();
    let folder = tempfile::tempdir().expect("folder");
    let probe = probe(&settings(), &server.address(), folder.path(), GUARD).expect("prepared");
    let writable = async || run(&*probe, GUARD).await.replication().writable;
    assert_eq!(writable().await, Some(true));
    for (switch, back) in [
        (
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "ALTER SYSTEM RESET default_transaction_read_only",
        ),
        (
            "ALTER DATABASE postgres SET default_transaction_read_only = on",
            "SET transaction_read_only = off;
             ALTER DATABASE postgres RESET default_transaction_read_only",
        ),
        (
            "ALTER ROLE hotspare_probe SET default_transaction_read_only = on",
            "ALTER ROLE hotspare_probe RESET default_transaction_read_only",
        ),
    ] {
        server.sql(switch);
        server.sql("SELECT pg_reload_conf()");
        // The server may take a while to reload.
        for (statement, expected) in [("SELECT 1", false), (back, true)] {
            server.sql(statement);
            server.sql("SELECT pg_reload_conf()");
            let seen = async {
                while writable().await != Some(expected) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let seen = tokio::time::timeout(GUARD, seen).await;
            assert!(seen.is_ok(), "{switch}: writable is not {expected}");
        }
    }
}

#[tokio::test]
async fn what_a_missing_grant_hides_is_told_as_that() {
    let pair = Pair::set();
    pair.primary
        .sql("REVOKE pg_read_all_stats FROM hotspare_probe");
    pair.standby.catch_up_with(&pair.primary);
    let outcome = pair.standby().await;
    let told = outcome.replication();
    assert_eq!(outcome.reason(), None);
    assert_eq!(outcome.database().withheld, Some(Withheld::Permission));
    assert_eq!((link(&outcome).up, link(&outcome).silence), (None, None));
    assert_eq!((told.role, told.timeline), (Role::Standby, Some(1)));
    assert_eq!(told.identity, Some(system(&pair.primary)));
    assert!(told.position.is_some() && told.received.is_some() && told.native_lag.is_some());
    assert_eq!(told.slot.as_deref(), Some("north"));
    let primary = pair.primary().await;
    assert_eq!(primary.database().withheld, None, "a primary hides nothing");
    assert!(primary.replication().slots[0].retained_bytes.is_some());

    pair.primary
        .sql("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC");
    pair.standby.catch_up_with(&pair.primary);
    for outcome in [pair.primary().await, pair.standby().await] {
        assert_eq!(outcome.reason(), None);
        assert_eq!(outcome.database().withheld, Some(Withheld::Permission));
        assert_eq!(outcome.database().replication, None);
    }
    // Who does not ask is refused nothing.
    let silent = with(&json!({ "replication": false }));
    let outcome = pair.look(&pair.primary, &silent).await;
    assert_eq!(
        (outcome.database().withheld, &outcome.database().replication),
        (None, &None)
    );
}

#[tokio::test]
async fn the_role_may_look_and_nothing_else_and_its_refusals_hide_no_facts() {
    let server = lone();
    let folder = tempfile::tempdir().expect("folder");
    let outcome_of = async |query: &str| {
        let settings = with(&json!({ "query": query, "read_only": false, "expect": "1" }));
        let probe = probe(&settings, &server.address(), folder.path(), GUARD).expect("prepared");
        run(&*probe, GUARD).await
    };
    for (query, reason) in [
        ("SELECT 1", None),
        ("SELECT 2", Some(Reason::Answer)),
        ("SELEC 1", Some(Reason::Query)),
    ] {
        let outcome = outcome_of(query).await;
        assert_eq!(outcome.reason(), reason, "{query}");
        assert_eq!(outcome.replication().role, Role::Primary, "{query}");
    }
    for forbidden in [
        "SELECT n FROM t",
        "INSERT INTO t VALUES (1)",
        "DROP TABLE t",
        "CREATE TABLE mine (n int)",
        "CREATE SCHEMA mine",
        "CREATE ROLE other",
        "ALTER SYSTEM SET work_mem = '1GB'",
        "SELECT pg_read_file('PG_VERSION')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT rolpassword FROM pg_authid",
        "SELECT pg_promote()",
        "SELECT pg_wal_replay_pause()",
        "SELECT pg_create_physical_replication_slot('mine')",
        "SELECT pg_switch_wal()",
    ] {
        let outcome = outcome_of(forbidden).await;
        let failure = outcome.result.as_ref().expect_err(forbidden);
        assert_eq!(failure.reason, Reason::Query, "{forbidden}: {failure}");
        assert!(failure.detail.contains("42501"), "{forbidden}: {failure}");
        assert_eq!(outcome.replication().role, Role::Primary, "{forbidden}");
    }
}
