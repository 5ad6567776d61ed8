//! The rules of the plan, as the evaluation judges them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use crate::config::Plan;
use crate::deliver::Outbox;
use crate::evaluate::{Alerting, Board, HealthOf, Runs, Scope};
use crate::metrics::Own;
use crate::rule::{Alerts, Health, Pace};
use crate::store::Store;

/// Lets the alerts in the book go on, and shows from which thresholds there are more. Nothing may be
/// delivered before this returns.
pub(super) fn alerting(
    plan: &Plan,
    board: &Board,
    book: &Alerts,
    store: &Store,
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
    let scope = Scope {
        source_region: Arc::clone(&plan.region),
        runs: runs.collect(),
        targets: plan.targets.iter().map(|of| of.target.clone()).collect(),
        groups: board.planned(),
    };
    let now = (Instant::now().into_std(), SystemTime::now());
    let rules = plan.rules.clone();
    Alerting::new(
        rules,
        scope,
        &watchdog(plan),
        (book.clone(), store),
        None,
        now,
    )
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

/// The receivers of the alert that always fires: no kind of receiver can be configured yet.
fn watchdog(_plan: &Plan) -> Vec<Arc<str>> {
    Vec::new()
}

/// What the daemon knows of itself, but for what the evaluation knows.
pub(super) fn health(
    store: &Store,
    outbox: Outbox,
    log_lines_dropped: Arc<dyn Fn() -> u64 + Send + Sync>,
) -> HealthOf {
    let store = store.clone();
    Box::new(move || {
        let figures = outbox.figures();
        let oldest = figures.iter().filter_map(|of| of.oldest_timestamp_seconds);
        let dropped = figures.iter().flat_map(|of| &of.dropped);
        Health {
            durable: store.counters().durable,
            tilts: 0,
            samples_dropped: 0,
            notifications_dropped: dropped.map(|(_, count)| count).sum(),
            oldest_notification_timestamp_seconds: oldest.reduce(f64::min),
            log_lines_dropped: log_lines_dropped(),
        }
    })
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
