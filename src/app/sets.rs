//! The databases of the plan's groups, with places for their figures.

use std::sync::Arc;

use crate::config::{Plan, PlannedSet};
use crate::evaluate::{Member, Set};
use crate::metrics::Store;
use crate::model::{Epoch, PairKey, TargetKey};

/// Gives every set and every member of a group its series, and makes what judges it, with the places
/// of its standbys. The canaries are of the life `epoch`.
pub(super) fn sets(
    plan: &Plan,
    store: &Store,
    epoch: Epoch,
) -> Result<(Vec<Set>, Vec<Vec<PairKey>>), String> {
    for member in &plan.members {
        store.insert_member(member)?;
    }
    let sets = plan.sets.iter();
    let sets: Result<Vec<_>, _> = sets
        .map(|planned| set(plan, planned, store, epoch))
        .collect();
    Ok(sets?.into_iter().unzip())
}

fn set(
    plan: &Plan,
    planned: &PlannedSet,
    store: &Store,
    epoch: Epoch,
) -> Result<(Set, Vec<PairKey>), String> {
    let key = store.insert_set(&planned.set)?;
    let mut members = vec![member(plan, planned.primary, &planned.region, None)];
    let mut pairs = Vec::new();
    for (region, target) in &planned.standbys {
        let pair = store.insert_pair(key, region)?;
        pairs.push(pair);
        members.push(member(plan, *target, region, Some(pair)));
    }
    let (interval, timeout) = (planned.interval, planned.timeout);
    let named = planned.set.clone();
    let set = Set::new(key, named, members, interval, timeout, epoch);
    Ok((set, pairs))
}

fn member(plan: &Plan, target: TargetKey, region: &Arc<str>, pair: Option<PairKey>) -> Member {
    let planned = plan.target(target);
    Member {
        target,
        region: Arc::clone(region),
        pair,
        pen: planned.and_then(|planned| planned.probe.pen()),
    }
}
