//! The families of target series: a row each. A new fact is a new row.

use super::engine::{INITIAL_SYNC, KEYS, REPLAY, TIMELINES};
use super::rows::families;
use super::series::Series;
use crate::model::{NoValue, Role, ValueFacts, Withheld};

families! {
    of Series;

    /// Runs that told something of their target: replies and failures. Runs that an own fault made
    /// unknown are not among them, so that failures per attempt is the target's share alone.
    Counter probe_attempts: |s, rows| rows.value(s.attempts);

    /// Runs that failed, by reason.
    Counter probe_failures: |s, rows| {
        for (reason, count) in s.failures() {
            rows.with("reason", reason.as_str(), count);
        }
    };

    /// Runs that a fault of this daemon or its host ended, so that they tell nothing of the target.
    Counter probe_unknown: |s, rows| rows.value(s.unknown);

    /// Slots of the schedule that passed without a run.
    Counter probe_missed_slots: |s, rows| rows.value(s.missed);

    /// How long successful runs took; for a ping, the round trip of every answered packet.
    Histogram probe_duration_seconds: |s, rows| {
        rows.histogram(&[], &s.buckets, &s.durations);
    };

    /// How long the phases of successful runs took.
    Histogram probe_phase_duration_seconds: |s, rows| {
        for (phase, histogram) in s.phases() {
            let phase = [",phase=\"", phase.as_str(), "\""];
            rows.histogram(&phase, &s.phase_buckets, histogram);
        }
    };

    /// Whether the last run succeeded; NaN before the first and after one that an own fault ended.
    Gauge probe_up: |s, rows| rows.value(s.up);

    /// When the last run ended, whatever its outcome.
    Gauge probe_last_run_timestamp_seconds: |s, rows| rows.value(s.last_run);

    /// When the last successful run ended.
    Gauge probe_last_success_timestamp_seconds: |s, rows| rows.value(s.last_success);

    /// The time from one run to the next, as configured.
    Gauge probe_interval_seconds: |s, rows| rows.value(s.terms.interval.as_secs_f64());

    /// The time after which a run fails, as configured.
    Gauge probe_timeout_seconds: |s, rows| rows.value(s.terms.timeout.as_secs_f64());

    /// Which part of the attempts is to succeed, as configured.
    Gauge probe_objective_ratio: |s, rows| if let Some(objective) = s.terms.objective {
        rows.value(objective);
    };

    /// What a target is, with the address and labels of its configuration.
    Info probe: |s, rows| rows.more(&[&s.info], 1u64);

    /// How often the target's name came to have another set of addresses.
    Counter probe_address_changes: |s, rows| if s.shape.facts.addresses {
        rows.value(s.address_changes);
    };

    /// Packets that were to be sent: the sum of received, lost, late and errors.
    Counter ping_packets_sent: |s, rows| if let Some(ping) = &s.ping {
        rows.value(ping.sent);
    };

    /// Packets that were answered before their deadline.
    Counter ping_packets_received: |s, rows| if let Some(ping) = &s.ping {
        rows.value(ping.received);
    };

    /// Packets that were not answered when their run ended.
    Counter ping_packets_lost: |s, rows| if let Some(ping) = &s.ping {
        rows.value(ping.lost);
    };

    /// Packets that were answered after their deadline, but before their run ended.
    Counter ping_packets_late: |s, rows| if let Some(ping) = &s.ping {
        rows.value(ping.late);
    };

    /// Packets that could not be sent, or that the network sent back with an error.
    Counter ping_packet_errors: |s, rows| if let Some(ping) = &s.ping {
        rows.value(ping.errors);
    };

    /// Replies to packets that had been answered already.
    Counter ping_duplicates: |s, rows| if let Some(ping) = &s.ping {
        rows.value(ping.duplicates);
    };

    /// Mean difference of consecutive round trips in the last run; NaN below two replies.
    Gauge ping_jitter_seconds: |s, rows| if let Some(ping) = &s.ping {
        rows.value(ping.jitter);
    };

    /// The status of the last run's answer; NaN if it had none.
    Gauge http_status_code: |s, rows| if s.shape.facts.http {
        rows.value(s.http.map(|http| u64::from(http.status)));
    };

    /// Bytes of the last run's body as received; NaN without an answer.
    Gauge http_body_bytes: |s, rows| if s.shape.facts.http {
        rows.value(s.http.map(|http| http.body_bytes));
    };

    /// Redirects that the last run followed; NaN without an answer.
    Gauge http_redirects: |s, rows| if s.shape.facts.http {
        rows.value(s.http.map(|http| http.redirects));
    };

    /// The protocol version of the last run's answer.
    Info http: |s, rows| if let Some(http) = &s.http {
        rows.info(&[("version", http.version)]);
    };

    /// The version that the service last said it runs.
    Info service: |s, rows| if let Some(version) = &s.version {
        rows.info(&[("version", version)]);
    };

    /// When the certificate last seen expires: the server's own, and the first of the sent chain.
    Gauge tls_cert_not_after_timestamp_seconds: |s, rows| if s.shape.facts.tls {
        let tls = s.tls.as_ref();
        rows.with("position", "leaf", timestamp(tls.and_then(|tls| tls.leaf_not_after)));
        rows.with("position", "chain_min", timestamp(tls.and_then(|tls| tls.chain_min_not_after)));
    };

    /// Whether the certificate last seen is valid for the name, the time and the authorities.
    Gauge tls_verified: |s, rows| if s.shape.facts.tls {
        rows.value(s.tls.as_ref().and_then(|tls| tls.verified));
    };

    /// Whether the configuration says not to verify the certificate.
    Gauge tls_verification_disabled: |s, rows| if s.shape.facts.tls || s.shape.facts.tls_unverified {
        rows.value(s.shape.facts.tls_unverified);
    };

    /// The TLS session last seen.
    Info tls: |s, rows| if let Some(tls) = &s.tls
        && let Some(version) = tls.version
    {
        let cipher = tls.cipher.unwrap_or("unknown");
        rows.info(&[("version", version.as_str()), ("cipher", cipher)]);
    };

    /// The smallest time to live among the last run's answers; NaN without any.
    Gauge dns_ttl_seconds: |s, rows| if s.shape.facts.dns {
        rows.value(s.dns.and_then(|dns| dns.min_ttl_seconds));
    };

    /// Answers of the asked type in the last run; NaN without a response.
    Gauge dns_answers: |s, rows| if s.shape.facts.dns {
        rows.value(s.dns.map(|dns| dns.answers));
    };

    /// The response code of the last run by its number (0 is no error); NaN without a response.
    Gauge dns_rcode: |s, rows| if s.shape.facts.dns {
        rows.value(s.dns.map(|dns| u64::from(dns.rcode)));
    };

    /// Whether the last run's response was authoritative; NaN without a response.
    Gauge dns_authoritative: |s, rows| if s.shape.facts.dns {
        rows.value(s.dns.map(|dns| dns.authoritative));
    };

    /// The number that the last run's query came to; NaN without one.
    Gauge prometheus_value: |s, rows| if s.shape.facts.value {
        rows.value(s.value.and_then(ValueFacts::known));
    };

    /// Why the last run's answer had no number; NaN without an answer.
    Gauge prometheus_value_missing: |s, rows| if s.shape.facts.value {
        for reason in NoValue::ALL {
            let missing = s.value.map(|value| value == ValueFacts::Unknown(reason));
            rows.with("reason", reason.as_str(), missing);
        }
    };

    /// Whether the HA manager had been told to leave its cluster alone in the last run; NaN if it did
    /// not answer.
    Gauge manager_paused: |s, rows| if s.shape.facts.manager {
        rows.value(s.manager.map(|manager| manager.paused));
    };

    /// Whether the HA manager may make its server the primary, as it is configured; NaN if it did not
    /// answer in the last run.
    Gauge manager_failover_allowed: |s, rows| if s.shape.facts.manager {
        rows.value(s.manager.map(|manager| manager.failover_allowed));
    };

    /// How long the HA manager had not reached the store of its cluster in the last run; NaN if it did
    /// not tell.
    Gauge manager_store_silence_seconds: |s, rows| if s.shape.facts.manager {
        rows.value(s.manager.and_then(|manager| manager.store_silence));
    };

    /// The database last seen.
    Info db: |s, rows| if let Some((engine, version)) = s.product() {
        rows.info(&[("engine", engine), ("version", version)]);
    };

    /// The part that the database played in the last run by its own words; one of them is 1.
    Gauge db_role: |s, rows| if let Some(db) = s.replication() {
        for role in Role::ALL {
            rows.with("role", role.as_str(), db.role() == role);
        }
    };

    /// Whether a client could write there in the last run; NaN if it did not tell.
    Gauge db_writable: |s, rows| if let Some(db) = s.replication() {
        rows.value(db.told.and_then(|told| told.writable));
    };

    /// The timeline of the last run, which grows with every promotion; NaN if it did not tell.
    Gauge db_timeline: |s, rows| if let Some(db) = s.replication_of(TIMELINES) {
        rows.value(db.told.and_then(|told| told.timeline));
    };

    /// Changes from primary to standby and back, silence between them left out.
    Counter db_role_changes: |s, rows| if let Some(db) = s.replication() {
        rows.value(db.role_changes);
    };

    /// Why the last run's facts lack something that was asked for; NaN without facts.
    Gauge db_facts_withheld: |s, rows| if let Some(db) = s.replication() {
        for reason in Withheld::ALL {
            let withheld = db.told.map(|told| told.withheld == Some(reason));
            rows.with("reason", reason.as_str(), withheld);
        }
    };

    /// How many keys the database had in the last run; NaN if it did not tell.
    Gauge db_keys: |s, rows| if let Some(db) = s.replication_of(KEYS) {
        rows.value(db.told.and_then(|told| told.keys));
    };

    /// Whether the standby called its link to the primary established in the last run; NaN if it
    /// did not tell or has none.
    Gauge replication_link_up: |s, rows| if let Some(db) = s.replication() {
        rows.value(db.link().and_then(|link| link.up));
    };

    /// How long nothing had come over the link in the last run, by the standby's own clock; NaN if
    /// it did not tell or has no link.
    Gauge replication_receiver_silence_seconds: |s, rows| if let Some(db) = s.replication() {
        rows.value(db.link().and_then(|link| link.silence));
    };

    /// Whether received changes were not applied in the last run because someone stopped it, or an
    /// error did; NaN if it did not tell.
    Gauge replication_replay_paused: |s, rows| if let Some(db) = s.replication_of(REPLAY) {
        rows.value(db.told.and_then(|told| told.replay_paused));
    };

    /// Whether the standby's first copy of the data was under way in the last run; NaN if it did
    /// not tell or has no link.
    Gauge replication_initial_sync: |s, rows| if let Some(db) = s.replication_of(INITIAL_SYNC) {
        rows.value(db.link().map(|link| link.initial_sync));
    };
}

/// Seconds since 1970 as a value.
fn timestamp(seconds: Option<i64>) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact until the year 285 million"
    )]
    seconds.map(|seconds| seconds as f64)
}
