//! From a look at a database from both sides to looks at a standby's checks.

use std::time::Instant;

use super::Compared;
use super::seen::{beyond, bounded, unknown};
use crate::model::{Bound, CheckKind, CheckReason, PairFigures, PlannedCheck, Sample};
use crate::readiness::{Look, Outcome};

/// What a look at the primary beside a standby says of a check that needs both; `None`: nothing.
pub(super) fn both(
    check: &PlannedCheck,
    figures: &PairFigures,
    seen: Compared<'_>,
) -> Option<Look> {
    let at = seen.sample.ended;
    let counted = |count: Option<u64>, bound| {
        count.map_or_else(
            || unknown(without(seen), at),
            |count| bounded(bound, float(count), at),
        )
    };
    let look = match &check.kind {
        CheckKind::Identity => figures.identity_mismatch.map_or_else(
            || unknown(without(seen), at),
            |mismatch| Look::new(Outcome::bad_if(mismatch, CheckReason::Identity), at),
        ),
        CheckKind::LossBytes { writes } => {
            let written = writes.zip(seen.write_rate);
            let written = written.map(|(time, rate)| time.as_secs_f64() * rate);
            let roomier = |bound: Bound| Bound {
                limit: bound.limit.max(written.unwrap_or(bound.limit)),
                ..bound
            };
            counted(figures.loss_bytes, check.bound.map(roomier))
        }
        CheckKind::LossTransactions => counted(figures.missing_transactions, check.bound),
        CheckKind::Slot => slot(figures, seen),
        CheckKind::Errant => none_of(figures.errant_transactions, CheckReason::Diverged, seen),
        CheckKind::Unrecoverable => none_of(
            figures.unrecoverable_transactions,
            CheckReason::Missing,
            seen,
        ),
        CheckKind::Config => {
            let lower = figures.lower_limits.as_ref();
            none_of(
                lower.map(|lower| lower.len() as u64),
                CheckReason::Mismatch,
                seen,
            )
        }
        CheckKind::Keys { least } => keys(check, *least, figures, seen),
        _ => return None,
    };
    Some(look)
}

/// What a look at a standby says of a check that holds it against what the primary had before.
pub(super) fn against_before(
    check: &PlannedCheck,
    figures: &PairFigures,
    sample: &Sample,
) -> Option<Look> {
    let at = sample.ended;
    let database = sample.facts()?.database.as_deref()?;
    let facts = database.replication.as_deref();
    let paused = facts.is_some_and(|facts| facts.replay_paused == Some(true));
    let reason = if paused {
        CheckReason::Paused
    } else {
        CheckReason::Threshold
    };
    let look = match &check.kind {
        CheckKind::Apply => figures.apply_bytes.map_or_else(
            || unknown(CheckReason::NoValue, at),
            |bytes| beyond(check.bound, float(bytes), reason, at),
        ),
        CheckKind::Lag => figures.lag_ring.map_or_else(
            || unknown(CheckReason::NoPrimary, at),
            |lag| {
                let look = beyond(check.bound, lag.as_secs_f64(), reason, at);
                // At least so late is late, but never in time.
                match look.outcome {
                    Outcome::Ok if figures.lag_ring_at_least => unknown(CheckReason::Undecided, at),
                    _ => look,
                }
            },
        ),
        CheckKind::Canary => {
            let mark = database.canary.as_ref()?.seen.mark;
            match mark {
                Err(withheld) => unknown(withheld.into(), at),
                Ok(_) => canary(check, figures, reason, at),
            }
        }
        _ => return None,
    };
    Some(look)
}

/// A writer that is dead makes no standby late, and a filter makes one late that lacks nothing else.
fn canary(check: &PlannedCheck, figures: &PairFigures, late: CheckReason, at: Instant) -> Look {
    let Some(lag) = figures.lag_canary else {
        return unknown(CheckReason::Writer, at);
    };
    let lacks_nothing_else = figures.lag_ring.is_some_and(|lag| lag.is_zero());
    let reason = if lacks_nothing_else {
        CheckReason::Filtered
    } else {
        late
    };
    if let Some(loss) = figures.rpo_seconds {
        return beyond(check.bound, loss.as_secs_f64(), reason, at);
    }
    // It has shown none yet that this daemon wrote, and lacks at least those that it does not show.
    let look = beyond(check.bound, lag.as_secs_f64(), reason, at);
    match look.outcome {
        Outcome::Ok => unknown(CheckReason::NoValue, at),
        _ => look,
    }
}

/// Whether exactly one member is writable, as far as they were seen. More are bad at first sight,
/// whosever run showed it; that it is one is said once in a round, with the primary's run.
pub(super) fn single_primary(seen: Compared<'_>) -> Option<Look> {
    let at = seen.sample.ended;
    let outcome = match seen.set.writable {
        writable if writable > 1 => Outcome::Bad(CheckReason::SplitBrain),
        _ if !seen.of_primary => return None,
        1 => Outcome::Ok,
        _ if seen.primary.is_some() => Outcome::Bad(CheckReason::Role),
        _ => Outcome::Error(CheckReason::NoPrimary),
    };
    Some(Look {
        value: Some(float(seen.set.writable)),
        ..Look::new(outcome, at)
    })
}

/// Why there is nothing to compare.
fn without(seen: Compared<'_>) -> CheckReason {
    if seen.primary.is_none() {
        CheckReason::NoPrimary
    } else {
        CheckReason::NoValue
    }
}

/// A count that has to be zero.
fn none_of(count: Option<u64>, reason: CheckReason, seen: Compared<'_>) -> Look {
    let at = seen.sample.ended;
    match count {
        None => unknown(without(seen), at),
        Some(count) => Look {
            value: Some(float(count)),
            threshold: Some(0.0),
            ..Look::new(Outcome::bad_if(count > 0, reason), at)
        },
    }
}

/// A standby that uses no slot has none to lose.
fn slot(figures: &PairFigures, seen: Compared<'_>) -> Look {
    let at = seen.sample.ended;
    if seen.primary.is_none() {
        return unknown(CheckReason::NoPrimary, at);
    }
    let lost = figures.slot_lost.unwrap_or(false);
    Look::new(Outcome::bad_if(lost, CheckReason::Missing), at)
}

/// A primary with few keys says nothing by the standby's lack of some.
fn keys(check: &PlannedCheck, least: u64, figures: &PairFigures, seen: Compared<'_>) -> Look {
    let at = seen.sample.ended;
    let Some(primary) = seen.primary else {
        return unknown(CheckReason::NoPrimary, at);
    };
    match (primary.keys, figures.keys_ratio) {
        (Some(keys), _) if keys < least => Look::new(Outcome::Ok, at),
        (_, Some(ratio)) => bounded(check.bound, ratio, at),
        _ => unknown(CheckReason::NoValue, at),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a figure for people; beyond 2^53 it is rounded"
)]
fn float(count: u64) -> f64 {
    count as f64
}
