//! The rules of the plan, as the evaluation judges them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use crate::config::Plan;
use crate::evaluate::{Alerting, Board, Ruleset, Runs, Scope};
use crate::metrics::Own;
use crate::model::TargetKey;
use crate::notify::Prepared;
use crate::rule::{Alerts, Pace, Silences};
use crate::store::Store;

/// Lets the alerts in the book go on, and shows from which thresholds there are more. Nothing may be
/// delivered before this returns.
pub(super) fn alerting(
    plan: &Plan,
    board: &Board,
    book: &Alerts,
    store: &Store,
    silences: &Silences,
    own: &Own,
) -> Alerting {
    show_thresholds(plan, own);
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
    let targets = (0..).map(TargetKey).zip(&plan.targets);
    let targets = targets.map(|(key, planned)| (key, planned.target.clone()));
    let ruleset = Ruleset {
        rules: plan.rules.clone(),
        scope: Scope {
            source_region: Arc::clone(&plan.region),
            runs: runs.collect(),
            targets: targets.collect(),
            groups: board.planned(),
        },
        watchdog: watchdog(plan),
        maintenance: plan.maintenance.clone(),
    };
    let now = (Instant::now().into_std(), SystemTime::now());
    Alerting::new(ruleset, (book.clone(), store), silences.clone(), now)
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

/// Shows the threshold of each rule that has one for all that it is for.
fn show_thresholds(plan: &Plan, own: &Own) {
    for rule in &plan.rules {
        let measure = rule.when.kind().measure();
        if let Some((unit, threshold)) = measure.unit.zip(measure.threshold) {
            own.rule_threshold(&plan.region, &rule.name, unit, threshold);
        }
    }
}
