//! `rpo`: a failover to a standby would lose too much.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::kind::zero_problem;
use super::{Beyond, Kind, Measure, NeedOfGroup, OfStandby, Problem, Reading, Scope};
use crate::model::{GroupReport, PlannedGroup, ReadyState, StandbyReport, Unit, duration};

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The group, one with a database; by default every one.
    pub group: Option<String>,
    /// The longest loss that is good; by default the group's objective.
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub above: Option<Duration>,
}

impl Kind for Settings {
    fn scope(&self) -> Scope<'_> {
        let needs = match self.above {
            Some(_) => NeedOfGroup::Database,
            None => NeedOfGroup::Rpo,
        };
        let group = self.group.as_deref();
        Scope::Groups { group, needs }
    }

    fn measure(&self) -> Measure {
        Measure {
            what: "the loss if the primary died now".into(),
            unit: Some(Unit::Seconds),
            beyond: Beyond::Above,
            threshold: self.above.map(|above| above.as_secs_f64()),
        }
    }

    fn shared(&self) -> bool {
        true
    }

    fn problems(&self) -> Vec<Problem> {
        let zero = self.above.and_then(|above| zero_problem("above", above));
        zero.into_iter().collect()
    }

    fn of_standby(&self, group: &PlannedGroup) -> Option<Box<dyn OfStandby>> {
        let above = self.above.or(group.objectives.rpo)?;
        Some(Box::new(Rpo {
            above: above.as_secs_f64(),
        }))
    }
}

#[derive(Debug)]
struct Rpo {
    above: f64,
}

impl OfStandby for Rpo {
    fn read(&mut self, _group: &GroupReport, standby: &StandbyReport, _now: Instant) -> Reading {
        // What a loss has cost is no question of what one would cost.
        let loss = standby
            .rpo_seconds
            .filter(|_| standby.state != ReadyState::PrimaryLost);
        Reading::above(loss, self.above)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_samples::{at, group, planned, read, standby};
    use super::*;
    use crate::model::{Objectives, Promotability};

    #[test]
    fn the_objective_is_the_threshold_unless_another_is_set() {
        let with = |rpo| PlannedGroup {
            objectives: Objectives {
                rpo,
                ..Objectives::default()
            },
            ..planned("shop", true)
        };
        let objective = Some(Duration::from_secs(30));
        for (text, group_of, threshold) in [
            ("{}", with(objective), Some(30.0)),
            (r#"{"above": "5s"}"#, with(objective), Some(5.0)),
            (r#"{"above": "5s"}"#, with(None), Some(5.0)),
            (r#"{"group": "shop"}"#, with(objective), Some(30.0)),
            (r#"{"group": "other"}"#, with(objective), None),
            ("{}", with(None), None),
            (r#"{"above": "5s"}"#, planned("shop", false), None),
        ] {
            let settings: Settings = read(text);
            assert_eq!(settings.problems(), []);
            let is_for = settings.scope().has_group(&group_of);
            let opened = is_for.then(|| settings.of_standby(&group_of)).flatten();
            let standby = standby("b", ReadyState::Ready, Promotability::NotAsked);
            let report = group(0, vec![standby.clone()]);
            let reading = opened.map(|mut condition| condition.read(&report, &standby, at(0)));
            assert_eq!(reading.and_then(|reading| reading.threshold), threshold);
        }
    }

    #[test]
    fn it_holds_above_the_threshold() {
        for (loss, state, holds) in [
            (Some(30.5), ReadyState::NotReady, Some(true)),
            (Some(30.0), ReadyState::Ready, Some(false)),
            (None, ReadyState::Unknown, None),
            (Some(30.5), ReadyState::PrimaryLost, None),
        ] {
            let standby = StandbyReport {
                rpo_seconds: loss,
                ..standby("b", state, Promotability::NotAsked)
            };
            let report = group(0, vec![standby.clone()]);
            let reading = Rpo { above: 30.0 }.read(&report, &standby, at(0));
            assert_eq!(reading.holds, holds, "{loss:?} {state:?}");
        }
    }
}
