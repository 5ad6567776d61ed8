//! A MariaDB primary and its replica.

use super::campaign::Pair;
use super::{
    NORTH, SOUTH, config, failover, has_role, healthy, lag, pair, setup, suppressed,
    wait_until_read_only,
};
use crate::daemon::{Daemon, Series};
use crate::link::Link;
use crate::mariadb_server::MariadbServer;
use crate::vantages::wait_until;

fn check(canary: &str) -> String {
    format!("{{ mysql: {{ user: hotspare_probe, password_file: pw, tls: disable, {canary} }} }}")
}

pub(super) struct Stage {
    primary: MariadbServer,
    replica: MariadbServer,
    /// What the replica receives through.
    stream: Link,
    daemon: Daemon,
}

fn started(id: u32) -> MariadbServer {
    let mut server = MariadbServer::init(id);
    server.start();
    server
}

/// A primary and its replica, for the account `hotspare_probe` with the password `right`, and what
/// the replica receives through.
pub(crate) fn pair_of_servers() -> (MariadbServer, MariadbServer, Link) {
    let (primary, replica) = (started(1), started(2));
    primary.sql(&setup("mysql"));
    primary.sql(
        "ALTER USER hotspare_probe IDENTIFIED BY 'right' ACCOUNT UNLOCK;
         CREATE DATABASE shop; CREATE TABLE shop.orders (text TEXT)",
    );
    let stream = Link::to(primary.address());
    replica.replicate_from(stream.address());
    replica.catch_up_with(&primary);
    replica.sql("SET GLOBAL read_only = 1");
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
}

impl Pair for Stage {
    const MISSING: &str = "hotspare_replication_missing_transactions";
    const TELLS_SILENCE: bool = false;

    fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    fn stream(&self) -> &Link {
        &self.stream
    }

    fn write(&self) {
        self.primary.sql("INSERT INTO shop.orders VALUES ('one')");
    }

    /// `Seconds_Behind_Master`.
    fn claimed_lag(&self, series: &Series) -> f64 {
        lag(series, "native")
    }
}

#[test]
fn a_black_hole_shows_at_once_while_the_server_says_that_all_is_well() {
    let stage = Stage::set();
    stage.stream.black_hole();
    let series = stage.daemon.wait_until("missing transactions", |series| {
        pair(series, "hotspare_replication_missing_transactions") >= 3.0
            && lag(series, "ring") > 2.0
            && lag(series, "canary") > 2.0
    });
    assert_eq!(series.one("hotspare_replication_link_up", &[SOUTH]), 1.0);
    assert_eq!(lag(&series, "native"), 0.0);
    stage.stream.pass();
    stage.daemon.wait_until("a healthy pair", healthy);
}

#[test]
fn a_stopped_applier_is_paused_replay() {
    let stage = Stage::set();
    stage.replica.sql("STOP SLAVE SQL_THREAD");
    let series = stage.daemon.wait_until("a paused replay", |series| {
        series.one("hotspare_replication_replay_paused", &[SOUTH]) == 1.0
            && lag(series, "ring") > 2.0
    });
    assert_eq!(series.one("hotspare_replication_link_up", &[SOUTH]), 1.0);
    stage.replica.sql("START SLAVE SQL_THREAD");
    stage.daemon.wait_until("a healthy pair", healthy);
}

#[test]
fn a_filter_that_drops_the_canary_shows_in_the_canary_alone() {
    let stage = Stage::set();
    stage
        .replica
        .sql("STOP SLAVE; SET GLOBAL replicate_wild_ignore_table = 'hotspare.%'; START SLAVE");
    let series = stage
        .daemon
        .wait_until("canaries that do not come", |series| {
            lag(series, "canary") > 3.0
                && pair(series, "hotspare_replication_missing_transactions") == 0.0
        });
    assert_eq!(lag(&series, "ring"), 0.0);
    assert_eq!(series.one("hotspare_replication_link_up", &[SOUTH]), 1.0);
}

#[test]
fn a_write_on_the_replica_is_errant_and_none_of_ours() {
    let stage = Stage::set();
    stage
        .replica
        .sql("SET GLOBAL read_only = 0; INSERT INTO shop.orders VALUES ('rogue')");
    let series = stage.daemon.wait_until("two that are writable", |series| {
        series.one("hotspare_writable_primaries", &[]) == 2.0
            && pair(series, "hotspare_replication_errant_transactions") == 1.0
            && suppressed(series, "two_writable") >= 3.0
    });
    assert!(has_role(&series, NORTH, "primary"));
    assert!(has_role(&series, SOUTH, "standby"));
    // It only reads again, and what it has for itself is left.
    stage.replica.sql("SET GLOBAL read_only = 1");
    wait_until(&stage.daemon, "a standby that diverged", "south", |said| {
        said.state() == "not_ready"
            && said.check("orders/role") == "pass"
            && said.check("orders/errant") == "fail diverged"
    });
    // Everything that the replica itself has ever logged: one row, and no canary.
    let log = stage.replica.binlog_text();
    let own: Vec<&str> = log
        .split("\n# at ")
        .filter(|event| event.contains("server id 2 "))
        .collect();
    assert!(own.iter().any(|event| event.contains("rogue")), "{own:#?}");
    assert!(
        !own.iter().any(|event| event.contains("canary")),
        "{own:#?}"
    );
}

#[test]
fn a_switchover_in_order_is_a_planned_failover() {
    let stage = Stage::set();
    stage.primary.sql("SET GLOBAL read_only = 1");
    wait_until_read_only(&stage.daemon);
    stage
        .replica
        .sql("STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = 0");
    let event = failover(&stage.daemon);
    assert_eq!(event["planned"], true, "{event}");
    assert_eq!(event["rpo_writes"], 0);
    assert_eq!(
        (&event["from"], &event["to"]),
        (&"north".into(), &"south".into())
    );
}
