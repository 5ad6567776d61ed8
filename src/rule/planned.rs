//! A rule, as the configuration has it.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::{Annotations, OfDaemon, OfGroup, OfStandby, OfTarget, Timing};
use crate::model::{Labels, PlannedGroup, Shape, Target, Unit};

/// The name of the alert that always fires: where it is missed, alerts do not arrive. No rule may
/// have it.
pub const WATCHDOG: &str = "HotspareWatchdog";

/// How urgent an alert is, as the value of the label `severity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody has to get up.
    Critical,
    /// Somebody has to look at it, when there is time.
    Warning,
    /// Good to know.
    Info,
}

impl Severity {
    /// Every severity.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Warning, Self::Info];

    /// The value of the label `severity`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// When something is an alert, and what is said of it.
#[derive(Clone, Debug)]
pub struct PlannedRule {
    /// Its name, also the label `alertname`; unique, and not [`WATCHDOG`].
    pub name: Arc<str>,
    /// How urgent its alerts are.
    pub severity: Severity,
    /// Labels of the operator's own; none of those that hotspare sets itself.
    pub labels: Labels,
    /// What its alerts say to people.
    pub annotations: Annotations,
    /// For how long its condition has to hold, and to be over.
    pub timing: Timing,
    /// The rules whose alerts, while they fire for the same thing, mute those of this one.
    pub depends_on: Vec<Arc<str>>,
    /// The receivers that are told; `None`: all.
    pub receivers: Option<Vec<Arc<str>>>,
    /// Whether every vantage that sees the same states it with the same labels. Alerts that are not
    /// shared have the label `source_region`.
    pub shared: bool,
    /// What it measures.
    pub measure: Measure,
    /// What it looks at.
    pub when: When,
}

/// What a rule measures, for people and for metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// A few words that can be followed by `is 180ms`, or stand alone where there is no value:
    /// `the p95 latency over 5m`, `not ready`.
    pub what: Arc<str>,
    /// What values and thresholds are measured in; `None`: there are none.
    pub unit: Option<Unit>,
    /// From which value on the condition holds, in that unit; `None`: it differs from one thing to
    /// the next, or there is none.
    pub threshold: Option<f64>,
}

/// What a rule looks at: a kind of condition with its settings, which opens a condition for each
/// thing that it is for.
#[derive(Clone, Debug)]
pub enum When {
    /// Each target that it is for.
    Targets(Arc<dyn OnTargets>),
    /// Each standby of the groups that it is for.
    Standbys(Arc<dyn OnStandbys>),
    /// Each group that it is for.
    Groups(Arc<dyn OnGroups>),
    /// This daemon.
    Daemon(Arc<dyn OnDaemon>),
}

/// A target, and what is known of its runs beforehand.
#[derive(Clone, Copy, Debug)]
pub struct Watched<'a> {
    /// What names it.
    pub target: &'a Target,
    /// What its runs can bring.
    pub shape: Shape,
    /// From the start of one run to the start of the next.
    pub interval: Duration,
    /// The deadline of a run.
    pub timeout: Duration,
}

/// A kind of condition on targets.
pub trait OnTargets: Debug + Send + Sync {
    /// The condition of this target; `None` if the rule is not for it.
    fn open(&self, watched: Watched<'_>) -> Option<Box<dyn OfTarget>>;
}

/// A kind of condition on standbys.
pub trait OnStandbys: Debug + Send + Sync {
    /// The condition of this standby; `None` if the rule is not for it.
    fn open(&self, group: &PlannedGroup, standby: &Arc<str>) -> Option<Box<dyn OfStandby>>;
}

/// A kind of condition on groups.
pub trait OnGroups: Debug + Send + Sync {
    /// The condition of this group; `None` if the rule is not for it.
    fn open(&self, group: &PlannedGroup) -> Option<Box<dyn OfGroup>>;
}

/// A kind of condition on the daemon itself.
pub trait OnDaemon: Debug + Send + Sync {
    /// The condition.
    fn open(&self) -> Box<dyn OfDaemon>;
}

/// What an alert is about.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A target, and the group that it belongs to if that is exactly one.
    Target(&'a Target, Option<&'a Arc<str>>),
    /// A standby of a group.
    Standby {
        /// The group's name.
        group: &'a Arc<str>,
        /// The standby's region.
        standby: &'a Arc<str>,
    },
    /// A group.
    Group(&'a Arc<str>),
    /// This daemon.
    Daemon,
}

impl Subject<'_> {
    /// The labels that name it.
    fn labels(self) -> Labels {
        let mut labels = Labels::new();
        let mut add = |name: &str, value: &Arc<str>| {
            labels.insert(name.into(), Arc::clone(value));
        };
        match self {
            Self::Target(target, group) => {
                add("probe", &target.probe);
                add("kind", &target.kind.into());
                add("target_region", &target.target_region);
                add("target", &target.name);
                if let Some(group) = group {
                    add("group", group);
                }
            }
            Self::Standby { group, standby } => {
                add("group", group);
                add("standby", standby);
                add("target_region", standby);
            }
            Self::Group(group) => add("group", group),
            Self::Daemon => {}
        }
        labels
    }
}

impl PlannedRule {
    /// What identifies its alert about the subject, as seen from this region.
    pub fn labels_of(&self, subject: Subject<'_>, source_region: &Arc<str>) -> Labels {
        let mut labels = self.labels.clone();
        labels.extend(subject.labels());
        labels.insert("alertname".into(), Arc::clone(&self.name));
        labels.insert("severity".into(), self.severity.as_str().into());
        if !self.shared {
            labels.insert("source_region".into(), Arc::clone(source_region));
        }
        labels
    }
}
