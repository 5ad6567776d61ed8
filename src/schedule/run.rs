//! One run of one probe, with the deadline around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Failure, Laps, Reason, Reply};
use crate::net::Stopwatch;
use crate::probe::Probe;

/// What a run came to.
pub(super) struct Ran {
    pub(super) started: Instant,
    pub(super) ended: Instant,
    pub(super) laps: Laps,
    pub(super) outcome: Result<Reply, Failure>,
}

/// How long the lane's thread was kept from its work, in all.
#[derive(Debug, Default)]
pub(super) struct Stalls(AtomicU64);

impl Stalls {
    /// A wake-up so much too late is no stall: timers and schedulers are that coarse.
    const NOISE: Duration = Duration::from_millis(10);

    pub(super) fn note(&self, lag: Duration) {
        if lag > Self::NOISE {
            let nanos = u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX);
            self.0.fetch_add(nanos, Ordering::Relaxed);
        }
    }

    fn total(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// Runs the probe once and ends by the deadline, whatever the target does.
pub(super) async fn run(probe: Arc<dyn Probe>, timeout: Duration, stalls: Arc<Stalls>) -> Ran {
    let stalled_before = stalls.total();
    let mut watch = Stopwatch::start();
    let started = watch.started();
    let deadline = started + timeout;
    let result = tokio::time::timeout_at(deadline, probe.run(&mut watch)).await;
    let ended = Instant::now();
    let mut outcome = result.unwrap_or_else(|_| Err(overrun(&watch, timeout)));
    let bearable = (timeout / 10).max(ROUNDING);
    if ended - started > bearable {
        // The lane's own alarm may be due in this very moment: let it note a stall first.
        tokio::task::yield_now().await;
        let stalled = stalls.total().saturating_sub(stalled_before);
        let stalled = stalled.max(ended.saturating_duration_since(deadline));
        if stalled > bearable {
            outcome = Err(held_up(timeout, stalled));
        }
    }
    Ran {
        started,
        ended,
        laps: watch.laps(),
        outcome,
    }
}

/// Timers round up to the next millisecond or the one after: so late is no stall.
const ROUNDING: Duration = Duration::from_millis(3);

/// The failure of a run that passed its deadline.
fn overrun(watch: &Stopwatch, timeout: Duration) -> Failure {
    let phase = watch.current().map_or("none", |phase| phase.as_str());
    Failure::new(
        Reason::timeout_in(watch.current()),
        format_args!("no end within {timeout:?}, in phase {phase}"),
    )
}

/// The outcome of a run to which this thread gave less than nine tenths of the promised time: a
/// target that did not answer is not known to be slow, one that closed may have waited for us, and
/// the latency of an answer is ours.
fn held_up(timeout: Duration, stalled: Duration) -> Failure {
    Failure::new(
        Reason::Stalled,
        format_args!("this daemon was held up for {stalled:?} of a run of {timeout:?}"),
    )
}
