//! What happens to a standby, while the other one is well.

use std::collections::BTreeSet;

use super::shop::Shop;
use crate::alerting::{Expected, Watch};
use crate::postgres_server::PostgresServer;
use crate::replication::postgres::{address, canaries_logged, primary};

const CENTRAL: &str = "eu-central";
const NOT_READY: &str = "page HotspareStandbyNotReady shop eu-central";
const LAG: &str = "ticket HotspareReplicationLagHigh shop orders eu-central";

const RPO: &str = "page HotspareRpoObjectiveBreached shop orders eu-central";
const LINK: &str = "ticket HotspareReplicationLinkDown shop orders eu-central";

#[test]
fn what_happens_to_a_standby_is_told_of_it_alone() {
    let mut shop = Shop::open();
    let watch = all_is_well(&shop);
    app_answers_500(&shop, &watch);
    replay_is_paused(&shop);
    link_is_a_black_hole(&shop);
    link_is_reset(&shop);
    database_is_stopped(&mut shop);
    another_cluster_has_the_name(&shop);
    promoted_by_accident(&shop);
}

/// What is told is expected, and the other standby is ready by all vantages all the same.
fn hears_only(shop: &Shop, watch: &Watch, expected: Expected<'_>) {
    watch.hears_only(expected);
    shop.say("a standby that is well", "us-east", |said| {
        said.state() == "ready"
    });
}

fn only(reason: &str) -> BTreeSet<String> {
    [reason.to_owned()].into()
}

fn all_is_well(shop: &Shop) -> Watch {
    let watch = shop.watch();
    shop.say("what is well", CENTRAL, |said| {
        said.reasons().is_empty()
            && said.figure("hotspare_rpo_estimate_seconds") < 6.0
            && said.figure_of("hotspare_replication_lag_seconds", "method=\"ring\"") == 0.0
            && said.figure("hotspare_promotion_viable").is_nan()
            && said.figure("hotspare_vantages_expected") == 3.0
    });
    hears_only(shop, &watch, Expected::default());
    watch
}

/// One alert: the database has nothing to do with it.
fn app_answers_500(shop: &Shop, watch: &Watch) {
    shop.standbys[0].app.answer(500);
    shop.say("an app that is broken, and nothing else", CENTRAL, |said| {
        said.state() == "not_ready" && said.reasons() == only("app/healthy fail answer")
    });
    let expected = Expected {
        told: &[NOT_READY],
        ..Expected::default()
    };
    hears_only(shop, watch, expected);
    watch.describes(NOT_READY, &["healthy (answer); see"]);
    shop.standbys[0].app.answer(200);
}

/// Nothing is lost, whatever the canary makes of it.
fn replay_is_paused(shop: &Shop) {
    let watch = shop.watch();
    shop.standbys[0].server.sql("SELECT pg_wal_replay_pause()");
    shop.write();
    shop.say("what is not replayed", CENTRAL, |said| {
        said.state() == "not_ready"
            && said.check("orders/lag") == "fail paused"
            && said.figure("hotspare_replication_apply_bytes") > 50_000.0
            && said.figure("hotspare_replication_loss_bytes") < 10_000.0
    });
    let expected = Expected {
        told: &[NOT_READY],
        follows: &[LAG],
        ..Expected::default()
    };
    hears_only(shop, &watch, expected);
    shop.standbys[0].server.sql("SELECT pg_wal_replay_resume()");
}

/// It calls itself up. What would be lost pages, and stands for the general page.
fn link_is_a_black_hole(shop: &Shop) {
    let watch = shop.watch();
    shop.standbys[0].stream.black_hole();
    shop.write();
    shop.say("what does not arrive", CENTRAL, |said| {
        said.state() == "not_ready"
            && said.figure("hotspare_replication_loss_bytes") > 50_000.0
            && said.figure_of("hotspare_replication_lag_seconds", "method=\"ring\"") > 6.0
            && said.figure("hotspare_rpo_estimate_seconds") > 6.0
            && said.check("orders/link") == "pass"
            && said.check("orders/canary") == "fail threshold"
    });
    let expected = Expected {
        told: &[RPO],
        inhibited: &[NOT_READY],
        follows: &[LAG],
        may: &[LINK],
    };
    hears_only(shop, &watch, expected);
    shop.standbys[0].stream.pass();
}

fn link_is_reset(shop: &Shop) {
    let watch = shop.watch();
    shop.standbys[0].stream.cut();
    shop.say("a link that is down", CENTRAL, |said| {
        said.state() == "not_ready"
            && said.check("orders/link") == "fail link_down"
            && said.check("orders/canary") == "unknown dependency"
    });
    let expected = Expected {
        told: &[RPO],
        inhibited: &[NOT_READY],
        follows: &[LINK, LAG],
        ..Expected::default()
    };
    hears_only(shop, &watch, expected);
    shop.standbys[0].stream.pass();
}

/// One cause, one alert: nothing is said of what cannot be asked.
fn database_is_stopped(shop: &mut Shop) {
    let watch = shop.watch();
    shop.standbys[0].server.stop();
    shop.standbys[0].to.cut();
    shop.say("a database that is not there", CENTRAL, |said| {
        let reasons = said.reasons();
        said.state() == "not_ready"
            && reasons.contains("orders/reachable fail refused")
            && reasons.len() > 5
            && reasons
                .iter()
                .filter(|reason| !reason.contains("/reachable "))
                .all(|reason| reason.ends_with(" unknown dependency"))
    });
    let expected = Expected {
        told: &[NOT_READY],
        ..Expected::default()
    };
    hears_only(shop, &watch, expected);
    shop.standbys[0].server.start();
    shop.standbys[0].to.pass();
}

/// It only reads, as a standby does.
fn another_cluster_has_the_name(shop: &Shop) {
    let watch = shop.watch();
    let mut other = stranger();
    other.sql("SELECT 1");
    shop.standbys[0].to.retarget(address(&other));
    shop.say("another cluster", CENTRAL, |said| {
        said.state() == "not_ready"
            && said.check("orders/identity") == "fail identity"
            && said.figure("hotspare_db_identity_mismatch") == 1.0
    });
    let expected = Expected {
        told: &["page HotspareIdentityMismatch shop orders eu-central"],
        inhibited: &[NOT_READY],
        follows: &[LINK],
        ..Expected::default()
    };
    hears_only(shop, &watch, expected);
    shop.standbys[0]
        .to
        .retarget(address(&shop.standbys[0].server));
    other.stop();
}

/// A server that follows nobody and only reads.
fn stranger() -> PostgresServer {
    let mut other = primary();
    other.stop();
    other.write("standby.signal", "");
    other.start();
    other
}

/// Two take writes: none of them gets a canary, and no standby is ready, also not the other one.
fn promoted_by_accident(shop: &Shop) {
    let watch = shop.watch();
    let rogue = &shop.standbys[0].server;
    rogue.promote();
    let fork = rogue.sql("SELECT pg_last_wal_replay_lsn()");
    for standby in [CENTRAL, "us-east"] {
        shop.say("two that are writable", standby, |said| {
            said.state() == "not_ready" && said.check("orders/single_primary") == "fail split_brain"
        });
    }
    let before = shop.primary.sql("SELECT pg_current_wal_flush_lsn()");
    let expected = Expected {
        told: &[
            "page HotspareSplitBrain shop orders",
            "info HotspareRoleChanged orders eu-central eu-central",
        ],
        inhibited: &[NOT_READY, "page HotspareStandbyNotReady shop us-east"],
        ..Expected::default()
    };
    watch.hears_only(expected);
    shop.say("one cluster", CENTRAL, |said| {
        said.figure("hotspare_db_identity_mismatch") == 0.0
    });
    assert_eq!(canaries_logged(rogue, &fork), [""; 0]);
    assert_eq!(canaries_logged(&shop.primary, &before), [""; 0]);
}
