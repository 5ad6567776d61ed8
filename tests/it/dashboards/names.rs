//! What the dashboards name exists.

use std::collections::{BTreeMap, BTreeSet};

use hotspare::metrics::{Format, encode};
use regex::Regex;
use serde_json::json;

use super::board::{Board, text};
use super::promql::Query;
use super::sample;
use crate::page::{filled, parse};
use crate::rules::unknown_series;

/// The labels of each series that a daemon shows, with those that a scrape adds.
fn labels() -> BTreeMap<String, BTreeSet<String>> {
    let (store, own) = filled();
    let page = encode(&store, &own, Format::Text, false, Vec::new()).expect("encoded");
    let page = parse(
        &String::from_utf8(page.concat()).expect("UTF-8"),
        Format::Text,
    );
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (series, labels, _) in page.0.values().flat_map(|family| &family.samples) {
        let known = all.entry(series.clone()).or_default();
        known.extend(labels.keys().cloned());
        known.extend(["job", "instance"].map(str::to_owned));
    }
    assert!(all["hotspare_probe_failures_total"].contains("reason"));
    all
}

/// Labels that no series of a query has. What is recorded or comes from Prometheus itself may have
/// any of them: running the queries tells.
fn unknown_labels(
    expr: &str,
    legend: &str,
    known: &BTreeMap<String, BTreeSet<String>>,
) -> Vec<String> {
    let query = Query::read(expr);
    let mut unknown = Vec::new();
    let mut labels = BTreeSet::new();
    let mut foreign = false;
    for selector in &query.selectors {
        let Some(own) = known.get(&selector.name) else {
            foreign = true;
            continue;
        };
        for (label, _, _) in &selector.matchers {
            if !own.contains(label) {
                unknown.push(format!("{} has no {label}", selector.name));
            }
        }
        labels.extend(own.iter().cloned());
    }
    if foreign {
        return unknown;
    }
    labels.extend(query.made.iter().cloned());
    let shown = Regex::new(r"\{\{\s*(\w+)\s*\}\}").expect("an expression");
    let shown = shown.captures_iter(legend).map(|found| found[1].to_owned());
    for label in query.labels.iter().cloned().chain(shown) {
        if !labels.contains(&label) {
            unknown.push(format!("nothing here has {label}"));
        }
    }
    unknown
}

fn unknown_in(board: &Board, known: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut found = Vec::new();
    let mut look = |at: &str, expr: &str, legend: &str| {
        let unknown = unknown_labels(expr, legend, known);
        found.extend(
            unknown
                .into_iter()
                .map(|what| format!("{}: {at}: {what}", board.file)),
        );
    };
    for panel in board.panels() {
        for target in panel.targets() {
            look(
                panel.title(),
                target.expr(),
                text(&target.json["legendFormat"]),
            );
        }
    }
    for annotation in board.annotations() {
        let shown = ["titleFormat", "textFormat"].map(|key| text(&annotation[key]));
        look(
            "annotation",
            text(&annotation["target"]["expr"]),
            &shown.concat(),
        );
    }
    for variable in board.variables().into_iter().filter(|v| v.is_query()) {
        if let Some((selector, label)) = label_values(variable.query()) {
            look(variable.name(), selector, &format!("{{{{{label}}}}}"));
        }
    }
    let unknown = unknown_series(&board.json.to_string());
    found.extend(
        unknown
            .into_iter()
            .map(|series| format!("{}: {series}", board.file)),
    );
    found
}

/// The selector and the label of `label_values(selector, label)`.
pub(super) fn label_values(query: &str) -> Option<(&str, &str)> {
    let inner = query.strip_prefix("label_values(")?.strip_suffix(')')?;
    let (selector, label) = inner.rsplit_once(',')?;
    Some((selector.trim(), label.trim()))
}

#[test]
fn every_series_and_every_label_that_is_named_exists() {
    let known = labels();
    let found: Vec<_> = Board::all()
        .iter()
        .flat_map(|board| unknown_in(board, &known))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_series_and_a_label_that_do_not_exist_are_found() {
    let known = labels();
    let mut board = sample::board();
    assert_eq!(unknown_in(&board, &known), [""; 0]);
    for (expr, legend) in [
        ("hotspare_probe_ups", "x"),
        ("target:hotspare_probe_up:max", "x"),
        ("hotspare_probe_up{group=\"x\"}", "x"),
        ("max by (group) (hotspare_probe_up)", "x"),
        ("hotspare_probe_up", "{{group}}"),
    ] {
        let target = &mut board.json["panels"][0]["targets"][0];
        target["expr"] = json!(expr);
        target["legendFormat"] = json!(legend);
        assert_eq!(unknown_in(&board, &known).len(), 1, "{expr}");
    }
    assert_eq!(
        label_values("label_values(a{b=\"c,d\"}, e)"),
        Some(("a{b=\"c,d\"}", "e"))
    );
}
