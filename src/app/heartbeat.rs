//! Whether there is reason to say that this daemon goes on, and the thread that says it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::supervise::Supervisor;
use super::{STUCK, healthy};
use crate::config::Plan;
use crate::deliver::{Check, Heart};
use crate::evaluate::Progress;
use crate::metrics::Own;
use crate::model::Beat;
use crate::notify::Heartbeat;

/// Runs may be silent for so many of the shortest interval.
const INTERVALS: u32 = 3;

/// And for so long at least: a run may take up to its interval to end.
const SHORTEST: Duration = Duration::from_mins(1);

/// What the plan says of it.
pub(super) struct Planned {
    heartbeat: Arc<Heartbeat>,
    source_region: Arc<str>,
    patience: Option<Duration>,
}

impl Planned {
    /// `None` if there is nobody to be told.
    pub(super) fn of(plan: &Plan) -> Option<Self> {
        Some(Self {
            heartbeat: Arc::clone(plan.heartbeat.as_ref()?),
            source_region: Arc::clone(&plan.region),
            patience: patience(plan),
        })
    }

    /// Starts the thread.
    pub(super) fn start(
        self,
        beats: &[(String, Arc<Beat>)],
        progress: &Arc<Progress>,
        own: &Arc<Own>,
        stopped: &watch::Receiver<bool>,
        supervisor: &mut Supervisor,
    ) -> Result<(), String> {
        let heart = Heart {
            heartbeat: self.heartbeat,
            source_region: self.source_region,
            check: check(beats.to_vec(), Arc::clone(progress), self.patience),
            own: Arc::clone(own),
        };
        let stop = super::stopped(stopped.clone());
        supervisor.thread("heartbeat", move || heart.beat(stop))
    }
}

/// For how long no run may have been taken in; none if nothing is probed from here.
fn patience(plan: &Plan) -> Option<Duration> {
    let shortest = plan.targets.iter().map(|target| target.interval).min()?;
    Some((shortest * INTERVALS).max(SHORTEST))
}

/// Whether everything goes on: what `/-/healthy` tells, and that runs are taken in.
fn check(
    beats: Vec<(String, Arc<Beat>)>,
    progress: Arc<Progress>,
    patience: Option<Duration>,
) -> Check {
    let healthy = healthy(beats);
    Box::new(move || {
        healthy()?;
        let silence = progress.since_looked();
        if silence > STUCK {
            return Err(format!("evaluation has made no progress for {silence:?}"));
        }
        let Some(patience) = patience else {
            return Ok(None);
        };
        let age = progress.since_taken_in();
        if age > patience {
            return Err(format!("no run was taken in for {age:?}"));
        }
        Ok(Some(age))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_of_the_runs_or_of_the_evaluation_is_a_reason_to_be_silent() {
        let progress = Arc::new(Progress::new(1));
        let of = |patience: u64| {
            let patience = Some(Duration::from_secs(patience));
            check(Vec::new(), Arc::clone(&progress), patience)
        };
        assert_eq!(of(3)(), Ok(Some(Duration::ZERO)));
        tokio::time::advance(Duration::from_secs(4)).await;
        let why = of(3)().expect_err("silent");
        assert!(why.starts_with("no run was taken in for 4"), "{why}");
        assert_eq!(of(60)(), Ok(Some(Duration::from_secs(4))));
        tokio::time::advance(Duration::from_secs(2)).await;
        let why = of(60)().expect_err("stuck");
        assert!(why.starts_with("evaluation has made no progress"), "{why}");
    }
}
