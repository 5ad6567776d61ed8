//! `lag`: a standby is behind its primary.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::kind::{seconds, time_problem};
use super::{Beyond, Kind, Measure, NeedOfGroup, OfStandby, Problem, Reading, Scope};
use crate::model::{GroupReport, PlannedGroup, ReadyState, StandbyReport, Unit, duration};

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The group, one with a database; by default every one.
    pub group: Option<String>,
    /// The longest time that is good.
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub above: Option<Duration>,
}

impl Kind for Settings {
    fn scope(&self) -> Scope<'_> {
        Scope::Groups {
            group: self.group.as_deref(),
            needs: NeedOfGroup::Database,
        }
    }

    fn measure(&self) -> Measure {
        Measure {
            what: "the replication lag".into(),
            unit: Some(Unit::Seconds),
            beyond: Beyond::Above,
            threshold: self.above.map(|above| above.as_secs_f64()),
        }
    }

    fn shared(&self) -> bool {
        true
    }

    fn problems(&self) -> Vec<Problem> {
        time_problem("above", self.above).into_iter().collect()
    }

    fn of_standby(&self, _group: &PlannedGroup) -> Option<Box<dyn OfStandby>> {
        Some(Box::new(Lag {
            above: seconds(self.above),
        }))
    }
}

#[derive(Debug)]
struct Lag {
    above: f64,
}

impl OfStandby for Lag {
    fn read(&mut self, _group: &GroupReport, standby: &StandbyReport, _now: Instant) -> Reading {
        // Nobody is behind a primary that is gone.
        let lag = standby
            .lag_seconds
            .filter(|_| standby.state != ReadyState::PrimaryLost);
        let reading = Reading::above(lag, self.above);
        Reading {
            // At least so late may be late, but never in time.
            holds: reading.holds.filter(|late| *late || !standby.lag_at_least),
            ..reading
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_samples::{at, group, read, standby};
    use super::*;
    use crate::model::Promotability;

    #[test]
    fn it_holds_above_the_threshold_and_what_is_at_least_so_much_is_not_in_time() {
        let settings: Settings = read(r#"{"above": "30s"}"#);
        assert_eq!(settings.problems(), []);
        let above = seconds(settings.above);
        for (lag, at_least, state, holds) in [
            (Some(31.0), false, ReadyState::NotReady, Some(true)),
            (Some(31.0), true, ReadyState::NotReady, Some(true)),
            (Some(30.0), false, ReadyState::Ready, Some(false)),
            (Some(30.0), true, ReadyState::Ready, None),
            (Some(0.0), false, ReadyState::Unknown, Some(false)),
            (None, false, ReadyState::Ready, None),
            (Some(31.0), false, ReadyState::PrimaryLost, None),
        ] {
            let standby = StandbyReport {
                lag_seconds: lag,
                lag_at_least: at_least,
                ..standby("b", state, Promotability::NotAsked)
            };
            let report = group(0, vec![standby.clone()]);
            let reading = Lag { above }.read(&report, &standby, at(0));
            assert_eq!(reading.holds, holds, "{lag:?} {at_least} {state:?}");
        }
    }

    #[test]
    fn the_threshold_has_to_be_said() {
        assert_eq!(read::<Settings>("{}").problems()[0].field, "above");
        let zero: Settings = read(r#"{"above": "0s"}"#);
        assert_eq!(zero.problems()[0].field, "above");
    }
}
