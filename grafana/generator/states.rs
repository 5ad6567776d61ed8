//! The states of standbys and checks as numbers, so that a timeline can show them: the worse, the
//! higher.

use super::kit::{Colour, Look};

/// Whether a standby could take over.
pub(super) const STANDBY: Look = Look(&[
    (1, "ready", Colour::Good),
    (2, "unknown", Colour::Unknown),
    (3, "NOT READY", Colour::Bad),
    (4, "PRIMARY LOST", Colour::Warn),
]);

/// What a check says.
pub(super) const CHECK: Look = Look(&[
    (1, "pass", Colour::Good),
    (2, "unknown", Colour::Unknown),
    (3, "stale", Colour::Unknown),
    (4, "FAIL", Colour::Bad),
]);

/// Whether the last runs succeeded.
pub(super) const TARGET: Look = Look(&[
    (1, "up", Colour::Good),
    (2, "not known", Colour::Unknown),
    (3, "DOWN", Colour::Bad),
]);

/// Whether a standby may be promoted, which is a question only once the primary is lost.
pub(super) const PROMOTION: Look = Look(&[
    (1, "yes", Colour::Good),
    (0, "NO", Colour::Bad),
    (-1, "not lost", Colour::Plain),
]);

/// The state of standbys by these labels, as numbers of [`STANDBY`].
pub(super) fn of_standbys(by: &str) -> String {
    number(
        "hotspare_failover_state{STANDBY",
        by,
        &["ready", "unknown", "not_ready", "primary_lost"],
    )
}

/// 1 for each standby that is ready: by agreement, or without the rules of the global set for every
/// vantage; else 0.
pub(super) fn ready() -> String {
    format!(
        "({} or min by (group, standby) (hotspare_failover_ready{{STANDBY}}))",
        quorum()
    )
}

/// 1 for each standby that could take over now: one that is ready; and one that may be promoted, the
/// primary being lost, by every vantage that can tell.
pub(super) fn could_take_over() -> String {
    format!(
        "({} == 1 or min by (group, standby) (hotspare_promotion_viable{{STANDBY}}) == 1)",
        ready()
    )
}

/// Whether standbys may be promoted, the worst of several, as numbers of [`PROMOTION`]. Of a primary
/// that is not lost, NaN is not "not known".
pub(super) fn of_promotions(by: &str) -> String {
    let at = "group, standby, source_region";
    format!(
        r#"min by ({by}) (hotspare_promotion_viable{{STANDBY}} and on ({at}) hotspare_failover_state{{STANDBY,state="primary_lost"}} == 1) or -1 + 0 * max by ({by}) (hotspare_failover_ready{{STANDBY}})"#
    )
}

/// What the vantages agree on. A record knows no daemon.
fn quorum() -> String {
    r#"max by (group, standby) (group_standby:hotspare_failover_ready:quorum{group=~"$group",standby=~"$standby"})"#.to_owned()
}

/// The state of checks by these labels, as numbers of [`CHECK`].
pub(super) fn of_checks(by: &str) -> String {
    number(
        "hotspare_readiness_check{STANDBY",
        by,
        &["pass", "unknown", "stale", "fail"],
    )
}

/// The state of targets by these labels, the worst of several, as numbers of [`TARGET`]: NaN, which
/// is not equal to itself, is not known.
pub(super) fn of_targets(targets: &str, by: &str) -> String {
    let up = format!("hotspare_probe_up{{{targets}}}");
    format!("max by ({by}) (3 - 2 * ({up} == bool 1) - ({up} != bool {up}))")
}

/// What would be lost with a standby, by group, standby and probe: the least of the bounds of the
/// vantages whose canary is acknowledged (its lag is a number then). The others tell what they last
/// knew; where no canary is acknowledged, that is all there is.
pub(super) fn lost(replica: &str) -> String {
    let estimate = format!("hotspare_rpo_estimate_seconds{{{replica}}}");
    let canary = format!(r#"hotspare_replication_lag_seconds{{{replica},method="canary"}}"#);
    format!(
        "(min by (group, standby, probe) ({estimate} unless on (group, standby, probe, source_region) ({canary} != {canary})) or min by (group, standby, probe) ({estimate}))"
    )
}

/// How often the judgement of daemons moved lately, as the rules ask it: one that stands still leaves
/// its last word on its page. It is movement, so that no clock has to be right, and two minutes for
/// any time range: of the last half an hour, it would be that of a daemon that died since.
pub(super) fn moves(by: &str) -> String {
    let judged = "hotspare_evaluation_timestamp_seconds{DAEMON}";
    format!("max by ({by}) (changes({judged}[2m]) and {judged})")
}

/// What the vantages agree on, by the rules of the global set, as numbers of [`STANDBY`]. It says
/// ready where the quorum does; else the worst that a fresh vantage sees.
pub(super) fn agreed() -> String {
    let standby = r#"group=~"$group",standby=~"$standby""#;
    let quorum = quorum();
    let seen = |state: &str, number: u32| {
        format!(
            r#"{number} * max by (group, standby) (group_standby_state:hotspare_failover_state:max{{{standby},state="{state}"}} == 1)"#
        )
    };
    format!(
        "{quorum} == 1 or {lost} or {failed} or 2 + 0 * {quorum}",
        lost = seen("primary_lost", 4),
        failed = seen("not_ready", 3),
    )
}

/// The number of the state that is 1, and of several the highest; the others come to 0.
fn number(series: &str, by: &str, states: &[&str]) -> String {
    let states: Vec<_> = (1..)
        .zip(states)
        .map(|(number, state)| format!("{number} * {series},state=\"{state}\"}}"))
        .collect();
    format!("max by ({by}) ({})", states.join(" or "))
}
