//! Who wants to know whether the daemon goes on: the service that waits for its heartbeat, and
//! systemd.

use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::health::{self, Beats, Health, Patience};
use super::heartbeat::Heartbeats;
use super::status::{Status, Summary};
use super::stopped;
use super::supervise::Supervisor;
use super::systemd::Systemd;
use crate::config::Plan;
use crate::deliver::Outbox;
use crate::evaluate::{Board, Progress};
use crate::metrics::Own;
use crate::store::Store;

/// Those who are there.
pub(super) struct Watchers {
    heartbeats: Heartbeats,
    systemd: Option<Arc<Systemd>>,
    summary: Summary,
    progress: Arc<Progress>,
    patience: Patience,
}

impl Watchers {
    /// Those that are planned, and systemd.
    pub(super) fn of(
        plan: &Plan,
        own: &Arc<Own>,
        progress: &Arc<Progress>,
        board: &Arc<Board>,
        systemd: Option<Arc<Systemd>>,
    ) -> Self {
        Self {
            heartbeats: Heartbeats::of(plan),
            systemd,
            summary: Summary::of(plan, own, progress, board),
            progress: Arc::clone(progress),
            patience: Patience::new(health::patience(plan)),
        }
    }

    /// Starts to tell them what the beats of all parts show.
    pub(super) fn start(
        self,
        beats: Beats,
        (state, outbox): (&Store, Outbox),
        own: &Arc<Own>,
        stop: &watch::Receiver<bool>,
        supervisor: &mut Supervisor,
    ) -> Result<(Arc<Health>, Heartbeats), String> {
        let health = Arc::new(Health {
            beats,
            progress: self.progress,
            patience: Mutex::new(self.patience),
            own: Arc::clone(own),
            state: state.clone(),
            outbox,
        });
        self.heartbeats.start(&health, own, stop, supervisor)?;
        if let Some(systemd) = self.systemd {
            let status = Status::new(systemd, Arc::clone(&health), self.summary);
            supervisor.task("status", status.tell(stopped(stop.clone())));
        }
        Ok((health, self.heartbeats))
    }
}
