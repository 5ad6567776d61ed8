//! What the conditions look back on: the results of the last while, in little memory.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::kind::{Pace, Problem};
use crate::model::Sample;
use crate::model::duration::display;

/// The longest time to look back.
pub(super) const LONGEST: Duration = Duration::from_hours(24);

/// Runs that a window has room for at least: below that, one run is everything.
const FEWEST_RUNS: u32 = 3;

/// Runs that a window has room for at most: a day at one in a second.
const MOST_RUNS: u128 = 86_400;

/// Whether the run found its target as it should be. `None`: a fault of our own, which says nothing
/// of the target.
pub(super) fn succeeded(sample: &Sample) -> Option<bool> {
    match &sample.outcome {
        Ok(_) => Some(true),
        Err(failure) if failure.reason.is_own() => None,
        Err(_) => Some(false),
    }
}

/// What is wrong with a window over runs at this pace.
pub(super) fn problems(over: Duration, pace: Pace) -> Vec<Problem> {
    let low = pace.interval.saturating_mul(FEWEST_RUNS);
    let message = if over < low {
        format!(
            "must be at least {}, three intervals of the probe",
            display(low)
        )
    } else if over.as_nanos() / pace.interval.as_nanos().max(1) > MOST_RUNS {
        format!("has room for more than {MOST_RUNS} runs of the probe: look back less")
    } else {
        return Vec::new();
    };
    vec![Problem::new("over", message)]
}

/// What is wrong with a window whatever it is over.
pub(super) fn too_long(over: Duration) -> Vec<Problem> {
    if over <= LONGEST {
        return Vec::new();
    }
    let message = format!("must be at most {}", display(LONGEST));
    vec![Problem::new("over", message)]
}

/// Runs without which nothing is said: half of those that the window has room for, at least three.
pub(super) fn least(over: Duration, pace: Pace) -> usize {
    let room = over.as_nanos() / pace.interval.as_nanos().max(1);
    let half = usize::try_from(room / 2).unwrap_or(usize::MAX);
    half.max(FEWEST_RUNS as usize)
}

/// Parts of a window that are counted each by itself.
const SLICES: u32 = 60;

/// Counts of the last while. What is counted leaves the window a sixtieth of it at a time. It takes at
/// most 1 KiB.
#[derive(Debug)]
pub(super) struct Tally {
    length: Duration,
    origin: Option<Instant>,
    /// Those with a run, oldest first.
    slices: VecDeque<Slice>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    number: u32,
    count: Count,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Runs.
    pub(super) runs: u32,
    /// Runs, or packets.
    pub(super) all: u32,
    /// Those of them that failed.
    pub(super) bad: u32,
}

impl Count {
    fn and(self, other: Self) -> Self {
        Self {
            runs: self.runs.saturating_add(other.runs),
            all: self.all.saturating_add(other.all),
            bad: self.bad.saturating_add(other.bad),
        }
    }

    /// The share that failed, 0 to 1, unless there are fewer runs than `least`.
    pub(super) fn share(self, least: usize) -> Option<f64> {
        let enough = self.runs as usize >= least && self.all > 0;
        enough.then(|| f64::from(self.bad) / f64::from(self.all))
    }
}

impl Tally {
    pub(super) fn new(over: Duration) -> Self {
        Self {
            length: (over / SLICES).max(Duration::from_nanos(1)),
            origin: None,
            slices: VecDeque::new(),
        }
    }

    /// Counts what ended at `at`.
    pub(super) fn add(&mut self, at: Instant, count: Count) {
        let number = self.number(at);
        self.expire(number);
        match self.slices.back_mut() {
            // One from before the newest slice counts there.
            Some(newest) if newest.number >= number => newest.count = newest.count.and(count),
            _ => self.slices.push_back(Slice { number, count }),
        }
    }

    /// All that was counted in the window before `now`.
    pub(super) fn sum(&mut self, now: Instant) -> Count {
        let number = self.number(now);
        self.expire(number);
        let counts = self.slices.iter().map(|slice| slice.count);
        counts.fold(Count::default(), Count::and)
    }

    fn number(&mut self, at: Instant) -> u32 {
        let since = at.saturating_duration_since(*self.origin.get_or_insert(at));
        u32::try_from(since.as_nanos() / self.length.as_nanos()).unwrap_or(u32::MAX)
    }

    fn expire(&mut self, number: u32) {
        let is_over = |slice: &Slice| number.saturating_sub(slice.number) >= SLICES;
        while self.slices.front().is_some_and(is_over) {
            self.slices.pop_front();
        }
    }
}

/// Times that are held at most: of packets, some runs have several.
const MOST_TIMES: usize = 200_000;

/// The times of the last while, oldest first: 8 bytes for each.
#[derive(Debug)]
pub(super) struct Times {
    over: Duration,
    origin: Option<Instant>,
    held: VecDeque<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Time {
    /// Milliseconds since the origin, which turn over after 49 days; no window is so long.
    at: u32,
    micros: u32,
}

impl Times {
    pub(super) fn new(over: Duration) -> Self {
        Self {
            over,
            origin: None,
            held: VecDeque::new(),
        }
    }

    /// Takes the times of a run that ended at `at`.
    pub(super) fn add(&mut self, at: Instant, latencies: &[Duration]) {
        self.expire(at);
        let at = self.stamp(at);
        for latency in latencies {
            if self.held.len() == MOST_TIMES {
                self.held.pop_front();
            }
            let micros = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
            self.held.push_back(Time { at, micros });
        }
    }

    /// Forgets what is too old at `now`. Whether there was any.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let (now, over) = (self.stamp(now), self.over.as_millis());
        let before = self.held.len();
        let is_over = |time: &Time| u128::from(now.wrapping_sub(time.at)) > over;
        while self.held.front().is_some_and(is_over) {
            self.held.pop_front();
        }
        self.held.len() < before
    }

    /// The runs that the times are of.
    pub(super) fn runs(&self) -> usize {
        let stamps = self.held.iter().map(|time| time.at);
        let others = stamps.clone().zip(stamps.skip(1));
        let first = usize::from(!self.held.is_empty());
        first + others.filter(|(one, next)| one != next).count()
    }

    /// The time within which this part of the runs ended, in seconds: one of the times. `None`:
    /// there is none.
    pub(super) fn quantile(&self, part: f64) -> Option<f64> {
        let mut micros: Vec<u32> = self.held.iter().map(|time| time.micros).collect();
        let last = micros.len().checked_sub(1)?;
        let (_, nth, _) = micros.select_nth_unstable(place(part, last + 1).min(last));
        Some(f64::from(*nth) / 1e6)
    }

    fn stamp(&mut self, at: Instant) -> u32 {
        let since = at.saturating_duration_since(*self.origin.get_or_insert(at));
        u32::try_from(since.as_millis() % (1 << 32)).unwrap_or_default()
    }
}

/// The place in `count` sorted values, from 0, up to which this part of them is.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list, from a part between 0 and 1"
)]
fn place(part: f64, count: usize) -> usize {
    // 0.07 * 100 is a little more than 7.
    let up_to = (part * count as f64 - 1e-9).ceil() as usize;
    up_to.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::super::test_samples::at;
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);
    const PACE: Pace = Pace {
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(3),
    };

    fn one(bad: u32) -> Count {
        Count {
            runs: 1,
            all: 1,
            bad,
        }
    }

    #[test]
    fn the_quantile_is_one_of_the_times() {
        for (part, count, expected) in [
            (0.5, 1, 0),
            (0.5, 2, 0),
            (0.5, 3, 1),
            (0.95, 20, 18),
            (0.95, 21, 19),
            (0.99, 20, 19),
            (0.07, 100, 6),
            (0.001, 5, 0),
            (0.999, 5, 4),
        ] {
            assert_eq!(place(part, count), expected, "{part} of {count}");
        }
    }

    #[test]
    fn times_leave_the_window_one_by_one() {
        let mut times = Times::new(MINUTE);
        assert_eq!(times.quantile(0.5), None);
        for second in 0..=60 {
            times.add(at(second), &[Duration::from_secs(second.into())]);
        }
        assert_eq!((times.runs(), times.quantile(0.5)), (61, Some(30.0)));
        assert!(!times.expire(at(60)));
        assert!(times.expire(at(90)));
        assert_eq!((times.runs(), times.quantile(0.001)), (31, Some(30.0)));
        times.expire(at(121));
        assert_eq!((times.runs(), times.quantile(0.5)), (0, None));
    }

    #[test]
    fn the_stamps_may_turn_over() {
        const TURN: u32 = 4_294_967;
        let mut times = Times::new(MINUTE);
        times.add(at(0), &[MINUTE]);
        times.expire(at(TURN - 100));
        for second in 0..120 {
            times.add(at(TURN - 60 + second), &[Duration::from_millis(1); 2]);
        }
        assert_eq!((times.runs(), times.quantile(0.9)), (61, Some(0.001)));
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let mut times = Times::new(LONGEST);
        for run in 0..70_000 {
            times.add(at(run / 10), &[MINUTE; 4]);
        }
        assert_eq!(times.held.len(), MOST_TIMES);
        let mut tally = Tally::new(LONGEST);
        for second in 0..200_000 {
            tally.add(at(second), one(0));
        }
        assert!(tally.slices.len() <= 60, "{}", tally.slices.len());
        assert!(tally.slices.capacity() * size_of::<Slice>() <= 1024);
        assert_eq!(size_of::<Time>(), 8);
    }

    #[test]
    fn counts_leave_the_window_by_sixtieths() {
        let mut tally = Tally::new(MINUTE);
        for second in 0..60 {
            tally.add(at(second), one(u32::from(second < 30)));
        }
        assert_eq!(tally.sum(at(59)).share(60), Some(0.5));
        assert_eq!(tally.sum(at(59)).share(61), None);
        assert_eq!(tally.sum(at(89)).bad, 0);
        assert_eq!(tally.sum(at(118)).runs, 1);
        assert_eq!(tally.sum(at(119)), Count::default());
    }

    #[test]
    fn a_window_says_nothing_of_less_than_half_of_its_runs() {
        for (seconds, expected) in [(15, 3), (30, 3), (60, 6), (300, 30)] {
            assert_eq!(least(Duration::from_secs(seconds), PACE), expected);
        }
        assert_eq!(problems(Duration::from_secs(15), PACE), []);
        assert_eq!(problems(Duration::from_secs(14), PACE).len(), 1);
        let often = Pace {
            interval: Duration::from_millis(100),
            ..PACE
        };
        assert_eq!(problems(LONGEST, often).len(), 1);
        assert_eq!(problems(LONGEST / 10, often), []);
        assert_eq!(too_long(LONGEST), []);
        assert_eq!(too_long(LONGEST + PACE.interval).len(), 1);
    }
}
