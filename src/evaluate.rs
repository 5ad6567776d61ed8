//! The single owner of what changes: takes observations, keeps the series, notes changes of state.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::metrics::{Own, Store};
use crate::model::{Observation, Sample, Target};

/// How often observations are taken in. Taking them in batches costs a lane no wake-up of this
/// task for each run; an observation is at most so old when it is seen.
const TICK: Duration = Duration::from_millis(50);

/// How far the first round is.
#[derive(Debug)]
pub struct Progress {
    /// Targets that have not been run yet.
    unseen: AtomicUsize,
}

impl Progress {
    /// No progress yet with so many targets.
    pub fn new(targets: usize) -> Self {
        Self {
            unseen: AtomicUsize::new(targets),
        }
    }

    /// Targets that have not been run yet: none once the first round is done.
    pub fn unseen(&self) -> usize {
        self.unseen.load(Ordering::Relaxed)
    }
}

/// What a target was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    NotSeen,
    Up,
    Down,
    Unknown,
}

impl State {
    fn of(sample: &Sample) -> Self {
        match &sample.outcome {
            Ok(_) => Self::Up,
            Err(failure) if failure.reason.is_own() => Self::Unknown,
            Err(_) => Self::Down,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::NotSeen => "not seen",
            Self::Up => "ok",
            Self::Down => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// Takes in what the schedule observes.
pub struct Evaluation {
    targets: Vec<Target>,
    states: Vec<State>,
    series: Arc<Store>,
    own: Arc<Own>,
    progress: Arc<Progress>,
}

impl Evaluation {
    /// An evaluation of the targets, in the order of their keys.
    pub fn new(
        targets: Vec<Target>,
        series: Arc<Store>,
        own: Arc<Own>,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            states: vec![State::NotSeen; targets.len()],
            targets,
            series,
            own,
            progress,
        }
    }

    /// Runs until every sender of observations is gone and all that they sent is taken in.
    pub async fn run(mut self, mut observations: mpsc::Receiver<Observation>) {
        let lag = self.own.event_loop_lag_seconds.with_label_values(&["main"]);
        loop {
            let closed = observations.is_closed();
            while let Ok(observation) = observations.try_recv() {
                self.take_in(&observation);
            }
            let now = Instant::now();
            if closed {
                return;
            }
            tokio::time::sleep_until(now + TICK).await;
            lag.observe((Instant::now() - (now + TICK)).as_secs_f64());
        }
    }

    fn take_in(&mut self, observation: &Observation) {
        self.own.observe(observation);
        if !self.series.observe(observation) {
            self.own.samples_dropped_total.inc();
        }
        if let Observation::Sample(sample) = observation {
            self.note(sample);
        }
    }

    fn note(&mut self, sample: &Sample) {
        let (Some(target), Some(state)) = (
            self.targets.get(sample.target.index()),
            self.states.get_mut(sample.target.index()),
        ) else {
            return;
        };
        let before = std::mem::replace(state, State::of(sample));
        let after = *state;
        if before == State::NotSeen {
            self.progress.unseen.fetch_sub(1, Ordering::Relaxed);
        }
        log(target, sample, before, after);
    }
}

/// Every sample at debug; a change of state at info or warn, once.
fn log(target: &Target, sample: &Sample, before: State, after: State) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        let seconds = match &sample.outcome {
            Ok(reply) => reply.latencies.first().copied().unwrap_or_default(),
            Err(_) => sample.ended.saturating_duration_since(sample.started),
        };
        debug!(
            probe = %target.probe,
            target = %target.name,
            address = %target.address,
            outcome = after.as_str(),
            seconds = seconds.as_secs_f64(),
            "run ended"
        );
    }
    if before == after {
        return;
    }
    match &sample.outcome {
        Ok(_) if before == State::NotSeen => {}
        Ok(_) => info!(
            probe = %target.probe,
            target_region = %target.target_region,
            target = %target.name,
            before = before.as_str(),
            "target answers"
        ),
        Err(failure) => warn!(
            probe = %target.probe,
            target_region = %target.target_region,
            target = %target.name,
            address = %target.address,
            before = before.as_str(),
            reason = failure.reason.as_str(),
            detail = %failure.detail,
            "{}",
            if after == State::Unknown { "target cannot be measured" } else { "target fails" }
        ),
    }
}
