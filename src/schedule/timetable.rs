//! When each target is due: pure arithmetic over instants.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use tokio::time::Instant;

/// The place of a job within its lane.
pub type JobIndex = usize;

/// How late a slot may be and still be run: a quarter of its interval, from 50 ms to 1 s. A later
/// one is skipped, so that a host that was frozen does not wake up with a burst.
fn tolerance(interval: Duration) -> Duration {
    (interval / 4).clamp(Duration::from_millis(50), Duration::from_secs(1))
}

/// A slot that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Whose slot it is.
    pub job: JobIndex,
    /// When it was due.
    pub due: Instant,
    /// Whether it is still worth running.
    pub in_time: bool,
    /// Slots of the same job that passed since, and will not come again.
    pub passed: u64,
}

/// The slots of one lane, in order of time.
#[derive(Debug, Default)]
pub struct Timetable {
    next: BinaryHeap<Reverse<(Instant, JobIndex)>>,
    intervals: Vec<Duration>,
}

impl Timetable {
    /// Adds a job whose first slot is at `first`; jobs are numbered in the order of their coming.
    pub fn add(&mut self, first: Instant, interval: Duration) {
        self.next.push(Reverse((first, self.intervals.len())));
        self.intervals.push(interval);
    }

    /// When each job's next slot comes, in the order of the jobs.
    pub fn dues(&self) -> Vec<Instant> {
        let all = self.next.iter().map(|Reverse((due, job))| (*job, *due));
        let mut all: Vec<_> = all.collect();
        all.sort_unstable();
        all.into_iter().map(|(_, due)| due).collect()
    }

    /// When the next slot comes.
    pub fn next_due(&self) -> Option<Instant> {
        self.next.peek().map(|Reverse((due, _))| *due)
    }

    /// Takes the earliest slot that has come, and sets its job's next one after `now`.
    ///
    /// The k-th slot of a job is at `first + k * interval` whatever happened before: no drift.
    pub fn pop(&mut self, now: Instant) -> Option<Slot> {
        let mut head = self.next.peek_mut()?;
        let Reverse((due, job)) = *head;
        if due > now {
            return None;
        }
        let interval = self.intervals[job];
        let behind = now - due;
        let passed = behind.as_nanos() / interval.as_nanos();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        let ahead = u32::try_from(passed + 1).map_or(behind + interval, |k| interval * k);
        *head = Reverse((due + ahead, job));
        Some(Slot {
            job,
            due,
            in_time: behind <= tolerance(interval),
            passed,
        })
    }
}

/// How long after `since_origin` (the time since a fixed origin) the first slot comes, so that
/// every slot lies at `seed mod interval` after a multiple of the interval since the origin.
///
/// The result is below the interval: the first round is done inside one, and spread over it.
pub(super) fn until_first(seed: u64, interval: Duration, since_origin: Duration) -> Duration {
    let interval = interval.as_nanos();
    let offset = u128::from(seed) % interval;
    let phase = since_origin.as_nanos() % interval;
    let wait = (offset + interval - phase) % interval;
    Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stable_hash;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn slots_do_not_drift_however_late_they_are_taken() {
        let start = start();
        let mut table = Timetable::default();
        table.add(start, SECOND);
        for k in 0..5_u32 {
            let slot = table.pop(start + SECOND * k + Duration::from_millis(17 * u64::from(k)));
            assert_eq!(slot.map(|s| s.due), Some(start + SECOND * k));
        }
    }

    #[test]
    fn a_frozen_host_skips_what_it_missed_and_keeps_its_places() {
        let start = start();
        let mut table = Timetable::default();
        table.add(start, SECOND);
        let slot = table
            .pop(start + Duration::from_millis(120_400))
            .expect("due");
        assert_eq!((slot.in_time, slot.passed), (false, 120));
        assert_eq!(table.next_due(), Some(start + SECOND * 121));
        assert_eq!(table.pop(start + Duration::from_millis(120_400)), None);
    }

    #[test]
    fn the_first_round_is_spread_over_the_interval() {
        let mut buckets = [0_u32; 10];
        for i in 0..10_000 {
            let seed = stable_hash(&format!("web\u{1f}a\u{1f}b\u{1f}{i}"));
            let wait = until_first(seed, SECOND * 10, Duration::from_millis(123_456));
            buckets[usize::try_from(wait.as_secs()).expect("small")] += 1;
        }
        assert!(
            buckets.iter().all(|n| (800..1200).contains(n)),
            "{buckets:?}"
        );
    }

    #[test]
    fn the_seed_is_stable_over_versions() {
        assert_eq!(
            stable_hash("net\u{1f}eu\u{1f}us\u{1f}us"),
            1_445_423_884_149_287_986
        );
    }

    proptest! {
        #[test]
        fn every_slot_is_either_run_or_counted(
            interval_ms in 50_u64..5_000,
            wakes in proptest::collection::vec(0_u64..20_000, 1..100),
        ) {
            let start = start();
            let interval = Duration::from_millis(interval_ms);
            let mut table = Timetable::default();
            table.add(start, interval);
            let mut now = start;
            let mut accounted = 0;
            for wake in wakes {
                now += Duration::from_millis(wake);
                while let Some(slot) = table.pop(now) {
                    accounted += 1 + slot.passed;
                    prop_assert!(slot.due <= now);
                }
            }
            let elapsed = u64::try_from((now - start).as_millis()).expect("small");
            prop_assert_eq!(accounted, elapsed / interval_ms + 1);
            prop_assert!(table.next_due().expect("next") > now);
        }

        #[test]
        fn the_first_slot_lies_on_the_grid(seed: u64, interval_ms in 1_u64..100_000, since_ms: u32) {
            let interval = Duration::from_millis(interval_ms);
            let since = Duration::from_millis(u64::from(since_ms));
            let wait = until_first(seed, interval, since);
            prop_assert!(wait < interval);
            prop_assert_eq!(
                (since + wait).as_nanos() % interval.as_nanos(),
                u128::from(seed) % interval.as_nanos()
            );
        }
    }
}
