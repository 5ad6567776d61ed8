//! Who is told of alerts, on a thread of its own.

use std::sync::Arc;

use tokio::sync::watch;

use super::supervise::Supervisor;
use crate::config::Plan;
use crate::deliver::{Deliver, Outbox, Receiver, Settings};
use crate::metrics::{Own, Store};
use crate::model::Beat;
use crate::notify::Prepared;
use crate::rule::Alerts;
use crate::store as state;

/// The signs of life of tasks, with their names.
type Beats = Vec<(String, Arc<Beat>)>;

/// The name of its thread.
pub(super) const THREAD: &str = "deliver";

/// Starts the delivery of what is in the book.
pub(super) fn start(
    plan: &Plan,
    book: &Alerts,
    (state, series): (&state::Store, &Store),
    own: &Own,
    stopped: &watch::Receiver<bool>,
    supervisor: &mut Supervisor,
) -> Result<(Outbox, Beats), String> {
    let deliver = Deliver::new(book, state, receivers(plan), settings(plan), own);
    let (outbox, beats) = (deliver.outbox(), deliver.beats());
    series.change().set_receivers(outbox.figures())?;
    let stop = super::stopped(stopped.clone());
    supervisor.thread(THREAD, move || deliver.run(stop))?;
    Ok((outbox, beats))
}

fn settings(plan: &Plan) -> Settings {
    let alerting = &plan.alerting;
    Settings {
        group_wait: alerting.group_wait,
        group_interval: alerting.group_interval,
        repeat_interval: alerting.repeat_interval,
        max_age: alerting.max_age,
        external_url: alerting.external_url.clone(),
        ..Settings::new(Arc::clone(&plan.region))
    }
}

/// The receivers that are told what is new; an Alertmanager is told what there is.
fn receivers(plan: &Plan) -> Vec<Receiver> {
    let all = plan.receivers.iter().filter_map(|receiver| {
        let Prepared::Notifier(notifier) = &receiver.prepared else {
            return None;
        };
        Some(Receiver {
            name: Arc::clone(&receiver.name),
            notifier: Arc::clone(notifier),
        })
    });
    all.collect()
}
