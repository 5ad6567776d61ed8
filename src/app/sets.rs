//! The groups of the plan, with places for the figures of their databases.

use crate::config::{Plan, PlannedSet};
use crate::evaluate::{Member, Set};
use crate::metrics::Store;
use crate::model::{Epoch, PairKey, TargetKey};

/// Gives every set and every member of a group its series, and makes what judges it. The canaries are of the life `epoch`.
pub(super) fn sets(plan: &Plan, store: &Store, epoch: Epoch) -> Result<Vec<Set>, String> {
    for member in &plan.members {
        store.insert_member(member)?;
    }
    let sets = plan.sets.iter();
    sets.map(|planned| set(plan, planned, store, epoch))
        .collect()
}

fn set(plan: &Plan, planned: &PlannedSet, store: &Store, epoch: Epoch) -> Result<Set, String> {
    let key = store.insert_set(&planned.set)?;
    let mut members = vec![member(plan, planned.primary, None)];
    for (region, target) in &planned.standbys {
        let pair = store.insert_pair(key, region)?;
        members.push(member(plan, *target, Some(pair)));
    }
    let (interval, timeout) = (planned.interval, planned.timeout);
    Ok(Set::new(key, members, interval, timeout, epoch))
}

fn member(plan: &Plan, target: TargetKey, pair: Option<PairKey>) -> Member {
    let planned = plan.targets.get(target.index());
    Member {
        target,
        pair,
        pen: planned.and_then(|planned| planned.probe.pen()),
    }
}
