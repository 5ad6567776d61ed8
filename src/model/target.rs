//! Who is measured.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What tells a target from every other in the daemon's tables.
///
/// It is given when the target first appears and goes with it. A target that is configured anew with
/// other settings is another one: what was seen of the one before says nothing of it. A key is not given
/// again before all others were, so that what is still on its way from a target that is gone is never
/// taken for another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetKey(pub u32);

/// The endpoint of a probe in one region, seen from this daemon's region: what names its series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The probe's name in the configuration.
    pub probe: Arc<str>,
    /// The probe's kind: `ping`, `http`, ...
    pub kind: &'static str,
    /// The region in which this daemon runs.
    pub source_region: Arc<str>,
    /// The region in which the endpoint is.
    pub target_region: Arc<str>,
    /// The endpoint's name, unique within its probe; its region's name where it is the only one.
    pub name: Arc<str>,
    /// The endpoint itself as configured, without credentials.
    pub address: Arc<str>,
    /// Labels of the operator's own, for the info series.
    pub labels: BTreeMap<String, String>,
}

impl Target {
    /// What tells this target from every other, over restarts and reloads. The parts are joined by
    /// a byte that names cannot have, so that no two targets share an identity.
    pub fn identity(&self) -> String {
        [
            &*self.probe,
            &*self.source_region,
            &*self.target_region,
            &*self.name,
        ]
        .join("\u{1f}")
    }
}

/// When in its interval a target is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// What decides the slot, over restarts too. Targets that are looked at together have the same.
    pub identity: String,
    /// How long after that slot its runs start; below the interval.
    pub delay: Duration,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.probe, self.name)
    }
}
