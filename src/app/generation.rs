//! What is judged and shown of one plan, made as at a start.

use std::sync::Arc;

use crate::config::{Plan, PlannedTarget, Shared};
use crate::evaluate::{Board, Ruleset, Set};
use crate::metrics::{Buckets, Store, Terms};
use crate::model::{Target, TargetKey};
use crate::store as state;

use super::{alerts, groups, sets};

/// All of it. Nothing of it is in force yet.
pub(super) struct Generation {
    /// The series of its targets, sets and groups.
    pub(super) series: Store,
    pub(super) sets: Vec<Set>,
    pub(super) board: Board,
    pub(super) targets: Vec<(TargetKey, Target)>,
    pub(super) ruleset: Ruleset,
}

impl Generation {
    /// What comes of the plan. The error says what in it cannot be shown.
    pub(super) fn of(plan: &Plan, shared: &Shared, state: &state::Store) -> Result<Self, String> {
        let series = series(plan)?;
        let (sets, pairs) = sets::sets(plan, &series, shared.epoch)?;
        let board = groups::board(plan, &pairs, &series, state)?;
        let targets = plan.targets.iter();
        let targets = targets.map(|planned| (planned.key, planned.target.clone()));
        Ok(Self {
            ruleset: alerts::ruleset(plan, &board),
            series,
            sets,
            board,
            targets: targets.collect(),
        })
    }
}

/// The series of all targets, in the order of the plan.
fn series(plan: &Plan) -> Result<Store, String> {
    let store = Store::new();
    let mut shared: Vec<(Arc<[f64]>, Arc<Buckets>)> = Vec::new();
    let mut buckets = |bounds: &Arc<[f64]>| -> Result<Arc<Buckets>, String> {
        if let Some((_, made)) = shared.iter().find(|(of, _)| Arc::ptr_eq(of, bounds)) {
            return Ok(Arc::clone(made));
        }
        let made = Arc::new(Buckets::new(bounds)?);
        shared.push((Arc::clone(bounds), Arc::clone(&made)));
        Ok(made)
    };
    for planned in &plan.targets {
        store.insert(
            planned.key,
            &planned.target,
            &planned.probe.shape(),
            buckets(&planned.buckets)?,
            buckets(&planned.phase_buckets)?,
            terms(planned),
        )?;
    }
    Ok(store)
}

fn terms(planned: &PlannedTarget) -> Terms {
    Terms {
        interval: planned.interval,
        timeout: planned.timeout,
        objective: planned.objective,
    }
}
