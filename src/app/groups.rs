//! The groups of the plan, as the evaluation judges them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{Plan, PlannedProbe};
use crate::evaluate::{Board, Brief, Group, Witness};
use crate::metrics::Store;
use crate::model::{GroupMember, PairKey, PlannedGroup, StandbyPlace, TargetKey};
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
    let index = Index::new(plan, pairs);
    let mut groups = Vec::new();
    for planned in &plan.groups {
        let Some(brief) = index.brief(planned, &plan.region) else {
            continue;
        };
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

/// The plan by names: there may be thousands of groups, and each has its part of everything.
struct Index<'a> {
    plan: &'a Plan,
    probes: HashMap<&'a str, &'a PlannedProbe>,
    /// The targets of each probe, by their names.
    targets: HashMap<&'a str, HashMap<&'a str, TargetKey>>,
    /// The members of each group, probe by probe.
    members: HashMap<&'a str, Vec<&'a [GroupMember]>>,
    /// The places of the standbys of each group under each of its databases.
    pairs: HashMap<(&'a str, &'a str), &'a [PairKey]>,
}

impl<'a> Index<'a> {
    fn new(plan: &'a Plan, pairs: &'a [Vec<PairKey>]) -> Self {
        let mut targets: HashMap<_, HashMap<_, _>> = HashMap::new();
        for planned in &plan.targets {
            let of_probe = targets.entry(&*planned.target.probe).or_default();
            of_probe.insert(&*planned.target.name, planned.key);
        }
        let mut members: HashMap<_, Vec<_>> = HashMap::new();
        let of_one_probe =
            |a: &GroupMember, b: &GroupMember| a.group == b.group && a.probe == b.probe;
        for chunk in plan.members.chunk_by(of_one_probe) {
            members.entry(&*chunk[0].group).or_default().push(chunk);
        }
        let sets = plan.sets.iter().map(|planned| &planned.set);
        let sets = sets.map(|set| (&*set.group, &*set.probe));
        let probes = plan.probes.iter();
        Self {
            plan,
            probes: probes.map(|probe| (&*probe.name, probe)).collect(),
            targets,
            members,
            pairs: sets.zip(pairs.iter().map(Vec::as_slice)).collect(),
        }
    }

    /// `None` if nothing of the group is probed from here.
    fn brief(&self, group: &PlannedGroup, region: &Arc<str>) -> Option<Brief> {
        let members = self.members.get(&*group.name);
        if members.is_none() && group.discovered.is_empty() {
            return None;
        }
        let path = group.user_path.as_deref();
        let path = path.and_then(|probe| self.targets.get(probe));
        let mut user_path: Vec<_> = path
            .into_iter()
            .flat_map(HashMap::values)
            .copied()
            .collect();
        user_path.sort_unstable();
        let members = members.into_iter().flatten();
        let mut probes: Vec<_> = members
            .filter_map(|members| self.witness(group, &members.first()?.probe, members))
            .collect();
        for probe in &group.discovered {
            if !probes.iter().any(|known| known.name == *probe) {
                probes.extend(self.witness(group, probe, &[]));
            }
        }
        Some(Brief {
            group: group.clone(),
            source_region: Arc::clone(region),
            user_path,
            probes,
        })
    }

    /// The probe of these members, which may be none yet; there is always such a probe.
    fn witness(
        &self,
        group: &PlannedGroup,
        probe: &str,
        members: &[GroupMember],
    ) -> Option<Witness> {
        let probe = self.probes.get(probe)?;
        let names = self.targets.get(&*probe.name);
        let targets = |region: &Arc<str>| -> Vec<TargetKey> {
            let there = members.iter().filter(|of| of.target_region == *region);
            there
                .filter_map(|member| names?.get(&*member.target).copied())
                .collect()
        };
        let standbys: Vec<_> = group.standbys.iter().map(targets).collect();
        let tls = |targets: &Vec<TargetKey>| {
            let mut targets = targets.iter().filter_map(|key| self.plan.target(*key));
            targets.any(|target| target.probe.shape().facts.tls)
        };
        let pairs = self.pairs.get(&(&*group.name, &*probe.name));
        Some(Witness {
            name: Arc::clone(&probe.name),
            kind: probe.kind,
            interval: probe.interval,
            timeout: probe.timeout,
            primary: targets(&group.primary),
            expected: group.discovered.contains(&probe.name),
            tls: standbys.iter().map(tls).collect(),
            standbys,
            pairs: pairs.map(|pairs| pairs.to_vec()).unwrap_or_default(),
        })
    }
}
