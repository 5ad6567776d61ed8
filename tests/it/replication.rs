//! The daemon over real pairs of databases, in what goes wrong with them: what the gauges say, and
//! that the canary goes nowhere else than to the primary.
#![expect(clippy::float_cmp, reason = "what is compared are counts and switches")]

mod drill;
mod postgres;
mod redis;

use crate::daemon::{Series, hotspare};
use crate::process::run;

/// What `hotspare sql` prints for a kind.
fn setup(kind: &str) -> String {
    run(hotspare().args(["sql", kind]))
}

/// The configuration of a daemon that looks at a pair every second.
fn config(check: &str, primary: &str, standby: &str) -> String {
    format!(
        "region: here\n\
         regions: [{{ name: here }}, {{ name: north }}, {{ name: south }}]\n\
         probes:\n\
         - name: orders\n\
         \x20 check: {check}\n\
         \x20 interval: 1s\n\
         \x20 timeout: 900ms\n\
         \x20 from: [here]\n\
         \x20 targets: {{ north: \"{primary}\", south: \"{standby}\" }}\n\
         groups:\n\
         - {{ name: shop, primary: north, standbys: [south], probes: [orders] }}\n"
    )
}

const NORTH: &str = "target_region=\"north\"";
const SOUTH: &str = "target_region=\"south\"";

/// A figure of the pair.
fn pair(series: &Series, family: &str) -> f64 {
    series.one(family, &["standby=\"south\""])
}

/// The pair's lag by a method.
fn lag(series: &Series, method: &str) -> f64 {
    let method = format!("method=\"{method}\"");
    series.one("hotspare_replication_lag_seconds", &[&method])
}

/// Whether the primary and its standby are as they should be.
fn healthy(series: &Series) -> bool {
    pair(series, "hotspare_canary_seen_seq") >= 2.0
        && series.one("hotspare_writable_primaries", &[]) == 1.0
        && lag(series, "ring") == 0.0
        && lag(series, "canary") == 0.0
        && pair(series, "hotspare_db_identity_mismatch") == 0.0
        && series.one("hotspare_replication_link_up", &[SOUTH]) == 1.0
}

/// Canaries that were not written, for a reason.
fn suppressed(series: &Series, reason: &str) -> f64 {
    let reason = format!("reason=\"{reason}\"");
    series.one("hotspare_canary_suppressed_total", &[&reason])
}
