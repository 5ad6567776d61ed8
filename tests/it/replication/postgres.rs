//! A `PostgreSQL` primary and its streaming standby.

use std::net::SocketAddr;

use super::{NORTH, SOUTH, config, healthy, lag, pair, setup, suppressed};
use crate::daemon::Daemon;
use crate::link::Link;
use crate::postgres_server::PostgresServer;

const CHECK: &str = "{ postgres: { user: hotspare_probe, database: postgres, tls: disable, \
                     canary: true } }";

/// A pair, with a network between its servers and between them and the daemon.
pub(super) struct Stage {
    pub(super) primary: PostgresServer,
    pub(super) standby: PostgresServer,
    /// What the standby receives through.
    pub(super) stream: Link,
    /// What the daemon reaches the primary through.
    pub(super) to_primary: Link,
    to_standby: Link,
    pub(super) daemon: Daemon,
}

impl Stage {
    pub(super) fn set() -> Self {
        let mut primary = PostgresServer::init();
        primary.allow("host all hotspare_probe 127.0.0.1/32 trust");
        primary.start();
        primary.sql(&setup("postgres"));
        primary.sql("CREATE TABLE orders (id serial, text text)");
        let stream = Link::to(address(&primary));
        let via = stream.address().to_string();
        let mut standby = PostgresServer::standby_of(&primary, &via, "south", Some("south"));
        standby.start();
        standby.catch_up_with(&primary);
        let (to_primary, to_standby) = (Link::to(address(&primary)), Link::to(address(&standby)));
        let targets = [&to_primary, &to_standby].map(|link| link.address().to_string());
        let daemon = Daemon::start(&config(CHECK, &targets[0], &targets[1]));
        let stage = Self {
            primary,
            standby,
            stream,
            to_primary,
            to_standby,
            daemon,
        };
        stage.daemon.wait_until("a healthy pair", healthy);
        stage
    }

    /// Some 100 KB of log.
    pub(super) fn write(&self) {
        self.primary
            .sql("INSERT INTO orders (text) SELECT repeat('x', 100) FROM generate_series(1, 500)");
    }
}

fn address(server: &PostgresServer) -> SocketAddr {
    server.address().parse().expect("an address")
}

/// The canary in a server.
fn canary(server: &PostgresServer) -> String {
    server.sql("SELECT epoch, seq FROM hotspare.canary")
}

#[test]
fn an_idle_pair_lacks_nothing() {
    let stage = Stage::set();
    let series = stage.daemon.series();
    assert!(pair(&series, "hotspare_replication_loss_bytes") < 10_000.0);
    assert_eq!(
        series.one("hotspare_db_role", &[NORTH, "role=\"primary\""]),
        1.0
    );
    assert_eq!(
        series.one("hotspare_db_role", &[SOUTH, "role=\"standby\""]),
        1.0
    );
    assert_eq!(series.one("hotspare_db_writable", &[NORTH]), 1.0);
    assert_eq!(series.one("hotspare_db_writable", &[SOUTH]), 0.0);
    assert_eq!(series.one("hotspare_db_timeline", &[SOUTH]), 1.0);
    assert_eq!(pair(&series, "hotspare_replication_slot_lost"), 0.0);
    assert!(pair(&series, "hotspare_replication_slot_retained_bytes") >= 0.0);
    assert!(series.one("hotspare_replication_receiver_silence_seconds", &[SOUTH]) <= 30.0);
    assert!(pair(&series, "hotspare_rpo_estimate_seconds") <= 6.0);
    assert!(pair(&series, "hotspare_canary_visibility_seconds_count") >= 1.0);
    assert_eq!(series.sum("hotspare_canary_suppressed_total", &[]), 0.0);
    assert_eq!(series.sum("hotspare_canary_write_failures_total", &[]), 0.0);
}

#[test]
fn paused_replay_is_told_from_loss() {
    let stage = Stage::set();
    stage.standby.sql("SELECT pg_wal_replay_pause()");
    stage.write();
    let series = stage.daemon.wait_until("paused replay", |series| {
        series.one("hotspare_replication_replay_paused", &[SOUTH]) == 1.0
            && pair(series, "hotspare_replication_apply_bytes") > 50_000.0
            && lag(series, "canary") > 2.0
    });
    assert!(pair(&series, "hotspare_replication_loss_bytes") < 10_000.0);
    assert!(lag(&series, "ring") > 0.0);
    stage.standby.sql("SELECT pg_wal_replay_resume()");
    stage.daemon.wait_until("a healthy pair", healthy);
}

#[test]
fn a_black_hole_shows_at_once_while_the_server_says_that_all_is_well() {
    let stage = Stage::set();
    stage.stream.black_hole();
    stage.write();
    let series = stage.daemon.wait_until("loss and lag", |series| {
        pair(series, "hotspare_replication_loss_bytes") > 50_000.0
            && lag(series, "ring") > 2.0
            && lag(series, "canary") > 2.0
            && pair(series, "hotspare_rpo_estimate_seconds") > 2.0
    });
    assert_eq!(series.one("hotspare_replication_link_up", &[SOUTH]), 1.0);
    assert_eq!(pair(&series, "hotspare_replication_apply_bytes"), 0.0);
    stage.daemon.wait_until("silence", |series| {
        series.one("hotspare_replication_receiver_silence_seconds", &[SOUTH]) > 4.0
    });
    stage.stream.pass();
    stage.daemon.wait_until("a healthy pair", healthy);
}

#[test]
fn a_link_that_is_reset_is_down() {
    let stage = Stage::set();
    stage.stream.cut();
    let series = stage.daemon.wait_until("a link that is down", |series| {
        series.one("hotspare_replication_link_up", &[SOUTH]) == 0.0 && lag(series, "canary") > 2.0
    });
    assert_eq!(series.one("hotspare_writable_primaries", &[]), 1.0);
    stage.stream.pass();
    stage.daemon.wait_until("a healthy pair", healthy);
}

#[test]
fn a_rogue_standby_never_gets_a_canary() {
    let stage = Stage::set();
    stage.standby.promote();
    let found = canary(&stage.standby);
    stage.daemon.wait_until("two that are writable", |series| {
        series.one("hotspare_writable_primaries", &[]) == 2.0
            && suppressed(series, "two_writable") >= 5.0
    });
    // What the standby had of the canary when it was promoted is what it has.
    assert_eq!(canary(&stage.standby), found);
    let first = canary(&stage.primary);
    let series = stage.daemon.wait_until("more looks", |series| {
        suppressed(series, "two_writable") >= 9.0
    });
    assert_eq!(canary(&stage.primary), first, "neither is written to");
    assert_eq!(pair(&series, "hotspare_db_identity_mismatch"), 0.0);
    assert_eq!(series.one("hotspare_db_timeline", &[NORTH]), 1.0);
    assert_eq!(series.one("hotspare_db_timeline", &[SOUTH]), 2.0);
    assert_eq!(series.one("hotspare_db_role_changes_total", &[SOUTH]), 1.0);
}

#[test]
fn a_standby_that_is_gone_tells_nothing() {
    let mut stage = Stage::set();
    stage.standby.stop();
    let series = stage.daemon.wait_until("a standby that is gone", |series| {
        series.one("hotspare_probe_up", &[SOUTH]) == 0.0
    });
    for family in [
        "hotspare_replication_loss_bytes",
        "hotspare_replication_apply_bytes",
        "hotspare_canary_seen_seq",
        "hotspare_db_identity_mismatch",
    ] {
        assert!(pair(&series, family).is_nan(), "{family}");
    }
    assert!(lag(&series, "ring").is_nan() && lag(&series, "canary").is_nan());
    assert!(
        series
            .one("hotspare_replication_link_up", &[SOUTH])
            .is_nan()
    );
    assert_eq!(
        series.one("hotspare_db_role", &[SOUTH, "role=\"unknown\""]),
        1.0
    );
}

#[test]
fn a_writer_that_fails_is_no_lag() {
    let stage = Stage::set();
    stage
        .primary
        .sql("REVOKE INSERT, UPDATE ON hotspare.canary FROM hotspare_probe");
    let series = stage
        .daemon
        .wait_until("a writer without its grant", |series| {
            let permission = &["reason=\"permission\""];
            series.one("hotspare_canary_write_failures_total", permission) >= 3.0
                && lag(series, "canary").is_nan()
        });
    assert_eq!(lag(&series, "ring"), 0.0);
    assert_eq!(series.one("hotspare_probe_up", &[NORTH]), 1.0);
}

#[test]
fn a_missing_grant_is_unknown_and_not_a_broken_link() {
    let stage = Stage::set();
    stage
        .primary
        .sql("REVOKE pg_read_all_stats FROM hotspare_probe");
    let series = stage.daemon.wait_until("a missing grant", |series| {
        let withheld = &[SOUTH, "reason=\"permission\""];
        series.one("hotspare_db_facts_withheld", withheld) == 1.0
    });
    assert!(
        series
            .one("hotspare_replication_link_up", &[SOUTH])
            .is_nan()
    );
    assert_eq!(
        series.one("hotspare_db_role", &[SOUTH, "role=\"standby\""]),
        1.0
    );
    assert_eq!(lag(&series, "ring"), 0.0);
}

#[test]
fn another_cluster_behind_the_name_is_told_and_never_written_to() {
    let stage = Stage::set();
    let mut other = PostgresServer::init();
    other.allow("host all hotspare_probe 127.0.0.1/32 trust");
    other.start();
    other.sql(&setup("postgres"));
    stage.to_primary.retarget(address(&other));
    stage.daemon.wait_until("another cluster", |series| {
        suppressed(series, "identity") >= 3.0
    });
    assert_eq!(canary(&other), "", "not even once");
    stage.to_primary.retarget(address(&stage.primary));
    stage.to_standby.retarget(address(&other));
    stage.daemon.wait_until("two that are writable", |series| {
        series.one("hotspare_writable_primaries", &[]) == 2.0
    });
    assert_eq!(canary(&other), "");
}
