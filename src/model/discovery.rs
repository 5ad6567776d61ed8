//! Where a daemon is, in the words of Prometheus.

use std::collections::BTreeMap;

use serde::Serialize;

/// A daemon as a target group: an element of the list that `http_sd_configs` and `file_sd_configs` of
/// Prometheus read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetGroup {
    /// Its host and port, an IPv6 address in brackets.
    pub targets: [String; 1],
    /// Its region as `__meta_hotspare_region`, and what else Prometheus has to know to scrape it.
    pub labels: BTreeMap<&'static str, String>,
}
