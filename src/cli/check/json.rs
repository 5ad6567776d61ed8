//! What would be measured and what this host lacks, for programs.

use serde_json::{Map, Value, json};

use crate::config::host::Lack;
use crate::config::{Plan, PlannedProbe, PlannedSource, Problem, Problems};
use crate::discover::SourceFigures;
use crate::model::PlannedGroup;

/// The plan of a configuration that is good.
pub(super) fn plan(plan: &Plan, sources: &[SourceFigures], lacks: &[Lack]) -> Value {
    let texts = |texts: Vec<String>| -> Vec<Value> { texts.into_iter().map(Value::from).collect() };
    let rules = plan
        .rules
        .iter()
        .map(|rule| json!({ "rule": &*rule.name, "severity": rule.severity.as_str() }));
    let receivers = plan
        .receivers
        .iter()
        .map(|of| json!({ "receiver": &*of.name, "kind": of.kind }));
    json!({
        "region": &*plan.region,
        "config_hash": plan.hash.short(),
        "targets": plan.targets.len(),
        "probes": plan.probes.iter().map(probe).collect::<Vec<_>>(),
        "groups": plan.groups.iter().map(group).collect::<Vec<_>>(),
        "rules": rules.collect::<Vec<_>>(),
        "receivers": receivers.collect::<Vec<_>>(),
        "sources": plan.discovered.iter().map(|of| source(of, sources)).collect::<Vec<_>>(),
        "warnings": texts(plan.warnings.iter().map(ToString::to_string).collect()),
        "lacks": lacks.iter().map(|lack| json!({ "what": lack.what, "fix": lack.fix })).collect::<Vec<_>>(),
    })
}

/// What is wrong with configurations, in order.
pub(super) fn problems(all: &[Problems]) -> Value {
    let all = all.iter().flat_map(Problems::iter).map(problem);
    json!({ "problems": all.collect::<Vec<_>>() })
}

fn problem(of: &Problem) -> Value {
    let place = &of.place;
    let number = |number: usize| (number > 0).then_some(number);
    json!({
        "source": place.source(),
        "line": number(place.line()),
        "column": number(place.column()),
        "path": of.path,
        "message": of.message,
        "help": of.help,
    })
}

fn probe(of: &PlannedProbe) -> Value {
    let targets = of.targets.iter();
    let targets = targets.map(|(region, count)| (region.to_string(), json!(count)));
    json!({
        "probe": &*of.name,
        "kind": of.kind,
        "interval_seconds": of.interval.as_secs_f64(),
        "timeout_seconds": of.timeout.as_secs_f64(),
        "from": of.from.iter().map(|region| &**region).collect::<Vec<_>>(),
        "targets": targets.collect::<Map<_, _>>(),
    })
}

fn group(of: &PlannedGroup) -> Value {
    let checks = of.checks.iter().map(|check| json!({ "check": &*check.name, "probe": &*check.probe, "gate": check.gate.as_str() }));
    json!({
        "group": &*of.name,
        "primary": &*of.primary,
        "standbys": of.standbys.iter().map(|region| &**region).collect::<Vec<_>>(),
        "rpo_objective_seconds": of.objectives.rpo.map(|time| time.as_secs_f64()),
        "rto_objective_seconds": of.objectives.rto.map(|time| time.as_secs_f64()),
        "checks": checks.collect::<Vec<_>>(),
    })
}

fn source(of: &PlannedSource, figures: &[SourceFigures]) -> Value {
    let figures = figures.iter().find(|figures| figures.id == of.id);
    json!({
        "source": of.id.to_string(),
        "given": of.given,
        "taken": of.taken,
        "refused": of.refused.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "fault": figures.and_then(|figures| figures.fault.as_deref()),
    })
}
