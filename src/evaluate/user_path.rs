//! The path that users take to a group's service: for how long it failed.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::model::{Sample, TargetKey};

/// Outages that are remembered.
const REMEMBERED: usize = 64;

/// How long after a failover an outage may begin that is blamed on it.
const AFTER: Duration = Duration::from_mins(10);

/// The runs of the probe of the users' path.
#[derive(Debug)]
pub(super) struct UserPath {
    targets: HashMap<TargetKey, Option<Outage>>,
    /// Those that are over, oldest first.
    over: VecDeque<Outage>,
    /// When the path was last seen to work.
    worked: Option<Instant>,
}

/// From the start of the first run that failed to the end of the first one that did not.
#[derive(Clone, Copy, Debug)]
struct Outage {
    from: Instant,
    to: Instant,
}

/// A time around a failover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// When writes were last known to work before.
    pub(super) from: Instant,
    /// When they were first known to work after.
    pub(super) to: Instant,
}

impl UserPath {
    pub(super) fn new(targets: &[TargetKey]) -> Self {
        Self {
            targets: targets.iter().map(|target| (*target, None)).collect(),
            over: VecDeque::new(),
            worked: None,
        }
    }

    /// The targets whose runs it wants to see.
    pub(super) fn targets(&self) -> impl Iterator<Item = TargetKey> + '_ {
        self.targets.keys().copied()
    }

    /// Takes in a run. A fault of our own says nothing of the path.
    pub(super) fn observe(&mut self, sample: &Sample) {
        let Some(outage) = self.targets.get_mut(&sample.target) else {
            return;
        };
        match &sample.outcome {
            Err(failure) if failure.reason.is_own() => {}
            Err(_) => {
                let outage = outage.get_or_insert(Outage {
                    from: sample.started,
                    to: sample.ended,
                });
                outage.to = sample.ended;
            }
            Ok(_) => {
                self.worked = Some(sample.ended);
                if let Some(outage) = outage.take() {
                    if self.over.len() == REMEMBERED {
                        self.over.pop_front();
                    }
                    let to = sample.ended;
                    self.over.push_back(Outage { to, ..outage });
                }
            }
        }
    }

    /// The longest outage that overlaps the time around a failover, of those that are over; zero if
    /// there was none and there will be none. `None`: it is not known yet.
    pub(super) fn longest(&self, around: Window) -> Option<Duration> {
        let end = around.to + AFTER;
        let overlaps = |outage: &&Outage| outage.from <= end && around.from <= outage.to;
        let over = self.over.iter().filter(overlaps);
        let longest = over.map(|outage| outage.to - outage.from).max();
        let settled = self.settled(around);
        longest.or_else(|| settled.then_some(Duration::ZERO))
    }

    /// Whether nothing can change any more: the path was seen to work after the time, and no outage
    /// that began in it goes on.
    pub(super) fn settled(&self, around: Window) -> bool {
        let end = around.to + AFTER;
        let goes_on = |outage: &Outage| outage.from <= end;
        let mut outages = self.targets.values().flatten();
        self.worked.is_some_and(|worked| worked > end) && !outages.any(goes_on)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::model::{Facts, Failure, Laps, Reason, Reply};

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    struct Stage {
        path: UserPath,
        start: Instant,
    }

    impl Stage {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        fn set() -> Self {
            Self {
                path: UserPath::new(&[TargetKey(0), TargetKey(1)]),
                start: Instant::now(),
            }
        }

        fn run(&mut self, target: u32, second: u64, failure: Option<Reason>) {
            let at = self.start + secs(second);
            let reply = Reply {
                latencies: smallvec::smallvec![],
                facts: Facts::default(),
            };
            self.path.observe(&Sample {
                target: TargetKey(target),
                due: at,
                started: at,
                ended: at,
                at: SystemTime::UNIX_EPOCH,
                laps: Laps::default(),
                outcome: failure.map_or(Ok(reply), |reason| Err(Failure::new(reason, ""))),
            });
        }

        fn window(&self) -> Window {
            Window {
                from: self.start + secs(100),
                to: self.start + secs(130),
            }
        }
    }

    const DOWN: Option<Reason> = Some(Reason::TimeoutConnect);

    #[test]
    fn the_longest_outage_around_a_failover_is_told_once_it_is_over() {
        let mut stage = Stage::set();
        // One that was over before.
        stage.run(0, 10, DOWN);
        stage.run(0, 90, None);
        stage.run(0, 105, DOWN);
        stage.run(1, 110, DOWN);
        stage.run(1, 115, None);
        assert_eq!(stage.path.longest(stage.window()), Some(secs(5)));
        stage.run(0, 140, DOWN);
        stage.run(0, 150, None);
        assert_eq!(stage.path.longest(stage.window()), Some(secs(45)));
        assert!(!stage.path.settled(stage.window()));
        // One that begins soon after.
        stage.run(0, 200, DOWN);
        stage.run(0, 800, DOWN);
        assert_eq!(stage.path.longest(stage.window()), Some(secs(45)));
        assert!(!stage.path.settled(stage.window()));
        stage.run(0, 810, None);
        assert_eq!(stage.path.longest(stage.window()), Some(secs(610)));
        assert!(stage.path.settled(stage.window()));
    }

    #[test]
    fn a_path_that_never_failed_is_told_when_that_is_sure() {
        let mut stage = Stage::set();
        stage.run(0, 120, None);
        stage.run(0, 730, None);
        assert_eq!(stage.path.longest(stage.window()), None);
        stage.run(0, 731, Some(Reason::LocalResources));
        assert_eq!(stage.path.longest(stage.window()), None, "ours");
        stage.run(0, 732, None);
        assert_eq!(stage.path.longest(stage.window()), Some(Duration::ZERO));
    }
}
