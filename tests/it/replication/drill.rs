//! The drill: a region burns while its links are black holes, and one of its standbys is promoted.
//! What the canary said would be lost is what is lost, and what the failover is said to have cost is
//! what it cost. Then the same in order, and nothing is lost.

use hotspare::model::{Unit, figure};
use serde_json::Value;
use tokio::time::Instant;

use super::postgres::{Stage, address, canaries_logged, canary};
use super::{
    EAST, NORTH, SOUTH, another_vantage, events, failover, lag_of, pair, pair_of, sound, unseen,
    wait_until_read_only,
};
use crate::daemon::Daemon;
use crate::postgres_server::PostgresServer;

/// What comes after the acknowledgement of a canary, and what comes before, is at most a run's
/// timeout away: together less than two intervals of a second.
const TWO_INTERVALS: f64 = 2.0;

const VANTAGES: [&str; 2] = ["here", "there"];

#[test]
fn the_canary_tells_how_many_writes_are_lost_and_follows_the_promotion() {
    let mut stage = Stage::set();
    let there = another_vantage(&with_front(&stage));
    keep_a_book(&stage);
    stage.south.stream.black_hole();
    stage.east.stream.black_hole();
    let fall_behind = |daemon: &Daemon| {
        daemon.wait_until("writes that do not arrive", |series| {
            unseen(series, "south") >= 5.0 && unseen(series, "east") >= 5.0
        })
    };
    let before = fall_behind(&stage.daemon);
    fall_behind(&there);
    assert!(pair(&before, "hotspare_replication_loss_bytes") > 0.0);
    let killed = Instant::now();
    stage.primary.kill();
    stage.daemon.wait_until("a primary that is gone", |series| {
        series.one("hotspare_probe_up", &[NORTH]) == 0.0
    });
    lost_to_people(&stage);
    // What the new primary takes is later than that, by the one clock of this machine.
    let promoted = number(
        &stage.south.server,
        "SELECT extract(epoch FROM clock_timestamp())",
    );
    stage.south.server.promote();
    let after = stage
        .daemon
        .wait_until("the standby as the primary", |series| {
            series.one("hotspare_db_writable", &[SOUTH]) == 1.0
        });
    let told = unseen(&after, "south");
    // The new primary is written to after two looks.
    let seen = [failover(&stage.daemon), failover(&there)];
    let new = &stage.south.server;
    let of = |vantage| format!("FROM book WHERE vantage = '{vantage}' AND");
    let survived =
        VANTAGES.map(|v| number(new, &format!("SELECT max(seq) {} at < {promoted}", of(v))));
    let first = VANTAGES.map(|v| number(new, &format!("SELECT min(at) {} at > {promoted}", of(v))));

    // The dead primary is asked what it had, where nobody can reach it.
    stage.to_primary.cut();
    stage.primary.start();
    for (place, vantage) in VANTAGES.into_iter().enumerate() {
        let of = of(vantage);
        let lost = format!("SELECT count(*) {of} seq > {}", survived[place]);
        let lost = number(&stage.primary, &lost);
        let end = number(&stage.primary, &format!("SELECT max(at) {of} true"));
        // The last one may be in the book and not have been told when the primary ended.
        let known = seen[place]["rpo_writes"].as_f64().expect("a number");
        assert!(known == lost || known + 1.0 == lost, "{known} {lost}");
        assert!(place > 0 || told == known, "{told} {known}");
        costs(&seen[place], first[place] - end);
    }
    assert_eq!(seen[0]["id"], seen[1]["id"]);
    there.wait_until("users that get through again", |_| {
        events(&there)[0]["rto_user_seconds"].is_number()
    });
    let cut_off = events(&there)[0]["rto_user_seconds"].as_f64();
    assert!(cut_off.is_some_and(|time| time > 0.0 && time <= killed.elapsed().as_secs_f64()));
    assert!(events(&stage.daemon)[0]["rto_user_seconds"].is_null());
    assert_ne!(seen[0]["source_region"], seen[1]["source_region"]);
    shown(&stage, &seen[0]);
    follow_the_new_primary(&stage);
    come_back(&stage);
    assert_eq!(events(&stage.daemon).len(), 1, "a split brain is none");
}

/// The configuration with a path of users, straight to the primary.
fn with_front(stage: &Stage) -> String {
    let front = format!(
        "probes:\n\
         - name: front\n\
         \x20 check: {{ tcp: {{}} }}\n\
         \x20 interval: 1s\n\
         \x20 timeout: 900ms\n\
         \x20 targets: {{ north: \"{}\" }}\n",
        stage.primary.address()
    );
    let config = stage.config.replace("probes:\n", &front);
    config.replace("{ name: shop, ", "{ name: shop, user_path: front, ")
}

fn number(server: &PostgresServer, question: &str) -> f64 {
    server.sql(question).parse().expect("a number")
}

/// The failover is said to have cost what the servers' own books tell.
fn costs(event: &Value, without: f64) {
    assert!(event["rpo_writes"].as_f64() >= Some(5.0), "{event}");
    assert_eq!(event["planned"], false);
    assert_eq!(
        (&event["from"], &event["to"]),
        (&"north".into(), &"south".into())
    );
    let said = event["rto_write_seconds"].as_f64().expect("a number");
    assert!((said - without).abs() < TWO_INTERVALS, "{said} {without}");
    let seconds = event["rpo_seconds"].as_f64().expect("a number");
    assert!(seconds > 0.0, "{event}");
}

/// The metrics and the status page tell the same, and another failover is held back.
fn shown(stage: &Stage, event: &Value) {
    let series = stage.daemon.series();
    let counted = |planned: &str| {
        let labels = [format!("planned=\"{planned}\""), "drill=\"false\"".into()];
        let labels = labels.each_ref().map(String::as_str);
        series.one("hotspare_failover_events_total", &labels)
    };
    assert_eq!((counted("false"), counted("true")), (1.0, 0.0));
    // A page may be a second older than what the API says.
    stage
        .daemon
        .wait_until("the figures of the last failover", |series| {
            [
                "timestamp_seconds",
                "rto_write_seconds",
                "rpo_seconds",
                "rpo_writes",
            ]
            .iter()
            .all(|key| {
                let shown = series.one(&format!("hotspare_failover_last_{key}"), &[]);
                let known = event[key].as_f64().expect("a number");
                (shown - known).abs() < 1e-3
            })
        });
    told_to_people(&stage.daemon, event);
    let series = stage.daemon.series();
    let held = |standby: &str| {
        let standby = format!("standby=\"{standby}\"");
        series.one("hotspare_hold", &[&standby, "reason=\"recent_failover\""])
    };
    assert_eq!((held("east"), held("south")), (1.0, 0.0));
}

/// The status page says that the primary is lost, and of no failover yet.
fn lost_to_people(stage: &Stage) {
    // Behind a black hole a standby is silent for 45 s before that says anything.
    stage.south.stream.cut();
    stage.east.stream.cut();
    on_the_page(
        &stage.daemon,
        &["The primary of 1 group is lost", "No failover was observed"],
    );
}

/// The status page says who took over from whom, and what that cost.
fn told_to_people(daemon: &Daemon, event: &Value) {
    let seconds = |key: &str| figure(Some(Unit::Seconds), event[key].as_f64().expect("a number"));
    let (rto, rpo) = (seconds("rto_write_seconds"), seconds("rpo_seconds"));
    let writes = &event["rpo_writes"];
    let cost =
        format!("unplanned; no writes for <b>{rto}</b>; lost <b>{rpo}</b> ({writes} canaries)");
    let taken_over = "south is a primary now";
    on_the_page(daemon, &["<b>shop</b> north → south", &cost, taken_over]);
}

/// Waits until the status page has all of it.
fn on_the_page(daemon: &Daemon, parts: &[&str]) {
    daemon.wait_until(&format!("a page with {parts:?}"), |_| {
        let page = daemon.get("/").text();
        parts.iter().all(|part| page.contains(part))
    });
}

#[test]
fn a_switchover_in_order_is_planned_and_loses_nothing() {
    let mut stage = Stage::set();
    let primary = &mut stage.primary;
    primary.sql("ALTER SYSTEM SET default_transaction_read_only = on");
    primary.sql("SELECT pg_reload_conf()");
    wait_until_read_only(&stage.daemon);
    primary.stop();
    stage.south.server.sql("ALTER SYSTEM RESET ALL");
    stage.south.server.promote();
    let event = failover(&stage.daemon);
    assert_eq!(event["planned"], true, "{event}");
    assert_eq!(
        (&event["rpo_writes"], &event["rpo_seconds"]),
        (&0.into(), &0.0.into())
    );
    let series = stage.daemon.series();
    let planned = ["planned=\"true\"", "drill=\"false\""];
    assert_eq!(series.one("hotspare_failover_events_total", &planned), 1.0);
    // A daemon that comes later knows nothing of it.
    let late = another_vantage(&stage.config);
    late.wait_until("canaries on the new primary", |series| {
        series.one("hotspare_canary_acked_seq", &[]) >= 2.0
    });
    assert_eq!(events(&late), [Value::Null; 0]);
}

/// The primary's own book of every canary that it took, in the same transaction.
fn keep_a_book(stage: &Stage) {
    stage.primary.sql(
        "CREATE TABLE book (vantage text, seq bigint, at float8);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
         'BEGIN INSERT INTO book VALUES
          (new.vantage, new.seq, extract(epoch FROM clock_timestamp())); RETURN new; END';
         CREATE TRIGGER note AFTER INSERT OR UPDATE ON hotspare.canary
         FOR EACH ROW EXECUTE FUNCTION note()",
    );
    stage.south.server.catch_up_with(&stage.primary);
    stage.daemon.wait_until("canaries in the book", |_| {
        let enough = "SELECT count(*) = 2 FROM
                      (SELECT FROM book GROUP BY vantage HAVING count(*) > 2) each";
        stage.south.server.sql(enough) == "t"
    });
}
/// The other standby still waits for the dead primary: its position says nothing of what it lacks of
/// the new one, and the canary does. Then it is shown where that is.
fn follow_the_new_primary(stage: &Stage) {
    let series = stage
        .daemon
        .wait_until("what the other standby lacks", |series| {
            pair_of(series, "east", "hotspare_replication_loss_bytes").is_nan()
                && lag_of(series, "east", "ring").is_nan()
                && lag_of(series, "east", "canary") > 2.0
                && pair_of(series, "east", "hotspare_rpo_estimate_seconds") > 2.0
        });
    assert_eq!(
        pair_of(&series, "east", "hotspare_db_identity_mismatch"),
        0.0
    );
    assert_eq!(series.one("hotspare_db_timeline", &[EAST]), 1.0);
    assert_eq!(series.one("hotspare_db_timeline", &[SOUTH]), 2.0);
    assert!(pair(&series, "hotspare_replication_loss_bytes").is_nan());

    let slot = "SELECT pg_create_physical_replication_slot('east', true)";
    stage.south.server.sql(slot);
    stage.east.stream.cut();
    stage.east.stream.retarget(address(&stage.south.server));
    stage.east.stream.pass();
    stage.daemon.wait_until("a healthy pair", |series| {
        sound(series, "east") && series.one("hotspare_db_timeline", &[EAST]) == 2.0
    });
}

/// The dead primary comes back and takes itself for one: from then on nobody gets a canary.
fn come_back(stage: &Stage) {
    let dead = &stage.primary;
    let (found, since) = (canary(dead), dead.sql("SELECT pg_current_wal_flush_lsn()"));
    stage.to_primary.pass();
    // Neither is written to.
    stage.stays(|| canary(&stage.south.server));
    assert_eq!(canary(dead), found);
    assert_eq!(canaries_logged(dead, &since), [""; 0]);
}
