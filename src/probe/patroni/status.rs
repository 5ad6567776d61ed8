//! What `GET /patroni` answers, in Patroni 2 to 4.

use std::time::Duration;

use http::HeaderMap;
use http::header::DATE;
use serde::Deserialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::model::{Failure, ManagerFacts, Reason, Role};

/// Characters of a version that are kept.
const VERSION_CHARS: usize = 64;

/// What is read of an answer. What is not said is left out of it, mostly: a cluster is paused if
/// `pause` is there.
#[derive(Deserialize)]
pub(super) struct Status {
    state: String,
    role: String,
    timeline: Option<u64>,
    #[serde(default)]
    pause: bool,
    /// In seconds since 1970; not told by early versions of Patroni 2.
    dcs_last_seen: Option<i64>,
    #[serde(default)]
    tags: Map<String, Value>,
    patroni: Option<Program>,
}

#[derive(Deserialize)]
struct Program {
    version: Option<String>,
}

impl Status {
    pub(super) fn read(body: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice(body).map_err(|why| {
            Failure::new(
                Reason::Answer,
                format_args!("the answer is not that of Patroni: {why}"),
            )
        })
    }

    /// Patroni's own version.
    pub(super) fn version(&self) -> Option<Box<str>> {
        let version = self.patroni.as_ref()?.version.as_deref()?;
        Some(version.chars().take(VERSION_CHARS).collect())
    }

    /// The headers tell what time it is by Patroni's clock.
    pub(super) fn facts(&self, headers: &HeaderMap) -> ManagerFacts {
        ManagerFacts {
            role: role(&self.role),
            running: self.state == "running",
            timeline: self.timeline,
            paused: self.pause,
            failover_allowed: failover_allowed(&self.tags),
            store_silence: self.store_silence(headers),
        }
    }

    fn store_silence(&self, headers: &HeaderMap) -> Option<Duration> {
        let seen = self.dcs_last_seen.filter(|seen| *seen > 0)?;
        let now = headers.get(DATE)?.to_str().ok()?;
        let now = OffsetDateTime::parse(now, &Rfc2822).ok()?;
        let silence = now.unix_timestamp().saturating_sub(seen);
        // The answer is made a moment after its date.
        Some(Duration::from_secs(u64::try_from(silence).unwrap_or(0)))
    }
}

/// The leader of a standby cluster takes changes from elsewhere.
fn role(name: &str) -> Role {
    match name {
        // The latter until Patroni 4.
        "primary" | "master" => Role::Primary,
        "replica" | "standby_leader" => Role::Standby,
        _ => Role::Unknown,
    }
}

/// As Patroni reads its tags: whatever is not false counts as true, and `nofailover` goes before
/// `failover_priority` (known since Patroni 3.2), of which 0 and less forbid it.
fn failover_allowed(tags: &Map<String, Value>) -> bool {
    match tags.get("nofailover") {
        None | Some(Value::Null) => {}
        Some(Value::Bool(forbidden)) => return !forbidden,
        Some(Value::Number(number)) => return number.as_f64() == Some(0.0),
        Some(Value::String(text)) => return text.is_empty(),
        Some(_) => return false,
    }
    let priority = match tags.get("failover_priority") {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    priority.is_none_or(|priority: f64| priority > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn facts(more: &Value) -> ManagerFacts {
        let mut answer = json!({ "state": "running", "role": "replica" });
        let object = answer.as_object_mut().expect("an object");
        object.extend(more.as_object().expect("an object").clone());
        let date = http::HeaderValue::from_static("Sat, 21 Nov 2026 12:50:39 GMT");
        let headers = HeaderMap::from_iter([(DATE, date)]);
        let status = Status::read(answer.to_string().as_bytes()).expect("an answer");
        status.facts(&headers)
    }

    #[test]
    fn tags_are_read_as_patroni_reads_them() {
        for (tags, allowed) in [
            (json!({}), true),
            (json!({ "nofailover": true }), false),
            (json!({ "nofailover": false, "failover_priority": 0 }), true),
            (json!({ "nofailover": true, "failover_priority": 1 }), false),
            (json!({ "nofailover": 1 }), false),
            (json!({ "nofailover": 0 }), true),
            (json!({ "nofailover": "no" }), false),
            (json!({ "nofailover": null, "failover_priority": 0 }), false),
            (json!({ "failover_priority": 0 }), false),
            (json!({ "failover_priority": -1 }), false),
            (json!({ "failover_priority": "0" }), false),
            (json!({ "failover_priority": 2 }), true),
            (json!({ "failover_priority": "high" }), true),
            (json!({ "nosync": true }), true),
        ] {
            let facts = facts(&json!({ "tags": tags }));
            assert_eq!(facts.failover_allowed, allowed, "{tags}");
        }
    }

    #[test]
    fn roles_of_all_versions_are_known() {
        for (name, role) in [
            ("primary", Role::Primary),
            ("master", Role::Primary),
            ("replica", Role::Standby),
            ("standby_leader", Role::Standby),
            ("demoted", Role::Unknown),
            ("uninitialized", Role::Unknown),
        ] {
            assert_eq!(facts(&json!({ "role": name })).role, role, "{name}");
        }
    }

    #[test]
    fn only_a_server_that_runs_runs() {
        for state in ["stopped", "starting", "creating replica", "unknown"] {
            assert!(!facts(&json!({ "state": state })).running, "{state}");
        }
    }

    #[test]
    fn silence_is_told_by_the_clock_of_the_host_that_saw_it() {
        let answered = 1_795_265_439;
        for (seen, silence) in [
            (json!(answered - 7), Some(7)),
            (json!(answered + 1), Some(0)),
            (json!(0), None),
            (json!(null), None),
        ] {
            let facts = facts(&json!({ "dcs_last_seen": seen }));
            assert_eq!(
                facts.store_silence,
                silence.map(Duration::from_secs),
                "{seen}"
            );
        }
    }
}
