//! A `PostgreSQL` primary and its two streaming standbys.

use std::net::SocketAddr;

use tokio::time::Instant;

use super::campaign::Pair;
use super::{
    NORTH, SOUTH, config, has_role, healthy, lag, misses, pair, pair_of, setup, sound, suppressed,
    unseen,
};
use crate::daemon::{Daemon, Series};
use crate::link::Link;
use crate::postgres_server::PostgresServer;
use crate::process::PATIENCE;
use crate::vantages::wait_until;

fn check(canary: &str) -> String {
    format!(
        "{{ postgres: {{ user: hotspare_probe, database: postgres, tls: disable, {canary} }} }}"
    )
}

/// A primary and two standbys, with a network between the servers and between them and the daemon.
pub(super) struct Stage {
    pub(super) primary: PostgresServer,
    /// What the daemon reaches the primary through.
    pub(super) to_primary: Link,
    pub(super) south: Standby,
    pub(super) east: Standby,
    pub(super) daemon: Daemon,
    /// The daemon's configuration.
    pub(super) config: String,
}

pub(super) struct Standby {
    pub(super) server: PostgresServer,
    /// What it receives through.
    pub(super) stream: Link,
    /// What the daemon reaches it through.
    to: Link,
}

impl Stage {
    pub(super) fn set() -> Self {
        let stage = Self::unwaited(&check("canary: true"));
        stage.wait_until_healthy();
        stage
    }

    /// With a daemon that never writes, and that has not looked yet.
    pub(super) fn without_canary() -> Self {
        Self::unwaited(&check("canary: false"))
    }

    fn unwaited(check: &str) -> Self {
        let primary = primary();
        let to_primary = Link::to(address(&primary));
        let [south, east] = ["south", "east"].map(|name| Standby::of(&primary, name));
        let config = config(
            check,
            &[
                ("north", to_primary.address()),
                ("south", south.to.address()),
                ("east", east.to.address()),
            ],
        );
        let daemon = Daemon::start(&config);
        Self {
            primary,
            to_primary,
            south,
            east,
            daemon,
            config,
        }
    }

    pub(super) fn wait_until_healthy(&self) {
        self.daemon.wait_until("two healthy pairs", |series| {
            healthy(series) && sound(series, "east")
        });
    }

    /// Waits until so many canaries were not written because two servers are writable. The first of
    /// these looks may be too late for a canary that is on its way.
    pub(super) fn wait_until_suppressed(&self, times: f64) -> Series {
        self.daemon.wait_until("two that are writable", |series| {
            series.one("hotspare_writable_primaries", &[]) == 2.0
                && suppressed(series, "two_writable") >= times
        })
    }

    /// That what is looked at stays as it is while two are writable. A look at one of them that comes to
    /// nothing, on a host that is busy, leaves one who may be written to: then it is looked at again.
    pub(super) fn stays(&self, look: impl Fn() -> String) -> Series {
        let begun = Instant::now();
        loop {
            let (before, first) = (self.wait_until_suppressed(5.0), look());
            let more = suppressed(&before, "two_writable") + 4.0;
            let (after, last) = (self.wait_until_suppressed(more), look());
            if misses(&self.daemon.series()) == misses(&before) {
                assert_eq!(last, first, "{}", self.daemon.log());
                return after;
            }
            assert!(begun.elapsed() < PATIENCE, "{}", self.daemon.log());
        }
    }

    pub(super) fn write(&self) {
        write(&self.primary);
    }
}

impl Standby {
    fn of(primary: &PostgresServer, name: &str) -> Self {
        let (server, stream) = standby_of(primary, name);
        let to = Link::to(address(&server));
        Self { server, stream, to }
    }
}

impl Pair for Stage {
    const MISSING: &str = "hotspare_replication_loss_bytes";

    fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    fn stream(&self) -> &Link {
        &self.south.stream
    }

    fn write(&self) {
        self.write();
    }

    /// None while all is applied that was received, else the age of the last that was applied.
    fn claimed_lag(&self, _: &Series) -> f64 {
        let lag = "SELECT CASE WHEN pg_last_wal_replay_lsn() < pg_last_wal_receive_lsn()
                   THEN extract(epoch FROM now() - pg_last_xact_replay_timestamp()) ELSE 0 END";
        self.south.server.sql(lag).parse().expect("a number")
    }
}

pub(crate) fn address(server: &PostgresServer) -> SocketAddr {
    server.address().parse().expect("an address")
}

/// A primary that can be probed, with a table.
pub(crate) fn primary() -> PostgresServer {
    let mut primary = PostgresServer::init();
    primary.allow("host all hotspare_probe 127.0.0.1/32 trust");
    // For those who read its log later.
    primary.configure("wal_keep_size = 64MB");
    primary.start();
    primary.sql(&setup("postgres"));
    primary.sql("CREATE TABLE orders (id serial, text text)");
    primary
}

/// Copies the primary and streams from it through the link, through a slot with its name.
pub(crate) fn standby_of(primary: &PostgresServer, name: &str) -> (PostgresServer, Link) {
    let stream = Link::to(address(primary));
    let via = stream.address().to_string();
    let mut server = PostgresServer::standby_of(primary, &via, name, Some(name));
    server.start();
    server.catch_up_with(primary);
    (server, stream)
}

/// Some 100 KB of log.
pub(crate) fn write(primary: &PostgresServer) {
    primary.sql("INSERT INTO orders (text) SELECT repeat('x', 100) FROM generate_series(1, 500)");
}

/// The canary in a server.
pub(super) fn canary(server: &PostgresServer) -> String {
    server.sql("SELECT epoch, seq FROM hotspare.canary")
}

/// What a server, a primary, logged of writes to the canary's table since the position.
pub(crate) fn canaries_logged(server: &PostgresServer, since: &str) -> Vec<String> {
    let table = server.name_in_log("hotspare.canary");
    let log = server.log_since(since);
    let writes = log
        .lines()
        .filter(|line| line.starts_with("rmgr: Heap ") && line.contains(&table));
    writes.map(str::to_owned).collect()
}

#[test]
fn an_idle_pair_lacks_nothing() {
    let stage = Stage::set();
    // A busy host may be late with a canary, but not always.
    let series = stage.daemon.wait_until("an idle pair", |series| {
        pair(series, "hotspare_rpo_estimate_seconds") <= 6.0
            && series.one("hotspare_replication_receiver_silence_seconds", &[SOUTH]) <= 30.0
    });
    assert!(pair(&series, "hotspare_replication_loss_bytes") < 10_000.0);
    assert!(has_role(&series, NORTH, "primary"));
    assert!(has_role(&series, SOUTH, "standby"));
    assert_eq!(series.one("hotspare_db_writable", &[NORTH]), 1.0);
    assert_eq!(series.one("hotspare_db_writable", &[SOUTH]), 0.0);
    assert_eq!(series.one("hotspare_db_timeline", &[SOUTH]), 1.0);
    assert_eq!(pair(&series, "hotspare_replication_slot_lost"), 0.0);
    assert!(pair(&series, "hotspare_replication_slot_retained_bytes") >= 0.0);
    assert!(pair(&series, "hotspare_canary_visibility_seconds_count") >= 1.0);
    assert_eq!(series.sum("hotspare_canary_suppressed_total", &[]), 0.0);
    assert_eq!(series.sum("hotspare_canary_write_failures_total", &[]), 0.0);
}

#[test]
fn paused_replay_is_told_from_loss() {
    let stage = Stage::set();
    stage.south.server.sql("SELECT pg_wal_replay_pause()");
    stage.write();
    let series = stage.daemon.wait_until("paused replay", |series| {
        series.one("hotspare_replication_replay_paused", &[SOUTH]) == 1.0
            && pair(series, "hotspare_replication_apply_bytes") > 50_000.0
            && lag(series, "canary") > 2.0
    });
    assert!(pair(&series, "hotspare_replication_loss_bytes") < 10_000.0);
    assert!(lag(&series, "ring") > 0.0);
    stage.south.server.sql("SELECT pg_wal_replay_resume()");
    stage.wait_until_healthy();
}

#[test]
fn a_black_hole_shows_at_once_while_the_server_says_that_all_is_well() {
    let stage = Stage::set();
    stage.south.stream.black_hole();
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
    stage.south.stream.pass();
    stage.wait_until_healthy();
}

#[test]
fn a_link_that_is_reset_is_down() {
    let stage = Stage::set();
    stage.south.stream.cut();
    let series = stage.daemon.wait_until("a link that is down", |series| {
        series.one("hotspare_replication_link_up", &[SOUTH]) == 0.0 && lag(series, "canary") > 2.0
    });
    assert_eq!(series.one("hotspare_writable_primaries", &[]), 1.0);
    stage.south.stream.pass();
    stage.wait_until_healthy();
}

#[test]
fn a_rogue_standby_never_gets_a_canary() {
    let stage = Stage::set();
    let rogue = &stage.south.server;
    rogue.promote();
    let fork = rogue.sql("SELECT pg_last_wal_replay_lsn()");
    let found = canary(rogue);
    let before = stage.primary.sql("SELECT pg_current_wal_flush_lsn()");
    // Neither is written to, nor was anything written that a later write hid.
    let series = stage.stays(|| {
        let written = canaries_logged(&stage.primary, &before).len();
        format!("{} {written}", canary(&stage.primary))
    });
    // What the standby had of the canary when it was promoted is what it has.
    assert_eq!(canary(rogue), found);
    assert_eq!(canary(&stage.east.server), canary(&stage.primary));
    assert_eq!(pair(&series, "hotspare_db_identity_mismatch"), 0.0);
    assert_eq!(series.one("hotspare_db_timeline", &[NORTH]), 1.0);
    assert_eq!(series.one("hotspare_db_timeline", &[SOUTH]), 2.0);
    assert_eq!(series.one("hotspare_db_role_changes_total", &[SOUTH]), 1.0);

    // Nor was anything written there that was taken back.
    assert_eq!(canaries_logged(rogue, &fork), [""; 0]);
    rogue.sql("BEGIN; UPDATE hotspare.canary SET seq = seq; ROLLBACK");
    assert_eq!(canaries_logged(rogue, &fork).len(), 1);
}

#[test]
fn a_standby_that_is_cut_off_for_long_is_told_from_one_that_is_well() {
    let stage = Stage::set();
    stage.south.stream.cut();
    let retained = "hotspare_replication_slot_retained_bytes";
    let series = stage.daemon.wait_until("what only one lacks", |series| {
        stage.write();
        pair(series, "hotspare_replication_loss_bytes") > 1_000_000.0
            && lag(series, "ring") > 5.0
            && lag(series, "canary") > 5.0
            && pair(series, "hotspare_rpo_estimate_seconds") > 5.0
            && unseen(series, "south") >= 5.0
            // Of the same moment: the one that is well may just miss what was written last.
            && sound(series, "east")
            && unseen(series, "east") <= 1.0
            && pair_of(series, "east", "hotspare_rpo_estimate_seconds") < 5.0
            && pair_of(series, "east", retained) < 500_000.0
    });
    assert!(pair(&series, retained) > 1_000_000.0);
    assert_eq!(series.one("hotspare_replication_link_up", &[SOUTH]), 0.0);
    stage.south.stream.pass();
    stage.wait_until_healthy();
}

#[test]
fn a_standby_that_is_gone_tells_nothing() {
    let mut stage = Stage::set();
    stage.south.server.stop();
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
    assert!(has_role(&series, SOUTH, "unknown"));
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
        series.one("hotspare_db_facts_withheld", withheld) == 1.0 && lag(series, "ring") == 0.0
    });
    assert!(
        series
            .one("hotspare_replication_link_up", &[SOUTH])
            .is_nan()
    );
    assert!(has_role(&series, SOUTH, "standby"));
}

#[test]
fn another_cluster_behind_the_name_is_told_and_never_written_to() {
    let stage = Stage::set();
    let other = primary();
    stage.to_primary.retarget(address(&other));
    stage.daemon.wait_until("another cluster", |series| {
        suppressed(series, "identity") >= 3.0
    });
    assert_eq!(canary(&other), "", "not even once");
    stage.to_primary.retarget(address(&stage.primary));
    stage.south.to.retarget(address(&other));
    stage.daemon.wait_until("two that are writable", |series| {
        series.one("hotspare_writable_primaries", &[]) == 2.0
    });
    assert_eq!(canary(&other), "");
}

/// It would not start again: so its next restart is too late to find out.
#[test]
fn a_parameter_that_is_lower_than_the_primarys_is_told_before_anyone_restarts_the_standby() {
    let mut stage = Stage::set();
    stage.primary.configure("max_connections = 120");
    stage.primary.stop();
    stage.primary.start();
    for standby in ["south", "east"] {
        wait_until(&stage.daemon, "a parameter", standby, |said| {
            let low = |name: &str| {
                let parameter = format!("parameter=\"{name}\"");
                said.figure_of("hotspare_db_parameter_too_low", &parameter)
            };
            said.state() == "not_ready"
                && said.check("orders/config") == "fail mismatch"
                && low("max_connections") == 1.0
                && low("max_worker_processes") == 0.0
        });
    }
    let south = &mut stage.south.server;
    south.configure("max_connections = 120");
    south.stop();
    south.start();
    wait_until(&stage.daemon, "what is as large", "south", |said| {
        said.state() == "ready"
    });
}
