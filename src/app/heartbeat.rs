//! Whether there is reason to say that this daemon goes on, and the thread that says it.

use std::sync::Arc;

use tokio::sync::watch;

use super::health::Health;
use super::supervise::Supervisor;
use crate::config::Plan;
use crate::deliver::{Check, Heart};
use crate::metrics::Own;
use crate::notify::Heartbeat;

/// What the plan says of it.
pub(super) struct Planned {
    heartbeat: Arc<Heartbeat>,
    source_region: Arc<str>,
}

impl Planned {
    /// `None` if there is nobody to be told.
    pub(super) fn of(plan: &Plan) -> Option<Self> {
        Some(Self {
            heartbeat: Arc::clone(plan.heartbeat.as_ref()?),
            source_region: Arc::clone(&plan.region),
        })
    }

    /// Starts the thread.
    pub(super) fn start(
        self,
        health: &Arc<Health>,
        own: &Arc<Own>,
        stopped: &watch::Receiver<bool>,
        supervisor: &mut Supervisor,
    ) -> Result<(), String> {
        let heart = Heart {
            heartbeat: self.heartbeat,
            source_region: self.source_region,
            check: check(Arc::clone(health)),
            own: Arc::clone(own),
        };
        let stop = super::stopped(stopped.clone());
        supervisor.thread("heartbeat", move || heart.beat(stop))
    }
}

/// Whether everything goes on, and how long ago a run was taken in.
fn check(health: Arc<Health>) -> Check {
    Box::new(move || health.stuck().map_or_else(|| Ok(health.last_run()), Err))
}
