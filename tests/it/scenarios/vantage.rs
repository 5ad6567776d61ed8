//! What happens to the primary's region, to what the daemons may do, and to the daemons.

use super::shop::Shop;
use crate::alerting::Expected;
use crate::vantages::wait_until;

/// The place of the vantage that things happen to.
const EAST: usize = 2;
pub(super) const DOWN: &str = "page HotsparePrimaryDown shop";
/// What tells of a region that is dark beside [`DOWN`]: tickets, whose ends tell that it is back.
pub(super) const DARK: [&str; 2] = [
    "ticket HotspareDown eu-west",
    "ticket HotspareRegionUnreachable eu-west",
];
const PAIR: &str = "ticket HotspareRegionPairUnreachable us-east eu-west";
const ONE_VANTAGE: &str = "ticket HotsparePrimaryUnreachableFromOneVantage shop us-east eu-west";
pub(super) const STANDBYS: [&str; 2] = ["eu-central", "us-east"];

#[test]
fn what_a_vantage_does_not_see_is_no_fact_about_the_standbys() {
    let mut shop = Shop::open();
    primary_is_cut_off_from_one_vantage(&shop);
    daemon_is_killed(&mut shop);
    canary_may_not_be_written(&shop);
    grant_is_missing(&shop);
    primary_region_is_dark(&mut shop);
}

/// The standbys hear the primary: it lives. What is told is the way that is broken.
fn primary_is_cut_off_from_one_vantage(shop: &Shop) {
    let watch = shop.watch();
    shop.ways[EAST].cut();
    let daemon = shop.vantages.daemon(EAST);
    for standby in STANDBYS {
        wait_until(daemon, "a primary that others see", standby, |said| {
            said.state() == "unknown"
                && said.check("orders/identity") == "unknown no_primary"
                && said.check("orders/link") == "pass"
                && said.figure("hotspare_promotion_viable").is_nan()
        });
    }
    let expected = Expected {
        told: &[PAIR],
        inhibited: &[ONE_VANTAGE],
        ..Expected::default()
    };
    watch.hears_only(expected);
    assert_eq!(
        watch.number("min(group_standby:hotspare_failover_ready:quorum)"),
        1.0
    );

    // What it last saw does not hide what the others see.
    shop.standbys[0].stream.black_hole();
    let expected = Expected {
        told: &[
            PAIR,
            "page HotspareRpoObjectiveBreached shop orders eu-central",
        ],
        inhibited: &[ONE_VANTAGE, "page HotspareStandbyNotReady shop eu-central"],
        follows: &["ticket HotspareReplicationLagHigh shop orders eu-central"],
        ..Expected::default()
    };
    watch.hears_only(expected);
    shop.standbys[0].stream.pass();
    shop.ways[EAST].pass();
}

/// The others are enough.
fn daemon_is_killed(shop: &mut Shop) {
    let watch = shop.watch();
    shop.vantages.kill(EAST);
    let expected = Expected {
        told: &["ticket HotspareDown us-east"],
        inhibited: &[
            "ticket HotspareVantageBlind shop",
            "ticket HotspareRegionMissing us-east",
        ],
        ..Expected::default()
    };
    watch.hears_only(expected);
    shop.vantages.revive(EAST);
}

/// A dead writer makes no standby late, and the ring needs none.
fn canary_may_not_be_written(shop: &Shop) {
    let watch = shop.watch();
    shop.primary
        .sql("REVOKE INSERT, UPDATE ON hotspare.canary FROM hotspare_probe");
    for standby in STANDBYS {
        shop.say("a writer that is dead", standby, |said| {
            said.state() == "unknown"
                && said.reasons().iter().eq(["orders/canary unknown writer"])
                && said.figure_of("hotspare_replication_lag_seconds", "method=\"ring\"") == 0.0
        });
    }
    let expected = Expected {
        follows: &[
            "ticket HotspareStandbyUnknown shop eu-central",
            "ticket HotspareStandbyUnknown shop us-east",
            "ticket HotspareCanaryNotWritten shop orders",
        ],
        ..Expected::default()
    };
    watch.hears_only(expected);
    shop.primary
        .sql("GRANT INSERT, UPDATE ON hotspare.canary TO hotspare_probe");
}

fn grant_is_missing(shop: &Shop) {
    let watch = shop.watch();
    shop.primary
        .sql("REVOKE pg_read_all_stats FROM hotspare_probe");
    for standby in STANDBYS {
        shop.say("what is withheld", standby, |said| {
            said.state() == "unknown" && said.check("orders/link") == "unknown permission"
        });
    }
    let expected = Expected {
        follows: &[
            "ticket HotspareStandbyUnknown shop eu-central",
            "ticket HotspareStandbyUnknown shop us-east",
            "ticket HotspareFactsWithheld orders permission eu-central eu-central",
            "ticket HotspareFactsWithheld orders permission us-east us-east",
        ],
        ..Expected::default()
    };
    watch.hears_only(expected);
    shop.primary
        .sql("GRANT pg_read_all_stats TO hotspare_probe");
}

/// Nobody sees or hears the primary: what would be lost is as it was last seen.
fn primary_region_is_dark(shop: &mut Shop) {
    let watch = shop.watch();
    shop.vantages.kill(0);
    for way in &shop.ways {
        way.cut();
    }
    for standby in &shop.standbys {
        standby.stream.cut();
    }
    shop.primary.kill();
    for standby in STANDBYS {
        shop.say("a primary that is lost", standby, |said| {
            said.state() == "primary_lost"
                && said.figure("hotspare_promotion_viable") == 1.0
                && said.figure("hotspare_primary_last_seen_rpo_seconds") < 6.0
        });
    }
    let before = last_seen(shop);
    let expected = Expected {
        told: &[DOWN, DARK[0], DARK[1]],
        inhibited: &[
            "ticket HotspareReplicationLinkDown shop orders eu-central",
            "ticket HotspareReplicationLinkDown shop orders us-east",
            "ticket HotspareVantageBlind shop",
            "ticket HotspareRegionMissing eu-west",
            "ticket HotspareRegionPairUnreachable eu-central eu-west",
            "ticket HotspareRegionPairUnreachable us-east eu-west",
        ],
        // As long as it is not known that the primary is lost.
        may: &[
            "page HotspareStandbyNotReady shop eu-central",
            "page HotspareStandbyNotReady shop us-east",
        ],
        ..Expected::default()
    };
    watch.hears_only(expected);
    watch.tells_only(&[DOWN, DARK[0], DARK[1]]);
    let viable = ["eu-central (by 2 vantages)", "us-east (by 2 vantages)"];
    watch.describes(DOWN, &viable);
    assert_eq!(last_seen(shop), before, "frozen");
}

/// When each vantage that lives last saw the primary, and what would have been lost.
fn last_seen(shop: &Shop) -> Vec<f64> {
    let mut all = Vec::new();
    for standby in STANDBYS {
        for family in ["timestamp_seconds", "rpo_seconds"] {
            let family = format!("hotspare_primary_last_seen_{family}");
            for place in 1..=EAST {
                let daemon = shop.vantages.daemon(place);
                wait_until(daemon, "a figure", standby, |said| {
                    !said.figure(&family).is_nan()
                });
                let series = daemon.series();
                all.push(series.one(&family, &[&format!("standby=\"{standby}\"")]));
            }
        }
    }
    all
}
