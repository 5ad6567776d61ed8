//! The alerts, and whether people hear of them.

use serde_json::json;

use super::kit::{Colour, Dashboard, Look, Panel, Query, Thresholds, among, row};

/// What Prometheus says of an alert.
const ALERT: Look = Look(&[(1, "pending", Colour::Warn), (2, "FIRING", Colour::Bad)]);

/// Whether a receiver knows what it should.
const RECEIVER: Look = Look(&[
    (1, "nothing waits", Colour::Good),
    (2, "BEHIND", Colour::Warn),
    (3, "REJECTS", Colour::Bad),
]);

/// Ten minutes, as `HotspareOutboxOld` has it.
const SOON_IS_GOOD: Thresholds =
    Thresholds(Colour::Good, &[(60.0, Colour::Warn), (600.0, Colour::Bad)]);

/// By what a queue to a receiver is known: each daemon has its own.
const OUTBOX: &str = "instance, receiver";
const OUTBOX_NAME: &str = "{{receiver}} from {{instance}}";

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "hotspare-alerting",
        "Hotspare / Alerting",
        "Which alerts there are, and whether everybody who should know of them does.",
    )
    .has(row("What is wrong", wrong()))
    .has(row(
        "Alerts of Prometheus' rules",
        vec![of_prometheus(), of_prometheus_over_time()],
    ))
    .has(row(
        "Alerts of the daemons' own rules",
        vec![of_daemons(), of_daemons_over_time(), thresholds()],
    ))
    .has(row(
        "Do receivers take them?",
        vec![
            rejecting(),
            waiting(),
            oldest(),
            attempts(),
            failures(),
            duration(),
            durations(),
        ],
    ))
    .has(row("What was never told", lost()))
    .has(row(
        "Alertmanager",
        vec![sent(), refused(), latency(), queue()],
    ))
    .has(row(
        "The heartbeat: what tells that all is well",
        vec![heartbeats(), heartbeat_failures()],
    ))
}

fn wrong() -> Vec<Panel> {
    let over_range = |title: &str, series: &str| {
        Panel::stat(title)
            .query(Query::now(
                &format!("sum(increase({series}{{DAEMON}}[$__range]))"),
                title,
            ))
            .decimals(0)
            .thresholds(&Thresholds::NONE_IS_GOOD)
    };
    vec![
        Panel::stat("Alerts that fire")
            .says("Of the daemons' own rules, counted at each daemon. Those of Prometheus' rules are in the table below.")
            .query(Query::now(r#"sum(hotspare_alerts{DAEMON,state="firing"})"#, "firing"))
            .thresholds(&Thresholds::NONE_IS_BETTER)
            .or_says("no daemon"),
        Panel::stat("Receivers that reject")
            .says("Receivers that answer a daemon that somebody has to change something first: they point elsewhere, do not let it in, or do not want what they get.")
            .query(Query::now(
                &among("max by (receiver) (hotspare_receiver_rejecting{DAEMON})", "== 1"),
                "rejecting",
            ))
            .thresholds(&Thresholds::NONE_IS_GOOD)
            .or_says("no receiver"),
        Panel::stat("Longest wait")
            .says("For how long the oldest delivery that a receiver has not taken waits. Deliveries are tried for 24 hours.")
            .query(Query::now(
                "max(time() - hotspare_outbox_oldest_timestamp_seconds{DAEMON} > 0 or 0 * hotspare_outbox_deliveries{DAEMON})",
                "oldest",
            ))
            .unit("s")
            .thresholds(&SOON_IS_GOOD)
            .or_says("no receiver"),
        over_range("Dropped", "hotspare_notifications_dropped_total")
            .says("What a receiver was never told, over the time range. It should never be anything.")
            .or_says("no receiver"),
        Panel::stat("Alertmanagers that failed")
            .says("Alertmanagers for which a request of a daemon failed, over the time range. The alerts are sent again.")
            .query(Query::now(
                &among(
                    "max by (endpoint) (increase(hotspare_alertmanager_errors_total{DAEMON}[$__range]))",
                    "> 0",
                ),
                "failed",
            ))
            .thresholds(&Thresholds::NONE_IS_BETTER)
            .or_says("no Alertmanager"),
        Panel::stat("Heartbeats missed")
            .says("Beats that were not taken, or not sent as something of a daemon did not go on; over the time range.")
            .query(Query::now(&heartbeats_missed(), "missed"))
            .decimals(0)
            .thresholds(&Thresholds::NONE_IS_BETTER)
            .or_says("no heartbeat"),
    ]
}

/// Nothing, and not a green 0, where no daemon has a heartbeat.
fn heartbeats_missed() -> String {
    let over_range = |series: &str| format!("sum(increase({series}{{DAEMON}}[$__range]))");
    let missed = format!(
        "{} + {}",
        over_range("hotspare_heartbeat_failures_total"),
        over_range("hotspare_heartbeats_withheld_total")
    );
    format!(
        "{missed} and {} + {missed} > 0",
        over_range("hotspare_heartbeats_total")
    )
}

/// An alert of Prometheus' rules has labels of what it is about, and these are all of them that
/// matter to people. The daemons' names for themselves are not chosen by: agreement has none. What
/// always fires, to be missed when it does not, has no severity.
const ALERTS: &str = r#"ALERTS{alertname=~"Hotspare.+",severity!="none"}"#;

fn of_prometheus() -> Panel {
    let columns = [
        ("alertname", "Alert"),
        ("alertstate", "State"),
        ("severity", "Severity"),
        ("group", "Group"),
        ("standby", "Standby"),
        ("probe", "Probe"),
        ("check", "Check"),
        ("target", "Target"),
        ("source_region", "From"),
        ("receiver", "Receiver"),
        ("reason", "Reason"),
        ("instance", "Instance"),
    ];
    let state = json!([
        { "options": {
            "firing": { "color": Colour::Bad.name(), "index": 0, "text": "FIRING" },
            "pending": { "color": Colour::Warn.name(), "index": 1, "text": "pending" },
        }, "type": "value" },
    ]);
    Panel::table("Alerts of Prometheus", &columns, vec![Query::rows(ALERTS)])
        .says("What the shipped rules say now, of all regions, whatever is chosen above. A pending alert has not lasted long enough yet. The name leads to the runbook. Empty: none, or the rules are not loaded.")
        .size(24, 9)
        .sorted("State", false)
        .coloured("State", &[("mappings", state)])
        .runbooks("Alert")
        .or_says("none, or no rules")
}

fn of_prometheus_over_time() -> Panel {
    let by = "alertname, group, standby, target, receiver";
    let of = |number: u32, state: &str| {
        format!(
            r#"{number} * ALERTS{{alertname=~"Hotspare.+",severity!="none",alertstate="{state}"}}"#
        )
    };
    Panel::timeline("Alerts of Prometheus over time", &ALERT)
        .says("When each was pending, and when it fired, those of several daemons or probes as one. Nothing is drawn where there was no alert.")
        .size(24, 12)
        .query(Query::range(
            &format!("max by ({by}) ({} or {})", of(2, "firing"), of(1, "pending")),
            "{{alertname}} {{group}} {{standby}} {{target}} {{receiver}}",
        ))
        .or_says("none, or no rules")
}

fn of_daemons() -> Panel {
    let state = |state: &str| {
        Query::rows(&format!(
            r#"max by (source_region) (hotspare_alerts{{DAEMON,state="{state}"}})"#
        ))
    };
    let columns = [
        ("source_region", "Vantage"),
        ("Value #A", "Firing"),
        ("Value #B", "Muted"),
        ("Value #C", "Pending"),
        ("Value #D", "Resolved"),
    ];
    let firing = json!({ "mode": "absolute", "steps": [
        { "color": Colour::Good.name(), "value": null },
        { "color": Colour::Bad.name(), "value": 1 },
    ] });
    Panel::table(
        "Alerts now, by vantage",
        &columns,
        ["firing", "muted", "pending", "resolved"].map(state).into(),
    )
    .says("Muted ones fire, and nobody is told: a silence, or maintenance. Resolved ones are over, and kept until everybody was told. hotspare alerts lists them.")
    .size(12, 9)
    .sorted("Vantage", false)
    .coloured("Firing", &[("thresholds", firing)])
    .or_says("no daemon")
}

fn of_daemons_over_time() -> Panel {
    Panel::time_series("Alerts over time, by vantage")
        .says("Of the daemons' own rules. What several vantages see of one thing is one alert at each of them.")
        .size(12, 9)
        .unit("short")
        .decimals(0)
        .steps()
        .query(Query::range(
            "max by (source_region, state) (hotspare_alerts{DAEMON}) > 0",
            "{{source_region}} {{state}}",
        ))
        .or_says("none")
}

fn thresholds() -> Panel {
    let of = |series: &str| {
        Query::rows(&format!(
            "max by (rule, source_region) ({series}{{DAEMON}})"
        ))
    };
    let columns = [
        ("rule", "Rule"),
        ("source_region", "Vantage"),
        ("Value #A", "Number"),
        ("Value #B", "Time"),
        ("Value #C", "Part"),
    ];
    Panel::table(
        "Thresholds of the daemons' rules",
        &columns,
        vec![
            of("hotspare_rule_threshold"),
            of("hotspare_rule_threshold_seconds"),
            of("hotspare_rule_threshold_ratio"),
        ],
    )
    .says("From which figure on the condition of each rule holds: a number, a time or a part of a whole. A rule without a figure, as readiness, is not here. One rule with different figures at two vantages has two configurations.")
    .size(24, 7)
    .sorted("Rule", false)
    .measured("Time", "s")
    .measured("Part", "percentunit")
    .or_says("no rule with a figure")
}

fn rejecting() -> Panel {
    let rejecting = format!("max by ({OUTBOX}) (hotspare_receiver_rejecting{{DAEMON}})");
    let since = format!("min by ({OUTBOX}) (hotspare_outbox_oldest_timestamp_seconds{{DAEMON}})");
    Panel::timeline("Receivers", &RECEIVER)
        .says("Behind: something waits for more than a minute, as the receiver is away or has trouble; it takes it later. One that rejects points elsewhere, does not let the daemon in, or does not want this: somebody has to change something.")
        .size(8, 8)
        .query(Query::range(
            &format!("({rejecting} == 1) + 2 or (time() - {since} > 60) * 0 + 2 or {rejecting} + 1"),
            OUTBOX_NAME,
        ))
        .or_says("no receiver")
}

fn waiting() -> Panel {
    Panel::time_series("Deliveries that wait")
        .says("Not taken by the receiver yet. A few for a moment are as it should be; a line that does not come down is a receiver that hears nothing.")
        .size(8, 8)
        .unit("short")
        .decimals(0)
        .legend_below()
        .query(Query::range(
            &format!("max by ({OUTBOX}) (hotspare_outbox_deliveries{{DAEMON}})"),
            OUTBOX_NAME,
        ))
        .or_says("no receiver")
}

fn oldest() -> Panel {
    Panel::time_series("Age of the oldest delivery")
        .says("For how long it waits. Nothing is drawn while nothing waits. After 24 hours it is dropped.")
        .size(8, 8)
        .unit("s")
        .legend_below()
        .query(Query::range(
            &format!(
                "time() - min by ({OUTBOX}) (hotspare_outbox_oldest_timestamp_seconds{{DAEMON}}) > 0"
            ),
            OUTBOX_NAME,
        ))
        .or_says("nothing waits")
}

fn attempts() -> Panel {
    Panel::time_series("Attempts")
        .says("Attempts to tell each receiver something, also those that failed, from all chosen daemons.")
        .unit("ops")
        .query(Query::range(
            "sum by (receiver) (rate(hotspare_notifications_total{DAEMON}[$__rate_interval]))",
            "{{receiver}}",
        ))
        .or_says("no receiver")
}

fn failures() -> Panel {
    Panel::time_series("Failed attempts, by reason")
        .says("Why attempts failed; they are made again. The reasons are in docs/metrics.md. Empty: none failed.")
        .unit("ops")
        .stacked()
        .query(Query::range(
            "sum by (receiver, reason) (rate(hotspare_notification_failures_total{DAEMON}[$__rate_interval])) > 0",
            "{{receiver}} {{reason}}",
        ))
        .or_says("none failed")
}

fn duration() -> Panel {
    Panel::time_series("How long attempts take: p99")
        .says("Also of those that failed. An attempt is given up after 10 s. A gap: none was made.")
        .unit("s")
        .query(Query::range(
            "histogram_quantile(0.99, sum by (receiver, le) (rate(hotspare_notification_duration_seconds_bucket{DAEMON}[$__rate_interval]))) >= 0",
            "{{receiver}}",
        ))
        .or_says("no attempt was made")
}

fn durations() -> Panel {
    Panel::heatmap(
        "How long attempts take: all receivers",
        "sum by (le) (rate(hotspare_notification_duration_seconds_bucket{DAEMON}[$__rate_interval]))",
    )
    .says("How many attempts took how long. A band at the top is a receiver that does not answer.")
    .or_says("no receiver")
}

fn lost() -> Vec<Panel> {
    let over_range = |title: &str, series: &str, by: &str, legend: &str| {
        Panel::stat(title)
            .size(8, 5)
            .query(Query::now(
                &format!("sum by ({by}) (increase({series}{{DAEMON}}[$__range]))"),
                legend,
            ))
            .named()
            .decimals(0)
            .or_says("no receiver")
    };
    vec![
        over_range(
            "Dropped, by reason",
            "hotspare_notifications_dropped_total",
            "reason",
            "{{reason}}",
        )
        .says("What was never told, over the time range. age: not taken for 24 hours. operator: the receiver was taken out of the configuration. size: an alert of more than 256 KiB. lost: the state was damaged, or had no room.")
        .thresholds(&Thresholds::NONE_IS_GOOD),
        over_range(
            "Superseded",
            "hotspare_notifications_superseded_total",
            "receiver",
            "{{receiver}}",
        )
        .says("Deliveries that were not taken before an alert in them had a newer state, which was told instead; over the time range. Nothing is lost by it: a receiver was away for longer than an alert lasted.")
        .thresholds(&Thresholds(Colour::Plain, &[])),
        over_range(
            "Not kept",
            "hotspare_outbox_not_kept_total",
            "receiver",
            "{{receiver}}",
        )
        .says("Changes of what a receiver was told for which the state had no room, over the time range. They are in memory only: a restart may tell something twice, or not that it is over.")
        .thresholds(&Thresholds::NONE_IS_BETTER),
    ]
}

/// By what an Alertmanager is known, of all chosen daemons together.
const AM: &str = "receiver, endpoint";
const AM_NAME: &str = "{{receiver}} {{endpoint}}";

fn sent() -> Panel {
    Panel::time_series("Alerts that Alertmanager took")
        .says("Alerts in requests that were taken. One that lasts is sent every minute, so this goes on for as long as anything fires.")
        .unit("ops")
        .query(Query::range(
            &format!("sum by ({AM}) (rate(hotspare_alertmanager_alerts_sent_total{{DAEMON}}[$__rate_interval]))"),
            AM_NAME,
        ))
        .or_says("no Alertmanager is a receiver")
}

fn refused() -> Panel {
    let rate =
        |series: &str| format!("sum by ({AM}) (rate({series}{{DAEMON}}[$__rate_interval])) > 0");
    Panel::time_series("Alerts that it did not take")
        .says("failed: in requests that failed; they are sent again. refused: not valid in the Alertmanager's eyes; tried again after 15 minutes. Empty: it took all.")
        .unit("ops")
        .stacked()
        .query(Query::range(
            &rate("hotspare_alertmanager_errors_total"),
            &format!("failed: {AM_NAME}"),
        ))
        .query(Query::range(
            &rate("hotspare_alertmanager_alerts_dropped_total"),
            &format!("refused: {AM_NAME}"),
        ))
        .or_says("all were taken, or no Alertmanager is a receiver")
}

fn latency() -> Panel {
    Panel::time_series("How long Alertmanager takes: p99")
        .says("Of requests, answered or not. A gap: none was made.")
        .unit("s")
        .query(Query::range(
            &format!("histogram_quantile(0.99, sum by ({AM}, le) (rate(hotspare_alertmanager_latency_seconds_bucket{{DAEMON}}[$__rate_interval]))) >= 0"),
            AM_NAME,
        ))
        .or_says("no request was made")
}

fn queue() -> Panel {
    Panel::time_series("Alerts with a change that it was not told yet")
        .says("Of the daemon that has the most of them. 0 for nearly all of the time. An Alertmanager that is away lets it grow to the number of alerts, and no further.")
        .unit("short")
        .decimals(0)
        .query(Query::range(
            &format!("max by ({AM}) (hotspare_alertmanager_queue_length{{DAEMON}})"),
            AM_NAME,
        ))
        .or_says("no Alertmanager is a receiver")
}

fn heartbeats() -> Panel {
    Panel::time_series("Heartbeats per minute")
        .says("Beats that were taken. A line at 0 is a daemon without a heartbeat in its configuration, or one whose beats do not arrive.")
        .unit("short")
        .at_least("10m")
        .query(Query::range(
            "60 * sum by (instance) (rate(hotspare_heartbeats_total{DAEMON}[$__rate_interval]))",
            "{{instance}}",
        ))
        .or_says("no daemon")
}

fn heartbeat_failures() -> Panel {
    Panel::time_series("Heartbeats that did not arrive, per minute")
        .says("By reason, and those withheld as something of the daemon did not go on. Empty: none.")
        .unit("short")
        .at_least("10m")
        .stacked()
        .query(Query::range(
            "60 * sum by (instance, reason) (rate(hotspare_heartbeat_failures_total{DAEMON}[$__rate_interval])) > 0",
            "{{instance}} {{reason}}",
        ))
        .query(Query::range(
            "60 * sum by (instance) (rate(hotspare_heartbeats_withheld_total{DAEMON}[$__rate_interval])) > 0",
            "{{instance}} withheld",
        ))
        .or_says("none")
}
