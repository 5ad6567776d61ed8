//! `loss`: a share of the packets to a target is not answered.

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
    /// The probe, a ping; by default every one.
    pub probe: Option<String>,
    /// The regions of the targets; by default all.
    pub to: Option<Vec<String>>,
    /// How far back.
    #[serde(deserialize_with = "duration::deserialize")]
    pub over: Duration,
    /// The largest share of packets without an answer that is good.
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
            needs: NeedOfProbe::Packets,
        }
    }

    fn measure(&self) -> Measure {
        Measure {
            what: format!("the share of lost packets over {}", display(self.over)).into(),
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
        Some(Box::new(Loss::new(self, watched.pace)))
    }
}

#[derive(Debug)]
struct Loss {
    above: f64,
    least: usize,
    tally: Tally,
}

impl Loss {
    fn new(settings: &Settings, pace: Pace) -> Self {
        Self {
            above: settings.above.unwrap_or(1.0),
            least: window::least(settings.over, pace),
            tally: Tally::new(settings.over),
        }
    }
}

impl OfTarget for Loss {
    fn observe(&mut self, sample: &Sample) {
        let packets = sample.facts().and_then(|facts| facts.ping);
        // A run that could not send one (no address) is no loss of packets, but a failure.
        let Some(packets) = packets.filter(|_| succeeded(sample).is_some()) else {
            return;
        };
        let all = packets.sent.saturating_sub(packets.errors);
        let count = Count {
            // One without a packet that counts does not make the few of others enough.
            runs: u32::from(all > 0),
            all,
            bad: packets.lost.saturating_add(packets.late),
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
    use super::super::test_samples::{PACE, at, failed, failed_with, packets, read, with_facts};
    use super::*;
    use crate::model::Reason;

    fn condition() -> Loss {
        let settings: Settings = read(r#"{"over": "1m", "above": "5%"}"#);
        assert_eq!(settings.problems(), []);
        Loss::new(&settings, PACE)
    }

    #[test]
    fn packets_count_each_and_what_could_not_be_sent_does_not() {
        for (facts, holds, value) in [
            (packets(5, 5, 0, 0), Some(false), Some(0.0)),
            (packets(20, 19, 0, 0), Some(false), Some(0.05)),
            (packets(10, 9, 0, 0), Some(true), Some(0.1)),
            (packets(10, 9, 1, 0), Some(true), Some(0.1)),
            (packets(10, 9, 0, 1), Some(false), Some(0.0)),
            (packets(10, 0, 0, 10), None, None),
        ] {
            let mut condition = condition();
            for run in 0..3 {
                assert_eq!(condition.read(at(run * 10)).holds, None, "{run} runs");
                condition.observe(&with_facts(run * 10, facts.clone()));
            }
            let reading = condition.read(at(30));
            assert_eq!((reading.holds, reading.value), (holds, value), "{facts:?}");
            assert_eq!(condition.read(at(90)).holds, None, "no runs");
        }
    }

    #[test]
    fn a_few_packets_among_runs_without_any_are_too_few() {
        for received in [0, 1] {
            let mut condition = condition();
            for run in 0..6 {
                let back = if run == 3 { 4 } else { 5 };
                let answered = if run == 3 { received } else { 0 };
                condition.observe(&with_facts(run * 10, packets(5, answered, 0, back)));
            }
            assert_eq!(condition.read(at(55)).holds, None, "{received} answered");
        }
    }

    #[test]
    fn a_run_without_answers_is_all_lost_and_one_without_packets_is_none() {
        let mut condition = condition();
        for run in 0..6 {
            condition.observe(&failed(run * 10, Reason::DnsNotFound));
            let ours = packets(5, 0, 0, 0);
            condition.observe(&failed_with(run * 10, Reason::Stalled, ours));
        }
        assert_eq!(condition.read(at(50)).holds, None);
        for run in 6..12 {
            let lost = packets(5, 0, 0, 0);
            condition.observe(&failed_with(run * 10, Reason::Lost, lost));
        }
        assert_eq!(condition.read(at(110)).value, Some(1.0));
    }
}
