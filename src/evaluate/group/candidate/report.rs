//! What is said of a standby.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Candidate;
use crate::evaluate::group::database::Database;
use crate::evaluate::group::{Brief, estimate};
use crate::evaluate::past::Past;
use crate::model::{CheckReport, HoldReport, Sight, SightReport, StandbyReport, timestamp_seconds};
use crate::readiness::{LastSight, Verdict};

impl Candidate {
    /// What is to be said of it at `now`.
    pub(in super::super) fn report(
        &self,
        brief: &Brief,
        past: &Past,
        sight: Sight,
        now: Instant,
        today: SystemTime,
    ) -> StandbyReport {
        let Verdict { state, causes } = self.standby.verdict(sight, now);
        let checks = self.checks(now);
        let reasons = causes.told.iter().map(|cause| CheckReport {
            state: cause.state.label(),
            reason: cause.state.reason(),
            ..checks[cause.check].clone()
        });
        let last_sight = self.last_sight();
        let objective = brief.group.objectives.rpo.unwrap_or(Duration::MAX);
        let judged = self.judged_by(last_sight, objective);
        let promotion = self
            .standby
            .promotion(sight, judged.as_ref(), objective, now);
        let score = self.standby.score(now);
        let rto = estimate::rto(brief, past, self, now);
        let (lag, lag_at_least) = self.lag(now);
        StandbyReport {
            standby: Arc::clone(&self.region),
            state,
            primary_sight: sight,
            promotion: promotion.state,
            reasons: reasons.collect(),
            more_reasons: causes.more,
            score_ratio: score.map(|score| score.ratio),
            score_coverage_ratio: score.map(|score| score.coverage),
            lag_seconds: lag.map(|lag| lag.as_secs_f64()),
            lag_at_least,
            rpo_seconds: self.rpo(now).map(|rpo| rpo.as_secs_f64()),
            rpo_bytes: self.loss_bytes(now),
            rto_seconds: rto.total().known().map(|rto| rto.as_secs_f64()),
            rto_stages: estimate::stages(&rto),
            rank: None,
            holds: self.holds(brief, past, today),
            last_sight: last_sight.map(|last| SightReport {
                timestamp_seconds: timestamp_seconds(last.at),
                rpo_seconds: last.rpo.map(|rpo| rpo.as_secs_f64()),
                loss_bytes: last.loss_bytes,
            }),
            checks,
        }
    }

    fn checks(&self, now: Instant) -> Vec<CheckReport> {
        let states = self.standby.states(now).enumerate();
        states
            .map(|(at, state)| {
                let (value, threshold) = self.standby.figures(at);
                let planned = &self.questions[at].planned;
                let last = self.standby.last_conclusive(at);
                let age = last.map(|last| now.saturating_duration_since(last).as_secs_f64());
                CheckReport {
                    check: Arc::clone(&planned.name),
                    probe: Arc::clone(&planned.probe),
                    gate: planned.gate,
                    state: state.label(),
                    reason: state.reason(),
                    value,
                    threshold,
                    unit: planned.bound.map(|bound| bound.unit),
                    age_seconds: age,
                    last_conclusive_timestamp_seconds: self.answered[at].map(timestamp_seconds),
                    transitions: self.standby.transitions(at),
                }
            })
            .collect()
    }

    /// Seconds of writes that would be lost: of the database that would lose most. `None`: of one of
    /// them it is not known.
    pub(super) fn rpo(&self, now: Instant) -> Option<Duration> {
        let each = self.databases.iter().map(|database| database.rpo(now));
        each.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// How far it is behind by the database that is furthest, and whether that is only the least that
    /// it can be. `None`: of none of them it is known.
    fn lag(&self, now: Instant) -> (Option<Duration>, bool) {
        let figures = self.databases.iter().map(|database| database.figures(now));
        let each = figures.map(|figures| {
            let figures = figures?;
            Some((figures.lag_ring?, figures.lag_ring_at_least))
        });
        each.fold((None, false), |(longest, at_least), lag| match lag {
            Some((lag, more)) => (longest.max(Some(lag)), at_least || more),
            None => (longest, true),
        })
    }

    fn loss_bytes(&self, now: Instant) -> Option<u64> {
        let databases = self.databases.iter().filter(|of| of.in_bytes);
        let each = databases.map(|of| of.figures(now)?.loss_bytes);
        let each: Option<Vec<u64>> = each.collect();
        each.filter(|each| !each.is_empty())
            .map(|each| each.into_iter().sum())
    }

    /// When all databases were last seen from both sides, and what would have been lost: the oldest
    /// of these times, the longest of these losses, the sum of bytes.
    fn last_sight(&self) -> Option<LastSight> {
        let each = self.databases.iter().map(|database| database.last_sight);
        each.reduce(|one, other| {
            let (one, other) = (one?, other?);
            let bytes = match (one.loss_bytes, other.loss_bytes) {
                (Some(one), Some(other)) => Some(one.saturating_add(other)),
                (one, other) => one.or(other),
            };
            Some(LastSight {
                seen: one.seen.min(other.seen),
                at: one.at.min(other.at),
                rpo: one.rpo.zip(other.rpo).map(|(one, other)| one.max(other)),
                loss_bytes: bytes,
            })
        })
        .flatten()
    }

    /// What a promotion is judged by: the last sight, whose loss is not known to be within the
    /// objective where the primary went on for too long without the standby.
    fn judged_by(&self, last: Option<LastSight>, objective: Duration) -> Option<LastSight> {
        let unpaired = self.databases.iter().map(Database::unpaired).max();
        let unpaired = unpaired.unwrap_or_default();
        let tells = |rpo: &Duration| *rpo > objective || rpo.saturating_add(unpaired) <= objective;
        last.map(|last| LastSight {
            rpo: last.rpo.filter(tells),
            ..last
        })
    }

    pub(super) fn holds(&self, brief: &Brief, past: &Past, today: SystemTime) -> Vec<HoldReport> {
        let holds = brief.group.holds.iter();
        holds
            .filter(|hold| hold.holds(&self.region, today))
            .map(|hold| HoldReport {
                kind: "maintenance",
                reason: Arc::clone(&hold.reason),
                expiry_timestamp_seconds: timestamp_seconds(hold.until),
            })
            .chain(past.hold(&self.region, brief.group.block, today))
            .collect()
    }
}
