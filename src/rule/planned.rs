//! A rule, as the configuration has it.

use std::fmt;
use std::sync::Arc;

use super::{Annotations, Timing, When};
use crate::model::{Labels, Severity, Target};

/// The name of the alert that always fires: where it is missed, alerts do not arrive. No rule may
/// have it.
pub const WATCHDOG: &str = "HotspareWatchdog";

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
    /// When its condition holds, and of what.
    pub when: When,
}

/// What an alert is about.
#[derive(Clone, Copy, Debug)]
pub enum About<'a> {
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

impl About<'_> {
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

impl fmt::Display for About<'_> {
    /// In words: `net to north`, `standby north of shop`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(target, _) => {
                let (probe, region, name) = (&target.probe, &target.target_region, &target.name);
                if name.starts_with(&**region) {
                    write!(f, "{probe} to {name}")
                } else {
                    write!(f, "{probe} to {name} in {region}")
                }
            }
            Self::Standby { group, standby } => write!(f, "standby {standby} of {group}"),
            Self::Group(group) => write!(f, "group {group}"),
            Self::Daemon => write!(f, "hotspare"),
        }
    }
}

impl PlannedRule {
    /// What identifies its alert; with the region of this daemon unless every vantage that sees the
    /// same states it with the same labels.
    pub fn labels_of(&self, about: About<'_>, source_region: Option<&Arc<str>>) -> Labels {
        let mut labels = self.labels.clone();
        labels.extend(about.labels());
        labels.insert("alertname".into(), Arc::clone(&self.name));
        labels.insert("severity".into(), self.severity.as_str().into());
        if let Some(region) = source_region {
            labels.insert("source_region".into(), Arc::clone(region));
        }
        labels
    }
}
