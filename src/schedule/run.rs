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
    let outcome = if let Ok(outcome) = result {
        outcome
    } else {
        // The lane's own alarm may be due in this very moment: let it note a stall first.
        tokio::task::yield_now().await;
        let stalled = stalls.total().saturating_sub(stalled_before);
        Err(overrun(&watch, timeout, stalled.max(ended - deadline)))
    };
    Ran {
        started,
        ended,
        laps: watch.laps(),
        outcome,
    }
}

/// Timers round up to the next millisecond or the one after: so late is no stall.
const ROUNDING: Duration = Duration::from_millis(3);

/// The failure of a run that passed its deadline. A target that this thread gave less than nine
/// tenths of the promised time is not known to be slow.
fn overrun(watch: &Stopwatch, timeout: Duration, stalled: Duration) -> Failure {
    if stalled > (timeout / 10).max(ROUNDING) {
        return Failure::new(
            Reason::Stalled,
            format_args!("this daemon was held up for {stalled:?} of a run of {timeout:?}"),
        );
    }
    let phase = watch.current().map_or("none", |phase| phase.as_str());
    Failure::new(
        Reason::timeout_in(watch.current()),
        format_args!("no end within {timeout:?}, in phase {phase}"),
    )
}
