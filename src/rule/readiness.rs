//! `readiness`: a standby is not ready, or that is not known, or its primary is lost.

use std::time::Instant;

use serde::Deserialize;

use super::{Beyond, Kind, Measure, NeedOfGroup, OfStandby, Problem, Reading, Scope};
use crate::model::{GroupReport, PlannedGroup, Promotability, ReadyState, Sight, StandbyReport};

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The group; by default every one.
    pub group: Option<String>,
    /// What a standby is not to be.
    pub state: Option<Bad>,
}

/// What a standby is not to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bad {
    /// A gate fails.
    NotReady,
    /// It cannot be told whether it is ready.
    Unknown,
    /// Its primary is gone.
    PrimaryLost,
}

impl Kind for Settings {
    fn scope(&self) -> Scope<'_> {
        Scope::Groups {
            group: self.group.as_deref(),
            needs: NeedOfGroup::Nothing,
        }
    }

    fn measure(&self) -> Measure {
        let what = match self.state.unwrap_or(Bad::NotReady) {
            Bad::NotReady => "not ready",
            Bad::Unknown => "not known to be ready or not",
            Bad::PrimaryLost => "without its primary",
        };
        Measure {
            what: what.into(),
            unit: None,
            beyond: Beyond::Above,
            threshold: None,
        }
    }

    fn shared(&self) -> bool {
        true
    }

    fn problems(&self) -> Vec<Problem> {
        match self.state {
            Some(_) => Vec::new(),
            None => vec![Problem::missing("state")],
        }
    }

    fn of_standby(&self, _group: &PlannedGroup) -> Option<Box<dyn OfStandby>> {
        let bad = self.state?;
        Some(Box::new(Readiness(bad)))
    }
}

#[derive(Debug)]
struct Readiness(Bad);

impl OfStandby for Readiness {
    fn read(&mut self, _group: &GroupReport, standby: &StandbyReport, _now: Instant) -> Reading {
        Reading {
            holds: holds(self.0, standby),
            ..Reading::default()
        }
    }
}

/// Unknown is never "not ready", and never the end of it.
fn holds(bad: Bad, standby: &StandbyReport) -> Option<bool> {
    match (bad, standby.state) {
        (Bad::NotReady, ReadyState::Ready) => Some(false),
        (Bad::NotReady, ReadyState::NotReady) => Some(true),
        (Bad::NotReady, ReadyState::Unknown) => None,
        // Nobody asks any more whether it is ready; that is over once it may be promoted.
        (Bad::NotReady, ReadyState::PrimaryLost) => {
            (standby.promotion == Promotability::Viable).then_some(false)
        }
        (Bad::Unknown, state) => Some(state == ReadyState::Unknown),
        (Bad::PrimaryLost, _) => match standby.primary_sight {
            Sight::Lost => Some(true),
            // It is there as long as this vantage or a standby hears it.
            Sight::Seen | Sight::OneSided => Some(false),
            Sight::Unclear | Sight::Unwitnessed => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_samples::{at, group, read, standby};
    use super::*;

    /// The table of docs/alerting.md.
    #[test]
    fn unknown_holds_nothing_and_ends_nothing() {
        use Promotability::{NotAsked, NotViable, Unknown, Viable};
        let of = |state, promotion, sight| StandbyReport {
            primary_sight: sight,
            ..standby("b", state, promotion)
        };
        let lost = |promotion| of(ReadyState::PrimaryLost, promotion, Sight::Lost);
        let ready = of(ReadyState::Ready, NotAsked, Sight::Seen);
        let not_ready = of(ReadyState::NotReady, NotAsked, Sight::Seen);
        let unknown = |sight| of(ReadyState::Unknown, NotAsked, sight);
        for (standby, not_ready, unknown, primary_lost) in [
            (ready, Some(false), Some(false), Some(false)),
            (not_ready, Some(true), Some(false), Some(false)),
            (unknown(Sight::Seen), None, Some(true), Some(false)),
            (unknown(Sight::OneSided), None, Some(true), Some(false)),
            (unknown(Sight::Unclear), None, Some(true), None),
            (unknown(Sight::Unwitnessed), None, Some(true), None),
            (lost(Viable), Some(false), Some(false), Some(true)),
            (lost(NotViable), None, Some(false), Some(true)),
            (lost(Unknown), None, Some(false), Some(true)),
        ] {
            let report = group(0, vec![standby.clone()]);
            for (state, expected) in [
                ("not_ready", not_ready),
                ("unknown", unknown),
                ("primary_lost", primary_lost),
            ] {
                let settings: Settings = read(&format!(r#"{{"state": "{state}"}}"#));
                assert_eq!(settings.problems(), []);
                let bad = settings.state.expect("a state");
                let reading = Readiness(bad).read(&report, &standby, at(0));
                assert_eq!(reading.holds, expected, "{state}: {standby:?}");
            }
        }
    }

    #[test]
    fn the_state_has_to_be_said() {
        assert_eq!(read::<Settings>("{}").problems().len(), 1);
    }
}
