//! The thread that asks the sources of targets, and what is told of them.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::warn;

use super::stopped;
use super::supervise::Supervisor;
use crate::config::PlannedSource;
use crate::discover::{Discovered, Discovery, Figures, RefusalReason, Source, Which};
use crate::metrics::{self, Own};

/// The thread that asks the sources, and what they have said.
pub(super) struct Discovering {
    said: watch::Receiver<Discovered>,
    orders: mpsc::Sender<Order>,
}

/// Other sources, and where it is told what they have said.
struct Order {
    sources: Vec<Source>,
    answer: oneshot::Sender<Discovered>,
}

impl Discovering {
    /// Asks the sources again and again, until `stop` says so, on a thread of its own: neither a file
    /// system that hangs nor a long list holds up anything else.
    pub(super) fn start(
        mut discovery: Discovery,
        stop: &watch::Receiver<bool>,
        supervisor: &mut Supervisor,
    ) -> Result<Self, String> {
        let (tell, said) = watch::channel(discovery.discovered());
        let (orders, mut ordered) = mpsc::channel::<Order>(1);
        let stop = stop.clone();
        supervisor.thread("discovery", move || async move {
            let mut stop = std::pin::pin!(stopped(stop));
            loop {
                tokio::select! {
                    () = &mut stop => return,
                    () = discovery.changed() => {
                        tell.send_replace(discovery.discovered());
                    }
                    Some(order) = ordered.recv() => {
                        discovery.replace(order.sources);
                        discovery.first(Which::All).await;
                        // Who asked makes a plan of it: that is no change to be told of.
                        tell.send_if_modified(|said| {
                            *said = discovery.discovered();
                            false
                        });
                        // Who asked may be gone.
                        let _ = order.answer.send(discovery.discovered());
                    }
                }
            }
        })?;
        Ok(Self { said, orders })
    }

    /// What the sources have said so far.
    pub(super) fn said(&self) -> Discovered {
        self.said.borrow().clone()
    }

    /// Waits until they say something else.
    pub(super) async fn changed(&mut self) {
        if self.said.changed().await.is_err() {
            // The daemon ends.
            std::future::pending::<()>().await;
        }
    }

    /// Asks these sources from now on: what they have said after some seconds at most. What is known of
    /// one that was asked before stays. `None` where the daemon ends.
    pub(super) async fn follow(&self, sources: Vec<Source>) -> Option<Discovered> {
        let (answer, answered) = oneshot::channel();
        let order = Order { sources, answer };
        self.orders.send(order).await.ok()?;
        answered.await.ok()
    }
}

/// Tells of the targets that the plan refuses, in numbers: on the page, and in the log where they are others
/// than those of the plan before.
pub(super) fn tell_refused(sources: &[PlannedSource], before: &[PlannedSource], own: &Own) {
    let mut all = Vec::new();
    for source in sources.iter().filter(|source| source.asked) {
        let id = &source.id;
        let counts = counts(source);
        let told = before.iter().find(|of| of.id == *id).map(self::counts);
        let told = told.unwrap_or_default();
        for reason in RefusalReason::ALL {
            let count = counts.get(&reason).copied().unwrap_or_default();
            all.push(([&*id.probe, &*id.source, reason.as_str()], count));
        }
        for (reason, count) in counts {
            let mut of_reason = source.refused.iter().filter(|of| of.reason == reason);
            if told.get(&reason) != Some(&count)
                && let Some(first) = of_reason.next()
            {
                let reason = reason.as_str();
                warn!(source = %id, reason, count, %first, "discovered targets are not probed");
            }
        }
    }
    own.refused_targets(all);
}

fn counts(source: &PlannedSource) -> BTreeMap<RefusalReason, usize> {
    let mut counts = BTreeMap::new();
    for refusal in &source.refused {
        *counts.entry(refusal.reason).or_default() += 1;
    }
    counts
}

/// Brings how the sources are to the page.
pub(super) fn show(figures: &Figures, own: &Own) {
    let all = figures.all();
    own.discovered(all.iter().map(|of| metrics::Discovered {
        probe: &of.id.probe,
        source: &of.id.source,
        targets: of.targets,
        failures: of.failures,
        good: of.good,
        last_good_timestamp_seconds: of.last_good_timestamp_seconds,
    }));
}
