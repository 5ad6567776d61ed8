//! The groups of the plan, as the evaluation judges them.

use std::sync::Arc;

use crate::config::{Plan, PlannedGroup, PlannedProbe, PlannedSet};
use crate::evaluate::{Board, Brief, Group, Witness};
use crate::metrics::Store;
use crate::model::{PairKey, Role, StandbyPlace, TargetKey};
use crate::store as state;

/// Gives every standby its series, and makes what judges the groups. A group of which nothing is
/// probed from here is none of this vantage's business.
///
/// `pairs` are the places of each set's standbys in the store, in the order of the sets.
/// What happened to the groups is kept in `state`.
pub(super) fn board(
    plan: &Plan,
    pairs: &[Vec<PairKey>],
    store: &Store,
    state: &state::Store,
) -> Result<Board, String> {
    let now = tokio::time::Instant::now().into_std();
    let mut groups = Vec::new();
    for planned in &plan.groups {
        let brief = brief(plan, planned, pairs);
        if brief.probes.is_empty() {
            continue;
        }
        for standby in &planned.standbys {
            store.insert_standby(&StandbyPlace {
                group: Arc::clone(&planned.name),
                standby: Arc::clone(standby),
                source_region: Arc::clone(&plan.region),
                vantages: planned.vantages,
                objectives: planned.objectives,
            })?;
        }
        store.insert_group(&planned.name, &plan.region)?;
        let group = Group::new(brief, now);
        let group = group.map_err(|why| format!("the group {}: {why}", planned.name))?;
        groups.push(group.kept_in(state));
    }
    Ok(Board::new(groups))
}

fn brief(plan: &Plan, planned: &PlannedGroup, pairs: &[Vec<PairKey>]) -> Brief {
    let probes = plan.probes.iter();
    Brief {
        name: Arc::clone(&planned.name),
        source_region: Arc::clone(&plan.region),
        primary: Arc::clone(&planned.primary),
        standbys: planned.standbys.clone(),
        objectives: planned.objectives,
        assumed: planned.assumed,
        holds: planned.holds.clone(),
        block: planned.block,
        user_path: user_path(plan, planned),
        checks: planned.checks.clone(),
        ranking: planned.ranking.clone(),
        preference: planned.preference.clone(),
        probes: probes
            .filter_map(|probe| witness(plan, planned, probe, pairs))
            .collect(),
    }
}

/// The targets that the group's users come by.
fn user_path(plan: &Plan, planned: &PlannedGroup) -> Vec<TargetKey> {
    let targets = (0..).zip(&plan.targets);
    let of_path =
        targets.filter(|(_, target)| planned.user_path.as_ref() == Some(&target.target.probe));
    of_path.map(|(key, _)| TargetKey(key)).collect()
}

/// `None` if nothing of the group is probed with it from here.
fn witness(
    plan: &Plan,
    group: &PlannedGroup,
    probe: &PlannedProbe,
    pairs: &[Vec<PairKey>],
) -> Option<Witness> {
    let members = plan.members.iter();
    let members: Vec<_> = members
        .filter(|member| member.group == group.name && member.probe == probe.name)
        .collect();
    if members.is_empty() {
        return None;
    }
    let targets = |role: Role, region: &Arc<str>| -> Vec<TargetKey> {
        let planned = (0..).zip(&plan.targets);
        planned
            .filter(|(_, planned)| {
                members.iter().any(|member| {
                    member.role == role
                        && member.target_region == *region
                        && planned.target.probe == member.probe
                        && planned.target.target_region == member.target_region
                        && planned.target.name == member.target
                })
            })
            .map(|(key, _)| TargetKey(key))
            .collect()
    };
    let standbys = group.standbys.iter();
    let standbys: Vec<_> = standbys
        .map(|region| targets(Role::Standby, region))
        .collect();
    let tls = |targets: &Vec<TargetKey>| {
        let mut targets = targets.iter().map(|key| &plan.targets[key.index()]);
        targets.any(|target| target.probe.shape().facts.tls)
    };
    let of = |set: &&(&PlannedSet, &Vec<PairKey>)| {
        set.0.set.group == group.name && set.0.set.probe == probe.name
    };
    let mut sets = plan.sets.iter().zip(pairs);
    Some(Witness {
        name: Arc::clone(&probe.name),
        kind: probe.kind,
        interval: probe.interval,
        timeout: probe.timeout,
        primary: targets(Role::Primary, &group.primary),
        tls: standbys.iter().map(tls).collect(),
        standbys,
        pairs: sets
            .find(|set| of(&set))
            .map(|(_, pairs)| pairs.clone())
            .unwrap_or_default(),
    })
}
