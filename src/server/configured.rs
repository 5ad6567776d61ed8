//! What the configuration in force has.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::config::Masked;

/// What the server tells of the configuration in force. Another one takes the place of all of it at once.
pub struct Configured {
    /// Tells the configuration apart from others: as in `hotspare_config_hash_info`.
    pub hash: String,
    /// The regions in the order of the file.
    pub regions: Vec<RegionReport>,
    /// The names of the probes, also of those that do not run from here.
    pub probes: Vec<Arc<str>>,
    /// The names of the groups.
    pub groups: Vec<Arc<str>>,
    /// The targets that are probed from here.
    pub targets: Vec<TargetReport>,
    /// All of it, without what may be a secret.
    pub config: Masked,
}

/// A region, and where its daemon is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegionReport {
    /// Its name.
    pub region: Arc<str>,
    /// The host and port of its daemon, an IPv6 address in brackets; `None`: the file does not say.
    pub daemon: Option<String>,
}

/// A target that is probed from here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TargetReport {
    /// Its probe's name.
    pub probe: Arc<str>,
    /// Its probe's kind.
    pub kind: &'static str,
    /// Its name, unique within its probe.
    pub target: Arc<str>,
    /// The region in which it is.
    pub target_region: Arc<str>,
    /// Where it is, without user and query.
    pub address: Arc<str>,
    /// From the start of one run to the start of the next.
    pub interval_seconds: f64,
    /// The deadline of a run.
    pub timeout_seconds: f64,
    /// Labels of the operator's own.
    pub labels: BTreeMap<String, String>,
    /// The groups that it belongs to.
    pub groups: Vec<Arc<str>>,
}
