//! The rules of the plan, as the evaluation judges them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::Plan;
use crate::evaluate::{Board, Ruleset, Runs, Scope};
use crate::metrics::Own;
use crate::notify::Prepared;
use crate::rule::Pace;

/// The rules, and what they look at.
pub(super) fn ruleset(plan: &Plan, board: &Board) -> Ruleset {
    let groups = groups(plan);
    let runs = plan.targets.iter().map(|planned| {
        let target = &planned.target;
        let group = groups.get(&(&*target.probe, &*target.name));
        Runs {
            shape: planned.probe.shape(),
            pace: Pace {
                interval: planned.interval,
                timeout: planned.timeout,
            },
            group: group.cloned().flatten(),
        }
    });
    let targets = plan.targets.iter();
    let targets = targets.map(|planned| (planned.key, planned.target.clone()));
    Ruleset {
        rules: plan.rules.clone(),
        scope: Scope {
            source_region: Arc::clone(&plan.region),
            runs: runs.collect(),
            targets: targets.collect(),
            groups: board.planned(),
        },
        watchdog: watchdog(plan),
        maintenance: plan.maintenance.clone(),
    }
}

/// The group of each target that is in any, by its probe and its name; `None`: it is in several.
fn groups(plan: &Plan) -> HashMap<(&str, &str), Option<Arc<str>>> {
    let mut groups: HashMap<_, Option<Arc<str>>> = HashMap::new();
    for member in &plan.members {
        let group = Some(Arc::clone(&member.group));
        groups
            .entry((&*member.probe, &*member.target))
            .and_modify(|known| *known = known.take().filter(|known| *known == member.group))
            .or_insert(group);
    }
    groups
}

/// The receivers of the alert that always fires: unless they are named, every Alertmanager.
fn watchdog(plan: &Plan) -> Vec<Arc<str>> {
    if let Some(named) = &plan.alerting.watchdog {
        return named.clone();
    }
    let all = plan.receivers.iter();
    let alertmanagers = all.filter(|of| matches!(of.prepared, Prepared::Alertmanager(_)));
    alertmanagers.map(|of| Arc::clone(&of.name)).collect()
}

/// Shows the threshold of each rule that has one for all that it is for, and no other.
pub(super) fn show_thresholds(plan: &Plan, own: &Own) {
    own.forget_rule_thresholds();
    for rule in &plan.rules {
        let measure = rule.when.kind().measure();
        if let Some((unit, threshold)) = measure.unit.zip(measure.threshold) {
            own.rule_threshold(&plan.region, &rule.name, unit, threshold);
        }
    }
}
