//! Whether there is reason to say that this daemon goes on, and the thread that says it.

use std::sync::Arc;

use tokio::sync::watch;

use super::health::Health;
use super::supervise::Supervisor;
use crate::config::Plan;
use crate::deliver::{Check, Heart, Service};
use crate::metrics::Own;

/// Who waits for heartbeats, if anybody does: to be changed with the configuration.
pub(super) struct Heartbeats {
    service: watch::Sender<Option<Service>>,
    source_region: Arc<str>,
}

impl Heartbeats {
    /// As it is planned.
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            service: watch::Sender::new(service(plan)),
            source_region: Arc::clone(&plan.region),
        }
    }

    /// Starts the thread, which is there also while nobody waits for them.
    pub(super) fn start(
        &self,
        health: &Arc<Health>,
        own: &Arc<Own>,
        stopped: &watch::Receiver<bool>,
        supervisor: &mut Supervisor,
    ) -> Result<(), String> {
        let heart = Heart {
            service: self.service.subscribe(),
            source_region: Arc::clone(&self.source_region),
            check: check(Arc::clone(health)),
            own: Arc::clone(own),
        };
        let stop = super::stopped(stopped.clone());
        supervisor.thread("heartbeat", move || heart.beat(stop))
    }

    /// From now on it is as this plan has it.
    pub(super) fn follow(&self, plan: &Plan) {
        self.service.send_replace(service(plan));
    }
}

fn service(plan: &Plan) -> Option<Service> {
    let planned = plan.heartbeat.as_ref()?;
    Some(Service {
        heartbeat: Arc::clone(&planned.prepared),
        same: planned.same,
    })
}

/// Whether everything goes on, and how long ago a run was taken in.
fn check(health: Arc<Health>) -> Check {
    Box::new(move || health.stuck().map_or_else(|| Ok(health.last_run()), Err))
}
