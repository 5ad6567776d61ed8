//! Who is told of alerts, on a thread of its own.

use std::sync::Arc;

use tokio::sync::watch;

use super::supervise::Supervisor;
use crate::config::Plan;
use crate::deliver::{Deliver, Outbox, Receiver, Settings};
use crate::metrics::{Own, Store};
use crate::model::Beat;
use crate::rule::Alerts;
use crate::store as state;

/// The name of its thread.
pub(super) const THREAD: &str = "deliver";

/// What is known of it from outside.
pub(super) struct Delivery {
    pub(super) outbox: Outbox,
    pub(super) beats: Vec<(String, Arc<Beat>)>,
}

/// Starts the delivery of what is in the book.
pub(super) fn start(
    plan: &Plan,
    book: &Alerts,
    state: &state::Store,
    series: &Store,
    own: &Own,
    stopped: &watch::Receiver<bool>,
    supervisor: &mut Supervisor,
) -> Result<Delivery, String> {
    let settings = Settings::new(Arc::clone(&plan.region));
    let deliver = Deliver::new(book, state, receivers(plan), settings, own);
    let (outbox, beats) = (deliver.outbox(), deliver.beats());
    for figures in outbox.figures() {
        series.insert_receiver(figures)?;
    }
    let stop = super::stopped(stopped.clone());
    supervisor.thread(THREAD, move || deliver.run(stop))?;
    let stop = super::stopped(stopped.clone());
    super::alertmanagers::start(plan, book, series, stop, supervisor)?;
    Ok(Delivery { outbox, beats })
}

/// The receivers of the plan: no kind of them can be configured yet.
fn receivers(_plan: &Plan) -> Vec<Receiver> {
    Vec::new()
}
