//! From one run against a standby to looks at its checks.

use std::time::{Duration, Instant, SystemTime};

use super::history::History;
use crate::model::{
    Bound, CheckKind, CheckReason, ManagerFacts, NoValue, PlannedCheck, ReplicationFacts, Role,
    Sample, ValueFacts, timestamp_seconds,
};
use crate::readiness::{Look, Outcome};

/// What a run against a standby says of a check that the standby alone can answer; `None`: nothing,
/// or it is for others to answer.
pub(super) fn look(
    check: &PlannedCheck,
    sample: &Sample,
    history: Option<&History>,
) -> Option<Look> {
    let seen = sample.ended;
    let look = match &check.kind {
        CheckKind::Reachable | CheckKind::Healthy | CheckKind::Answers => {
            Look::new(ran(sample), seen)
        }
        CheckKind::PacketLoss { .. } => measured(check, history?.loss(), seen),
        CheckKind::Latency { quantile, .. } => measured(check, history?.quantile(*quantile), seen),
        CheckKind::Certificate => certificate(check, sample),
        CheckKind::Ttl => {
            let dns = sample.facts().and_then(|facts| facts.dns);
            let ttl = dns.and_then(|dns| dns.min_ttl_seconds);
            of_answer(sample, ttl.map(f64::from), |ttl| {
                bounded(check.bound, ttl, seen)
            })
        }
        CheckKind::Manager => Look::new(manager(sample), seen),
        CheckKind::Value => value(check, sample),
        CheckKind::Role => replicated(sample, |facts| role(facts, seen)),
        CheckKind::Link => replicated(sample, |facts| link(check, facts, sample)),
        _ => return None,
    };
    Some(look)
}

/// Whether the run found its target as it should be.
fn ran(sample: &Sample) -> Outcome {
    match &sample.outcome {
        Ok(_) => Outcome::Ok,
        Err(failure) => Outcome::of_failure(failure.reason),
    }
}

/// A value, held against the bound of its check.
pub(super) fn bounded(bound: Option<Bound>, value: f64, seen: Instant) -> Look {
    beyond(bound, value, CheckReason::Threshold, seen)
}

/// The same, with another reason for a value beyond the bound.
pub(super) fn beyond(bound: Option<Bound>, value: f64, reason: CheckReason, seen: Instant) -> Look {
    let good = bound.is_none_or(|bound| bound.admits(value));
    Look {
        outcome: Outcome::bad_if(!good, reason),
        value: Some(value),
        threshold: bound.map(|bound| bound.limit),
        seen,
    }
}

pub(super) fn unknown(reason: CheckReason, seen: Instant) -> Look {
    Look::new(Outcome::Error(reason), seen)
}

fn measured(check: &PlannedCheck, value: Option<f64>, seen: Instant) -> Look {
    value.map_or_else(
        || unknown(CheckReason::Undecided, seen),
        |value| bounded(check.bound, value, seen),
    )
}

/// What an answer holds; where it is not there, why.
fn of_answer<T>(sample: &Sample, held: Option<T>, judge: impl FnOnce(T) -> Look) -> Look {
    match held {
        Some(held) => judge(held),
        None => unknown(why_not(sample), sample.ended),
    }
}

/// Why a run brought no facts.
fn why_not(sample: &Sample) -> CheckReason {
    match &sample.outcome {
        Err(failure) => failure.reason.into(),
        Ok(_) => CheckReason::NoValue,
    }
}

/// What another system says of a failover to the standby. One that does not answer would not do it.
fn manager(sample: &Sample) -> Outcome {
    let told = sample.facts().and_then(|facts| facts.manager.as_ref());
    match told.and_then(ManagerFacts::objection) {
        Some(_) => Outcome::Bad(CheckReason::Vetoed),
        None => ran(sample),
    }
}

/// A server that does not tell a number says nothing of the standby.
fn value(check: &PlannedCheck, sample: &Sample) -> Look {
    let told = sample.facts().and_then(|facts| facts.value);
    of_answer(sample, told, |told| match told {
        ValueFacts::Known(value) => bounded(check.bound, value, sample.ended),
        ValueFacts::Unknown(NoValue::Old) => unknown(CheckReason::Old, sample.ended),
        ValueFacts::Unknown(_) => unknown(CheckReason::NoValue, sample.ended),
    })
}

/// A certificate is as good as the time that it has left. One that is not valid for another reason
/// fails the run, unless the configuration says not to ask.
fn certificate(check: &PlannedCheck, sample: &Sample) -> Look {
    let tls = sample.facts().and_then(|facts| facts.tls.as_deref());
    let expiry = tls.and_then(|tls| tls.chain_min_not_after.or(tls.leaf_not_after));
    of_answer(sample, expiry, |expiry| {
        let left = left(expiry, sample.at);
        beyond(check.bound, left, CheckReason::Certificate, sample.ended)
    })
}

/// Seconds from `now` until a moment in seconds since 1970; below zero once it is over.
fn left(moment: i64, now: SystemTime) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact until the year 285 million"
    )]
    let moment = moment as f64;
    moment - timestamp_seconds(now)
}

/// What a database told of its replication; where it did not, why.
fn replicated(sample: &Sample, judge: impl FnOnce(&ReplicationFacts) -> Look) -> Look {
    let database = sample.facts().and_then(|facts| facts.database.as_deref());
    let Some(facts) = database.and_then(|database| database.replication.as_deref()) else {
        let withheld = database.and_then(|database| database.withheld);
        let why = withheld.map_or_else(|| why_not(sample), CheckReason::from);
        return unknown(why, sample.ended);
    };
    judge(facts)
}

fn role(facts: &ReplicationFacts, seen: Instant) -> Look {
    let outcome = match (facts.role, facts.writable) {
        (Role::Standby, Some(false)) => Outcome::Ok,
        (Role::Primary, _) | (_, Some(true)) => Outcome::Bad(CheckReason::Role),
        (Role::Standby | Role::Unknown, _) => Outcome::Error(CheckReason::NoValue),
    };
    Look::new(outcome, seen)
}

/// A link is as good as the last byte that came over it. That the standby calls it up says nothing,
/// that it calls it down does.
fn link(check: &PlannedCheck, facts: &ReplicationFacts, sample: &Sample) -> Look {
    let seen = sample.ended;
    let Some(link) = facts.link else {
        let outcome = match facts.role {
            Role::Standby => Outcome::Bad(CheckReason::LinkDown),
            Role::Primary | Role::Unknown => Outcome::Error(CheckReason::NoValue),
        };
        return Look::new(outcome, seen);
    };
    if link.initial_sync {
        return Look::new(Outcome::Bad(CheckReason::InitialSync), seen);
    }
    match (link.up, link.silence) {
        (Some(false), _) => Look::new(Outcome::Bad(CheckReason::LinkDown), seen),
        (_, Some(silence)) => beyond(
            check.bound,
            silence.as_secs_f64(),
            CheckReason::Silent,
            seen,
        ),
        // It tells no silence (MariaDB): its positions do.
        (Some(true), None) => Look::new(Outcome::Ok, seen),
        (None, None) => replicated_withheld(sample),
    }
}

fn replicated_withheld(sample: &Sample) -> Look {
    let database = sample.facts().and_then(|facts| facts.database.as_deref());
    let withheld = database.and_then(|database| database.withheld);
    let why = withheld.map_or(CheckReason::NoValue, CheckReason::from);
    unknown(why, sample.ended)
}

/// For how long something has been so.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Since(Option<Instant>);

impl Since {
    /// Notes whether it is so at `now`, and tells for how long it has been.
    pub(super) fn note(&mut self, so: bool, now: Instant) -> Duration {
        if !so {
            self.0 = None;
            return Duration::ZERO;
        }
        let since = *self.0.get_or_insert(now);
        now.saturating_duration_since(since)
    }
}
