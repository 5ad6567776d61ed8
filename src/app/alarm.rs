//! Everything that makes alerts and tells them, wired.

use std::time::SystemTime;

use tokio::sync::watch;
use tokio::time::Instant;

use super::alertmanagers::Told;
use super::delivery::Delivery;
use super::supervise::Supervisor;
use super::{alertmanagers, delivery, stopped};
use crate::config::Plan;
use crate::evaluate::{Alerting, Ruleset};
use crate::metrics::{Own, Store};
use crate::rule::{Alerts, Silences};
use crate::server;
use crate::store as state;

/// What the rest of the daemon needs of it.
pub(super) struct Alarm {
    pub(super) book: Alerts,
    pub(super) silences: Silences,
    pub(super) delivery: Delivery,
    pub(super) told: Told,
    /// What the evaluation runs.
    pub(super) alerting: Alerting,
}

impl Alarm {
    /// Lets the alerts that were kept go on, and starts to tell of them, until `stop` says so.
    pub(super) fn start(
        plan: &Plan,
        ruleset: Ruleset,
        (state, series): (&state::Store, &Store),
        own: &Own,
        stop: &watch::Receiver<bool>,
        supervisor: &mut Supervisor,
    ) -> Result<Self, String> {
        let book = Alerts::kept_in(state);
        let silences = Silences::kept_in(state);
        // Before anything is delivered: every alert is muted or not from here on.
        let now = (Instant::now().into_std(), SystemTime::now());
        let alerting = Alerting::new(ruleset, (book.clone(), state), silences.clone(), now);
        let delivery = Delivery::start(plan, &book, (state, series), own, stop, supervisor)?;
        let stop = stopped(stop.clone());
        let told = Told::start(plan, &book, series, stop, supervisor)?;
        Ok(Self {
            book,
            silences,
            delivery,
            told,
            alerting,
        })
    }

    /// Waits until everything that is due was told, once it is to stop.
    pub(super) async fn ended(supervisor: &mut Supervisor) {
        supervisor.ended(delivery::THREAD).await;
        supervisor.ended(alertmanagers::THREAD).await;
    }

    /// What the server shows of it.
    pub(super) fn shown(&self) -> server::Alerting {
        let (outbox, alertmanagers) = (self.delivery.outbox.clone(), self.told.standings.clone());
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
