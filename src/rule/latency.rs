//! `latency`: runs against a target take long.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::Watched;
use super::kind::{seconds, time_problem};
use super::window::{self, Times};
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
    /// Which part of the successful runs is not to take longer: above 0 and below 1.
    pub quantile: f64,
    /// How far back.
    #[serde(deserialize_with = "duration::deserialize")]
    pub over: Duration,
    /// The longest time that is good.
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub above: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            probe: None,
            to: None,
            quantile: 0.95,
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
        let part = (self.quantile * 1e8).round() / 1e6;
        Measure {
            what: format!("the p{part} latency over {}", display(self.over)).into(),
            unit: Some(Unit::Seconds),
            beyond: Beyond::Above,
            threshold: self.above.map(|above| above.as_secs_f64()),
        }
    }

    fn shared(&self) -> bool {
        false
    }

    fn problems(&self) -> Vec<Problem> {
        let good = self.quantile > 0.0 && self.quantile < 1.0;
        let message = "must be above 0 and below 1";
        let quantile = (!good).then(|| Problem::new("quantile", message));
        let above = time_problem("above", self.above);
        let over = window::too_long(self.over);
        quantile.into_iter().chain(above).chain(over).collect()
    }

    fn problems_at(&self, pace: Pace) -> Vec<Problem> {
        window::problems(self.over, pace)
    }

    fn of_target(&self, watched: Watched<'_>) -> Option<Box<dyn OfTarget>> {
        Some(Box::new(Latency::new(self, watched.pace)))
    }
}

/// The times of the last while. Each packet of a ping that was answered has one.
#[derive(Debug)]
struct Latency {
    quantile: f64,
    above: f64,
    least: usize,
    times: Times,
    /// The quantile, and whether it has to be looked for again.
    found: Option<f64>,
    changed: bool,
}

impl Latency {
    fn new(settings: &Settings, pace: Pace) -> Self {
        Self {
            quantile: settings.quantile,
            above: seconds(settings.above),
            least: window::least(settings.over, pace),
            times: Times::new(settings.over),
            found: None,
            changed: false,
        }
    }
}

impl OfTarget for Latency {
    fn observe(&mut self, sample: &Sample) {
        if let Ok(reply) = &sample.outcome {
            self.times.add(sample.ended, &reply.latencies);
            self.changed = true;
        }
    }

    fn read(&mut self, now: Instant) -> Reading {
        self.changed |= self.times.expire(now);
        if std::mem::take(&mut self.changed) {
            let enough = self.times.runs() >= self.least;
            self.found = self.times.quantile(self.quantile).filter(|_| enough);
        }
        Reading::above(self.found, self.above)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_samples::{PACE, at, failed, ok, read};
    use super::*;
    use crate::model::Reason;

    /// The quantile 0.5 over a minute: six runs, of which three are needed.
    fn condition() -> Latency {
        let settings: Settings = read(r#"{"quantile": 0.5, "over": "1m", "above": "150ms"}"#);
        assert_eq!(settings.problems(), []);
        Latency::new(&settings, PACE)
    }

    #[test]
    fn it_holds_above_the_threshold_and_not_at_it() {
        for (millis, holds, value) in [(149, false, 0.149), (150, false, 0.15), (151, true, 0.151)]
        {
            let mut condition = condition();
            for run in 0..6 {
                condition.observe(&ok(run * 10, millis));
            }
            let reading = condition.read(at(50));
            assert_eq!(reading.holds, Some(holds), "{millis}");
            assert_eq!(reading.threshold, Some(0.15));
            assert_eq!(reading.value, Some(value));
        }
    }

    #[test]
    fn few_runs_failed_runs_and_no_runs_say_nothing() {
        let mut condition = condition();
        assert_eq!(condition.read(at(0)).holds, None);
        condition.observe(&ok(0, 500));
        condition.observe(&ok(10, 500));
        for run in 2..5 {
            condition.observe(&failed(run * 10, Reason::TimeoutConnect));
        }
        assert_eq!(condition.read(at(50)).holds, None, "two times");
        condition.observe(&ok(50, 500));
        assert_eq!(condition.read(at(50)).holds, Some(true));
        assert_eq!(condition.read(at(61)).holds, None, "the first is too old");
        assert_eq!(condition.read(at(10_000)).holds, None);
    }

    #[test]
    fn settings_have_their_ranges() {
        for (text, field) in [
            ("{}", "above"),
            (r#"{"above": "0s"}"#, "above"),
            (r#"{"above": "1s", "quantile": 0}"#, "quantile"),
            (r#"{"above": "1s", "quantile": 1}"#, "quantile"),
            (r#"{"above": "1s", "over": "25h"}"#, "over"),
        ] {
            let problems = read::<Settings>(text).problems();
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert_eq!(problems[0].field, field, "{text}");
        }
        let settings: Settings = read(r#"{"above": "150ms"}"#);
        assert_eq!(&*settings.measure().what, "the p95 latency over 5m");
    }
}
