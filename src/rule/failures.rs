//! `failures`: several of the last runs against a target failed.

use std::time::Instant;

use serde::Deserialize;

use super::Watched;
use super::window::succeeded;
use super::{Beyond, Kind, Measure, NeedOfProbe, OfTarget, Pace, Problem, Reading, Scope};
use crate::model::{Reason, Sample, Unit};

/// Runs that can be looked back on.
const MOST_RUNS: u32 = 64;

/// Good runs in a row that can be asked for.
const MOST_IN_A_ROW: u32 = 100;

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The probe; by default every one.
    pub probe: Option<String>,
    /// The regions of the targets; by default all.
    pub to: Option<Vec<String>>,
    /// How many of the last runs have to fail.
    pub fail: Fail,
    /// Good runs in a row after which it is over.
    pub recover: u32,
}

/// How many of how many runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fail {
    /// Of the last so many runs ...
    pub of: u32,
    /// ... at least so many.
    pub at_least: u32,
}

impl Default for Fail {
    fn default() -> Self {
        Self { of: 5, at_least: 3 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            probe: None,
            to: None,
            fail: Fail::default(),
            recover: 3,
        }
    }
}

impl Kind for Settings {
    fn scope(&self) -> Scope<'_> {
        Scope::Targets {
            probe: self.probe.as_deref(),
            to: self.to.as_deref(),
            needs: NeedOfProbe::Nothing,
        }
    }

    fn measure(&self) -> Measure {
        Measure {
            what: format!("the number of failures in the last {} runs", self.fail.of).into(),
            unit: Some(Unit::Count),
            beyond: Beyond::AtLeast,
            threshold: Some(self.fail.at_least.into()),
        }
    }

    fn shared(&self) -> bool {
        true
    }

    fn problems(&self) -> Vec<Problem> {
        let Fail { of, at_least } = self.fail;
        let within = |field, value, most| {
            let message = format!("must be from 1 to {most}");
            (!(1..=most).contains(&value)).then(|| Problem::new(field, message))
        };
        let of = within("fail.of", of, MOST_RUNS).or_else(|| {
            let message = format!("must be from 1 to `of`, {of}");
            (!(1..=of).contains(&at_least)).then(|| Problem::new("fail.at_least", message))
        });
        let recover = within("recover", self.recover, MOST_IN_A_ROW);
        of.into_iter().chain(recover).collect()
    }

    fn of_target(&self, watched: Watched<'_>) -> Option<Box<dyn OfTarget>> {
        Some(Box::new(Failures::new(self, watched.pace)))
    }
}

/// The last runs. It takes less than 100 bytes.
#[derive(Debug)]
struct Failures {
    fail: Fail,
    recover: u32,
    pace: Pace,
    /// The last runs since it was last over, the newest in the lowest bit; a set bit is a failure.
    bits: u64,
    /// Good runs in a row.
    good: u32,
    /// What the runs came to so far.
    failing: Option<bool>,
    /// When the last run ended.
    last: Option<Instant>,
    /// Why the last failure was one.
    reason: Option<Reason>,
}

impl Failures {
    fn new(settings: &Settings, pace: Pace) -> Self {
        Self {
            fail: settings.fail,
            recover: settings.recover,
            pace,
            bits: 0,
            good: 0,
            failing: None,
            last: None,
            reason: None,
        }
    }

    fn is_stale(&self, now: Instant) -> bool {
        let age = self.last.map(|last| now.saturating_duration_since(last));
        age.is_none_or(|age| age > self.pace.fresh())
    }

    /// The failures among the last runs.
    fn failures(&self) -> u32 {
        let all = u64::MAX >> (64 - self.fail.of.clamp(1, 64));
        (self.bits & all).count_ones()
    }
}

impl OfTarget for Failures {
    fn observe(&mut self, sample: &Sample) {
        let Some(good) = succeeded(sample) else {
            return;
        };
        if self.is_stale(sample.ended) {
            // Runs from before a gap and after it are not the last of a row.
            (self.bits, self.good, self.failing) = (0, 0, None);
        }
        self.last = Some(sample.ended);
        self.bits = self.bits << 1 | u64::from(!good);
        self.good = if good { self.good.saturating_add(1) } else { 0 };
        if let Err(failure) = &sample.outcome {
            self.reason = Some(failure.reason);
        }
        if self.failing != Some(false) && self.good >= self.recover {
            self.bits = 0;
            self.failing = Some(false);
        } else if self.failures() >= self.fail.at_least {
            self.failing = Some(true);
        }
    }

    fn read(&mut self, now: Instant) -> Reading {
        let known = self.failing.filter(|_| !self.is_stale(now));
        Reading {
            holds: known,
            value: known.map(|_| self.failures().into()),
            threshold: Some(self.fail.at_least.into()),
        }
    }

    fn detail(&self) -> Option<String> {
        let reason = self.reason?;
        Some(format!("the last failure: {}", reason.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::test_samples::{PACE, at, failed, ok, read};
    use super::*;

    /// What is read after each of the runs: `o` good, `x` failed, `!` a fault of our own, `_` 10 s
    /// without a run. `T` for holds, `F` for does not, `-` for nothing to say.
    fn readings(settings: &Settings, runs: &str) -> String {
        let mut condition = Failures::new(settings, PACE);
        let mut now = 0;
        let mut said = String::new();
        for run in runs.chars() {
            now += 10;
            match run {
                'o' => condition.observe(&ok(now, 10)),
                'x' => condition.observe(&failed(now, Reason::Refused)),
                '!' => condition.observe(&failed(now, Reason::LocalResources)),
                _ => {}
            }
            said.push(match condition.read(at(now)).holds {
                None => '-',
                Some(true) => 'T',
                Some(false) => 'F',
            });
        }
        said
    }

    fn settings(of: u32, at_least: u32, recover: u32) -> Settings {
        let settings = Settings {
            fail: Fail { of, at_least },
            recover,
            ..Settings::default()
        };
        assert_eq!(settings.problems(), []);
        settings
    }

    #[test]
    fn three_of_five_failures_hold_until_three_are_good_in_a_row() {
        let default: Settings = read("{}");
        assert_eq!(default, settings(5, 3, 3));
        for (runs, said) in [
            ("ooooo", "--FFF"),
            ("xxx", "--T"),
            ("oooxxx", "--FFFT"),
            ("oooxoxox", "--FFFFFT"),
            ("oooxooxoox", "--FFFFFFFF"),
            ("xxxooxooo", "--TTTTTTF"),
            // What failed before it was over does not count again.
            ("xxxoooxx", "--TTTFFF"),
            ("xxxoooxxx", "--TTTFFFT"),
            ("xoxoxo", "----TT"),
            ("x!!x!!x", "------T"),
            ("xxx!!!!o", "--TTTT--"),
            ("xxx_____ooo", "--TTTT----F"),
            ("ooo_____xxx", "--FFFF----T"),
        ] {
            assert_eq!(readings(&default, runs), said, "{runs}");
        }
    }

    #[test]
    fn one_of_one_follows_every_run() {
        assert_eq!(readings(&settings(1, 1, 1), "oxoxx"), "FTFTT");
        assert_eq!(readings(&settings(64, 64, 1), &"x".repeat(64))[62..], *"-T");
    }

    #[test]
    fn it_says_how_many_failed_and_why() {
        let mut condition = Failures::new(&Settings::default(), PACE);
        for run in 0..4 {
            condition.observe(&failed(run * 10, Reason::TimeoutConnect));
        }
        let reading = condition.read(at(30));
        assert_eq!((reading.value, reading.threshold), (Some(4.0), Some(3.0)));
        let detail = condition.detail();
        assert_eq!(detail.as_deref(), Some("the last failure: timeout_connect"));
        assert!(size_of::<Failures>() <= 112, "{}", size_of::<Failures>());
    }

    #[test]
    fn settings_have_their_ranges() {
        for (text, field) in [
            (r#"{"fail": {"of": 0}}"#, "fail.of"),
            (r#"{"fail": {"of": 65}}"#, "fail.of"),
            (r#"{"fail": {"of": 2}}"#, "fail.at_least"),
            (r#"{"fail": {"at_least": 0}}"#, "fail.at_least"),
            (r#"{"recover": 0}"#, "recover"),
            (r#"{"recover": 101}"#, "recover"),
        ] {
            let problems = read::<Settings>(text).problems();
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert_eq!(problems[0].field, field, "{text}");
        }
    }

    /// The same from all runs at once: what the definition says, without a memory of its own.
    fn reference(settings: &Settings, runs: &[bool]) -> Option<bool> {
        let (of, at_least) = (settings.fail.of as usize, settings.fail.at_least as usize);
        let recover = settings.recover as usize;
        let mut since = 0;
        let mut failing = None;
        for end in 1..=runs.len() {
            let row = runs[..end].iter().rev().take_while(|good| **good).count();
            let last = &runs[since.max(end.saturating_sub(of))..end];
            let failed = last.iter().filter(|good| !**good).count();
            if failing != Some(false) && row >= recover {
                (since, failing) = (end, Some(false));
            } else if failed >= at_least {
                failing = Some(true);
            }
        }
        failing
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_does_what_its_definition_says(
            of in 1_u32..=64, part in 0_u32..64, recover in 1_u32..6,
            runs in proptest::collection::vec(proptest::bool::weighted(0.6), 0..200),
        ) {
            let settings = settings(of, 1 + part % of, recover);
            let mut condition = Failures::new(&settings, PACE);
            for (nth, good) in runs.iter().enumerate() {
                let now = 10 * u32::try_from(nth).expect("few runs");
                condition.observe(&if *good { ok(now, 1) } else { failed(now, Reason::Eof) });
                let expected = reference(&settings, &runs[..=nth]);
                prop_assert_eq!(condition.read(at(now)).holds, expected, "after {} runs", nth + 1);
            }
        }
    }
}
