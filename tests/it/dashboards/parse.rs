//! Prometheus can read every query.

use std::process::Command;

use serde_json::json;

use super::board::Board;
use super::interpolate::any_values;
use super::sample;
use crate::rules::succeeds;

/// All queries as rules, which `promtool` looks at.
fn as_rules(boards: &[Board]) -> Result<String, String> {
    let mut rules = Vec::new();
    for board in boards {
        let values = any_values(board);
        for (at, expr) in board.queries() {
            let expr = values
                .put_into(expr)
                .map_err(|error| format!("{at}: {error}"))?;
            let expr = json!(expr);
            rules.push(format!(
                "  # {at}\n  - {{ record: 'query:number_{}', expr: {expr} }}\n",
                rules.len()
            ));
        }
    }
    assert!(!rules.is_empty(), "no queries");
    Ok(format!(
        "groups:\n- name: dashboards\n  rules:\n{}",
        rules.concat()
    ))
}

#[test]
fn prometheus_reads_every_query() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("queries.yaml");
    let rules = as_rules(&Board::all()).expect("variables that there are");
    std::fs::write(&file, rules).expect("writable");
    succeeds(Command::new("promtool").args(["check", "rules"]).arg(&file));
}

#[test]
fn what_prometheus_cannot_read_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("queries.yaml");
    let passes = |board: Board| {
        let rules = as_rules(&[board]).expect("variables that there are");
        std::fs::write(&file, rules).expect("writable");
        let output = Command::new("promtool")
            .args(["check", "rules"])
            .arg(&file)
            .output();
        output.expect("promtool").status.success()
    };
    assert!(passes(sample::board()));
    let mut board = sample::board();
    board.json["panels"][0]["targets"][0]["expr"] = json!("sum by (x (up)");
    assert!(!passes(board));
}
