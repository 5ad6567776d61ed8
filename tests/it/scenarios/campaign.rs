//! What takes as long as a standby needs to miss its primary: `scripts/soak` runs it.

use super::shop::Shop;
use super::vantage::{DARK, DOWN, STANDBYS};
use crate::alerting::Expected;

/// Nothing is refused and nothing answers: for three quarters of a minute a standby may still hear
/// the primary, which then lives and is only out of reach.
#[test]
#[ignore = "takes minutes: scripts/soak runs it"]
fn a_region_that_is_swallowed_is_lost_once_its_standbys_have_heard_nothing_for_long() {
    let mut shop = Shop::open();
    let watch = shop.watch();
    shop.vantages.kill(0);
    for way in &shop.ways {
        way.black_hole();
    }
    for standby in &shop.standbys {
        standby.stream.black_hole();
    }
    for standby in STANDBYS {
        shop.say("a primary that is out of reach", standby, |said| {
            said.state() == "unknown" && said.figure("hotspare_promotion_viable").is_nan()
        });
    }
    for standby in STANDBYS {
        shop.say("a primary that is lost", standby, |said| {
            let state = said.state();
            assert_ne!(state, "ready");
            state == "primary_lost"
                && said.check("orders/link") == "fail silent"
                && said.figure("hotspare_promotion_viable") == 1.0
                && said.figure("hotspare_primary_last_seen_rpo_seconds") < 6.0
        });
    }
    watch.hears_only(Expected {
        told: &[DOWN, DARK[0], DARK[1]],
        may: &[
            "ticket HotspareVantageBlind shop",
            "ticket HotspareRegionMissing eu-west",
            "ticket HotspareRegionPairUnreachable eu-central eu-west",
            "ticket HotspareRegionPairUnreachable us-east eu-west",
            "ticket HotspareReplicationLinkDown shop orders eu-central",
            "ticket HotspareReplicationLinkDown shop orders us-east",
            "page HotspareStandbyNotReady shop eu-central",
            "page HotspareStandbyNotReady shop us-east",
        ],
        ..Expected::default()
    });
    watch.tells_only(&[DOWN, DARK[0], DARK[1]]);
    let viable = ["eu-central (by 2 vantages)", "us-east (by 2 vantages)"];
    watch.describes(DOWN, &viable);
}
