//! The whole: can the standbys take over, and what is it like between the regions?

use serde_json::json;

use super::kit::{
    Annotation, Colour, Dashboard, Look, Panel, Query, Thresholds, Variable, among, collapsed_row,
    row,
};
use super::states;

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "hotspare-overview",
        "Hotspare / Overview",
        "Whether each standby could take over now, and how the regions reach each other.",
    )
    .chooses(Variable::groups())
    .chooses(Variable::standbys())
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
    // A ping is of the path alone.
    .chooses(
        Variable::one(
            "kind",
            "Kind",
            "label_values(hotspare_probe_up{DAEMON}, kind)",
        )
        .at_first("ping"),
    )
    .marks(failovers())
    .has(row("Now", failover().into_iter().chain(reach()).collect()))
    .has(row("What fires", vec![alerts()]))
    .has(row(
        "Could a standby take over?",
        vec![groups(), standbys(), readiness()],
    ))
    .has(row(
        "Between the regions, by $kind",
        vec![latency(), failures()],
    ))
    .has(row(
        "Latency over time, by $kind",
        vec![quantile("p99", "0.99"), quantile("p50", "0.5")],
    ))
    .has(collapsed_row(
        "How latency is spread, by $kind",
        vec![spread()],
    ))
}

/// The failovers that any vantage saw, at the moment the new primary was first writable.
pub(super) fn failovers() -> Annotation {
    Annotation::at(
        "Failovers",
        "orange",
        "(max by (group) (hotspare_failover_last_timestamp_seconds{GROUP}) > 0) * 1000",
        (
            "Failover of {{group}}",
            "hotspare events tells what it cost.",
        ),
    )
}

fn count(title: &str, series: &str, comparison: &str) -> Panel {
    figure(title, &among(series, comparison))
}

fn figure(title: &str, expression: &str) -> Panel {
    Panel::stat(title)
        .size(6, 3)
        .query(Query::now(expression, title))
}

/// Whether anybody has to get up.
fn failover() -> Vec<Panel> {
    let ready = states::ready();
    vec![
        count(
            "Groups that cannot fail over",
            &format!("max by (group) ({ready})"),
            "!= 1",
        )
        .says("Groups without a standby that is ready by agreement; where the rules of the global set are not loaded, for every vantage that is heard. If the primary died now, a failover would be a guess.")
        .thresholds(&Thresholds::NONE_IS_GOOD)
        .or_says("no group")
        .leads_to("Readiness", "hotspare-readiness", &[]),
        count(
            "Standbys not ready",
            "min by (group, standby) (hotspare_failover_ready{STANDBY})",
            "!= 1",
        )
        .says("Standbys that at least one vantage does not call ready: a check fails, or too little is known.")
        .thresholds(&Thresholds::NONE_IS_BETTER)
        .or_says("no standby")
        .leads_to("Readiness", "hotspare-readiness", &[]),
        count(
            "Groups whose primary is lost",
            r#"max by (group) (hotspare_failover_state{STANDBY,state="primary_lost"})"#,
            "== 1",
        )
        .says("Groups whose primary at least one vantage takes for lost, as its standbys hear nothing of it either.")
        .thresholds(&Thresholds::NONE_IS_GOOD)
        .or_says("no group")
        .leads_to("Readiness", "hotspare-readiness", &[]),
        figure("Alerts that fire", FIRING)
            .says("Critical and warning ones of the rules of Prometheus, which are below, and those of the daemons' own rules, at each daemon. None is not green: there may be no rules.")
            .thresholds(&Thresholds(Colour::Plain, &[(1.0, Colour::Warn)]))
            .or_says("no daemon")
            .leads_to("Alerting", "hotspare-alerting", &[]),
    ]
}

const FIRING: &str = r#"sum(hotspare_alerts{DAEMON,state="firing"}) + (count(ALERTS{alertname=~"Hotspare.+",alertstate="firing",severity=~"critical|warning"}) or vector(0))"#;

/// What is not reached.
fn reach() -> Vec<Panel> {
    vec![
        count(
            "Targets down",
            r#"max by (probe, target_region, target) (hotspare_probe_up{DAEMON,target_region=~"$target_region"})"#,
            "!= 1",
        )
        .says("Targets of the chosen regions for which the last run from everywhere failed, or told nothing.")
        .thresholds(&Thresholds::NONE_IS_BETTER)
        .or_says("no target"),
        count(
            "Region pairs down",
            "max by (source_region, target_region) (hotspare_probe_up{PAIRS})",
            "!= 1",
        )
        .says("Pairs of regions where the last run of every target of the one from the other failed, or told nothing.")
        .thresholds(&Thresholds::NONE_IS_GOOD)
        .or_says("no pair"),
        figure(
            "Runs that failed",
            "sum(increase(hotspare_probe_failures_total{PAIRS}[$__range])) / sum(increase(hotspare_probe_attempts_total{PAIRS}[$__range]))",
        )
        .says("Per attempt, between the chosen regions, over the time range. Runs that a fault of a daemon itself ended are no attempts.")
        .unit("percentunit")
        .decimals(2)
        .thresholds(&Thresholds::FAILED_RUNS)
        .or_says("no runs"),
        figure("Regions without a daemon", &silent())
            .says("Regions of the configuration whose daemon does not judge: it is not scraped, or stands still. It sees nothing, and counts against every standby. A Prometheus that scrapes the daemon of one region only knows of no other.")
            .thresholds(&Thresholds::NONE_IS_BETTER)
            .or_says("no daemon")
            .leads_to("Daemons", "hotspare-daemon", &[]),
    ]
}

/// Regions of the configuration, without those whose daemon is heard.
fn silent() -> String {
    let moves = states::moves("source_region");
    format!("max(hotspare_configured_regions{{DAEMON}}) - (count({moves} > 0) or vector(0))")
}

const SEVERITY: Look = Look(&[
    (3, "critical", Colour::Bad),
    (2, "warning", Colour::Warn),
    (1, "info", Colour::Plain),
]);

fn alerts() -> Panel {
    let of = |severity: &str, number: u32| {
        format!(
            r#"{number} * max by (alertname, severity, group, standby, probe, target, source_region, target_region, instance) (ALERTS{{alertname=~"Hotspare.+",alertstate="firing",severity="{severity}"}})"#
        )
    };
    let columns = [
        ("Value", "Severity"),
        ("alertname", "Alert"),
        ("group", "Group"),
        ("standby", "Standby"),
        ("probe", "Probe"),
        ("target", "Target"),
        ("source_region", "From"),
        ("target_region", "To"),
        ("instance", "Daemon"),
    ];
    let all = [of("critical", 3), of("warning", 2), of("info", 1)].join(" or ");
    Panel::table("Alerts of Prometheus", &columns, vec![Query::rows(&all)])
        .says("What fires by the shipped rules: all of it, whatever is chosen above. The name leads to the runbook. Nothing here: nothing fires, or this Prometheus does not have the rules.")
        .size(24, 7)
        .words("Severity", &SEVERITY)
        .sorted("Severity", true)
        .runbooks("Alert")
        .or_says("nothing fires, or the rules are not loaded")
}

/// How long a failover to a standby would take.
const TAKES: &str =
    r#"max by (group, standby) (hotspare_rto_estimate_seconds{STANDBY,stage="total"})"#;

/// The best standby of each group: of those that could take over, the one with the least mean rank,
/// and then the best score.
fn best() -> String {
    let (ready, could) = (states::ready(), states::could_take_over());
    let score = format!(
        "(min by (group, standby) (hotspare_readiness_score_ratio{{STANDBY}} >= 0) or 0 * {ready})"
    );
    let rank = format!(
        "(avg by (group, standby) (hotspare_standby_rank{{STANDBY}} >= 0) or 99 + 0 * {ready})"
    );
    format!("topk by (group) (1, {score} - 1000 * {rank} and on (group, standby) {could})")
}

/// A row for each group: who serves, who would take over, and at what cost.
fn groups() -> Panel {
    let (ready, lost) = (states::ready(), states::lost("STANDBY"));
    let best = best();
    let columns = [
        ("group", "Group"),
        ("primary", "Primary"),
        ("writable", "Writable now"),
        ("Value #A", "Ready"),
        ("Value #B", "Standbys"),
        ("standby", "Best standby"),
        ("Value #D", "Would be lost"),
        ("Value #E", "Would take"),
    ];
    // The region under another name: two columns that are both named for it would be one.
    let region = |label: &str, members: &str| {
        Query::rows(&format!(
            r#"label_replace(label_replace(max by (group, target_region) ({members}), "{label}", "$1", "target_region", "(.+)"), "target_region", "", "group", ".*")"#
        ))
    };
    Panel::table("Groups", &columns, vec![
        Query::rows(&format!("sum by (group) ({ready})")),
        Query::rows(&format!("count by (group) ({ready})")),
        Query::rows(&format!(r#"{best} or on (group) label_replace(count by (group) ({ready}), "standby", "NONE", "group", ".*")"#)),
        Query::rows(&format!("max by (group, standby) ({lost}) and on (group, standby) {best}")),
        Query::rows(&format!("{TAKES} and on (group, standby) {best}")),
        region("primary", r#"hotspare_group_member{GROUP,role="primary"}"#),
        region("writable", "hotspare_group_member{GROUP} * on (probe, source_region, target_region, target) group_left () max by (probe, source_region, target_region, target) (hotspare_db_writable{DAEMON}) == 1"),
    ])
    .says("The best standby is the one to take if the primary died now: of those that are ready (or may be promoted, once the primary is lost) the best ranked, or for the first two hours the one with the best score; what would be lost at most, and how long it would take. Primary: as configured. Writable now: the region in which a vantage finds a database of the group writable; two rows for a group are two of them. NONE: none could take over.")
    .size(24, 6)
    .coloured("Ready", &[
        ("thresholds", Thresholds(Colour::Bad, &[(1.0, Colour::Good)]).json()),
        ("color", json!({ "mode": "thresholds" })),
        ("custom.align", json!("center")),
    ])
    .measured("Would be lost", "s")
    .measured("Would take", "s")
    .sorted("Ready", false)
    .or_says("no group")
    .leads_to("Readiness of ${__data.fields.Group}", "hotspare-readiness", &[
        ("group", "${__data.fields.Group}"),
    ])
}

/// The answer: a row for each standby.
fn standbys() -> Panel {
    let columns = [
        ("group", "Group"),
        ("standby", "Standby"),
        ("Value #A", "Agreed"),
        ("Value #B", "Worst"),
        ("Value #C", "Rank"),
        ("Value #D", "Would be lost"),
        ("Value #E", "Would take"),
        ("Value #F", "Score"),
        ("Value #G", "Promotable"),
    ];
    Panel::table("Standbys", &columns, vec![
        Query::rows(&states::agreed()),
        Query::rows(&states::of_standbys("group, standby")),
        Query::rows("avg by (group, standby) (hotspare_standby_rank{STANDBY} >= 0)"),
        Query::rows(&format!("max by (group, standby) ({})", states::lost("STANDBY"))),
        Query::rows(TAKES),
        Query::rows("min by (group, standby) (hotspare_readiness_score_ratio{STANDBY})"),
        Query::rows(&states::of_promotions("group, standby")),
    ])
    .says("Agreed: by the rules of the global set; a dash where they are not loaded. Worst: what the least content vantage says. Rank: the mean of all vantages; a dash for the first two hours. Would be lost: the least bound of the vantages whose canary is acknowledged, of the database with the most. Would take: the longest that any vantage says, by stages that were measured or are assumed. Promotable: a question once the primary is lost.")
    .size(15, 9)
    .words("Promotable", &states::PROMOTION)
    .words("Agreed", &states::STANDBY)
    .words("Worst", &states::STANDBY)
    .field("Rank", &[("decimals", json!(1))])
    .measured("Would be lost", "s")
    .measured("Would take", "s")
    .measured("Score", "percentunit")
    .sorted("Worst", true)
    .or_says("no standby")
    .leads_to("Readiness of ${__data.fields.Standby}", "hotspare-readiness", &[
        ("group", "${__data.fields.Group}"),
        ("standby", "${__data.fields.Standby}"),
    ])
}

fn readiness() -> Panel {
    Panel::timeline("Readiness", &states::STANDBY)
        .says("The worst that any vantage says. Unknown is never ready; a gap is nobody. Choose a group if these are too many rows.")
        .size(9, 9)
        .query(Query::range(
            &states::of_standbys("group, standby"),
            "{{group}} {{standby}}",
        ))
        .or_says("no standby")
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
    .or_says("nothing succeeded, or nothing is measured")
}

fn failures() -> Panel {
    Panel::matrix(
        "Failures per attempt, $kind",
        r#"sum by (source_region, target_region) (rate(hotspare_probe_failures_total{PAIRS,kind="$kind"}[$__rate_interval])) / sum by (source_region, target_region) (rate(hotspare_probe_attempts_total{PAIRS,kind="$kind"}[$__rate_interval]))"#,
    )
    .says("Lately. A dash: no runs. Runs that a fault of the daemon itself made unknown are not among them.")
    .size(12, 7)
    .unit("percentunit")
    .decimals(1)
    .thresholds(&Thresholds::FAILED_RUNS)
    .or_says("no runs")
}

/// By the record: the buckets of thousands of targets at each step are more than Prometheus lets a query
/// load.
fn quantile(name: &str, of: &str) -> Panel {
    Panel::time_series(&format!("{name}, $kind"))
        .says("From each region to each, of the successful runs of 5 minutes, as the rules of the regional set record it from all daemons. A gap: nothing succeeded. Choose regions if these are too many lines.")
        .size(12, 12)
        .unit("s")
        .query(Query::range(
            &format!(
                r#"max by (source_region, target_region) (source_region_target_region_kind:hotspare_probe_duration_seconds:histogram_quantile_rate5m{{source_region=~"$source_region",target_region=~"$target_region",kind="$kind",quantile="{of}"}})"#
            ),
            "{{source_region}} → {{target_region}}",
        ))
        .legend_below()
        .or_says("nothing succeeded, or the rules are not loaded")
        .leads_to(
            "From ${__field.labels.source_region} to ${__field.labels.target_region}",
            "hotspare-region-pair",
            &[
                ("source_region", "${__field.labels.source_region}"),
                ("target_region", "${__field.labels.target_region}"),
                ("kind", "${kind}"),
            ],
        )
}

fn spread() -> Panel {
    Panel::heatmap(
        "All chosen pairs, $kind",
        r#"sum by (le) (rate(hotspare_probe_duration_seconds_bucket{PAIRS,kind="$kind"}[$__rate_interval]))"#,
    )
    .says("How many successful runs took how long. Two bands are two paths. Of many targets this is much to ask for: choose regions.")
    .size(24, 8)
    .or_says("nothing succeeded, or nothing is measured")
}
