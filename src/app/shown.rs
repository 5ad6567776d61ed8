//! What the server shows of the daemon and its configuration.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::health::Health;
use crate::config::{Plan, target_groups};
use crate::evaluate::Progress;
use crate::server::{Configured, RegionReport, Stand, Standing};
use crate::store::Store;

/// Tells how the daemon stands, which has just started.
pub(super) fn standing(health: Arc<Health>, progress: Arc<Progress>, state: Store) -> Stand {
    let started = SystemTime::now().duration_since(UNIX_EPOCH);
    let start_timestamp_seconds = started.unwrap_or_default().as_secs_f64();
    Box::new(move || Standing {
        start_timestamp_seconds,
        unseen: progress.unseen(),
        faults: health.faults(),
        state_durable: state.counters().durable,
    })
}

/// What the plan has, which is in force from now on.
pub(super) fn configured(plan: &Plan) -> Arc<Configured> {
    let regions = plan.regions.iter().map(|region| {
        let group = target_groups(std::slice::from_ref(region)).pop();
        RegionReport {
            region: Arc::clone(&region.name),
            daemon: group.map(|group| {
                let [address] = group.targets;
                address
            }),
        }
    });
    Arc::new(Configured {
        hash: plan.hash.short(),
        regions: regions.collect(),
    })
}
