//! `failover`: a group failed over.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::kind::zero_problem;
use super::{Beyond, Kind, Measure, NeedOfGroup, OfGroup, Problem, Reading, Scope, window};
use crate::model::{Failover, GroupReport, PastFigures, PlannedGroup, Unit, duration};

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The group, one with a database; by default every one.
    pub group: Option<String>,
    /// For how long after it was seen.
    #[serde(deserialize_with = "duration::deserialize")]
    pub within: Duration,
    /// Whether those that are part of a drill count.
    pub drills: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            group: None,
            within: Duration::from_mins(15),
            drills: false,
        }
    }
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
            what: "the time without writes at the last failover".into(),
            unit: Some(Unit::Seconds),
            beyond: Beyond::Above,
            threshold: None,
        }
    }

    fn shared(&self) -> bool {
        true
    }

    fn problems(&self) -> Vec<Problem> {
        let zero = zero_problem("within", self.within);
        let long = window::too_long(self.within).into_iter();
        let long = long.map(|problem| Problem {
            field: "within",
            ..problem
        });
        zero.into_iter().chain(long).collect()
    }

    fn longest(&self) -> Option<Duration> {
        Some(self.within)
    }

    fn of_group(&self, _group: &PlannedGroup) -> Option<Box<dyn OfGroup>> {
        Some(Box::new(Failed::new(self)))
    }
}

/// The last failover that was seen.
#[derive(Debug)]
struct Failed {
    within: Duration,
    drills: bool,
    /// What names it, and when it is long enough ago. A server may name itself alike every time.
    last: Option<((String, f64), Instant)>,
}

impl Failed {
    fn new(settings: &Settings) -> Self {
        Self {
            within: settings.within,
            drills: settings.drills,
            last: None,
        }
    }

    fn counts(&self, failover: &Failover) -> bool {
        self.drills || failover.drill.is_none()
    }
}

impl OfGroup for Failed {
    fn read(&mut self, group: &GroupReport, past: &PastFigures, now: Instant) -> Reading {
        let last = past.last.as_ref().filter(|last| self.counts(last));
        let id = last.map(|last| (last.id.clone(), last.timestamp_seconds));
        if let Some((last, id)) = last.zip(id)
            && self.last.as_ref().is_none_or(|(known, _)| *known != id)
        {
            // The wall clock only says how much of the time is over when it is first seen, which is
            // long ago after a restart.
            let age = group.timestamp_seconds - last.timestamp_seconds;
            let age = Duration::try_from_secs_f64(age.max(0.0)).unwrap_or(Duration::MAX);
            self.last = Some((id, now + self.within.saturating_sub(age)));
        }
        let recent = self.last.as_ref().is_some_and(|(_, until)| now < *until);
        Reading {
            holds: Some(recent),
            value: last.map(|last| last.rto_write_seconds).filter(|_| recent),
            threshold: None,
        }
    }

    fn detail(&self, _group: &GroupReport, past: &PastFigures) -> Option<String> {
        let last = past.last.as_ref().filter(|last| self.counts(last))?;
        let planned = if last.planned { "planned" } else { "unplanned" };
        Some(format!("{planned}, from {} to {}", last.from, last.to))
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_samples::{EPOCH, at, group, read};
    use super::*;
    use crate::model::RtoBasis;

    fn seen(id: &str, second: f64, drill: Option<&str>) -> PastFigures {
        PastFigures {
            last: Some(Failover {
                id: id.to_owned(),
                group: "shop".into(),
                probe: "orders".into(),
                source_region: "a".into(),
                from: "a".into(),
                to: "b".into(),
                timestamp_seconds: EPOCH + second,
                planned: false,
                rto_write_seconds: 12.5,
                rto_write_basis: RtoBasis::Roles,
                rpo_writes: None,
                rpo_seconds: None,
                rpo_unknown: None,
                rto_user_seconds: None,
                drill: drill.map(str::to_owned),
            }),
            ..PastFigures::default()
        }
    }

    #[test]
    fn it_holds_for_a_while_after_each_and_not_after_an_old_one() {
        let settings: Settings = read(r#"{"within": "1m"}"#);
        assert_eq!(settings.problems(), []);
        let mut condition = Failed::new(&settings);
        let none = PastFigures::default();
        let (first, second) = (seen("x", 8.0, None), seen("y", 100.0, None));
        let drill = seen("z", 200.0, Some("d"));
        for (now, past, holds) in [
            (0, &none, false),
            (10, &first, true),
            (67, &first, true),
            (68, &first, false),
            (100, &second, true),
            (159, &second, true),
            (160, &second, false),
            (200, &drill, false),
        ] {
            let reading = condition.read(&group(now, Vec::new()), past, at(now));
            assert_eq!(reading.holds, Some(holds), "{now} s");
            assert_eq!(reading.value.is_some(), holds);
        }
        let mut restarted = Failed::new(&settings);
        let reading = restarted.read(&group(130, Vec::new()), &second, at(130));
        assert_eq!((reading.holds, reading.value), (Some(true), Some(12.5)));
        let reading = restarted.read(&group(161, Vec::new()), &second, at(161));
        assert_eq!(reading.holds, Some(false));
        let mut restarted = Failed::new(&settings);
        let reading = restarted.read(&group(9_000, Vec::new()), &second, at(9_000));
        assert_eq!(reading.holds, Some(false));
    }

    #[test]
    fn drills_count_if_they_are_meant_to() {
        let settings: Settings = read(r#"{"drills": true}"#);
        let mut condition = Failed::new(&settings);
        let drill = seen("z", 0.0, Some("d"));
        let report = group(0, Vec::new());
        assert_eq!(condition.read(&report, &drill, at(0)).holds, Some(true));
        let detail = condition.detail(&report, &drill);
        assert_eq!(detail.as_deref(), Some("unplanned, from a to b"));
        assert_eq!(Failed::new(&read("{}")).detail(&report, &drill), None);
    }

    #[test]
    fn settings_have_their_ranges() {
        for text in [r#"{"within": "0s"}"#, r#"{"within": "2d"}"#] {
            let problems = read::<Settings>(text).problems();
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert_eq!(problems[0].field, "within");
        }
    }
}
