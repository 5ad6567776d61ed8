//! Everything that makes alerts and tells them, wired.

use std::sync::Arc;

use tokio::sync::watch;

use super::supervise::Supervisor;
use super::{alertmanagers, alerts, delivery, stopped};
use crate::config::Plan;
use crate::deliver::{Outbox, Standing};
use crate::evaluate::{Alerting, Board};
use crate::metrics::{Own, Store};
use crate::model::Beat;
use crate::rule::{Alerts, Silences};
use crate::server;
use crate::store as state;

/// What the rest of the daemon needs of it.
pub(super) struct Alarm {
    pub(super) book: Alerts,
    pub(super) silences: Silences,
    pub(super) outbox: Outbox,
    alertmanagers: Vec<Standing>,
    /// What the evaluation runs.
    pub(super) alerting: Alerting,
    pub(super) beats: Vec<(String, Arc<Beat>)>,
}

impl Alarm {
    /// Lets the alerts that were kept go on, and starts to tell of them, until `stop` says so.
    pub(super) fn start(
        plan: &Plan,
        board: &Board,
        (state, series): (&state::Store, &Store),
        own: &Own,
        stop: &watch::Receiver<bool>,
        supervisor: &mut Supervisor,
    ) -> Result<Self, String> {
        let book = Alerts::kept_in(state);
        let silences = Silences::kept_in(state);
        // Before anything is delivered: every alert is muted or not from here on.
        let alerting = alerts::alerting(plan, board, &book, state, &silences, own);
        let (outbox, mut beats) =
            delivery::start(plan, &book, (state, series), own, stop, supervisor)?;
        let stop = stopped(stop.clone());
        let (alertmanagers, more) = alertmanagers::start(plan, &book, series, stop, supervisor)?;
        beats.extend(more);
        Ok(Self {
            book,
            silences,
            outbox,
            alertmanagers,
            alerting,
            beats,
        })
    }

    /// Waits until everything that is due was told, once it is to stop.
    pub(super) async fn ended(supervisor: &mut Supervisor) {
        supervisor.ended(delivery::THREAD).await;
        supervisor.ended(alertmanagers::THREAD).await;
    }

    /// What the server shows of it.
    pub(super) fn shown(&self) -> server::Alerting {
        let (outbox, alertmanagers) = (self.outbox.clone(), self.alertmanagers.clone());
        let receivers = move || {
            let mut receivers = outbox.receivers();
            receivers.extend(alertmanagers.iter().map(Standing::status));
            receivers
        };
        server::Alerting {
            alerts: self.book.clone(),
            silences: self.silences.clone(),
            receivers: Box::new(receivers),
        }
    }
}
