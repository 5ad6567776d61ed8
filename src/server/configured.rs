//! What the configuration in force has.

use std::sync::Arc;

use serde::Serialize;

/// What the server tells of the configuration in force. Another one takes the place of all of it at once.
#[derive(Debug, Default)]
pub struct Configured {
    /// Tells the configuration apart from others: as in `hotspare_config_hash_info`.
    pub hash: String,
    /// The regions in the order of the file.
    pub regions: Vec<RegionReport>,
}

/// A region, and where its daemon is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegionReport {
    /// Its name.
    pub region: Arc<str>,
    /// The host and port of its daemon, an IPv6 address in brackets; `None`: the file does not say.
    pub daemon: Option<String>,
}
