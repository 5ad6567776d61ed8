//! The condition by itself, and against a simulated week.
//!
//! A run each 10 s takes 80 ms at the median, a fifth more or less by the time of day, with noise of
//! 5 % that hangs together from one run to the next (0.97: for five minutes), a drift of 3 % that hangs
//! together for two hours, and one run in fifty that takes two to ten times as long. Every simulation
//! has a seed.

use fastrand::Rng;

use super::super::test_samples::{EPOCH, PACE, at, failed, ok, read};
use super::*;
use crate::model::Reason;

const RUN: u32 = 10;
const HOUR: u32 = 3600;
const DAY: u32 = 24 * HOUR;

/// A path whose latency swings over the day.
struct Path {
    rng: Rng,
    swing: f64,
    noise: f64,
    drift: f64,
}

impl Path {
    fn new(seed: u64, swing: f64) -> Self {
        let mut rng = Rng::with_seed(seed);
        Self {
            swing,
            noise: normal(&mut rng),
            drift: normal(&mut rng),
            rng,
        }
    }

    /// What a run takes at this second, in milliseconds.
    fn run(&mut self, second: u32) -> f64 {
        let mut hang = |state: f64, correlation: f64| {
            let news = (1.0 - correlation * correlation).sqrt();
            correlation * state + news * normal(&mut self.rng)
        };
        self.noise = hang(self.noise, 0.97);
        self.drift = hang(self.drift, 0.9986);
        let spike = if self.rng.f64() < 0.02 {
            2.0 + 8.0 * self.rng.f64()
        } else {
            1.0
        };
        let hour = f64::from(second) / f64::from(DAY) * std::f64::consts::TAU;
        let of_day = 1.0 + self.swing * hour.sin();
        80.0 * of_day * (0.05 * self.noise + 0.03 * self.drift).exp() * spike
    }
}

/// A standard normal value, by Box and Muller.
fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time"
)]
fn took(second: u32, millis: f64) -> Sample {
    let mut sample = ok(second, 1);
    if let Ok(reply) = &mut sample.outcome {
        reply.latencies[0] = Duration::from_micros((millis * 1e3) as u64);
    }
    sample
}

fn condition(json: &str) -> Shift {
    let settings: Settings = read(json);
    assert_eq!(settings.problems(), []);
    assert_eq!(settings.problems_at(PACE), []);
    Shift::new(&settings, PACE)
}

/// The seconds at which it begins to hold or is over, of a path that takes `by` as long from `from`
/// on.
fn changes(
    settings: &str,
    (seed, swing): (u64, f64),
    days: u32,
    (from, by): (u32, f64),
) -> Vec<(u32, bool)> {
    let mut condition = condition(settings);
    let mut path = Path::new(seed, swing);
    let mut state = false;
    let mut changes = Vec::new();
    for run in 0..days * DAY / RUN {
        let second = run * RUN;
        let factor = if second >= from { by } else { 1.0 };
        condition.observe(&took(second, path.run(second) * factor));
        if let Some(holds) = condition.read(at(second)).holds
            && holds != state
        {
            state = holds;
            changes.push((second, holds));
        }
    }
    changes
}

/// The false alarms of so many weeks.
fn false_alarms(settings: &str, weeks: u64, swing: f64) -> usize {
    let week = |seed| changes(settings, (seed, swing), 7, (0, 1.0)).len();
    (0..weeks).map(|seed| week(seed).div_ceil(2)).sum()
}

/// After how many minutes a shift is found that comes so late, in each of so many simulations.
fn delays(settings: &str, simulations: u64, from: u32, by: f64) -> Vec<Option<u32>> {
    let one = |seed| {
        let all = changes(settings, (seed, 0.2), from / DAY + 1, (from, by));
        let found = all.iter().find(|(second, _)| *second >= from);
        found.map(|(second, _)| (second - from) / 60)
    };
    (0..simulations).map(one).collect()
}

/// Beside a day before, and before there is one.
const TIMES: [u32; 2] = [DAY + 9 * HOUR + 7 * 60, 7 * HOUR];

#[test]
fn a_week_without_a_shift_brings_no_alarm() {
    assert_eq!(false_alarms("{}", 3, 0.2), 0);
}

#[test]
fn half_as_much_more_is_found_within_two_hours_with_a_day_before_and_without() {
    for from in TIMES {
        for found in delays("{}", 3, from, 1.5) {
            assert!(found.is_some_and(|minutes| minutes <= 120), "{found:?}");
        }
    }
}

#[test]
fn what_lasts_for_longer_than_a_day_is_no_shift_any_more() {
    let from = DAY + 6 * HOUR;
    let all = changes("{}", (1, 0.2), 4, (from, 1.5));
    let [(begin, true), (end, false)] = all[..] else {
        panic!("{all:?}");
    };
    assert!((from..from + 2 * HOUR).contains(&begin), "{begin}");
    assert!((from + DAY..from + DAY + 2 * HOUR).contains(&end), "{end}");
}

/// The figures of docs/alerting.md: at most so many alarms in 200 weeks, and at most so many of 200
/// shifts that are not found in so many minutes.
#[test]
#[ignore = "minutes: a thousand weeks"]
fn the_whole_table() {
    const HOURLY: &str = r#"{"over": "1h"}"#;
    for (settings, swing, most) in [
        ("{}", 0.0, 4),
        ("{}", 0.2, 4),
        ("{}", 0.4, 10),
        (HOURLY, 0.2, 20),
    ] {
        let alarms = false_alarms(settings, 200, swing);
        assert!(alarms <= most, "{settings}, swing {swing}: {alarms} alarms");
    }
    for (settings, by, minutes, most) in [
        ("{}", 1.5, 110, 10),
        ("{}", 1.3, 150, 50),
        (HOURLY, 1.5, 70, 10),
    ] {
        for from in TIMES {
            let all = delays(settings, 200, from, by);
            let late = |found: &&Option<u32>| found.is_none_or(|found| found > minutes);
            let late = all.iter().filter(late).count();
            assert!(
                late <= most,
                "{settings}, by {by} from {from}: {late} later than {minutes}"
            );
        }
    }
}

/// Feeds runs of these milliseconds for so long.
fn feed(condition: &mut Shift, from: u32, seconds: u32, millis: f64) {
    for second in (from..from + seconds).step_by(10) {
        condition.observe(&took(second, millis));
        condition.read(at(second));
    }
}

#[test]
fn nothing_is_said_before_there_is_something_to_compare_with() {
    let mut condition = condition(r#"{"over": "1h"}"#);
    feed(&mut condition, 0, 2 * HOUR - 300, 80.0);
    assert_eq!(condition.read(at(2 * HOUR - 300)).holds, None);
    feed(&mut condition, 2 * HOUR - 300, 300, 80.0);
    let reading = condition.read(at(2 * HOUR));
    assert_eq!((reading.holds, reading.value), (Some(false), Some(1.0)));
    assert_eq!(reading.threshold, Some(1.2));
}

#[test]
fn nothing_is_said_without_runs_or_with_failed_ones_only() {
    let mut condition = condition(r#"{"over": "1h"}"#);
    feed(&mut condition, 0, 3 * HOUR, 80.0);
    assert_eq!(condition.read(at(3 * HOUR)).holds, Some(false));
    assert_eq!(condition.read(at(4 * HOUR)).holds, None);
    for second in (3 * HOUR..5 * HOUR).step_by(10) {
        condition.observe(&failed(second, Reason::TimeoutConnect));
    }
    assert_eq!(condition.read(at(5 * HOUR)).holds, None);
}

#[test]
fn the_same_time_of_the_day_before_goes_before_the_hours_before() {
    let mut condition = condition(r#"{"over": "1h"}"#);
    // Every day, the second half is twice as slow.
    for half in 0..4 {
        let millis = if half % 2 == 0 { 80.0 } else { 160.0 };
        feed(&mut condition, half * DAY / 2, DAY / 2, millis);
    }
    assert_eq!(condition.read(at(2 * DAY)).value, Some(1.0));
    // On the first day there was nothing but the hours before.
    let mut first = Shift::new(&read(r#"{"over": "1h"}"#), PACE);
    feed(&mut first, 0, DAY / 2, 80.0);
    feed(&mut first, DAY / 2, 2400, 160.0);
    let reading = first.read(at(DAY / 2 + 2400));
    assert_eq!((reading.holds, reading.value), (Some(true), Some(2.0)));
}

#[test]
fn what_is_little_does_not_matter_however_sure_it_is() {
    for (before, after, holds) in [
        (80.0, 95.0, false),
        (80.0, 97.0, true),
        (5.0, 6.9, false),
        (5.0, 7.1, true),
        (160.0, 80.0, false),
    ] {
        let mut condition = condition(r#"{"over": "1h"}"#);
        feed(&mut condition, 0, 2 * HOUR, before);
        feed(&mut condition, 2 * HOUR, 2400, after);
        let reading = condition.read(at(2 * HOUR + 2400));
        assert_eq!(reading.holds, Some(holds), "{before} to {after}");
    }
}

#[test]
fn what_rises_for_hours_before_there_is_a_day_is_no_shift() {
    let mut condition = condition(r#"{"over": "2h"}"#);
    // By a fifth every hour, and then to twice as much.
    for (hour, millis) in [(0, 80.0), (1, 97.0), (2, 118.0), (3, 236.0)] {
        feed(&mut condition, hour * HOUR, HOUR, millis);
        let holds = condition.read(at((hour + 1) * HOUR)).holds;
        let expected = (hour > 1).then_some(hour == 3);
        assert_eq!(holds, expected, "{hour}");
    }
}

#[test]
fn memory_is_a_matter_of_batches() {
    let mut condition = condition(r#"{"than": "7d", "over": "24h"}"#);
    feed(&mut condition, 0, 9 * DAY, 80.0);
    let (grid, batches) = condition.batches.as_mut().expect("runs");
    assert_eq!(grid.batches(), 8 * 288);
    assert_eq!(batches.window(at(9 * DAY)).len(), 8 * 288);
}

#[test]
fn settings_have_their_ranges() {
    for (text, field) in [
        (r#"{"by": 1}"#, "by"),
        (r#"{"by": 101}"#, "by"),
        (r#"{"over": "25h"}"#, "over"),
        (r#"{"than": "0s"}"#, "than"),
        (r#"{"than": "8d"}"#, "than"),
    ] {
        let problems = read::<Settings>(text).problems();
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert_eq!(problems[0].field, field, "{text}");
    }
    for (text, message) in [
        (
            r#"{"over": "39m"}"#,
            "must be at least 40m, 8 batches of 5m",
        ),
        (
            r#"{"than": "119m"}"#,
            "must be at least 2h, what is compared",
        ),
        (
            r#"{"over": "2h", "than": "1h"}"#,
            "must be at least 2h, what is compared",
        ),
    ] {
        let problems = read::<Settings>(text).problems_at(PACE);
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert_eq!(problems[0].message, message);
    }
}

#[test]
fn the_first_run_begins_the_batches_and_not_the_first_look() {
    let settings: Settings = read("{}");
    let mut condition = Shift::new(&settings, PACE);
    assert_eq!(condition.read(at(0)).holds, None);
    condition.observe(&ok(7, 80));
    let (grid, _) = condition.batches.as_ref().expect("a run");
    assert_eq!(grid.slot(at(306)) + 1, grid.slot(at(307)));
}

fn wall(second: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs_f64(EPOCH) + Duration::from_secs(second.into())
}

/// Feeds runs of these milliseconds for so long; what is to be known in the next life.
fn gather(condition: &mut Shift, from: u32, seconds: u32, millis: f64) -> Vec<PastBatch> {
    let mut gathered = Vec::new();
    for second in (from..from + seconds).step_by(10) {
        condition.observe(&took(second, millis));
        condition.read(at(second));
        gathered.extend(condition.gathered((at(second), wall(second))));
    }
    gathered
}

#[test]
fn what_was_gathered_is_known_in_the_next_life() {
    const HOURLY: &str = r#"{"over": "1h"}"#;
    let mut one = condition(HOURLY);
    let mut past = gather(&mut one, 5, DAY + HOUR, 80.0);
    past.extend(gather(&mut one, 5 + DAY + HOUR, HOUR, 120.0));
    assert_eq!(past.len(), 26 * 12 - 1, "but for the one that goes on");
    // Ten minutes later, by a monotonic clock that began anew.
    let now = DAY + 2 * HOUR + 700;
    let mut two = condition(HOURLY);
    assert_eq!(two.remember(&past), past.len());
    assert_eq!(two.read(at(0)).holds, None, "before the first run");
    let run = Sample {
        ended: at(3),
        ..took(now, 120.0)
    };
    two.observe(&run);
    one.observe(&took(now, 120.0));
    let reading = two.read(at(3));
    assert_eq!(reading.holds, Some(true));
    assert_eq!(reading.value, Some(1.5));
    assert_eq!(reading, one.read(at(now)));
    assert_eq!(two.gathered((at(3), wall(now))), None, "it was kept before");
    // What is gathered from now on goes on from there.
    let slots = |past: &[PastBatch]| past.iter().map(|past| past.batch.slot).max();
    let last = slots(&past);
    for second in (13..700).step_by(10) {
        two.observe(&Sample {
            ended: at(second),
            ..took(now + second - 3, 120.0)
        });
        two.read(at(second));
        past.extend(two.gathered((at(second), wall(now + second - 3))));
    }
    assert_eq!(slots(&past), last.map(|last| last + 5));
}

#[test]
fn batches_of_another_length_are_of_no_use() {
    let mut one = condition(r#"{"over": "1h"}"#);
    let past = gather(&mut one, 0, 3 * HOUR, 80.0);
    let slow = Pace {
        interval: Duration::from_mins(1),
        ..PACE
    };
    let mut two = Shift::new(&read("{}"), slow);
    assert_eq!(two.remember(&past), 0);
    // But `over`, `than` and `by` may be others: a batch is a batch.
    let mut three = condition(r#"{"over": "90m", "than": "7d", "by": 2}"#);
    assert_eq!(three.remember(&past), past.len());
    three.observe(&took(3 * HOUR, 80.0));
    assert_eq!(three.read(at(3 * HOUR)).holds, Some(false));
}

#[test]
fn the_longest_past_is_as_long_as_is_said() {
    for text in [r#"{"than": "7d", "over": "1d"}"#, r#"{"than": "7d"}"#] {
        // The slowest that such settings are good for.
        for minutes in [1, 7, 17] {
            let pace = Pace {
                interval: Duration::from_mins(minutes),
                ..PACE
            };
            let settings: Settings = read(text);
            if !settings.problems_at(pace).is_empty() {
                continue;
            }
            let condition = Shift::new(&settings, pace);
            let past = length(pace) * (condition.recent + condition.before);
            assert!(past <= LONGEST_PAST, "{text}, each {minutes} min");
        }
    }
}
