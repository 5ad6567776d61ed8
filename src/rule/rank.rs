//! `rank`: a standby's rank keeps changing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::kind::zero_problem;
use super::{Beyond, Kind, Measure, NeedOfGroup, OfStandby, Problem, Reading, Scope, window};
use crate::model::duration::{self, display};
use crate::model::{GroupReport, PlannedGroup, StandbyReport, Unit};

/// Changes that can be asked for.
const MOST: u32 = 100;

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The group; by default every one.
    pub group: Option<String>,
    /// The fewest changes that are bad.
    pub changes: u32,
    /// How far back.
    #[serde(deserialize_with = "duration::deserialize")]
    pub over: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            group: None,
            changes: 3,
            over: Duration::from_hours(1),
        }
    }
}

impl Kind for Settings {
    fn scope(&self) -> Scope<'_> {
        Scope::Groups {
            group: self.group.as_deref(),
            needs: NeedOfGroup::Nothing,
        }
    }

    fn measure(&self) -> Measure {
        let what = format!("the number of changes of rank over {}", display(self.over));
        Measure {
            what: what.into(),
            unit: Some(Unit::Count),
            beyond: Beyond::AtLeast,
            threshold: Some(self.changes.into()),
        }
    }

    fn shared(&self) -> bool {
        false
    }

    fn problems(&self) -> Vec<Problem> {
        let message = format!("must be from 1 to {MOST}");
        let good = (1..=MOST).contains(&self.changes);
        let changes = (!good).then(|| Problem::new("changes", message));
        let zero = zero_problem("over", self.over);
        let over = zero.into_iter().chain(window::too_long(self.over));
        changes.into_iter().chain(over).collect()
    }

    fn of_standby(&self, _group: &PlannedGroup) -> Option<Box<dyn OfStandby>> {
        Some(Box::new(Changes::new(self)))
    }
}

/// When the rank changed. It takes less than 4 KiB.
#[derive(Debug)]
struct Changes {
    least: u32,
    over: Duration,
    rank: Option<u32>,
    /// Whether there ever was one.
    ranked: bool,
    /// Oldest first, at most [`MOST`].
    moments: VecDeque<Instant>,
}

impl Changes {
    fn new(settings: &Settings) -> Self {
        Self {
            least: settings.changes,
            over: settings.over,
            rank: None,
            ranked: false,
            moments: VecDeque::new(),
        }
    }
}

impl OfStandby for Changes {
    fn read(&mut self, _group: &GroupReport, standby: &StandbyReport, now: Instant) -> Reading {
        let before = std::mem::replace(&mut self.rank, standby.rank);
        self.ranked |= standby.rank.is_some();
        // As the ranking counts them: another one or none; to get one is no change.
        if before.is_some() && before != standby.rank {
            if self.moments.len() == MOST as usize {
                self.moments.pop_front();
            }
            self.moments.push_back(now);
        }
        let is_over = |change: &Instant| now.saturating_duration_since(*change) > self.over;
        while self.moments.front().is_some_and(is_over) {
            self.moments.pop_front();
        }
        let changes = u32::try_from(self.moments.len()).unwrap_or(u32::MAX);
        Reading {
            holds: self.ranked.then_some(changes >= self.least),
            value: self.ranked.then(|| changes.into()),
            threshold: Some(self.least.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_samples::{at, group, read, standby};
    use super::*;
    use crate::model::{Promotability, ReadyState};

    #[test]
    fn it_holds_while_the_rank_changed_often() {
        let settings: Settings = read(r#"{"changes": 2, "over": "1m"}"#);
        assert_eq!(settings.problems(), []);
        let mut condition = Changes::new(&settings);
        for (second, rank, holds, value) in [
            (0, None, None, None),
            (10, Some(1), Some(false), Some(0.0)),
            (20, Some(1), Some(false), Some(0.0)),
            (30, Some(2), Some(false), Some(1.0)),
            (40, None, Some(true), Some(2.0)),
            (50, Some(2), Some(true), Some(2.0)),
            (90, Some(2), Some(true), Some(2.0)),
            (91, Some(2), Some(false), Some(1.0)),
            (101, Some(2), Some(false), Some(0.0)),
        ] {
            let standby = StandbyReport {
                rank,
                ..standby("b", ReadyState::Ready, Promotability::NotAsked)
            };
            let report = group(second, vec![standby.clone()]);
            let reading = condition.read(&report, &standby, at(second));
            assert_eq!((reading.holds, reading.value), (holds, value), "{second} s");
        }
    }

    #[test]
    fn settings_have_their_ranges() {
        for (text, field) in [
            (r#"{"changes": 0}"#, "changes"),
            (r#"{"changes": 101}"#, "changes"),
            (r#"{"over": "0s"}"#, "over"),
            (r#"{"over": "25h"}"#, "over"),
        ] {
            let problems = read::<Settings>(text).problems();
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert_eq!(problems[0].field, field, "{text}");
        }
    }
}
