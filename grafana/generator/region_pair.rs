//! One way from a region to a region, by one kind: what is at the end of a cell of the overview's
//! matrices.

use serde_json::json;

use super::kit::{
    Annotation, Colour, Dashboard, FLAG, Panel, Query, Thresholds, Variable, collapsed_row, row,
};
use super::states;

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "hotspare-region-pair",
        "Hotspare / Region pair",
        "What it is like from one region to another, by one kind of probe: up or not, how long it takes, why it fails.",
    )
    .chooses(Variable::one(
        "source_region",
        "From",
        "label_values(hotspare_probe_up{DAEMON}, source_region)",
    ))
    .chooses(Variable::one(
        "target_region",
        "To",
        r#"label_values(hotspare_probe_up{DAEMON,source_region="$source_region"}, target_region)"#,
    ))
    .chooses(Variable::one(
        "kind",
        "Kind",
        r#"label_values(hotspare_probe_up{DAEMON,source_region="$source_region",target_region="$target_region"}, kind)"#,
    ).at_first("ping"))
    .chooses(Variable::many(
        "probe",
        "Probe",
        "label_values(hotspare_probe_up{WAY}, probe)",
    ))
    .chooses(Variable::many(
        "target",
        "Target",
        r#"label_values(hotspare_probe_up{WAY,probe=~"$probe"}, target)"#,
    ))
    .marks(address_changes())
    .has(row("$source_region → $target_region, by $kind", now()))
    .has(row("Target by target", vec![targets(), up()]))
    .has(row(
        "How long it takes",
        vec![quantiles(), spread(), before(), back(), phases()],
    ))
    .has(row(
        "Why it fails",
        vec![reasons(), burn(), blind()],
    ))
    .has(collapsed_row("Ping only", vec![packets(), jitter(), odd_packets()]))
    .has(collapsed_row(
        "HTTP and TLS only",
        vec![statuses(), bodies(), certificates(), sessions()],
    ))
    .has(collapsed_row("DNS only", vec![rcodes(), time_to_live()]))
}

fn address_changes() -> Annotation {
    Annotation::during(
        "Changed addresses",
        "blue",
        "sum by (probe, target) (increase(hotspare_probe_address_changes_total{TARGETS}[2m])) > 0",
        (
            "{{target}} of {{probe}}",
            "Its name has other addresses now.",
        ),
    )
}

/// Over the time range: of the attempts, those that failed.
const FAILED: &str = "sum(increase(hotspare_probe_failures_total{TARGETS}[$__range])) / sum(increase(hotspare_probe_attempts_total{TARGETS}[$__range]))";

fn now() -> Vec<Panel> {
    let one = |title: &str, expression: &str| {
        Panel::stat(title)
            .size(4, 3)
            .query(Query::now(expression, title))
            .thresholds(&Thresholds(Colour::Plain, &[]))
            .or_says("not measured")
    };
    let quantile = |title: &str, of: &str| {
        one(title, &format!("histogram_quantile({of}, sum by (le) (increase(hotspare_probe_duration_seconds_bucket{{TARGETS}}[$__range])))"))
            .says("Over the time range, of successful runs of all chosen targets together.")
            .unit("s")
    };
    vec![
        one("Now", &format!("max({})", states::of_targets("TARGETS", "target")))
            .says("By the last run of each chosen target: the worst of them. Not known: none yet, or a fault of the daemon itself ended it.")
            .look(&states::TARGET),
        one(
            "Last success",
            "max(time() - hotspare_probe_last_success_timestamp_seconds{TARGETS})",
        )
        .says("How long ago, of the target for which it is the longest. One that never succeeded is not in it: see the table.")
        .unit("s")
        .decimals(0),
        one("Runs that succeeded", &format!("1 - {FAILED}"))
            .says("Per attempt, over the time range. Runs that a fault of the daemon itself ended are no attempts.")
            .unit("percentunit")
            .decimals(3)
            .thresholds(&Thresholds(
                Colour::Bad,
                &[(0.95, Colour::Warn), (0.999, Colour::Good)],
            ))
            .or_says("no runs"),
        quantile("p50", "0.5"),
        quantile("p99", "0.99"),
        one(
            "Budget left",
            "1 - max((sum by (probe, target) (increase(hotspare_probe_failures_total{TARGETS}[$__range])) / sum by (probe, target) (increase(hotspare_probe_attempts_total{TARGETS}[$__range]))) / (1 - max by (probe, target) (hotspare_probe_objective_ratio{TARGETS})))",
        )
        .says("Of the failures that the objective allows over the time range, what is left for the target with the least. Below 0: more failed than was to.")
        .unit("percentunit")
        .decimals(0)
        .thresholds(&Thresholds(
            Colour::Bad,
            &[(0.0, Colour::Warn), (0.25, Colour::Good)],
        ))
        .or_says("no objective"),
    ]
}

fn targets() -> Panel {
    let by = "probe, target";
    let columns = [
        ("probe", "Probe"),
        ("target", "Target"),
        ("address", "Address"),
        ("Value #A", "State"),
        ("Value #B", "Last success"),
        ("Value #C", "Failed"),
        ("Value #D", "Interval"),
        ("Value #E", "Timeout"),
        ("Value #F", "Objective"),
    ];
    let most = |series: &str| Query::rows(&format!("max by ({by}) ({series}{{TARGETS}})"));
    Panel::table("Targets", &columns, vec![
        Query::rows(&states::of_targets("TARGETS", by)),
        Query::rows(&format!("max by ({by}) (hotspare_probe_last_success_timestamp_seconds{{TARGETS}}) * 1000")),
        Query::rows(&format!("sum by ({by}) (increase(hotspare_probe_failures_total{{TARGETS}}[$__range])) / sum by ({by}) (increase(hotspare_probe_attempts_total{{TARGETS}}[$__range]))")),
        most("hotspare_probe_interval_seconds"),
        most("hotspare_probe_timeout_seconds"),
        most("hotspare_probe_objective_ratio"),
        Query::rows(&format!("max by ({by}, address) (hotspare_probe_info{{TARGETS}})")),
    ])
    .says("What is measured, where, and how it is now. Failed: per attempt, over the time range. An empty objective: there is none.")
    .size(24, 7)
    .words("State", &states::TARGET)
    .moments("Last success")
    .coloured("Failed", &[
        ("unit", json!("percentunit")),
        ("decimals", json!(2)),
        ("thresholds", Thresholds::FAILED_RUNS.json()),
        ("color", json!({ "mode": "thresholds" })),
    ])
    .measured("Interval", "s")
    .measured("Timeout", "s")
    .field("Objective", &[("unit", json!("percentunit")), ("decimals", json!(3))])
    .sorted("State", true)
    .or_says("no target")
}

fn up() -> Panel {
    Panel::timeline("Up or down", &states::TARGET)
        .says("By the last run of each target. A gap: its daemon was not scraped. Many targets are many rows: choose some.")
        .size(24, 7)
        .query(Query::range(
            &states::of_targets("TARGETS", "probe, target"),
            "{{probe}} {{target}}",
        ))
        .or_says("no target")
}

fn quantile(of: &str, targets: &str, offset: &str) -> String {
    format!(
        "histogram_quantile({of}, sum by (le) (rate(hotspare_probe_duration_seconds_bucket{{{targets}}}[$__rate_interval]{offset})))"
    )
}

fn quantiles() -> Panel {
    [("0.5", "p50"), ("0.9", "p90"), ("0.99", "p99")]
        .into_iter()
        .fold(Panel::time_series("p50, p90 and p99"), |panel, (of, name)| {
            panel.query(Query::range(&quantile(of, "TARGETS", ""), name))
        })
        .query(Query::range(
            "min(hotspare_probe_timeout_seconds{TARGETS})",
            "timeout",
        ))
        .query(Query::range(
            r#"min(hotspare_readiness_check_threshold{DAEMON,source_region="$source_region",standby="$target_region",probe=~"$probe",check="latency"})"#,
            "limit of the check latency",
        ))
        .says("Of successful runs of all chosen targets together. Dashed: the timeout, after which a run is a failure and in no quantile; and the limit of the check latency, where one is set. A gap: nothing succeeded.")
        .size(12, 9)
        .unit("s")
        .logarithmic()
        .limit("^(timeout|limit .*)$")
        .legend_below()
        .or_says("nothing succeeded")
}

fn spread() -> Panel {
    Panel::heatmap(
        "How durations are spread",
        "sum by (le) (rate(hotspare_probe_duration_seconds_bucket{TARGETS}[$__rate_interval]))",
    )
    .says("How many successful runs took how long. Two bands are two paths, or two targets: choose one to tell.")
    .size(12, 9)
    .or_says("nothing succeeded")
}

fn before() -> Panel {
    Panel::time_series("p50 now, a day ago, a week ago")
        .says("What it is like at this time of the day and of the week. The older lines are there once Prometheus has been scraping for so long.")
        .size(12, 8)
        .unit("s")
        .query(Query::range(&quantile("0.5", "TARGETS", ""), "now"))
        .query(Query::range(&quantile("0.5", "TARGETS", " offset 1d"), "a day ago"))
        .query(Query::range(&quantile("0.5", "TARGETS", " offset 1w"), "a week ago"))
        .legend_below()
        .or_says("nothing succeeded")
}

fn back() -> Panel {
    Panel::time_series("p99 there and back")
        .says("The way back is measured by the other region's daemon, by the same probes. If both are slow, it is the path between; if one is, look at the target or the daemon there.")
        .size(12, 8)
        .unit("s")
        .query(Query::range(
            &quantile("0.99", "TARGETS", ""),
            "$source_region → $target_region",
        ))
        .query(Query::range(
            &quantile("0.99", "BACK", ""),
            "$target_region → $source_region",
        ))
        .legend_below()
        .or_says("nothing succeeded")
}

fn phases() -> Panel {
    Panel::time_series("Phases, mean")
        .says("Where the time of successful runs goes: resolve, connect, tls, auth, processing, transfer, query. A ping has no phases.")
        .size(24, 8)
        .unit("s")
        .query(Query::range(
            "sum by (phase) (rate(hotspare_probe_phase_duration_seconds_sum{TARGETS}[$__rate_interval])) / sum by (phase) (rate(hotspare_probe_phase_duration_seconds_count{TARGETS}[$__rate_interval]) > 0)",
            "{{phase}}",
        ))
        .stacked_areas()
        .or_says("no phases")
}

fn reasons() -> Panel {
    Panel::time_series("Failures per attempt, by reason")
        .says("Of all runs, those that failed for each reason; those that did not occur are left out. Nothing here: nothing failed, or nothing is measured. The reasons are explained in docs/metrics.md.")
        .size(12, 8)
        .unit("percentunit")
        .query(Query::range(
            "sum by (reason) (rate(hotspare_probe_failures_total{TARGETS}[$__rate_interval])) / on () group_left () sum(rate(hotspare_probe_attempts_total{TARGETS}[$__rate_interval])) > 0",
            "{{reason}}",
        ))
        .stacked()
        .legend_of_most()
        .or_says("nothing failed, or nothing is measured")
}

fn burn() -> Panel {
    // Records know no daemon.
    let over = |range: &str| {
        format!(
            r#"max(max by (probe, target) (probe_target:hotspare_probe_failures_per_attempts:ratio_rate{range}{{source_region="$source_region",target_region="$target_region",kind="$kind",probe=~"$probe",target=~"$target"}}) / (1 - max by (probe, target) (hotspare_probe_objective_ratio{{TARGETS}})))"#
        )
    };
    Panel::time_series("Failures per allowed failure")
        .says("How fast the objective's budget is used, by the target that uses it the fastest: at 1 it is used up just when the objective's time is over, at 14.4 an hour takes 2 % of the budget of 30 days. Nothing here: no objective is configured, or the rules of the regional set are not loaded.")
        .size(12, 8)
        .unit("short")
        .query(Query::range(&over("5m"), "over 5 minutes"))
        .query(Query::range(&over("1h"), "over an hour"))
        .query(Query::range(&over("6h"), "over 6 hours"))
        .query(Query::range(
            "1 + 0 * max(hotspare_probe_objective_ratio{TARGETS})",
            "as much as is allowed",
        ))
        .limit("^as much as is allowed$")
        .legend_below()
        .or_says("no objective, or no rules")
}

fn blind() -> Panel {
    Panel::time_series("Slots that told nothing")
        .says("Of the slots of the schedule: runs that a fault of the daemon or its host ended (unknown), and slots in which no run began (missed). They are no failures of the target, and no successes.")
        .size(24, 6)
        .unit("percentunit")
        .query(Query::range(&slots("unknown"), "unknown"))
        .query(Query::range(&slots("missed_slots"), "missed"))
        .stacked()
        .or_says("not measured")
}

/// The part of the slots of the schedule that this counter has.
fn slots(counter: &str) -> String {
    let rate = |counter: &str| {
        format!("sum(rate(hotspare_probe_{counter}_total{{TARGETS}}[$__rate_interval]))")
    };
    format!(
        "{} / ({} + {} + {})",
        rate(counter),
        rate("attempts"),
        rate("unknown"),
        rate("missed_slots"),
    )
}

/// A panel that has something to show for some kinds only.
fn only(panel: Panel, kind: &str, says: &str) -> Panel {
    panel
        .says(&format!("{says} Empty unless the kind is {kind}."))
        .or_says(&format!("not {kind}"))
        .legend_below()
}

fn packets() -> Panel {
    let lost = |counters: &str| {
        format!(
            "({counters}) / sum by (probe, target) (rate(hotspare_ping_packets_sent_total{{TARGETS}}[$__rate_interval]))"
        )
    };
    let rate = |counter: &str| {
        format!(
            "sum by (probe, target) (rate(hotspare_ping_{counter}_total{{TARGETS}}[$__rate_interval]))"
        )
    };
    let panel = Panel::time_series("Packets that were lost or late")
        .size(8, 8)
        .unit("percentunit")
        .query(Query::range(
            &lost(&rate("packets_lost")),
            "{{probe}} {{target}} lost",
        ))
        .query(Query::range(
            &lost(&rate("packets_late")),
            "{{probe}} {{target}} late",
        ))
        .query(Query::range(
            r#"min by (probe) (hotspare_readiness_check_threshold{DAEMON,source_region="$source_region",standby="$target_region",probe=~"$probe",check="loss"} and on (probe) hotspare_ping_jitter_seconds{TARGETS})"#,
            "limit of {{probe}}",
        ))
        .limit("^limit of .*$");
    only(
        panel,
        "ping",
        "Per packet sent. Late: answered after the deadline, before the run's end. Dashed: the limit of the check loss, where the target's region is a standby.",
    )
}

fn jitter() -> Panel {
    let panel = Panel::time_series("Jitter")
        .size(8, 8)
        .unit("s")
        .query(Query::range(
            "max by (probe, target) (hotspare_ping_jitter_seconds{TARGETS})",
            "{{probe}} {{target}}",
        ));
    only(
        panel,
        "ping",
        "The mean difference of consecutive round trips in the last run. A gap: fewer than two answers.",
    )
}

fn odd_packets() -> Panel {
    let rate = |counter: &str| {
        format!(
            "sum by (probe, target) (rate(hotspare_ping_{counter}_total{{TARGETS}}[$__rate_interval])) > 0"
        )
    };
    let panel = Panel::time_series("Packets with errors, and duplicates")
        .size(8, 8)
        .unit("pps")
        .query(Query::range(
            &rate("packet_errors"),
            "{{probe}} {{target}} errors",
        ))
        .query(Query::range(
            &rate("duplicates"),
            "{{probe}} {{target}} duplicates",
        ));
    only(
        panel,
        "ping",
        "Errors could not be sent, or the network sent them back; duplicates were answered twice. Those that did not occur are left out.",
    )
    .legend_of_most()
    .or_says("none, or not ping")
}

fn statuses() -> Panel {
    let panel = Panel::time_series("HTTP status")
        .size(8, 8)
        .unit("none")
        .query(Query::range(
            "max by (probe, target) (hotspare_http_status_code{TARGETS})",
            "{{probe}} {{target}}",
        ))
        .steps();
    only(
        panel,
        "http",
        "Of the last run's answer. A gap: there was none.",
    )
}

fn bodies() -> Panel {
    let panel = Panel::time_series("HTTP body")
        .size(8, 8)
        .unit("bytes")
        .query(Query::range(
            "max by (probe, target) (hotspare_http_body_bytes{TARGETS})",
            "{{probe}} {{target}}",
        ));
    only(
        panel,
        "http",
        "Bytes of the last run's answer, as received. A step: another release, or an error page.",
    )
}

fn certificates() -> Panel {
    let panel = Panel::time_series("Certificates: time left")
        .size(8, 8)
        .unit("s")
        .below_zero()
        .query(Query::range(
            "min by (probe, target, position) (hotspare_tls_cert_not_after_timestamp_seconds{TARGETS} - time())",
            "{{probe}} {{target}} {{position}}",
        ))
        .query(Query::range(
            r#"min by (probe) (hotspare_readiness_check_threshold{DAEMON,source_region="$source_region",standby="$target_region",probe=~"$probe",check="certificate"} and on (probe) hotspare_tls_cert_not_after_timestamp_seconds{TARGETS})"#,
            "limit of {{probe}}",
        ))
        .limit("^limit of .*$");
    only(
        panel,
        "http or tcp with TLS",
        "Until the first certificate of each target expires, below 0 since: its own (leaf), and the first of the sent chain (chain_min). Dashed: the limit of the check certificate, where the target's region is a standby.",
    )
}

fn sessions() -> Panel {
    let by = "probe, target";
    let columns = [
        ("probe", "Probe"),
        ("target", "Target"),
        ("Value #A", "Certificate valid"),
        ("Value #B", "Verification off"),
        ("version", "TLS"),
        ("cipher", "Cipher"),
    ];
    Panel::table("TLS sessions", &columns, vec![
        Query::rows(&format!("min by ({by}) (hotspare_tls_verified{{TARGETS}})")),
        Query::rows(&format!("max by ({by}) (hotspare_tls_verification_disabled{{TARGETS}})")),
        Query::rows(&format!("max by ({by}, version, cipher) (hotspare_tls_info{{TARGETS}})")),
    ])
    .says("Of the certificate and the session last seen. Empty unless the kind is http or tcp with TLS.")
    .size(24, 6)
    // A version is no number.
    .measured("TLS", "string")
    .words("Certificate valid", &FLAG)
    .words("Verification off", &DISABLED)
    .or_says("no TLS")
}

/// Whether the configuration says not to verify certificates.
const DISABLED: super::kit::Look =
    super::kit::Look(&[(0, "no", Colour::Good), (1, "YES", Colour::Warn)]);

fn rcodes() -> Panel {
    let panel = Panel::time_series("DNS: response code and answers")
        .size(12, 8)
        .unit("none")
        .query(Query::range(
            "max by (probe, target) (hotspare_dns_rcode{TARGETS})",
            "{{probe}} {{target}} response code",
        ))
        .query(Query::range(
            "min by (probe, target) (hotspare_dns_answers{TARGETS})",
            "{{probe}} {{target}} answers",
        ))
        .steps();
    only(
        panel,
        "dns",
        "Of the last run. Codes: 0 no error, 2 server failure, 3 no such name, 5 refused. A gap: there was no response.",
    )
}

fn time_to_live() -> Panel {
    let panel = Panel::time_series("DNS: time to live")
        .size(12, 8)
        .unit("s")
        .query(Query::range(
            "max by (probe, target) (hotspare_dns_ttl_seconds{TARGETS})",
            "{{probe}} {{target}}",
        ))
        .query(Query::range(
            r#"min by (probe) (hotspare_readiness_check_threshold{DAEMON,source_region="$source_region",standby="$target_region",probe=~"$probe",check="ttl"} and on (probe) hotspare_dns_ttl_seconds{TARGETS})"#,
            "limit of {{probe}}",
        ))
        .limit("^limit of .*$");
    only(
        panel,
        "dns",
        "The smallest among the last run's answers: for so long clients keep an old one. Dashed: the limit of the check ttl, where the target's region is a standby.",
    )
}
