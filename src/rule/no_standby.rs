//! `no_standby`: no standby of a group can take over.

use std::time::Instant;

use serde::Deserialize;

use super::{Beyond, Kind, Measure, NeedOfGroup, OfGroup, Reading, Scope};
use crate::model::{
    GroupReport, PastFigures, PlannedGroup, Promotability, ReadyState, StandbyReport, Unit,
};

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The group; by default every one.
    pub group: Option<String>,
}

impl Kind for Settings {
    fn scope(&self) -> Scope<'_> {
        Scope::Groups {
            group: self.group.as_deref(),
            needs: NeedOfGroup::Nothing,
        }
    }

    fn measure(&self) -> Measure {
        Measure {
            what: "the number of standbys that can take over".into(),
            unit: Some(Unit::Count),
            beyond: Beyond::Below,
            threshold: Some(1.0),
        }
    }

    fn shared(&self) -> bool {
        true
    }

    fn of_group(&self, _group: &PlannedGroup) -> Option<Box<dyn OfGroup>> {
        Some(Box::new(NoStandby))
    }
}

#[derive(Debug)]
struct NoStandby;

impl OfGroup for NoStandby {
    fn read(&mut self, group: &GroupReport, _past: &PastFigures, _now: Instant) -> Reading {
        let answers = || group.standbys.iter().map(can_take_over);
        let able = answers().filter(|can| *can == Some(true)).count();
        let unable = answers().all(|can| can == Some(false));
        let holds = match (able, unable) {
            (0, true) => Some(true),
            (0, false) => None,
            _ => Some(false),
        };
        Reading {
            holds,
            value: holds.map(|_| f64::from(u32::try_from(able).unwrap_or(u32::MAX))),
            threshold: Some(1.0),
        }
    }

    fn detail(&self, group: &GroupReport, _past: &PastFigures) -> Option<String> {
        let lines = group.standbys.iter();
        let lines = lines.map(|standby| format!("{} is {}", standby.standby, standby.line()));
        Some(lines.collect::<Vec<_>>().join("; "))
    }
}

/// Whether a standby is ready or, once the primary is lost, may be promoted. `None`: not known.
fn can_take_over(standby: &StandbyReport) -> Option<bool> {
    match (standby.state, standby.promotion) {
        (ReadyState::Ready, _) | (ReadyState::PrimaryLost, Promotability::Viable) => Some(true),
        (ReadyState::NotReady, _) | (ReadyState::PrimaryLost, Promotability::NotViable) => {
            Some(false)
        }
        (ReadyState::Unknown | ReadyState::PrimaryLost, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_samples::{at, group, standby};
    use super::*;

    #[test]
    fn one_that_can_is_enough_and_one_that_is_not_known_is_no_proof() {
        use Promotability::{NotAsked, NotViable, Viable};
        let ready = (ReadyState::Ready, NotAsked);
        let not_ready = (ReadyState::NotReady, NotAsked);
        let unknown = (ReadyState::Unknown, NotAsked);
        let lost = |promotion| (ReadyState::PrimaryLost, promotion);
        for (states, holds, value) in [
            ([ready, ready], Some(false), Some(2.0)),
            ([ready, not_ready], Some(false), Some(1.0)),
            ([ready, unknown], Some(false), Some(1.0)),
            ([not_ready, not_ready], Some(true), Some(0.0)),
            ([not_ready, unknown], None, None),
            ([unknown, unknown], None, None),
            ([lost(Viable), lost(NotViable)], Some(false), Some(1.0)),
            ([lost(NotViable), lost(NotViable)], Some(true), Some(0.0)),
            ([lost(Promotability::Unknown), lost(NotViable)], None, None),
        ] {
            let standbys = states.map(|(state, promotion)| standby("b", state, promotion));
            let report = group(0, standbys.into());
            let reading = NoStandby.read(&report, &PastFigures::default(), at(0));
            assert_eq!((reading.holds, reading.value), (holds, value), "{states:?}");
        }
    }

    #[test]
    fn it_says_how_each_stands() {
        let standbys =
            ["b", "c"].map(|region| standby(region, ReadyState::NotReady, Promotability::NotAsked));
        let detail = NoStandby.detail(&group(0, standbys.into()), &PastFigures::default());
        assert_eq!(detail.as_deref(), Some("b is not ready; c is not ready"));
    }
}
