//! The drill: a region burns while its link is a black hole, and the standby is promoted. What the
//! canary said would be lost is what is lost.

use super::pair;
use super::postgres::Stage;

#[test]
fn the_canary_tells_how_many_writes_are_lost() {
    let mut stage = Stage::set();
    // The primary's own book of every canary that it took, in the same transaction.
    stage.primary.sql(
        "CREATE TABLE book (seq bigint);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
         'BEGIN INSERT INTO book VALUES (new.seq); RETURN new; END';
         CREATE TRIGGER note AFTER INSERT OR UPDATE ON hotspare.canary
         FOR EACH ROW EXECUTE FUNCTION note()",
    );
    stage.daemon.wait_until("canaries in the book", |_| {
        stage.standby.sql("SELECT count(*) > 2 FROM book") == "t"
    });

    stage.stream.black_hole();
    let before = stage
        .daemon
        .wait_until("writes that do not arrive", |series| unseen(series) >= 5.0);
    assert!(pair(&before, "hotspare_replication_loss_bytes") > 0.0);
    stage.primary.kill();
    stage.daemon.wait_until("a primary that is gone", |series| {
        series.one("hotspare_probe_up", &[super::NORTH]) == 0.0
    });
    stage.standby.promote();
    let after = stage
        .daemon
        .wait_until("the standby as the primary", |series| {
            series.one("hotspare_db_writable", &[super::SOUTH]) == 1.0
        });
    let told = unseen(&after);
    let survived: u64 = stage
        .standby
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
        stage.standby.sql(&newest) == "t"
    });
}

/// Canaries that were acknowledged and that the standby does not show.
fn unseen(series: &crate::daemon::Series) -> f64 {
    series.one("hotspare_canary_acked_seq", &[]) - pair(series, "hotspare_canary_seen_seq")
}
