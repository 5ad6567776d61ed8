//! When this daemon's own clocks cannot be trusted.

use std::time::{Duration, Instant};

use crate::model::TiltCause;

/// The longest time between two readings, which are due every second or so: Redis Sentinel's limit
/// for the same purpose.
const LATE: Duration = Duration::from_secs(2);

/// How far two clocks may move against each other between two readings. They are not read at the same
/// instant, so it is not zero; a clock that is slewed moves by half a millisecond in a second.
const MOVED: Duration = Duration::from_secs(1);

/// How long nothing is concluded after the last cause: Redis Sentinel's time.
const LASTS: Duration = Duration::from_secs(30);

/// The three clocks, read one right after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The monotonic clock, which stands still while the host sleeps.
    pub monotonic: Instant,
    /// The wall clock, since the Unix epoch.
    pub realtime: Duration,
    /// The clock that counts sleep too (`CLOCK_BOOTTIME`), since the host's start.
    pub boottime: Duration,
}

/// What one reading found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jolt {
    /// Until when nothing is concluded, if nothing else comes.
    pub until: Instant,
    /// How long the host slept.
    pub slept: Duration,
}

/// Watches the clocks against each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tilt {
    last: Option<Reading>,
    until: Option<Instant>,
    causes: [u64; TiltCause::ALL.len()],
}

impl Tilt {
    /// Takes in a reading; the first only sets the mark. What it found is for every
    /// [`super::Standby::tilt`].
    pub fn read(&mut self, reading: Reading) -> Option<Jolt> {
        let last = self.last.replace(reading)?;
        let ran = reading.monotonic.saturating_duration_since(last.monotonic);
        let passed = reading.boottime.saturating_sub(last.boottime);
        let slept = passed.saturating_sub(ran);
        let slept = if slept > MOVED { slept } else { Duration::ZERO };
        // Against the clock that counts sleep: a host that slept has not had its clock set.
        let expected = last.realtime.saturating_add(passed);
        let found = [
            (
                TiltCause::ClockStep,
                reading.realtime.abs_diff(expected) > MOVED,
            ),
            (
                TiltCause::Stall,
                ran > LATE || reading.monotonic < last.monotonic,
            ),
            (TiltCause::Suspend, slept > Duration::ZERO),
        ];
        for (cause, _) in found.iter().filter(|(_, found)| *found) {
            self.causes[*cause as usize] += 1;
        }
        if !found.iter().any(|(_, found)| *found) {
            return None;
        }
        let until = reading.monotonic + LASTS;
        self.until = self.until.max(Some(until));
        Some(Jolt { until, slept })
    }

    /// Until when nothing is concluded at `now`; `None`: the clocks are trusted.
    pub fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| now < *until)
    }

    /// How often each cause was found, in the order of [`TiltCause::ALL`].
    pub const fn causes(&self) -> [u64; TiltCause::ALL.len()] {
        self.causes
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{before, start};
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Readings in milliseconds of each clock.
    fn reading(origin: Instant, (monotonic, realtime, boottime): (u64, u64, u64)) -> Reading {
        Reading {
            monotonic: origin + millis(monotonic),
            realtime: millis(1_000_000_000 + realtime),
            boottime: millis(5_000_000 + boottime),
        }
    }

    #[test]
    fn each_cause_is_told_from_the_others() {
        for (what, second, counts, slept) in [
            ("as it should be", (1_000, 1_000, 1_000), [0, 0, 0], 0),
            (
                "late, but not too late",
                (2_000, 2_000, 2_000),
                [0, 0, 0],
                0,
            ),
            ("slewed", (1_000, 1_001, 1_000), [0, 0, 0], 0),
            ("at the limit", (1_000, 2_000, 1_000), [0, 0, 0], 0),
            ("an hour ahead", (1_000, 3_601_000, 1_000), [1, 0, 0], 0),
            ("back a little", (3_000, 1_900, 3_000), [1, 1, 0], 0),
            ("stopped", (2_001, 2_001, 2_001), [0, 1, 0], 0),
            ("asleep", (1_000, 61_000, 61_000), [0, 0, 1], 60_000),
            ("a nap", (1_000, 1_900, 1_900), [0, 0, 0], 0),
            (
                "asleep, then set",
                (1_000, 70_000, 61_000),
                [1, 0, 1],
                60_000,
            ),
        ] {
            let origin = start();
            let mut tilt = Tilt::default();
            assert_eq!(tilt.read(reading(origin, (0, 0, 0))), None, "{what}");
            let now = reading(origin, second);
            let jolt = counts.iter().any(|count| *count > 0).then(|| Jolt {
                until: now.monotonic + LASTS,
                slept: millis(slept),
            });
            assert_eq!(tilt.read(now), jolt, "{what}");
            assert_eq!(tilt.causes(), counts, "{what}");
        }
    }

    #[test]
    fn a_wall_clock_set_far_back_is_a_step() {
        let origin = start();
        let mut tilt = Tilt::default();
        tilt.read(reading(origin, (0, 3_600_000, 0)));
        assert!(tilt.read(reading(origin, (1_000, 0, 1_000))).is_some());
        assert_eq!(tilt.causes(), [1, 0, 0]);
    }

    #[test]
    fn it_lasts_from_the_last_cause() {
        let origin = start();
        let mut tilt = Tilt::default();
        tilt.read(reading(origin, (0, 0, 0)));
        tilt.read(reading(origin, (1_000, 9_000, 1_000)));
        tilt.read(reading(origin, (2_000, 10_000, 2_000)));
        tilt.read(reading(origin, (3_000, 20_000, 3_000)));
        let end = origin + millis(33_000);
        assert_eq!(tilt.until(before(end, millis(1))), Some(end));
        assert_eq!(tilt.until(end), None);
        assert_eq!(tilt.causes(), [2, 0, 0]);
    }
}
