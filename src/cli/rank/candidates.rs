//! Who is ranked, and by which targets.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{Plan, PlannedTarget};
use crate::model::TargetKey;
use crate::model::ranking::Rows;

/// What is ranked: standbys or variants, each with the targets that it is measured by.
#[derive(Debug)]
pub(super) struct Candidates {
    pub(super) rows_are: Rows,
    pub(super) probe: Arc<str>,
    pub(super) all: Vec<(Arc<str>, Vec<TargetKey>)>,
    warnings: Vec<String>,
}

impl Candidates {
    /// The standbys of a group, by the probe that ranks them.
    pub(super) fn standbys(plan: &Plan, name: &str) -> Result<Self, String> {
        let group = plan.groups.iter().find(|group| *group.name == *name);
        let group = group.ok_or_else(|| {
            let known: Vec<_> = plan.groups.iter().map(|group| &*group.name).collect();
            unknown("group", name, &known)
        })?;
        let Some(probe) = &group.ranking.probe else {
            return Err(format!(
                "nothing of the group {name} can be timed from {}: no http, database, tcp or ping \
                 probe runs from here against every standby; see `ranking` in the configuration",
                plan.region
            ));
        };
        let standbys = group.standbys.iter().cloned();
        Ok(Self {
            rows_are: Rows::Standby,
            probe: Arc::clone(probe),
            all: standbys.zip(group.ranking.targets.clone()).collect(),
            warnings: Vec::new(),
        })
    }

    /// The values of the label `variant` of a probe's targets.
    pub(super) fn variants(plan: &Plan, name: &str) -> Result<Self, String> {
        let probe = plan.probes.iter().find(|probe| *probe.name == *name);
        let probe = probe.ok_or_else(|| {
            let known: Vec<_> = plan.probes.iter().map(|probe| &*probe.name).collect();
            unknown("probe", name, &known)
        })?;
        if !probe.from.contains(&plan.region) {
            let (from, here) = (probe.from.join(", "), &plan.region);
            return Err(format!(
                "the probe {name} runs from {from} only, and this is {here}"
            ));
        }
        let mut variants: BTreeMap<&str, Vec<(TargetKey, &PlannedTarget)>> = BTreeMap::new();
        let targets = plan.targets.iter().map(|planned| (planned.key, planned));
        for (key, planned) in targets.filter(|(_, planned)| planned.target.probe == probe.name) {
            if let Some(variant) = planned.target.labels.get("variant") {
                variants.entry(variant).or_default().push((key, planned));
            }
        }
        if variants.is_empty() {
            return Err(format!("no target of the probe {name} has a `variant`"));
        }
        let places = variants.values().map(|targets| {
            let regions = targets
                .iter()
                .map(|(_, planned)| &planned.target.target_region);
            let mut regions: Vec<_> = regions.collect();
            regions.sort();
            regions
        });
        let mut places: Vec<_> = places.collect();
        places.dedup();
        let mut warnings = Vec::new();
        if places.len() > 1 {
            warnings.push(
                "the variants do not have the same number of targets in the same regions: they \
                 differ by where they are, too"
                    .to_owned(),
            );
        }
        let keys = |targets: Vec<(TargetKey, &PlannedTarget)>| {
            targets.into_iter().map(|(key, _)| key).collect()
        };
        let all = variants.into_iter();
        Ok(Self {
            rows_are: Rows::Variant,
            probe: Arc::clone(&probe.name),
            all: all
                .map(|(name, targets)| (name.into(), keys(targets)))
                .collect(),
            warnings,
        })
    }

    /// What makes the comparison worth less.
    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Every target.
    pub(super) fn targets(&self) -> impl Iterator<Item = TargetKey> {
        self.all.iter().flat_map(|(_, targets)| targets).copied()
    }
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    match known {
        [] => format!("there is no {what} {name}: the configuration has none"),
        known => format!("there is no {what} {name}; there are: {}", known.join(", ")),
    }
}
