//! Runs outside of any timetable: for somebody who asks now.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::run::run;
use super::{panicked, sample};
use crate::model::{Sample, TargetKey};
use crate::probe::Probe;

/// Runs under way at the same time: few enough that they do not measure each other.
const AT_ONCE: usize = 8;

/// A target to run once: with what, and with which deadline.
pub type Single = (TargetKey, Arc<dyn Probe>, Duration);

/// Runs each target once, with the deadline of a lane's run, and gives what came of each as it comes. A
/// probe that panics is one run that failed.
pub async fn once(targets: Vec<Single>, mut ended: impl FnMut(Sample)) {
    let mut waiting = targets.into_iter();
    let mut runs = JoinSet::new();
    let mut under_way = HashMap::new();
    loop {
        let free = AT_ONCE.saturating_sub(runs.len());
        for (target, probe, timeout) in waiting.by_ref().take(free) {
            let started = Instant::now();
            let run = runs.spawn(run(probe, timeout, Arc::default()));
            under_way.insert(run.id(), (target, started));
        }
        let Some(run) = runs.join_next_with_id().await else {
            return;
        };
        let id = run
            .as_ref()
            .map_or_else(tokio::task::JoinError::id, |(id, _)| *id);
        let Some((target, started)) = under_way.remove(&id) else {
            continue;
        };
        let ran = run.map_or_else(|error| panicked(error, started), |(_, ran)| ran);
        ended(sample(target, started, ran));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Facts, Reason, Reply, Shape};
    use crate::net::Stopwatch;
    use crate::probe::Run;

    enum Kind {
        Answers,
        Hangs,
        Panics,
    }

    impl Probe for Kind {
        fn run<'a>(&'a self, _: &'a mut Stopwatch) -> Run<'a> {
            Box::pin(async move {
                match self {
                    Self::Answers => Ok(Reply {
                        latencies: [Duration::from_millis(1)].into_iter().collect(),
                        facts: Facts::default(),
                    }),
                    Self::Hangs => std::future::pending().await,
                    Self::Panics => panic!("as the test wants"),
                }
            })
        }

        fn shape(&self) -> Shape {
            Shape::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_target_is_run_once_and_ends_whatever_it_does() {
        let mut targets: Vec<Single> = Vec::new();
        for key in 0..30 {
            let kind = match key % 3 {
                0 => Kind::Answers,
                1 => Kind::Hangs,
                _ => Kind::Panics,
            };
            targets.push((TargetKey(key), Arc::new(kind), Duration::from_secs(3)));
        }
        let mut came = Vec::new();
        once(targets, |sample| came.push(sample)).await;
        came.sort_by_key(|sample| sample.target);
        let keys: Vec<_> = came.iter().map(|sample| sample.target.0).collect();
        assert_eq!(keys, (0..30).collect::<Vec<_>>());
        for sample in came {
            let reason = sample.outcome.err().map(|failure| failure.reason);
            let wanted = match sample.target.0 % 3 {
                0 => None,
                1 => Some(Reason::Stalled),
                _ => Some(Reason::Panic),
            };
            assert_eq!(reason, wanted, "{:?}", sample.target);
        }
    }
}
