//! `failure_ratio`: a share of the runs against a target fails.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::Watched;
use super::kind::{share, share_problem};
use super::window::{self, Count, Tally, succeeded};
use super::{Beyond, Kind, Measure, NeedOfProbe, OfTarget, Pace, Problem, Reading, Scope};
use crate::model::duration::{self, display};
use crate::model::{Sample, Unit};

/// The settings.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The probe; by default every one.
    pub probe: Option<String>,
    /// The regions of the targets; by default all.
    pub to: Option<Vec<String>>,
    /// How far back.
    #[serde(deserialize_with = "duration::deserialize")]
    pub over: Duration,
    /// The largest share of failed runs that is good.
    #[serde(deserialize_with = "share")]
    pub above: Option<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            probe: None,
            to: None,
            over: Duration::from_mins(5),
            above: None,
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
            what: format!("the share of failed runs over {}", display(self.over)).into(),
            unit: Some(Unit::Ratio),
            beyond: Beyond::Above,
            threshold: self.above,
        }
    }

    fn shared(&self) -> bool {
        false
    }

    fn problems(&self) -> Vec<Problem> {
        let above = share_problem("above", self.above);
        above
            .into_iter()
            .chain(window::too_long(self.over))
            .collect()
    }

    fn problems_at(&self, pace: Pace) -> Vec<Problem> {
        window::problems(self.over, pace)
    }

    fn of_target(&self, watched: Watched<'_>) -> Option<Box<dyn OfTarget>> {
        Some(Box::new(FailureRatio::new(self, watched.pace)))
    }
}

#[derive(Debug)]
struct FailureRatio {
    above: f64,
    least: usize,
    tally: Tally,
}

impl FailureRatio {
    fn new(settings: &Settings, pace: Pace) -> Self {
        Self {
            above: settings.above.unwrap_or(1.0),
            least: window::least(settings.over, pace),
            tally: Tally::new(settings.over),
        }
    }
}

impl OfTarget for FailureRatio {
    fn observe(&mut self, sample: &Sample) {
        let Some(good) = succeeded(sample) else {
            return;
        };
        let count = Count {
            runs: 1,
            all: 1,
            bad: u32::from(!good),
        };
        self.tally.add(sample.ended, count);
    }

    fn read(&mut self, now: Instant) -> Reading {
        let share = self.tally.sum(now).share(self.least);
        Reading::above(share, self.above)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_samples::{PACE, at, failed, ok, read};
    use super::*;
    use crate::model::Reason;

    /// What is read after runs (`o` good, `x` failed, `!` a fault of our own) each 10 s, over two
    /// minutes, in which six are needed.
    fn after(runs: &str) -> Reading {
        let settings: Settings = read(r#"{"over": "2m", "above": "25%"}"#);
        let mut condition = FailureRatio::new(&settings, PACE);
        let mut now = 0;
        for run in runs.chars() {
            now += 10;
            condition.observe(&match run {
                'o' => ok(now, 10),
                'x' => failed(now, Reason::Refused),
                _ => failed(now, Reason::LocalResources),
            });
        }
        condition.read(at(now))
    }

    #[test]
    fn it_holds_above_the_share_and_says_nothing_of_few_runs() {
        for (runs, holds, value) in [
            ("", None, None),
            ("xxxxx", None, None),
            ("oooooo", Some(false), Some(0.0)),
            ("oooooooxx", Some(false), Some(2.0 / 9.0)),
            ("ooooooxx", Some(false), Some(0.25)),
            ("oooooxx", Some(true), Some(2.0 / 7.0)),
            ("xxxxxx", Some(true), Some(1.0)),
            ("x!x!!x", None, None),
            ("o!o!oo!oo!!", Some(false), Some(0.0)),
            ("xxxxxxoooooooooooo", Some(false), Some(0.0)),
        ] {
            let reading = after(runs);
            assert_eq!((reading.holds, reading.value), (holds, value), "{runs}");
        }
    }

    #[test]
    fn settings_have_their_ranges() {
        for (text, field) in [
            ("{}", "above"),
            (r#"{"above": "100%"}"#, "above"),
            (r#"{"above": "1%", "over": "2d"}"#, "over"),
        ] {
            let problems = read::<Settings>(text).problems();
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert_eq!(problems[0].field, field, "{text}");
        }
    }
}
