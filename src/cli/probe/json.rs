//! What runs came to, for programs. Names and units are those of the API.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::advice::advice;
use crate::config::{Plan, PlannedTarget};
use crate::model::{Facts, PingFacts, Sample, TlsFacts, ValueFacts, timestamp_seconds};

/// All of them.
pub(super) fn runs(plan: &Plan, probe: &str, samples: &[Sample]) -> Value {
    let runs = samples.iter().filter_map(|sample| {
        let target = plan.target(sample.target)?;
        Some(run(target, sample))
    });
    json!({
        "probe": probe,
        "source_region": &*plan.region,
        "runs": runs.collect::<Vec<_>>(),
    })
}

fn run(target: &PlannedTarget, sample: &Sample) -> Value {
    let of = &target.target;
    let failure = sample.outcome.as_ref().err();
    let outcome = match failure {
        None => "success",
        Some(failure) if failure.reason.is_own() => "unknown",
        Some(_) => "failure",
    };
    let advice = failure.map(|failure| advice(failure.reason));
    let seconds = |time: &Duration| time.as_secs_f64();
    let latencies = sample.outcome.as_ref().map(|reply| &reply.latencies);
    let latencies = latencies.map_or_else(|_| Vec::new(), |all| all.iter().map(seconds).collect());
    let phases = sample.laps.iter();
    let phases = phases.map(|(phase, took)| (phase.as_str().to_owned(), json!(seconds(&took))));
    let took = sample.ended.saturating_duration_since(sample.started);
    json!({
        "target": &*of.name,
        "target_region": &*of.target_region,
        "kind": of.kind,
        "address": &*of.address,
        "timestamp_seconds": timestamp_seconds(sample.at),
        "outcome": outcome,
        "reason": failure.map(|failure| failure.reason.as_str()),
        "detail": failure.map(|failure| &*failure.detail),
        "meaning": advice.as_ref().map(|advice| advice.what),
        "advice": advice.as_ref().map(|advice| advice.todo),
        "duration_seconds": seconds(&took),
        "latencies_seconds": latencies,
        "phases": phases.collect::<Map<_, _>>(),
        "facts": sample.facts().map(facts),
    })
}

/// Those that there are.
fn facts(facts: &Facts) -> Value {
    let addresses: Vec<_> = facts.addresses.iter().map(ToString::to_string).collect();
    let all = [
        (
            "addresses",
            (!addresses.is_empty()).then(|| json!(addresses)),
        ),
        ("ping", facts.ping.as_ref().map(ping)),
        ("tls", facts.tls.as_deref().map(tls)),
        ("http", facts.http.map(|http| json!({ "status": http.status, "version": http.version, "body_bytes": http.body_bytes, "redirects": http.redirects }))),
        ("version", facts.version.as_deref().map(|version| json!(version))),
        ("dns", facts.dns.map(|dns| json!({ "rcode": dns.rcode, "answers": dns.answers, "min_ttl_seconds": dns.min_ttl_seconds, "authoritative": dns.authoritative }))),
        ("database", facts.database.as_deref().map(database)),
        ("value", facts.value.map(|value| match value {
            ValueFacts::Known(value) => json!({ "value": value, "missing": null }),
            ValueFacts::Unknown(why) => json!({ "value": null, "missing": why.as_str() }),
        })),
        ("manager", facts.manager.map(|of| json!({ "role": of.role.as_str(), "running": of.running, "paused": of.paused, "failover_allowed": of.failover_allowed }))),
    ];
    let there = all.into_iter();
    let there = there.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect())
}

fn ping(of: &PingFacts) -> Value {
    json!({
        "sent": of.sent,
        "received": of.received,
        "lost": of.lost,
        "late": of.late,
        "errors": of.errors,
        "duplicates": of.duplicates,
        "jitter_seconds": of.jitter_seconds,
    })
}

fn tls(of: &TlsFacts) -> Value {
    json!({
        "version": of.version.map(crate::model::TlsVersion::as_str),
        "cipher": of.cipher,
        "certificate_expiry_timestamp_seconds": of.leaf_not_after,
        "chain_expiry_timestamp_seconds": of.chain_min_not_after,
        "verified": of.verified,
    })
}

fn database(of: &crate::model::DatabaseFacts) -> Value {
    let replication = of.replication.as_deref();
    json!({
        "engine": of.engine,
        "version": &*of.version,
        "role": replication.map(|of| of.role.as_str()),
        "writable": replication.and_then(|of| of.writable),
        "link_up": replication.and_then(|of| of.link.as_ref()).and_then(|link| link.up),
        "native_lag_seconds": replication.and_then(|of| of.native_lag).map(|lag| lag.as_secs_f64()),
        "withheld": of.withheld.map(crate::model::Withheld::as_str),
    })
}
