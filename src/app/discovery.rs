//! The thread that asks the sources of targets, and what is told of them.

use std::collections::BTreeMap;

use tokio::sync::watch;
use tracing::warn;

use super::stopped;
use super::supervise::Supervisor;
use crate::config::PlannedSource;
use crate::discover::{Discovered, Discovery, Figures, RefusalReason};
use crate::metrics::{self, Own};

/// Asks the sources again and again, until `stop` says so. What is discovered then goes to `changed`. A
/// thread of its own does it: neither a file system that hangs nor a long list holds up anything else.
pub(super) fn start(
    mut discovery: Discovery,
    mut changed: impl FnMut(Discovered) + Send + 'static,
    stop: &watch::Receiver<bool>,
    supervisor: &mut Supervisor,
) -> Result<(), String> {
    for of in discovery.figures().all() {
        if let Some(fault) = of.fault {
            warn!(source = %of.id, error = %fault, "targets cannot be discovered");
        }
    }
    if discovery.is_empty() {
        return Ok(());
    }
    let stop = stop.clone();
    supervisor.thread("discovery", move || async move {
        let mut stop = std::pin::pin!(stopped(stop));
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = discovery.changed() => changed(discovery.discovered()),
            }
        }
    })
}

/// Tells of the targets that the plan refuses, once and in numbers: in the log and on the page.
pub(super) fn tell_refused(sources: &[PlannedSource], own: &Own) {
    let mut all = Vec::new();
    for source in sources.iter().filter(|source| source.asked) {
        let id = &source.id;
        let mut counts: BTreeMap<RefusalReason, usize> = BTreeMap::new();
        for refusal in &source.refused {
            *counts.entry(refusal.reason).or_default() += 1;
        }
        for reason in RefusalReason::ALL {
            let count = counts.get(&reason).copied().unwrap_or_default();
            all.push(([&*id.probe, &*id.source, reason.as_str()], count));
        }
        for (reason, count) in counts {
            let first = source.refused.iter().find(|of| of.reason == reason);
            if let Some(first) = first {
                let reason = reason.as_str();
                warn!(source = %id, reason, count, %first, "discovered targets are not probed");
            }
        }
    }
    own.refused_targets(all);
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
