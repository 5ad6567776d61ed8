//! What a run learned beside how long it took, for people.

use std::fmt::Write as _;
use std::time::SystemTime;

use crate::cli::daemons::moment;
use crate::model::{
    DatabaseFacts, DnsFacts, Facts, HttpFacts, ManagerFacts, PingFacts, TlsFacts, ValueFacts,
    duration, timestamp_seconds,
};

const DAY: f64 = 86_400.0;

/// A line for each kind of facts that there are.
pub(super) fn lines(facts: &Facts, now: SystemTime) -> Vec<String> {
    let addresses: Vec<_> = facts.addresses.iter().map(ToString::to_string).collect();
    let addresses = (!addresses.is_empty()).then(|| format!("address: {}", addresses.join(", ")));
    let now = timestamp_seconds(now);
    let lines = [
        addresses,
        facts.ping.as_ref().map(ping),
        facts.tls.as_deref().map(|facts| tls(facts, now)),
        facts.http.map(http),
        facts.version.as_ref().map(|of| format!("version: {of}")),
        facts.dns.map(dns),
        facts.database.as_deref().map(database),
        facts.value.map(value),
        facts.manager.map(manager),
    ];
    lines.into_iter().flatten().collect()
}

fn ping(facts: &PingFacts) -> String {
    let PingFacts {
        sent,
        received,
        lost,
        late,
        errors,
        ..
    } = facts;
    let mut line = format!("packets: {received} of {sent} came back");
    for (count, what) in [(lost, "lost"), (late, "late"), (errors, "errors")] {
        if *count > 0 {
            let _ = write!(line, ", {count} {what}");
        }
    }
    if let Some(jitter) = facts.jitter_seconds {
        let _ = write!(line, ", jitter {:.2} ms", jitter * 1e3);
    }
    line
}

fn tls(facts: &TlsFacts, now: f64) -> String {
    let mut parts = Vec::new();
    if let Some(version) = facts.version {
        parts.push(version.as_str().to_owned());
    }
    parts.extend(facts.cipher.map(str::to_owned));
    if let Some(until) = facts.leaf_not_after {
        #[expect(clippy::cast_precision_loss, reason = "seconds of some thousand years")]
        let until = until as f64;
        let days = (until - now) / DAY;
        let left = if days < 0.0 {
            format!("expired {:.0} days ago", -days)
        } else {
            format!("in {days:.0} days")
        };
        parts.push(format!("certificate until {} ({left})", moment(until)));
    }
    match facts.verified {
        Some(true) => parts.push("valid".to_owned()),
        Some(false) => parts.push("not valid".to_owned()),
        None => {}
    }
    format!("tls: {}", parts.join(", "))
}

fn http(facts: HttpFacts) -> String {
    let HttpFacts {
        status,
        version,
        body_bytes,
        redirects,
    } = facts;
    let redirected = match redirects {
        0 => String::new(),
        1 => ", 1 redirect".to_owned(),
        many => format!(", {many} redirects"),
    };
    format!("http: status {status}, HTTP/{version}, {body_bytes} bytes{redirected}")
}

fn dns(facts: DnsFacts) -> String {
    let mut line = format!("dns: code {}, {} answers", facts.rcode, facts.answers);
    if let Some(ttl) = facts.min_ttl_seconds {
        let _ = write!(line, ", to be kept for {ttl}s");
    }
    if facts.authoritative {
        line += ", by an authority";
    }
    line
}

fn database(facts: &DatabaseFacts) -> String {
    let mut parts = vec![format!("{} {}", facts.engine, facts.version)];
    if let Some(replication) = &facts.replication {
        parts.push(replication.role.as_str().to_owned());
        match replication.writable {
            Some(true) => parts.push("takes writes".to_owned()),
            Some(false) => parts.push("takes no writes".to_owned()),
            None => {}
        }
        match replication.link.as_ref().and_then(|link| link.up) {
            Some(true) => parts.push("its link is up".to_owned()),
            Some(false) => parts.push("its link is down".to_owned()),
            None => {}
        }
        if let Some(lag) = replication.native_lag {
            let lag = duration::display(std::time::Duration::from_secs(lag.as_secs()));
            parts.push(format!("behind by {lag} by its own words"));
        }
    }
    if let Some(withheld) = facts.withheld {
        let why = withheld.as_str();
        parts.push(format!("something is not told ({why}): see `hotspare sql`"));
    }
    format!("database: {}", parts.join(", "))
}

fn value(facts: ValueFacts) -> String {
    match facts {
        ValueFacts::Known(value) => format!("value: {value}"),
        ValueFacts::Unknown(why) => format!("value: none ({})", why.as_str()),
    }
}

fn manager(facts: ManagerFacts) -> String {
    let role = facts.role.as_str();
    match facts.objection() {
        None => format!("manager: {role}; it would promote it"),
        Some(objection) => format!("manager: {role}; {}", objection.as_str()),
    }
}
