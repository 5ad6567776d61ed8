//! What `hotspare check` says of a good configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::{Plan, PlannedProbe, PlannedSet, PlannedTarget};
use crate::metrics::VISIBILITY;
use crate::model::duration::display;
use crate::model::{
    CheckKind, CheckState, DatabaseSet, NoValue, PlannedCheck, PlannedGroup, PlannedRanking,
    ReadyState, Shape, Suppressed, WriteFailure,
};
use crate::rule::{Measure, PlannedRule, Scope};

/// Series that every target has: attempts, unknown runs, missed slots, up, last run, last success,
/// interval, timeout and info.
const FIXED: usize = 9;
/// Series that a histogram has beside its bounds: the infinite one, sum and count.
const BESIDE: usize = 3;

/// Series of replication that a database of every kind has: three roles, writable, changes of
/// role, three reasons to withhold, link and silence.
const REPLICATION: usize = 10;
/// Series that a set has for its canary: acknowledged, writes, failures and suppressed ones.
const SET_CANARY: usize = 2 + WriteFailure::ALL.len() + Suppressed::ALL.len();
/// Series that a pair has for its canary: lag, seen, lost seconds and visibility.
const PAIR_CANARY: usize = 3 + VISIBILITY.len() + BESIDE;

/// Series that depend on the kind of a database: those of a target, and those of a pair.
fn of_engine(kind: &str) -> (usize, usize) {
    match kind {
        // Timeline and replay; loss, apply and lost bytes, native lag, two of the slot and five
        // parameters.
        "postgres" => (2, 11),
        // Replay; three of transactions, and native lag.
        "mysql" => (1, 4),
        // Keys and initial sync; loss, apply and lost bytes, and the ratio of keys.
        "redis" => (2, 4),
        _ => (4, 15),
    }
}

/// How many series a target of the given kind and shape has, with so many bounds for its durations
/// and its phases, and with an objective or without.
pub fn series(
    kind: &str,
    shape: &Shape,
    buckets: usize,
    phase_buckets: usize,
    objective: bool,
) -> usize {
    let facts = shape.facts;
    let of_facts = [
        (facts.addresses, 1),
        (facts.ping, 7),
        (facts.http, 4),
        (facts.tls, 4),
        (facts.tls || facts.tls_unverified, 1),
        (facts.dns, 4),
        (facts.database, 1),
        (facts.replication, REPLICATION + of_engine(kind).0),
        (facts.version, 1),
        (facts.value, 1 + NoValue::ALL.len()),
        (facts.manager, 3),
    ];
    let facts: usize = of_facts
        .iter()
        .filter(|(has, _)| *has)
        .map(|(_, count)| count)
        .sum();
    let reasons = shape.reasons.iter().filter(|reason| !reason.is_own());
    FIXED
        + usize::from(objective)
        + buckets
        + BESIDE
        + shape.phases.len() * (phase_buckets + BESIDE)
        + reasons.count()
        + facts
}

/// How many series a set has beside those of its pairs.
pub fn set_series(set: &DatabaseSet) -> usize {
    // The writable primaries.
    1 + if set.canary { SET_CANARY } else { 0 }
}

/// How many series each pair of a set has.
pub fn pair_series(set: &DatabaseSet) -> usize {
    // The position ring's lag and the mismatch of identities.
    2 + of_engine(set.kind).1 + if set.canary { PAIR_CANARY } else { 0 }
}

/// About how many series a standby has of which these questions are asked: one of each check's
/// states and changes, its figure and its limit; and what is said of the whole.
pub fn standby_series(checks: &[PlannedCheck]) -> usize {
    let states = CheckState::ASKED.len();
    let of_checks = checks.iter().map(|check| {
        let figures = if check.bound.is_some() { 2 } else { 0 };
        2 * states + 1 + figures
    });
    // The state, the promotion, the last sight, the score, the objectives, the holds, the estimate.
    let of_whole = 1 + ReadyState::ALL.len() + 1 + 2 + 2 + 3 + 2 + 6;
    of_whole + of_checks.sum::<usize>()
}

fn series_of(target: &PlannedTarget) -> usize {
    let (buckets, phase_buckets) = (target.buckets.len(), target.phase_buckets.len());
    let kind = target.target.kind;
    let objective = target.objective.is_some();
    let shape = target.probe.shape();
    series(kind, &shape, buckets, phase_buckets, objective)
}

fn series_of_set(planned: &PlannedSet) -> usize {
    set_series(&planned.set) + planned.standbys.len() * pair_series(&planned.set)
}

fn series_of_standbys(group: &PlannedGroup) -> usize {
    group.standbys.len() * standby_series(&group.checks)
}

/// What would be probed from where, how often, and how many series that makes.
pub fn text(plan: &Plan) -> String {
    let rate: f64 = plan.targets.iter().map(|t| rate(t.interval)).sum();
    let of_targets: usize = plan.targets.iter().map(series_of).sum();
    let of_sets: usize = plan.sets.iter().map(series_of_set).sum();
    let of_standbys: usize = plan.groups.iter().map(series_of_standbys).sum();
    let series = of_targets + of_sets + of_standbys + plan.members.len();
    let mut text = format!(
        "from {}: {}, {}, about {series} series\n\n",
        plan.region,
        targets(plan.targets.len()),
        per_second(rate),
    );
    text += &table(plan);
    let others = others(plan);
    if !others.is_empty() {
        text += "\n";
        text += &others;
    }
    for group in &plan.groups {
        text += "\n";
        text += &group_text(group);
    }
    if !plan.rules.is_empty() {
        text += "\n";
        text += &rules_text(&plan.rules);
    }
    text += &receivers(plan);
    for hint in hints(plan) {
        let _ = writeln!(text, "\nhint: {hint}");
    }
    text
}

/// Who is told of alerts.
fn receivers(plan: &Plan) -> String {
    if plan.receivers.is_empty() {
        return String::new();
    }
    let mut rows = vec![["RECEIVER", "KIND"].map(str::to_owned)];
    let receivers = plan.receivers.iter();
    rows.extend(receivers.map(|receiver| [receiver.name.to_string(), receiver.kind.to_owned()]));
    let lines = aligned(&rows).map(|line| line + "\n");
    "\n".to_owned() + &lines.collect::<String>()
}

fn group_text(group: &PlannedGroup) -> String {
    let (name, primary) = (&group.name, &group.primary);
    let standbys = group.standbys.join(", ");
    let mut text = format!("group {name}: primary {primary}, standbys {standbys}\n");
    let objectives = [("rpo", group.objectives.rpo), ("rto", group.objectives.rto)];
    let objectives = objectives.into_iter();
    let objectives = objectives.filter_map(|(name, value)| Some((name, display(value?))));
    let objectives: Vec<_> = objectives
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    if !objectives.is_empty() {
        let _ = writeln!(text, "  objectives: {}", objectives.join(", "));
    }
    for database in &group.databases {
        let canary = if database.canary {
            "with a canary"
        } else {
            "without a canary"
        };
        let _ = writeln!(text, "  {} ({}) {canary}", database.probe, database.kind);
    }
    let _ = writeln!(text, "  ranking: {}", ranking(&group.ranking));
    let head = ["CHECK", "PROBE", "GATE", "RISE/FALL", "THRESHOLD"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(group.checks.iter().map(check_row));
    let _ = writeln!(text, "  checks:");
    for line in aligned(&rows) {
        let _ = writeln!(text, "  {line}");
    }
    text
}

fn rules_text(rules: &[PlannedRule]) -> String {
    let head = ["RULE", "SEVERITY", "OF", "WHEN", "FOR"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(rules.iter().map(rule_row));
    let lines = aligned(&rows).map(|line| format!("  {line}\n"));
    let lines: String = lines.collect();
    format!("rules:\n{lines}")
}

fn rule_row(rule: &PlannedRule) -> [String; 5] {
    let kind = rule.when.kind();
    [
        rule.name.to_string(),
        rule.severity.as_str().to_owned(),
        scope(kind.scope()),
        condition(&kind.measure()),
        display(rule.timing.pending),
    ]
}

/// What a rule looks at.
fn scope(scope: Scope<'_>) -> String {
    match scope {
        Scope::Targets { probe, to, .. } => {
            let of = probe.map_or_else(
                || "every probe".to_owned(),
                |probe| format!("probe {probe}"),
            );
            to.map_or_else(|| of.clone(), |to| format!("{of} to {}", to.join(", ")))
        }
        Scope::Groups { group, .. } => group.map_or_else(
            || "every group".to_owned(),
            |group| format!("group {group}"),
        ),
        Scope::Daemon => "the daemon".to_owned(),
    }
}

/// When a rule's condition holds.
fn condition(measure: &Measure) -> String {
    let what = &measure.what;
    match measure.unit.zip(measure.threshold) {
        Some((unit, threshold)) => {
            let (beyond, threshold) = (measure.beyond.as_str(), unit.display(threshold));
            format!("{what} {beyond} {threshold}")
        }
        None => what.to_string(),
    }
}

/// Which latency has a part in the ranks of the standbys.
fn ranking(ranking: &PlannedRanking) -> String {
    let quantile = ranking.quantile.as_str();
    match &ranking.probe {
        Some(probe) => format!("{quantile} of {probe}"),
        None => "without latency: no probe that tells one runs from here against every standby"
            .to_owned(),
    }
}

fn check_row(check: &PlannedCheck) -> [String; 5] {
    let or_none = |text: &str| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text.to_owned()
        }
    };
    [
        check.name.to_string(),
        or_none(&check.probe),
        check.gate.as_str().to_owned(),
        format!("{}/{}", check.rise, check.fall),
        or_none(&threshold(check)),
    ]
}

/// Beyond which value a check is bad, and of how long a time that value is.
fn threshold(check: &PlannedCheck) -> String {
    let Some(bound) = check.bound else {
        return String::new();
    };
    match check.kind {
        CheckKind::PacketLoss { over } => format!("{bound}, over {}", display(over)),
        CheckKind::Latency { quantile, over } => {
            format!("{bound}, quantile {quantile} over {}", display(over))
        }
        CheckKind::LossBytes { writes: Some(time) } => {
            format!("{bound}, or {} of writes if more", display(time))
        }
        CheckKind::Keys { least } => format!("{bound}, from {least} keys on"),
        _ => bound.to_string(),
    }
}

/// What groups could have and do not, by kind of database.
fn hints(plan: &Plan) -> Vec<String> {
    let databases = plan.groups.iter().flat_map(|group| &group.databases);
    let mut without: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for database in databases.filter(|database| !database.canary) {
        let probes = without.entry(database.kind).or_default();
        probes.insert(&database.probe);
    }
    let of_canaries = without.into_iter().map(|(kind, probes)| {
        let probes = probes.into_iter().collect::<Vec<_>>().join(", ");
        format!(
            "`canary: true` in the check of {probes} would also show that what the primary commits \
             becomes visible on its standbys, and how many seconds of writes would be lost; \
             `hotspare sql {kind}` prints what to set up"
        )
    });
    let endless = plan.groups.iter();
    let endless = endless.filter(|g| !g.databases.is_empty() && g.objectives.rpo.is_none());
    let of_objectives = endless.map(|group| {
        format!(
            "with `objectives: {{ rpo: … }}`, the group {} would also be judged by how far in time \
             its standbys are behind",
            group.name
        )
    });
    let of_alerts = match (plan.rules.is_empty(), plan.receivers.is_empty()) {
        (false, true) => Some(
            "nobody is told of alerts without `receivers`: they are on /metrics, in the log, and in `hotspare alerts`",
        ),
        (true, false) => {
            Some("without `rules`, the receivers are told of nothing but the watchdog")
        }
        _ => None,
    };
    let of_alerts = of_alerts.map(str::to_owned);
    of_canaries.chain(of_objectives).chain(of_alerts).collect()
}

fn table(plan: &Plan) -> String {
    let head = ["PROBE", "KIND", "INTERVAL", "TIMEOUT", "RUNS/S", "TARGETS"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(plan.probes.iter().map(|probe| row(plan, probe)));
    aligned(&rows).map(|line| line + "\n").collect()
}

/// The rows as lines, with their cells below each other.
fn aligned<const N: usize>(rows: &[[String; N]]) -> impl Iterator<Item = String> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    rows.iter().map(move |row| {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a string cannot fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        line.trim_end().to_owned()
    })
}

fn row(plan: &Plan, probe: &PlannedProbe) -> [String; 6] {
    let here = probe.from.contains(&plan.region);
    let count: usize = probe.targets.iter().map(|(_, count)| count).sum();
    let (runs, targets) = if here {
        let regions = probe.targets.iter();
        let list: Vec<_> = regions.map(|(name, n)| format!("{name} {n}")).collect();
        (
            number(as_float(count) * rate(probe.interval)),
            list.join(", "),
        )
    } else {
        (
            "-".to_owned(),
            format!("only from {}", probe.from.join(", ")),
        )
    };
    [
        probe.name.to_string(),
        probe.kind.to_owned(),
        display(probe.interval),
        display(probe.timeout),
        runs,
        targets,
    ]
}

/// What the same file makes of the other regions.
fn others(plan: &Plan) -> String {
    let mut regions: Vec<(&Arc<str>, usize, f64)> = Vec::new();
    for probe in &plan.probes {
        let count: usize = probe.targets.iter().map(|(_, count)| count).sum();
        let rate = as_float(count) * rate(probe.interval);
        for from in probe.from.iter().filter(|from| **from != plan.region) {
            match regions.iter_mut().find(|(region, ..)| *region == from) {
                Some((_, targets, total)) => {
                    *targets += count;
                    *total += rate;
                }
                None => regions.push((from, count, rate)),
            }
        }
    }
    let mut text = String::new();
    for (region, count, rate) in regions {
        let (targets, rate) = (targets(count), per_second(rate));
        let _ = writeln!(text, "from {region}: {targets}, {rate}");
    }
    text
}

fn targets(count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} target{plural}")
}

fn per_second(rate: f64) -> String {
    format!("{} runs/s", number(rate))
}

fn rate(interval: Duration) -> f64 {
    interval.as_secs_f64().recip()
}

fn number(value: f64) -> String {
    if value >= 0.1 {
        format!("{value:.1}")
    } else {
        format!("{value:.4}")
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of targets")]
const fn as_float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FactSet, Phase, PhaseSet, Reason, ReasonSet};

    #[test]
    fn series_are_counted_part_by_part() {
        let bare = Shape::default();
        assert_eq!(series("tcp", &bare, 22, 8, false), 9 + 25);
        assert_eq!(series("tcp", &bare, 22, 8, true), 10 + 25);
        let full = Shape {
            phases: PhaseSet::of(&[Phase::Connect, Phase::Tls]),
            reasons: ReasonSet::of(&[Reason::Refused, Reason::NoPermission]),
            facts: FactSet {
                tls: true,
                ..FactSet::default()
            },
        };
        assert_eq!(series("tcp", &full, 22, 8, false), 9 + 25 + 2 * 11 + 1 + 5);
    }
}
