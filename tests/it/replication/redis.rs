//! A Redis primary and its replica.

use super::campaign::Pair;
use super::{NORTH, SOUTH, config, failover, healthy, lag, pair, setup, suppressed, unseen};
use crate::daemon::{Daemon, Series};
use crate::link::Link;
use crate::redis_server::RedisServer;
use crate::vantages::wait_until;

fn check(canary: &str) -> String {
    format!(
        "{{ redis: {{ username: hotspare_probe, password_file: pw, allow_cleartext: true, \
         {canary} }} }}"
    )
}

pub(super) struct Stage {
    primary: RedisServer,
    replica: RedisServer,
    /// What the replica receives through.
    stream: Link,
    daemon: Daemon,
}

fn started() -> RedisServer {
    let mut server = RedisServer::new();
    server.start();
    for line in setup("redis").lines() {
        server.command(&line.split(' ').collect::<Vec<_>>());
    }
    server.command(&["ACL", "SETUSER", "hotspare_probe", ">right"]);
    server
}

/// A primary and its replica, for the account `hotspare_probe` with the password `right`, and what
/// the replica receives through.
pub(crate) fn pair_of_servers() -> (RedisServer, RedisServer, Link) {
    let (primary, replica) = (started(), started());
    let stream = Link::to(primary.address());
    replica.replicate_from(stream.address());
    replica.catch_up_with(&primary);
    (primary, replica, stream)
}

impl Stage {
    pub(super) fn set() -> Self {
        let stage = Self::unwaited(&check("canary: true"));
        stage.daemon.wait_until("a healthy pair", healthy);
        stage
    }

    /// With a daemon that never writes, and that has not looked yet.
    pub(super) fn without_canary() -> Self {
        Self::unwaited(&check("canary: false"))
    }

    fn unwaited(check: &str) -> Self {
        let (primary, replica, stream) = pair_of_servers();
        let members = [("north", primary.address()), ("south", replica.address())];
        let daemon = Daemon::start_with(
            &config(check, &members),
            |folder| std::fs::write(folder.join("pw"), "right").expect("write"),
            &[],
        );
        Self {
            primary,
            replica,
            stream,
            daemon,
        }
    }

    fn fill(&self, keys: &str) {
        let script = "for i = 1, ARGV[1] do redis.call('SET', 'order:' .. i, i) end";
        self.primary.command(&["EVAL", script, "0", keys]);
    }
}

impl Pair for Stage {
    const MISSING: &str = "hotspare_replication_loss_bytes";

    fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    fn stream(&self) -> &Link {
        &self.stream
    }

    fn write(&self) {
        self.fill("10");
    }

    /// It has no such thing.
    fn claimed_lag(&self, _: &Series) -> f64 {
        f64::NAN
    }
}

#[test]
fn a_black_hole_shows_at_once_while_the_server_says_that_all_is_well() {
    let stage = Stage::set();
    stage.stream.black_hole();
    stage.fill("1000");
    let series = stage.daemon.wait_until("loss and lag", |series| {
        pair(series, "hotspare_replication_loss_bytes") > 10_000.0
            && lag(series, "ring") > 2.0
            && lag(series, "canary") > 2.0
    });
    assert_eq!(series.one("hotspare_replication_link_up", &[SOUTH]), 1.0);
    stage.daemon.wait_until("silence", |series| {
        series.one("hotspare_replication_receiver_silence_seconds", &[SOUTH]) > 4.0
    });
    stage.stream.pass();
    stage
        .daemon
        .wait_until("a healthy pair with as many keys", |series| {
            healthy(series) && pair(series, "hotspare_db_keys_ratio") > 0.9
        });
}

#[test]
fn a_rogue_primary_never_gets_a_canary() {
    let stage = Stage::set();
    stage.replica.command(&["REPLICAOF", "NO", "ONE"]);
    let canaries = || {
        stage
            .replica
            .command(&["GET", "hotspare:canary:here:orders"])
    };
    let found = canaries();
    let series = stage.daemon.wait_until("two that are writable", |series| {
        series.one("hotspare_writable_primaries", &[]) == 2.0
            && suppressed(series, "two_writable") >= 5.0
    });
    assert_eq!(canaries(), found);
    assert_eq!(
        pair(&series, "hotspare_db_identity_mismatch"),
        0.0,
        "it was of this cluster"
    );
    assert!(lag(&series, "ring").is_nan(), "it follows nobody");
    wait_until(&stage.daemon, "a standby that is none", "south", |said| {
        said.state() == "not_ready"
            && said.check("orders/single_primary") == "fail split_brain"
            && said.check("orders/role") == "fail role"
    });
}

#[test]
fn a_primary_that_came_back_empty_is_seen_before_the_replica_is_emptied() {
    let mut stage = Stage::set();
    stage.fill("2000");
    stage.daemon.wait_until("keys on both", |series| {
        series.one("hotspare_db_keys", &[NORTH]) > 2_000.0
            && pair(series, "hotspare_db_keys_ratio") > 0.99
    });
    stage.stream.cut();
    stage.primary.kill();
    stage.primary.start();
    for line in setup("redis").lines() {
        stage.primary.command(&line.split(' ').collect::<Vec<_>>());
    }
    stage
        .primary
        .command(&["ACL", "SETUSER", "hotspare_probe", ">right"]);
    let series = stage.daemon.wait_until("an empty primary", |series| {
        series.one("hotspare_db_keys", &[NORTH]) < 10.0
    });
    assert!(series.one("hotspare_db_keys", &[SOUTH]) > 2_000.0);
    wait_until(
        &stage.daemon,
        "a replica that is cut off",
        "south",
        |said| said.state() == "not_ready" && said.check("orders/link") == "fail link_down",
    );
    stage.stream.pass();
    stage.daemon.wait_until("an empty replica", |series| {
        series.one("hotspare_db_keys", &[SOUTH]) < 10.0 && healthy(series)
    });
}

#[test]
fn a_replica_that_takes_over_from_a_dead_primary_is_a_failover_with_what_it_lacks() {
    let mut stage = Stage::set();
    stage.stream.black_hole();
    let before = stage
        .daemon
        .wait_until("writes that do not arrive", |series| {
            unseen(series, "south") >= 3.0
        });
    stage.primary.kill();
    stage.daemon.wait_until("a primary that is gone", |series| {
        series.one("hotspare_probe_up", &[NORTH]) == 0.0
    });
    stage.replica.command(&["REPLICAOF", "NO", "ONE"]);
    let event = failover(&stage.daemon);
    assert_eq!(event["planned"], false, "{event}");
    let lost = event["rpo_writes"].as_f64().expect("known");
    assert!(lost >= unseen(&before, "south"), "{event}");
    assert_eq!(
        (&event["from"], &event["to"]),
        (&"north".into(), &"south".into())
    );
}
