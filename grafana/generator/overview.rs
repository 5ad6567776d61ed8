//! The whole: can the standbys take over, and what is it like between the regions?

use serde_json::json;

use super::kit::{Annotation, Colour, Dashboard, Panel, Query, Thresholds, Variable, among, row};
use super::states;

const NONE_IS_GOOD: Thresholds = Thresholds(Colour::Good, &[(1.0, Colour::Bad)]);
const NONE_IS_BETTER: Thresholds = Thresholds(Colour::Good, &[(1.0, Colour::Warn)]);

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "hotspare-overview",
        "Hotspare / Overview",
        "Whether each standby could take over now, and how the regions reach each other.",
    )
    .chooses(Variable::many(
        "group",
        "Group",
        "label_values(hotspare_failover_ready{DAEMON}, group)",
    ))
    .chooses(Variable::many(
        "standby",
        "Standby",
        "label_values(hotspare_failover_ready{GROUP}, standby)",
    ))
    .chooses(Variable::many(
        "source_region",
        "From",
        "label_values(hotspare_probe_up{DAEMON}, source_region)",
    ))
    .chooses(Variable::many(
        "target_region",
        "To",
        "label_values(hotspare_probe_up{DAEMON}, target_region)",
    ))
    .chooses(Variable::one(
        "kind",
        "Kind",
        "label_values(hotspare_probe_up{DAEMON}, kind)",
    ))
    .marks(failovers())
    .has(row("Now", now()))
    .has(row(
        "Could the standby take over?",
        vec![standbys(), readiness()],
    ))
    .has(row(
        "Between the regions, by $kind",
        vec![latency(), failures()],
    ))
    .has(row(
        "Latency over time, by $kind",
        vec![quantiles(), spread()],
    ))
}

/// The failovers that any vantage saw, at the moment the new primary was first writable.
pub(super) fn failovers() -> Annotation {
    Annotation::at(
        "Failovers",
        "orange",
        "max by (group) (hotspare_failover_last_timestamp_seconds{GROUP}) * 1000",
        (
            "Failover of {{group}}",
            "hotspare events tells what it cost.",
        ),
    )
}

fn now() -> Vec<Panel> {
    let ready = "min by (group, standby) (hotspare_failover_ready{STANDBY})";
    let best = format!("max by (group) ({ready})");
    let pairs = "max by (source_region, target_region) (hotspare_probe_up{PAIRS})";
    let count = |title: &str, series: &str, comparison: &str| {
        Panel::stat(title).query(Query::now(&among(series, comparison), title))
    };
    vec![
        count("Groups without a ready standby", &best, "== 0")
            .says("Groups in which no standby is called ready by every vantage. If the primary died now, a failover would be a guess.")
            .thresholds(&NONE_IS_GOOD)
            .or_says("no group"),
        count("Standbys not ready", ready, "== 0")
            .says("Standbys that at least one vantage does not call ready: a check fails, or too little is known.")
            .thresholds(&NONE_IS_BETTER)
            .or_says("no standby")
            .leads_to("Readiness", "hotspare-readiness", &[]),
        count("Region pairs that fail", pairs, "== 0")
            .says("Pairs of regions where the last run of every target of the one failed from the other.")
            .thresholds(&NONE_IS_GOOD)
            .or_says("no pair"),
        Panel::stat("Regions without a daemon")
            .says("Regions of the configuration whose daemon is not heard of. They see nothing, and count against every standby.")
            .query(Query::now(
                "max(hotspare_configured_regions{DAEMON}) - count(count by (source_region) (hotspare_evaluation_timestamp_seconds{DAEMON}))",
                "silent",
            ))
            .thresholds(&NONE_IS_BETTER)
            .or_says("no daemon")
            .leads_to("Daemons", "hotspare-daemon", &[]),
        Panel::stat("Alerts that fire")
            .says("Alerts of the daemons' own rules, counted at each daemon. Those of Prometheus are marked in the panels.")
            .query(Query::now(r#"sum(hotspare_alerts{DAEMON,state="firing"})"#, "firing"))
            .thresholds(&NONE_IS_BETTER)
            .or_says("no daemon")
            .leads_to("Alerting", "hotspare-alerting", &[]),
        Panel::stat("Runs that failed")
            .says("Failures per attempt between the chosen regions, over the time range.")
            .query(Query::now(
                "sum(increase(hotspare_probe_failures_total{PAIRS}[$__range])) / sum(increase(hotspare_probe_attempts_total{PAIRS}[$__range]))",
                "failed",
            ))
            .unit("percentunit")
            .decimals(2)
            .thresholds(&Thresholds(Colour::Good, &[(0.001, Colour::Warn), (0.05, Colour::Bad)]))
            .or_says("no runs"),
    ]
}

/// The answer: a row for each standby.
fn standbys() -> Panel {
    let least = |series: &str| Query::rows(&format!("min by (group, standby) ({series})"));
    let most = |series: &str| Query::rows(&format!("max by (group, standby) ({series})"));
    let columns = [
        ("group", "Group"),
        ("standby", "Standby"),
        ("Value #A", "State"),
        ("Value #B", "Rank"),
        ("Value #C", "Would be lost"),
        ("Value #D", "Would take"),
        ("Value #E", "Score"),
    ];
    let state = Query::rows(&states::of_standbys("group, standby"));
    let lost = least("hotspare_rpo_estimate_seconds{STANDBY}");
    let take = Query::rows(
        "max by (group, standby) (sum by (group, standby, source_region, instance) (hotspare_rto_estimate_seconds{STANDBY}))",
    );
    let rank = most("hotspare_standby_rank{STANDBY}");
    let score = least("hotspare_readiness_score_ratio{STANDBY}");
    Panel::table("Standbys", &columns, vec![state, rank, lost, take, score])
        .says("The worst that any vantage says of each standby; the least of what would be lost, as each figure is an upper bound; the longest that a failover would take, by stages that were measured or are assumed.")
        .size(12, 9)
        .coloured("State", &states::column())
        .field("Would be lost", &[("unit", json!("s"))])
        .field("Would take", &[("unit", json!("s"))])
        .field("Score", &[("unit", json!("percentunit"))])
        .leads_to("Readiness of ${__data.fields.Standby}", "hotspare-readiness", &[
            ("group", "${__data.fields.Group}"),
            ("standby", "${__data.fields.Standby}"),
        ])
}

fn readiness() -> Panel {
    Panel::timeline("Readiness", &states::STANDBY)
        .says("The worst that any vantage says. Unknown is never ready.")
        .size(12, 9)
        .query(Query::range(
            &states::of_standbys("group, standby"),
            "{{group}} {{standby}}",
        ))
        .leads_to(
            "Readiness of ${__field.labels.standby}",
            "hotspare-readiness",
            &[
                ("group", "${__field.labels.group}"),
                ("standby", "${__field.labels.standby}"),
            ],
        )
}

fn latency() -> Panel {
    Panel::matrix(
        "p99 latency, $kind",
        r#"histogram_quantile(0.99, sum by (source_region, target_region, le) (rate(hotspare_probe_duration_seconds_bucket{PAIRS,kind="$kind"}[$__rate_interval])))"#,
    )
    .says("Of successful runs, lately. A dash: nothing succeeded, or nothing is measured.")
    .size(12, 7)
    .unit("s")
    .decimals(1)
    .with("color", json!({ "mode": "continuous-BlPu" }))
}

fn failures() -> Panel {
    Panel::matrix(
        "Failures per attempt, $kind",
        r#"sum by (source_region, target_region) (rate(hotspare_probe_failures_total{PAIRS,kind="$kind"}[$__rate_interval])) / sum by (source_region, target_region) (rate(hotspare_probe_attempts_total{PAIRS,kind="$kind"}[$__rate_interval]))"#,
    )
    .says("Lately. Runs that a fault of the daemon itself made unknown are not among them.")
    .size(12, 7)
    .unit("percentunit")
    .decimals(1)
    .thresholds(&Thresholds(Colour::Good, &[(0.001, Colour::Warn), (0.05, Colour::Bad)]))
}

fn quantiles() -> Panel {
    let quantile = |q: &str| {
        format!(
            r#"histogram_quantile({q}, sum by (source_region, target_region, le) (rate(hotspare_probe_duration_seconds_bucket{{PAIRS,kind="$kind"}}[$__rate_interval])))"#
        )
    };
    Panel::time_series("p50 and p99, $kind")
        .says("From each region to each, of successful runs.")
        .size(12, 9)
        .unit("s")
        .query(Query::range(
            &quantile("0.5"),
            "{{source_region}} → {{target_region}} p50",
        ))
        .query(Query::range(
            &quantile("0.99"),
            "{{source_region}} → {{target_region}} p99",
        ))
}

fn spread() -> Panel {
    Panel::heatmap(
        "All chosen pairs, $kind",
        r#"sum by (le) (rate(hotspare_probe_duration_seconds_bucket{PAIRS,kind="$kind"}[$__rate_interval]))"#,
    )
    .says("How many successful runs took how long. Two bands are two paths.")
    .size(12, 9)
}
