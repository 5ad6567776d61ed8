//! A check of one standby, and what its targets last answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::{SmallVec, smallvec};

use super::{Brief, Witness};
use crate::model::{CheckKind, CheckReason, PlannedCheck};
use crate::readiness::{Check, Look, Outcome, Scale, Side, Terms};

/// How old an answer may be that is given anew every second.
const FRESH: Duration = Duration::from_secs(10);

/// A question about one standby.
#[derive(Debug)]
pub(super) struct Question {
    /// What is asked.
    pub(super) planned: PlannedCheck,
    /// The probe that answers it, by its place; `None` where the group itself does.
    pub(super) probe: Option<usize>,
    /// How old an answer may be.
    fresh: Duration,
    /// The newest look of each target, where there are several.
    newest: SmallVec<[Option<Look>; 1]>,
}

impl Question {
    pub(super) fn new(planned: &PlannedCheck, brief: &Brief, place: usize) -> Self {
        let probe = brief
            .probes
            .iter()
            .position(|probe| probe.name == planned.probe);
        let witness = probe.map(|at| &brief.probes[at]);
        Self {
            planned: planned.clone(),
            probe,
            fresh: witness.map_or(FRESH, |probe| {
                Terms::fresh_for(probe.interval, probe.timeout)
            }),
            newest: smallvec![None; witness.map_or(1, |probe| probe.standbys[place].len())],
        }
    }

    /// The check as it is judged.
    pub(super) fn check(&self, earlier: &[Self], brief: &Brief, place: usize) -> Check {
        let planned = &self.planned;
        let probe = self.probe.map(|at| &brief.probes[at]);
        let parents = earlier.iter().enumerate().filter(|(_, parent)| {
            parent.planned.probe == planned.probe
                && planned.parents.contains(&&*parent.planned.name)
        });
        Check {
            name: Arc::clone(&planned.name),
            probe: (!planned.probe.is_empty()).then(|| Arc::clone(&planned.probe)),
            gate: planned.gate,
            side: side(&planned.kind),
            parents: parents.map(|(at, _)| at).collect(),
            applicable: planned.probe.is_empty()
                || probe.is_some_and(|probe| arises(&planned.kind, probe, place)),
            weight: 1.0,
            scale: planned
                .bound
                .and_then(|bound| Scale::new(bound.warn?, bound.limit)),
            terms: Terms {
                rise: planned.rise,
                fall: planned.fall,
                fresh: self.fresh,
            },
        }
    }

    /// What has to be seen to answer it.
    pub(super) fn side(&self) -> Side {
        side(&self.planned.kind)
    }

    /// Goes on with what its targets last answered.
    pub(super) fn succeed(&mut self, former: &Self) {
        self.newest.clone_from(&former.newest);
    }

    /// How many targets answer it.
    pub(super) fn targets(&self) -> usize {
        self.newest.len()
    }

    /// Whether what was seen at `seen` says anything at `now`.
    pub(super) fn is_fresh(&self, seen: Instant, now: Instant) -> bool {
        now.saturating_duration_since(seen) <= self.fresh
    }

    /// Takes the look at the `nth` target. With several, the run of the first one closes the round,
    /// and the worst of them counts: a standby is as good as its worst part.
    pub(super) fn answer(&mut self, nth: usize, look: Look) -> Option<Look> {
        *self.newest.get_mut(nth)? = Some(look);
        if nth > 0 {
            return None;
        }
        let looks = self.newest.iter().map(|newest| match newest {
            Some(newest) if self.is_fresh(newest.seen, look.seen) => *newest,
            _ => Look::new(Outcome::Error(CheckReason::NotSeen), look.seen),
        });
        let worst = looks.max_by_key(|look| match look.outcome {
            Outcome::Ok => 0,
            Outcome::Error(_) => 1,
            Outcome::Bad(_) => 2,
        });
        worst.map(|worst| Look {
            seen: look.seen,
            ..worst
        })
    }
}

/// Whether the question arises at this standby.
fn arises(kind: &CheckKind, probe: &Witness, place: usize) -> bool {
    if probe.standbys[place].is_empty() {
        return probe.expected;
    }
    *kind != CheckKind::Certificate || probe.tls[place]
}

/// What has to be seen to answer.
fn side(kind: &CheckKind) -> Side {
    match kind {
        CheckKind::Reachable
        | CheckKind::PacketLoss { .. }
        | CheckKind::Latency { .. }
        | CheckKind::Healthy
        | CheckKind::Certificate
        | CheckKind::Answers
        | CheckKind::Ttl
        | CheckKind::Role
        | CheckKind::Jurisdiction { .. }
        | CheckKind::Hold
        | CheckKind::DrillAge
        | CheckKind::Rto
        | CheckKind::Manager
        | CheckKind::Value => Side::Standby,
        CheckKind::Version
        | CheckKind::Identity
        | CheckKind::SinglePrimary
        | CheckKind::Link
        | CheckKind::LossBytes { .. }
        | CheckKind::LossTransactions
        | CheckKind::Apply
        | CheckKind::Lag
        | CheckKind::Canary
        | CheckKind::Slot
        | CheckKind::Errant
        | CheckKind::Unrecoverable
        | CheckKind::Keys { .. }
        | CheckKind::Config => Side::Pair,
    }
}
