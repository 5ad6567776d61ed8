//! What panels come to in moments that are hard to have with real daemons: `promtool` runs their
//! queries over series as a test of rules has them.

use std::process::Command;

use serde_json::json;

use super::board::Board;
use super::interpolate::any_values;
use crate::rules::succeeds;

/// What every series of a daemon has, as [`any_values`] chooses.
const DAEMON: &str = r#"job="any",instance="x""#;

/// One query of a panel, and a moment.
struct Case {
    board: &'static str,
    panel: &'static str,
    place: usize,
    /// Each series with its values, one every 15 seconds; `DAEMON` stands for [`DAEMON`].
    series: &'static [(&'static str, &'static str)],
    /// What the query comes to after 10 minutes: labels and a number for each row.
    rows: &'static [(&'static str, f64)],
}

const CASES: [Case; 6] = [
    // One vantage has lost sight of the primary, and goes on saying what it last saw.
    Case {
        board: "hotspare-database",
        panel: "RPO exceeded",
        place: 0,
        series: &[
            (
                r#"hotspare_rpo_estimate_seconds{DAEMON,group="shop",standby="east",probe="any",source_region="a"}"#,
                "90x40",
            ),
            (
                r#"hotspare_replication_lag_seconds{DAEMON,group="shop",standby="east",probe="any",source_region="a",method="canary"}"#,
                "90x40",
            ),
            (
                r#"hotspare_rpo_estimate_seconds{DAEMON,group="shop",standby="east",probe="any",source_region="b"}"#,
                "1x40",
            ),
            (
                r#"hotspare_replication_lag_seconds{DAEMON,group="shop",standby="east",probe="any",source_region="b",method="canary"}"#,
                "NaN+0x40",
            ),
            (
                r#"hotspare_rpo_objective_seconds{DAEMON,group="shop",standby="east",source_region="a"}"#,
                "15x40",
            ),
        ],
        rows: &[("{}", 1.0)],
    },
    // A long time range: one region's daemon goes on, one has not moved for three minutes, and one
    // does not answer since half a minute ago.
    Case {
        board: "hotspare-overview",
        panel: "Regions without a daemon",
        place: 0,
        series: &[
            ("hotspare_configured_regions{DAEMON}", "3x40"),
            (
                r#"hotspare_evaluation_timestamp_seconds{DAEMON,source_region="a"}"#,
                "0+15x40",
            ),
            (
                r#"hotspare_evaluation_timestamp_seconds{DAEMON,source_region="b"}"#,
                "0+15x28 420x12",
            ),
            (
                r#"hotspare_evaluation_timestamp_seconds{DAEMON,source_region="c"}"#,
                "0+15x38 stale",
            ),
        ],
        rows: &[("{}", 2.0)],
    },
    Case {
        board: "hotspare-daemon",
        panel: "Stand still",
        place: 0,
        series: &[(
            "hotspare_evaluation_timestamp_seconds{DAEMON}",
            "0+15x28 420x12",
        )],
        rows: &[("{}", 1.0)],
    },
    // Faults of the daemons themselves ended all runs to one of two databases.
    Case {
        board: "hotspare-database",
        panel: "Unreachable",
        place: 0,
        series: &[
            (
                r#"hotspare_probe_up{DAEMON,kind="postgres",probe="any",target_region="a",target="a"}"#,
                "1x40",
            ),
            (
                r#"hotspare_probe_up{DAEMON,kind="postgres",probe="any",target_region="b",target="b"}"#,
                "NaN+0x40",
            ),
        ],
        rows: &[("{}", 1.0)],
    },
    // All is well: the rules are loaded, and what always fires does.
    Case {
        board: "hotspare-alerting",
        panel: "Alerts of Prometheus",
        place: 0,
        series: &[(WATCHDOG, "1x40")],
        rows: &[],
    },
    Case {
        board: "hotspare-alerting",
        panel: "Alerts of Prometheus over time",
        place: 0,
        series: &[(WATCHDOG, "1x40")],
        rows: &[],
    },
];

const WATCHDOG: &str =
    r#"ALERTS{alertname="HotspareRulesWatchdog",alertstate="firing",severity="none"}"#;

/// The case as a test of `promtool`.
fn as_test(case: &Case, boards: &[Board]) -> serde_json::Value {
    let board = boards.iter().find(|board| board.file == case.board);
    let board = board.expect("a dashboard");
    let mut panels = board.panels().into_iter();
    let panel = panels.find(|panel| panel.title() == case.panel);
    let mut targets = panel.expect("a panel").targets();
    let expr = targets.nth(case.place).expect("a query").expr();
    let expr = any_values(board).put_into(expr).expect("variables");
    let series = case.series.iter().map(
        |(series, values)| json!({ "series": series.replace("DAEMON", DAEMON), "values": values }),
    );
    let rows = case
        .rows
        .iter()
        .map(|(labels, value)| json!({ "labels": labels, "value": value }));
    json!({
        "interval": "15s",
        "input_series": series.collect::<Vec<_>>(),
        "promql_expr_test": [{
            "expr": expr, "eval_time": "10m", "exp_samples": rows.collect::<Vec<_>>(),
        }],
    })
}

#[test]
fn panels_come_to_what_daemons_say() {
    let boards = Board::all();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cases.yaml");
    let tests = CASES.map(|case| as_test(&case, &boards));
    // JSON is YAML.
    let tests = json!({ "evaluation_interval": "15s", "tests": tests });
    std::fs::write(&file, tests.to_string()).expect("writable");
    succeeds(Command::new("promtool").args(["test", "rules"]).arg(&file));
}
