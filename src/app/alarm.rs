//! Everything that makes alerts and tells them, wired.

use tokio::sync::watch;

use super::alertmanagers::Told;
use super::delivery::Delivery;
use super::health::Beats;
use super::supervise::Supervisor;
use super::{alertmanagers, alerts, delivery, stopped};
use crate::config::Plan;
use crate::deliver::{Outbox, Standings};
use crate::evaluate::{Alerting, Board};
use crate::metrics::{Own, Store};
use crate::rule::{Alerts, Silences};
use crate::server;
use crate::store as state;

/// What the rest of the daemon needs of it.
pub(super) struct Alarm {
    pub(super) book: Alerts,
    pub(super) silences: Silences,
    pub(super) outbox: Outbox,
    alertmanagers: Standings,
    /// What the evaluation runs.
    pub(super) alerting: Alerting,
    /// But for those of what tells the receivers, which the outbox has.
    pub(super) beats: Beats,
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
        let delivery = Delivery::start(plan, &book, (state, series), own, stop, supervisor)?;
        let stop = stopped(stop.clone());
        let told = Told::start(plan, &book, series, stop, supervisor)?;
        Ok(Self {
            book,
            silences,
            outbox: delivery.outbox,
            alertmanagers: told.standings,
            alerting,
            beats: told.beats,
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
            receivers.extend(alertmanagers.statuses());
            receivers
        };
        server::Alerting {
            alerts: self.book.clone(),
            silences: self.silences.clone(),
            receivers: Box::new(receivers),
        }
    }
}
