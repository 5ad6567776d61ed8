//! Who is told of alerts, on a thread of its own.

use std::sync::Arc;

use tokio::sync::watch;

use super::supervise::Supervisor;
use crate::config::Plan;
use crate::deliver::{Audience, Deliver, Handle, Outbox, Receiver, Settings};
use crate::metrics::{Own, Store};
use crate::notify::Prepared;
use crate::rule::Alerts;
use crate::store as state;

/// The name of its thread.
pub(super) const THREAD: &str = "deliver";

/// The delivery, as it runs.
pub(super) struct Delivery {
    pub(super) outbox: Outbox,
    handle: Handle<Audience>,
}

impl Delivery {
    /// Starts the delivery of what is in the book.
    pub(super) fn start(
        plan: &Plan,
        book: &Alerts,
        (state, series): (&state::Store, &Store),
        own: &Own,
        stopped: &watch::Receiver<bool>,
        supervisor: &mut Supervisor,
    ) -> Result<Self, String> {
        let deliver = Deliver::new(book, state, audience(plan), own);
        let (outbox, handle) = (deliver.outbox(), deliver.handle());
        series.change().set_receivers(outbox.figures())?;
        let stop = super::stopped(stopped.clone());
        supervisor.thread(THREAD, move || deliver.run(stop))?;
        Ok(Self { outbox, handle })
    }

    /// From now on those are told that this plan has.
    pub(super) async fn follow(&self, plan: &Plan, series: &Store) -> Result<(), String> {
        self.handle.change(audience(plan)).await;
        series.change().set_receivers(self.outbox.figures())
    }
}

/// The receivers that are told what is new; an Alertmanager is told what there is.
fn audience(plan: &Plan) -> Audience {
    let receivers = plan.receivers.iter().filter_map(|receiver| {
        let Prepared::Notifier(notifier) = &receiver.prepared else {
            return None;
        };
        Some(Receiver {
            name: Arc::clone(&receiver.name),
            same: receiver.same,
            notifier: Arc::clone(notifier),
        })
    });
    Audience {
        receivers: receivers.collect(),
        settings: settings(plan),
    }
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
