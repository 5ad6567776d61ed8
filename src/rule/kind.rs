//! What every kind of condition tells of its settings, and what several have in common.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::{OfDaemon, OfGroup, OfStandby, OfTarget};
use crate::model::{PlannedGroup, Shape, Target, Unit};
use crate::readiness::Terms;

/// The settings of a condition.
pub trait Kind: Debug + Send + Sync {
    /// What the condition is asked about.
    fn scope(&self) -> Scope<'_>;

    /// What it measures.
    fn measure(&self) -> Measure;

    /// Whether every vantage that sees the same states it with the same labels.
    fn shared(&self) -> bool;

    /// What is wrong with the settings by themselves.
    fn problems(&self) -> Vec<Problem> {
        Vec::new()
    }

    /// What is wrong with them for targets that are run at this pace.
    fn problems_at(&self, _pace: Pace) -> Vec<Problem> {
        Vec::new()
    }

    /// For how long the condition holds at most; `None`: for as long as what it is about lasts.
    fn longest(&self) -> Option<Duration> {
        None
    }

    /// The condition for one target of its scope; `None`: it is about no target.
    fn of_target(&self, _watched: Watched<'_>) -> Option<Box<dyn OfTarget>> {
        None
    }

    /// The condition for one standby, whichever, of a group of its scope; `None`: it is about no standby.
    fn of_standby(&self, _group: &PlannedGroup) -> Option<Box<dyn OfStandby>> {
        None
    }

    /// The condition for a group of its scope; `None`: it is about no group.
    fn of_group(&self, _group: &PlannedGroup) -> Option<Box<dyn OfGroup>> {
        None
    }

    /// The condition for this daemon; `None`: it is not about the daemon.
    fn of_daemon(&self) -> Option<Box<dyn OfDaemon>> {
        None
    }
}

/// What a condition measures, for people and for metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// A few words that can be followed by `is 180ms`, or stand alone where there is no value:
    /// `the p95 latency over 5m`, `not ready`.
    pub what: Arc<str>,
    /// What values and thresholds are measured in; `None`: there are none.
    pub unit: Option<Unit>,
    /// How a value stands to the threshold where it holds.
    pub beyond: Beyond,
    /// From which value on it holds, in that unit; `None`: it differs from one thing to the next, or
    /// there is none.
    pub threshold: Option<f64>,
}

/// How a value stands to its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// Above it.
    Above,
    /// Below it.
    Below,
    /// At it, or above it.
    AtLeast,
}

impl Beyond {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::Below => "below",
            Self::AtLeast => "at least",
        }
    }
}

/// A target, and what is known of its runs beforehand.
#[derive(Clone, Copy, Debug)]
pub struct Watched<'a> {
    /// What names it.
    pub target: &'a Target,
    /// What its runs can bring.
    pub shape: Shape,
    /// How often it is run.
    pub pace: Pace,
}

/// What a condition is asked about: once about each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// Targets.
    Targets {
        /// Of this probe; `None`: of every one that has what is needed.
        probe: Option<&'a str>,
        /// In these regions; `None`: in all.
        to: Option<&'a [String]>,
        /// What a probe has to have.
        needs: NeedOfProbe,
    },
    /// Standbys of groups, or groups.
    Groups {
        /// This group; `None`: every one that has what is needed.
        group: Option<&'a str>,
        /// What a group has to have.
        needs: NeedOfGroup,
    },
    /// This daemon.
    Daemon,
}

/// What a probe has to have for a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeedOfProbe {
    /// Nothing more.
    Nothing,
    /// Packets that are counted.
    Packets,
    /// Certificates.
    Tls,
}

/// What a group has to have for a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeedOfGroup {
    /// Nothing more.
    Nothing,
    /// A database.
    Database,
    /// A database and an objective for loss.
    Rpo,
}

/// How often a target is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From the start of one run to the start of the next.
    pub interval: Duration,
    /// The deadline of a run.
    pub timeout: Duration,
}

impl Pace {
    /// For how long the last run tells of now: three intervals and a timeout, as in readiness.
    pub(super) const fn fresh(self) -> Duration {
        Terms::fresh_for(self.interval, self.timeout)
    }
}

impl Scope<'_> {
    /// Whether the condition is about this target.
    pub fn has_target(&self, watched: Watched<'_>) -> bool {
        let Self::Targets { probe, to, needs } = self else {
            return false;
        };
        let (target, facts) = (watched.target, watched.shape.facts);
        let can = match needs {
            NeedOfProbe::Nothing => true,
            NeedOfProbe::Packets => facts.ping,
            NeedOfProbe::Tls => facts.tls,
        };
        can && probe.is_none_or(|probe| *probe == *target.probe)
            && to.is_none_or(|to| to.iter().any(|region| **region == *target.target_region))
    }

    /// Whether the condition is about this group or its standbys.
    pub fn has_group(&self, of: &PlannedGroup) -> bool {
        let Self::Groups { group, needs } = self else {
            return false;
        };
        let can = match needs {
            NeedOfGroup::Nothing => true,
            NeedOfGroup::Database => !of.databases.is_empty(),
            NeedOfGroup::Rpo => !of.databases.is_empty() && of.objectives.rpo.is_some(),
        };
        can && group.is_none_or(|group| *group == *of.name)
    }
}

/// Something wrong with the settings of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The path below the settings: `fail.of`.
    pub field: &'static str,
    /// Whether it has to be there and is not.
    pub is_missing: bool,
    /// What is wrong.
    pub message: String,
}

impl Problem {
    pub(super) fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self {
            field,
            is_missing: false,
            message: message.into(),
        }
    }

    pub(super) fn missing(field: &'static str) -> Self {
        Self {
            is_missing: true,
            ..Self::new(field, format!("the key `{field}` is missing"))
        }
    }
}

/// What is wrong with a share of a whole beyond which a condition holds.
pub(super) fn share_problem(field: &'static str, share: Option<f64>) -> Option<Problem> {
    match share {
        None => Some(Problem::missing(field)),
        Some(share) if share < 1.0 => None,
        Some(_) => Some(Problem::new(field, "nothing is above 100%")),
    }
}

/// What is wrong with a time that has to be there and be above 0.
pub(super) fn time_problem(field: &'static str, time: Option<Duration>) -> Option<Problem> {
    match time {
        None => Some(Problem::missing(field)),
        Some(time) => zero_problem(field, time),
    }
}

/// What is wrong with a time that has to be above 0.
pub(super) fn zero_problem(field: &'static str, time: Duration) -> Option<Problem> {
    time.is_zero()
        .then(|| Problem::new(field, "must be above 0"))
}

/// Reads a share of a whole as it is written: `5%`.
pub(super) fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let share = Unit::Ratio.parse(&text);
    let share = share.map_err(|why| serde::de::Error::custom(format!("`{text}`: {why}")));
    share.map(Some)
}

/// A time as a threshold; one that is missing is beyond every value, and was reported.
pub(super) fn seconds(time: Option<Duration>) -> f64 {
    time.map_or(f64::INFINITY, |time| time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::super::test_samples::{PACE, planned};
    use super::*;
    use crate::model::FactSet;

    #[test]
    fn a_scope_has_the_targets_that_it_names_and_that_have_what_is_needed() {
        let target = Target {
            probe: "net".into(),
            kind: "ping",
            source_region: "a".into(),
            target_region: "b".into(),
            name: "b".into(),
            address: "10.0.0.1".into(),
            labels: std::collections::BTreeMap::new(),
        };
        let facts = FactSet {
            ping: true,
            ..FactSet::default()
        };
        let watched = Watched {
            target: &target,
            shape: Shape {
                facts,
                ..Shape::default()
            },
            pace: PACE,
        };
        let regions = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (there, elsewhere) = (regions(&["c", "b"]), regions(&["c"]));
        for (probe, to, needs, has) in [
            (None, None, NeedOfProbe::Nothing, true),
            (None, None, NeedOfProbe::Packets, true),
            (None, None, NeedOfProbe::Tls, false),
            (Some("net"), Some(&*there), NeedOfProbe::Packets, true),
            (Some("net"), Some(&*elsewhere), NeedOfProbe::Packets, false),
            (Some("web"), None, NeedOfProbe::Nothing, false),
        ] {
            let scope = Scope::Targets { probe, to, needs };
            assert_eq!(scope.has_target(watched), has, "{scope:?}");
            assert!(!scope.has_group(&planned("shop", true)), "{scope:?}");
        }
        for (group, needs, database, has) in [
            (None, NeedOfGroup::Nothing, false, true),
            (None, NeedOfGroup::Database, false, false),
            (None, NeedOfGroup::Database, true, true),
            (Some("shop"), NeedOfGroup::Database, true, true),
            (Some("other"), NeedOfGroup::Nothing, true, false),
        ] {
            let scope = Scope::Groups { group, needs };
            assert_eq!(
                scope.has_group(&planned("shop", database)),
                has,
                "{scope:?}"
            );
            assert!(!scope.has_target(watched), "{scope:?}");
        }
    }
}
