//! The drill: a region burns while its links are black holes, and one of its standbys is promoted.
//! What the canary said would be lost is what is lost.

use super::postgres::{Stage, address, canaries_logged, canary};
use super::{EAST, NORTH, SOUTH, lag_of, pair, pair_of, sound, unseen};

#[test]
fn the_canary_tells_how_many_writes_are_lost_and_follows_the_promotion() {
    let mut stage = Stage::set();
    keep_a_book(&stage);
    stage.south.stream.black_hole();
    stage.east.stream.black_hole();
    let before = stage
        .daemon
        .wait_until("writes that do not arrive", |series| {
            unseen(series, "south") >= 5.0 && unseen(series, "east") >= 5.0
        });
    assert!(pair(&before, "hotspare_replication_loss_bytes") > 0.0);
    stage.primary.kill();
    stage.daemon.wait_until("a primary that is gone", |series| {
        series.one("hotspare_probe_up", &[NORTH]) == 0.0
    });
    stage.south.server.promote();
    let after = stage
        .daemon
        .wait_until("the standby as the primary", |series| {
            series.one("hotspare_db_writable", &[SOUTH]) == 1.0
        });
    let told = unseen(&after, "south");
    let survived: u64 = stage
        .south
        .server
        .sql("SELECT max(seq) FROM book")
        .parse()
        .expect("a number");

    // The dead primary is asked what it had, where nobody can reach it.
    stage.to_primary.cut();
    stage.primary.start();
    let lost = stage
        .primary
        .sql(&format!("SELECT count(*) FROM book WHERE seq > {survived}"));
    assert_eq!(told.to_string(), lost);

    // The new primary is written to after two looks.
    stage.daemon.wait_until("canaries on the new primary", |_| {
        let newest = format!("SELECT max(seq) > {survived} FROM book");
        stage.south.server.sql(&newest) == "t"
    });
    follow_the_new_primary(&stage);
    come_back(&stage);
}

/// The primary's own book of every canary that it took, in the same transaction.
fn keep_a_book(stage: &Stage) {
    stage.primary.sql(
        "CREATE TABLE book (seq bigint);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
         'BEGIN INSERT INTO book VALUES (new.seq); RETURN new; END';
         CREATE TRIGGER note AFTER INSERT OR UPDATE ON hotspare.canary
         FOR EACH ROW EXECUTE FUNCTION note()",
    );
    stage.south.server.catch_up_with(&stage.primary);
    stage.daemon.wait_until("canaries in the book", |_| {
        stage.south.server.sql("SELECT count(*) > 2 FROM book") == "t"
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
    stage.wait_until_suppressed(5.0);
    let last = canary(&stage.south.server);
    stage.wait_until_suppressed(9.0);
    assert_eq!(canary(&stage.south.server), last, "neither is written to");
    assert_eq!(canary(dead), found);
    assert_eq!(canaries_logged(dead, &since), [""; 0]);
}
