//! What the server shows of the daemon and its configuration.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::health::Health;
use crate::config::{Document, Plan, Region, target_groups};
use crate::evaluate::Progress;
use crate::model::timestamp_seconds;
use crate::server::{Configured, Masked, RegionReport, Stand, Standing, TargetReport};
use crate::store::Store;

/// Tells how the daemon stands, which has just started.
pub(super) fn standing(health: Arc<Health>, progress: Arc<Progress>, state: Store) -> Stand {
    let start_timestamp_seconds = timestamp_seconds(SystemTime::now());
    Box::new(move || Standing {
        start_timestamp_seconds,
        unseen: progress.unseen(),
        faults: health.faults(),
        state_durable: state.counters().durable,
    })
}

/// What the plan has, which came of the document and is in force from now on.
pub(super) fn configured(plan: &Plan, document: &Arc<Document>) -> Arc<Configured> {
    let document = Arc::clone(document);
    Arc::new(Configured {
        hash: plan.hash.short(),
        regions: plan.regions.iter().map(region).collect(),
        probes: plan.probes.iter().map(|of| Arc::clone(&of.name)).collect(),
        groups: plan.groups.iter().map(|of| Arc::clone(&of.name)).collect(),
        targets: targets(plan),
        config: Masked::new(move || serde_json::to_string(&document.masked())),
    })
}

fn region(of: &Region) -> RegionReport {
    let group = target_groups(std::slice::from_ref(of)).pop();
    RegionReport {
        region: Arc::clone(&of.name),
        daemon: group.map(|group| {
            let [address] = group.targets;
            address
        }),
    }
}

fn targets(plan: &Plan) -> Vec<TargetReport> {
    let mut groups: HashMap<_, Vec<_>> = HashMap::new();
    for member in &plan.members {
        let of_target = groups.entry((&*member.probe, &*member.target));
        of_target.or_default().push(Arc::clone(&member.group));
    }
    let targets = plan.targets.iter().map(|planned| {
        let target = &planned.target;
        TargetReport {
            probe: Arc::clone(&target.probe),
            kind: target.kind,
            target: Arc::clone(&target.name),
            target_region: Arc::clone(&target.target_region),
            address: Arc::clone(&target.address),
            interval_seconds: planned.interval.as_secs_f64(),
            timeout_seconds: planned.timeout.as_secs_f64(),
            labels: target.labels.clone(),
            groups: groups
                .remove(&(&*target.probe, &*target.name))
                .unwrap_or_default(),
        }
    });
    targets.collect()
}
