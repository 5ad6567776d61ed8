//! How long a failover to one standby would take.

use std::time::{Duration, Instant};

use super::Brief;
use super::candidate::Candidate;
use crate::evaluate::past::Past;
use crate::model::{CheckKind, StageReport};
use crate::readiness::rank::{APPLY, Basis, Rto, Time};

/// The estimate, from what was seen and what is taken for granted.
pub(super) fn rto(brief: &Brief, past: &Past, standby: &Candidate, now: Instant) -> Rto {
    let assumed = brief.group.assumed;
    let taken = |time: Duration| Time::Takes(time, Basis::Assumed);
    let databases = !standby.databases.is_empty();
    Rto {
        detect: detected(brief),
        decide: taken(assumed.decide),
        promote: if databases {
            Rto::promoted(&past.promotions(), assumed.promote)
        } else {
            Time::NotApplicable
        },
        apply: applied(standby, now),
        pull: Time::NotApplicable,
        start: Time::NotApplicable,
        dns: standby
            .ttl()
            .map_or(Time::NotApplicable, |ttl| Time::Takes(ttl, Basis::Measured)),
        warm: taken(assumed.warm),
    }
}

/// The loss of the primary is noticed by the probes that look at it, the slowest of them last.
fn detected(brief: &Brief) -> Time {
    let root = |probe: &str| {
        let mut checks = brief.group.checks.iter();
        checks.find(|check| {
            *check.probe == *probe
                && matches!(
                    check.kind,
                    CheckKind::Reachable | CheckKind::Healthy | CheckKind::Answers
                )
        })
    };
    let probes = brief.probes.iter();
    let slowest = probes
        .filter(|probe| !probe.primary.is_empty())
        .filter_map(|probe| {
            let fall = root(&probe.name)?.fall.get();
            Some(Rto::detected(fall, probe.interval, probe.timeout))
        })
        .max_by_key(|time| time.known());
    slowest.unwrap_or(Time::Unknown)
}

/// What the databases have received and not applied; the slowest counts.
fn applied(standby: &Candidate, now: Instant) -> Time {
    let databases = standby.databases.iter();
    let times = databases
        .filter(|database| database.in_bytes)
        .map(|database| {
            let figures = database.figures(now);
            let unapplied = figures.and_then(|figures| figures.apply_bytes);
            Rto::applied(unapplied, database.applies.slow(), APPLY)
        });
    times.fold(Time::NotApplicable, Time::beside)
}

/// The stages that the group has, the total last.
pub(super) fn stages(rto: &Rto) -> Vec<StageReport> {
    let stages = rto.stages().into_iter();
    let has = stages.filter(|(_, time)| *time != Time::NotApplicable);
    has.map(|(stage, time)| {
        let (seconds, basis) = match time {
            Time::Takes(time, basis) => (Some(time.as_secs_f64()), Some(basis.as_str())),
            Time::NotApplicable | Time::Unknown => (None, None),
        };
        StageReport {
            stage: stage.as_str(),
            seconds,
            basis,
        }
    })
    .collect()
}
