//! The rules of Grafana's dashboard-linter, by their names there, with the exclusions that are shipped
//! for it: each has a reason, and excludes something.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Value, json};
use yaml_rust2::{Yaml, YamlLoader};

use super::board::{Board, Panel, Variable, text};
use super::names::label_values;
use super::promql::Query;
use super::sample;
use crate::rules::{read, root};

/// What a rule finds.
struct Finding {
    rule: &'static str,
    dashboard: String,
    /// Its title; nothing where it is about the dashboard.
    panel: String,
    /// The place of the query in the panel.
    target: Option<usize>,
    what: String,
}

/// Kinds of panels that the linter looks at.
const LOOKED_AT: [&str; 5] = ["stat", "gauge", "graph", "table", "timeseries"];

/// Grafana's units that are in use here.
const UNITS: [&str; 14] = [
    "none",
    "short",
    "percentunit",
    "s",
    "dtdurations",
    "bytes",
    "ops",
    "cps",
    "reqps",
    "pps",
    "dateTimeAsIso",
    "dateTimeFromNow",
    "string",
    "Bps",
];

fn findings(board: &Board) -> Vec<Finding> {
    let mut found = of_variables(board);
    for (rule, what) in [
        ("template-datasource-rule", datasource(board)),
        ("template-job-rule", required(board, "job", "Job")),
        (
            "template-instance-rule",
            required(board, "instance", "Instance"),
        ),
        (
            "uneditable-dashboard",
            (board.json["editable"] != false).then_some("editable"),
        ),
    ] {
        found.extend(what.map(|what| finding(rule, board, None, None, what)));
    }
    for panel in board.panels() {
        found.extend(of_panel(board, panel));
        for target in panel.targets() {
            let at = Some(target.place);
            let of_target = of_query(&Query::read(target.expr()));
            found.extend(
                of_target
                    .into_iter()
                    .map(|(rule, what)| finding(rule, board, Some(panel), at, what)),
            );
        }
    }
    found
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self
            .target
            .map(|place| format!(" {place}"))
            .unwrap_or_default();
        write!(
            f,
            "{}: {}: {}{at}: {}",
            self.rule, self.dashboard, self.panel, self.what
        )
    }
}

fn finding(
    rule: &'static str,
    board: &Board,
    panel: Option<Panel<'_>>,
    target: Option<usize>,
    what: impl Into<String>,
) -> Finding {
    Finding {
        rule,
        dashboard: board.title().to_owned(),
        panel: panel.map_or("", Panel::title).to_owned(),
        target,
        what: what.into(),
    }
}

fn datasource(board: &Board) -> Option<&'static str> {
    let mut variables = board
        .variables()
        .into_iter()
        .filter(|v| v.json["type"] == "datasource");
    let right = |variable: Variable<'_>| {
        variable.name() == "datasource"
            && variable.json["label"] == "Data source"
            && variable.json["query"] == "prometheus"
    };
    let one = variables.next().is_some_and(right) && variables.next().is_none();
    (!one).then_some("not one datasource with the label Data source")
}

fn required(board: &Board, name: &str, label: &str) -> Option<&'static str> {
    let right = board.variable(name).is_some_and(|variable| {
        variable.is_query()
            && variable.json["datasource"]["uid"] == "${datasource}"
            && variable.json["label"] == label
            && variable.is_multi()
            && variable.json["allValue"] == ".+"
    });
    (!right).then_some("not such a variable of several values, or of .+ for all")
}

fn of_variables(board: &Board) -> Vec<Finding> {
    let mut found = Vec::new();
    for variable in board.variables().into_iter().filter(|v| v.is_query()) {
        let mut add = |rule, what: &str| {
            found.push(finding(
                rule,
                board,
                None,
                None,
                format!("{}: {what}", variable.name()),
            ));
        };
        if label_values(variable.query()).is_none() {
            add(
                "template-label-promql-rule",
                "no label_values(SELECTOR, LABEL)",
            );
        }
        if variable.json["refresh"] != 2 {
            add(
                "template-on-time-change-reload-rule",
                "not refreshed with the time",
            );
        }
    }
    found
}

fn of_panel(board: &Board, panel: Panel<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |rule, what: &str| found.push(finding(rule, board, Some(panel), None, what));
    if panel.targets().next().is_none() && panel.kind() != "text" {
        add("panel-no-targets-rule", "no query");
    }
    if !LOOKED_AT.contains(&panel.kind()) {
        return found;
    }
    if panel.json["datasource"]["uid"] != "${datasource}" {
        add("panel-datasource-rule", "another data source");
    }
    if panel.title().is_empty() || text(&panel.json["description"]).is_empty() {
        add("panel-title-description-rule", "no title or description");
    }
    let own = panel.defaults().get("unit").into_iter();
    let units: Vec<_> = own.chain(panel.overridden("unit")).map(text).collect();
    if let Some(unit) = units.iter().find(|unit| !UNITS.contains(unit)) {
        add("panel-units-rule", unit);
    } else if units.is_empty() && panel.mappings().next().is_none() {
        add("panel-units-rule", "no unit");
    }
    found
}

fn of_query(query: &Query) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for selector in &query.selectors {
        let name = &selector.name;
        let function = selector.function();
        for (rule, label, value) in [
            ("target-job-rule", "job", "$job"),
            ("target-instance-rule", "instance", "$instance"),
        ] {
            if !selector.has(label, "=~", value) {
                found.push((rule, format!("{name} of any {label}")));
            }
        }
        let is_rate = ["rate", "irate"].contains(&function);
        if is_rate && selector.range.as_deref() != Some("$__rate_interval") {
            found.push((
                "target-rate-interval-rule",
                format!("{name}[{:?}]", selector.range),
            ));
        }
        if name.ends_with("_total") && !is_rate && function != "increase" {
            found.push(("target-counter-agg-rule", name.clone()));
        }
    }
    found
}

/// One entry of the file.
#[derive(Debug)]
struct Exclusion {
    rule: String,
    dashboard: String,
    panel: String,
    target: Option<usize>,
}

impl Exclusion {
    fn is_of(&self, finding: &Finding) -> bool {
        self.rule == finding.rule
            && self.dashboard == finding.dashboard
            && self.panel == finding.panel
            && (self.target.is_none() || self.target == finding.target)
    }
}

/// The exclusions; the error says which has no reason, or no entry of its own.
fn exclusions(file: &str) -> Result<Vec<Exclusion>, String> {
    let documents = YamlLoader::load_from_str(file).map_err(|error| error.to_string())?;
    let keys: BTreeSet<_> = hash(&documents[0]).map(|(key, _)| key).collect();
    if keys != ["exclusions"].into() {
        return Err(format!("only exclusions: {keys:?}"));
    }
    let mut all = Vec::new();
    for (rule, of_rule) in hash(&documents[0]["exclusions"]) {
        let reason = of_rule["reason"].as_str().unwrap_or_default();
        let entries = of_rule["entries"].as_vec().map_or(&[][..], Vec::as_slice);
        if reason.len() < 20 || entries.is_empty() {
            return Err(format!("{rule} has no reason or excludes everything"));
        }
        all.extend(entries.iter().map(|entry| {
            let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
            Exclusion {
                rule: rule.to_owned(),
                dashboard: text("dashboard"),
                panel: text("panel"),
                target: text("targetIdx").parse().ok(),
            }
        }));
    }
    Ok(all)
}

fn hash(yaml: &Yaml) -> impl Iterator<Item = (&str, &Yaml)> {
    let entries = yaml.as_hash().into_iter().flatten();
    entries.map(|(key, value)| (key.as_str().unwrap_or_default(), value))
}

#[test]
fn the_linter_finds_only_what_is_excluded_with_a_reason() {
    let found: Vec<_> = Board::all().iter().flat_map(findings).collect();
    let file = root().join("grafana/dashboards/.lint");
    let exclusions = exclusions(&read(&file)).expect("good");
    let left: Vec<_> = found
        .iter()
        .filter(|f| !exclusions.iter().any(|e| e.is_of(f)))
        .collect();
    let left: Vec<_> = left.iter().map(ToString::to_string).collect();
    assert!(left.is_empty(), "{left:#?}");
    let vain: Vec<_> = exclusions
        .iter()
        .filter(|e| !found.iter().any(|f| e.is_of(f)))
        .collect();
    assert!(vain.is_empty(), "they exclude nothing: {vain:#?}");
}

/// A fault for each rule: where it is in the sample, and what is there then.
fn faults() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        (
            "template-datasource-rule",
            "/templating/list/0/name",
            json!("source"),
        ),
        (
            "template-job-rule",
            "/templating/list/1/allValue",
            json!(".*"),
        ),
        (
            "template-instance-rule",
            "/templating/list/2/multi",
            json!(false),
        ),
        (
            "template-label-promql-rule",
            "/templating/list/1/query",
            json!("query_result(up)"),
        ),
        (
            "template-on-time-change-reload-rule",
            "/templating/list/1/refresh",
            json!(1),
        ),
        ("uneditable-dashboard", "/editable", json!(true)),
        (
            "panel-datasource-rule",
            "/panels/0/datasource/uid",
            json!("x"),
        ),
        (
            "panel-title-description-rule",
            "/panels/0/description",
            json!(""),
        ),
        (
            "panel-units-rule",
            "/panels/0/fieldConfig/defaults/unit",
            json!("seconds"),
        ),
        ("panel-no-targets-rule", "/panels/0/targets", json!([])),
        (
            "target-job-rule",
            EXPR,
            json!("up{instance=~\"$instance\"}"),
        ),
        (
            "target-instance-rule",
            EXPR,
            json!("up{job=~\"$job\",instance=\"$instance\"}"),
        ),
        ("target-rate-interval-rule", EXPR, query("rate(x{}[5m])")),
        ("target-counter-agg-rule", EXPR, query("sum(x_total{})")),
    ]
}

#[test]
fn every_rule_can_find_something() {
    let rules = |board: &Board| -> Vec<_> { findings(board).iter().map(|f| f.rule).collect() };
    assert_eq!(rules(&sample::board()), [""; 0]);
    for (rule, at, value) in faults() {
        let mut board = sample::board();
        *board.json.pointer_mut(at).expect("there") = value;
        assert_eq!(rules(&board), [rule]);
    }
}

const EXPR: &str = "/panels/0/targets/0/expr";

fn query(expr: &str) -> Value {
    json!(expr.replace("{}", "{job=~\"$job\",instance=~\"$instance\"}"))
}

#[test]
fn exclusions_without_a_reason_or_of_everything_are_refused() {
    let entry = "entries: [{ dashboard: a, panel: b, targetIdx: '1' }]";
    let good = format!("exclusions: {{ x: {{ reason: it has neither of the labels, {entry} }} }}");
    let read = exclusions(&good).expect("good");
    assert_eq!((&*read[0].rule, read[0].target), ("x", Some(1)));
    assert!(exclusions(&format!("exclusions: {{ x: {{ {entry} }} }}")).is_err());
    assert!(exclusions("exclusions: { x: { reason: it has neither of the labels } }").is_err());
    assert!(exclusions("warnings: { x: { reason: it has neither of the labels } }").is_err());
}
