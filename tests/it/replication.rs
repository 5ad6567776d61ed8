//! The daemon over real pairs of databases, in what goes wrong with them: what the gauges say, and
//! that the canary goes nowhere else than to the primary.
#![expect(clippy::float_cmp, reason = "what is compared are counts and switches")]

mod campaign;
mod drill;
pub(crate) mod mariadb;
pub(crate) mod postgres;
pub(crate) mod redis;

use std::net::SocketAddr;

use serde_json::Value;

use crate::daemon::{Daemon, Series, hotspare};
use crate::process::run;

/// What `hotspare sql` prints for a kind.
pub(crate) fn setup(kind: &str) -> String {
    run(hotspare().args(["sql", kind]))
}

/// The configuration of a daemon that looks every second at a primary and its standbys, which come
/// by their regions.
fn config(check: &str, members: &[(&str, SocketAddr)]) -> String {
    let all = |each: &dyn Fn(&(&str, SocketAddr)) -> String| {
        let texts: Vec<_> = members.iter().map(each).collect();
        texts.join(", ")
    };
    let regions = all(&|(region, _)| format!("{{ name: {region} }}"));
    let targets = all(&|(region, address)| format!("{region}: \"{address}\""));
    let names = all(&|(region, _)| (*region).to_owned());
    let (primary, standbys) = names.split_once(", ").expect("two at least");
    format!(
        "region: here\n\
         regions: [{{ name: here }}, {{ name: there }}, {regions}]\n\
         probes:\n\
         - name: orders\n\
         \x20 check: {check}\n\
         \x20 interval: 1s\n\
         \x20 timeout: 900ms\n\
         \x20 from: [here, there]\n\
         \x20 targets: {{ {targets} }}\n\
         groups:\n\
         - {{ name: shop, primary: {primary}, standbys: [{standbys}], probes: [orders] }}\n"
    )
}

/// A second daemon in another region, which sees the same.
fn another_vantage(config: &str) -> Daemon {
    Daemon::start(&config.replacen("region: here", "region: there", 1))
}

/// The failovers that a daemon saw.
fn events(daemon: &Daemon) -> Vec<Value> {
    let answer = daemon.get("/api/v1/events");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
    serde_json::from_value(answer["events"].take()).expect("a list")
}

/// The one failover that a daemon saw, once the new primary has acknowledged a canary.
fn failover(daemon: &Daemon) -> Value {
    daemon.wait_until("a failover by its canaries", |_| {
        let events = events(daemon);
        events
            .iter()
            .any(|event| event["rto_write_basis"] == "canary")
    });
    let [event] = events(daemon).try_into().expect("one failover");
    event
}

const NORTH: &str = "target_region=\"north\"";
const EAST: &str = "target_region=\"east\"";
const SOUTH: &str = "target_region=\"south\"";

/// A figure of the pair that most happens to: the primary and `south`.
fn pair(series: &Series, family: &str) -> f64 {
    pair_of(series, "south", family)
}

/// A figure of the primary and a standby.
fn pair_of(series: &Series, standby: &str, family: &str) -> f64 {
    series.one(family, &[&format!("standby=\"{standby}\"")])
}

/// How far `south` is behind by a method.
fn lag(series: &Series, method: &str) -> f64 {
    lag_of(series, "south", method)
}

/// How far a standby is behind by a method.
fn lag_of(series: &Series, standby: &str, method: &str) -> f64 {
    let labels = [
        format!("standby=\"{standby}\""),
        format!("method=\"{method}\""),
    ];
    let labels = labels.each_ref().map(String::as_str);
    series.one("hotspare_replication_lag_seconds", &labels)
}

/// Whether a target (`target_region="…"`) tells that it has this role.
fn has_role(series: &Series, target: &str, role: &str) -> bool {
    series.one("hotspare_db_role", &[target, &format!("role=\"{role}\"")]) == 1.0
}

/// Waits until the primary takes no writes, and `south` has all that it took.
fn wait_until_read_only(daemon: &Daemon) {
    daemon.wait_until("a primary that is read-only", |series| {
        series.one("hotspare_db_writable", &[NORTH]) == 0.0 && unseen(series, "south") == 0.0
    });
}

/// Whether the primary and `south` are as they should be.
fn healthy(series: &Series) -> bool {
    sound(series, "south")
}

/// Whether a standby has everything of the one primary that there is.
fn sound(series: &Series, standby: &str) -> bool {
    let target = format!("target_region=\"{standby}\"");
    pair_of(series, standby, "hotspare_canary_seen_seq") >= 2.0
        && series.one("hotspare_writable_primaries", &[]) == 1.0
        && lag_of(series, standby, "ring") == 0.0
        && lag_of(series, standby, "canary") == 0.0
        && pair_of(series, standby, "hotspare_db_identity_mismatch") == 0.0
        && series.one("hotspare_replication_link_up", &[&target]) == 1.0
}

/// Canaries that were acknowledged and that a standby does not show.
fn unseen(series: &Series, standby: &str) -> f64 {
    series.one("hotspare_canary_acked_seq", &[])
        - pair_of(series, standby, "hotspare_canary_seen_seq")
}

/// Runs that told nothing of the databases.
fn misses(series: &Series) -> f64 {
    let failures = series.sum("hotspare_probe_failures_total", &[]);
    failures + series.sum("hotspare_probe_unknown_total", &[])
}

/// Canaries that were not written, for a reason.
fn suppressed(series: &Series, reason: &str) -> f64 {
    let reason = format!("reason=\"{reason}\"");
    series.one("hotspare_canary_suppressed_total", &[&reason])
}
