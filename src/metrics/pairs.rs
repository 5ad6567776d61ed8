//! The series of a pair: a standby, looked at together with its primary.

use std::sync::Arc;
use std::time::Duration;

use super::buckets::{Buckets, Histogram};
use super::engine::{BYTES, Engine, KEYS, REPLAY, SLOTS, TIMELINES, TRANSACTIONS};
use super::page::push_label;
use super::rows::{Subject, families};
use super::sets::SetSeries;
use crate::model::{PairFigures, StandbyLimits};

/// One standby's figures.
#[derive(Debug)]
pub(super) struct PairSeries {
    /// The labels of every sample, rendered.
    pub(super) labels: Arc<str>,
    engine: Engine,
    pub(super) figures: PairFigures,
    /// None without a canary.
    canary: Option<Visibility>,
}

/// How long canaries took to be seen.
#[derive(Debug)]
struct Visibility {
    buckets: Arc<Buckets>,
    histogram: Histogram,
}

impl Subject for PairSeries {
    fn labels(&self) -> &str {
        &self.labels
    }
}

impl PairSeries {
    pub(super) fn new(set: &SetSeries, standby: &str) -> Self {
        let mut labels = String::from(&*set.labels);
        push_label(&mut labels, "standby", standby);
        Self {
            labels: labels.into(),
            engine: set.engine,
            figures: PairFigures::default(),
            canary: set.visibility.as_ref().map(|buckets| Visibility {
                histogram: Histogram::new(buckets),
                buckets: Arc::clone(buckets),
            }),
        }
    }

    /// Goes on counting the canaries that the same pair showed before.
    pub(super) fn take_over(&mut self, former: Self) {
        let same = self.engine == former.engine;
        if let (true, Some(canary), Some(former)) = (same, &mut self.canary, former.canary) {
            canary.histogram = former.histogram;
        }
    }

    /// Counts a canary that was seen so long after its acknowledgement. False if the set has none.
    pub(super) fn visible(&mut self, after: Duration) -> bool {
        let Some(canary) = &mut self.canary else {
            return false;
        };
        canary.histogram.observe(&canary.buckets, after);
        true
    }
}

families! {
    of PairSeries;

    /// Bytes that the primary has and the standby has not received: lost if the primary died now.
    /// At most; never less.
    Gauge replication_loss_bytes: |p, rows| if p.engine.among(BYTES) {
        rows.value(p.figures.loss_bytes);
    };

    /// Bytes that the standby has received and not applied: they delay its promotion.
    Gauge replication_apply_bytes: |p, rows| if p.engine.among(BYTES) {
        rows.value(p.figures.apply_bytes);
    };

    /// Transactions that the primary has and the standby has not applied.
    Gauge replication_missing_transactions: |p, rows| if p.engine.among(TRANSACTIONS) {
        rows.value(p.figures.missing_transactions);
    };

    /// Transactions that only the standby has: a promotion would diverge.
    Gauge replication_errant_transactions: |p, rows| if p.engine.among(TRANSACTIONS) {
        rows.value(p.figures.errant_transactions);
    };

    /// Missing transactions that the standby has not received and the primary's logs do not have
    /// any more: it can never catch up.
    Gauge replication_unrecoverable_transactions: |p, rows| if p.engine.among(TRANSACTIONS) {
        rows.value(p.figures.unrecoverable_transactions);
    };

    /// How far the standby is behind, by three methods: ring (since when the primary was seen
    /// beyond it), canary (since when one is acknowledged and not seen), native (what the standby
    /// itself says: of PostgreSQL the age of what was replayed last, of MySQL and MariaDB a figure
    /// that is 0 while nothing arrives).
    Gauge replication_lag_seconds: |p, rows| {
        rows.with("method", "ring", p.figures.lag_ring);
        if p.canary.is_some() {
            rows.with("method", "canary", p.figures.lag_canary);
        }
        if p.engine.among(REPLAY) {
            rows.with("method", "native", p.figures.lag_native);
        }
    };

    /// Whether the standby and the primary belong to different clusters.
    Gauge db_identity_mismatch: |p, rows| rows.value(p.figures.identity_mismatch);

    /// Bytes of log that the primary keeps for the standby's slot.
    Gauge replication_slot_retained_bytes: |p, rows| if p.engine.among(SLOTS) {
        rows.value(p.figures.slot_retained_bytes);
    };

    /// Whether the standby's slot lost log that the standby needs, or is about to.
    Gauge replication_slot_lost: |p, rows| if p.engine.among(SLOTS) {
        rows.value(p.figures.slot_lost);
    };

    /// Whether a parameter of the standby is smaller than that of its primary, so that the standby
    /// could not start or would stop replaying; NaN if they are not known of both.
    Gauge db_parameter_too_low: |p, rows| if p.engine.among(TIMELINES) {
        for parameter in StandbyLimits::NAMES {
            let lower = p.figures.lower_limits.as_ref();
            rows.with("parameter", parameter, lower.map(|lower| lower.contains(&parameter)));
        }
    };

    /// The standby's keys per key of the primary; NaN while the primary has none.
    Gauge db_keys_ratio: |p, rows| if p.engine.among(KEYS) {
        rows.value(p.figures.keys_ratio);
    };

    /// The number of the newest canary that the standby shows.
    Gauge canary_seen_seq: |p, rows| if p.canary.is_some() {
        rows.value(p.figures.canary_seen_seq);
    };

    /// From the acknowledgement of a canary to when the standby was seen to show it: at most, as it
    /// is looked for once in an interval.
    Histogram canary_visibility_seconds: |p, rows| if let Some(canary) = &p.canary {
        rows.histogram(&[], &canary.buckets, &canary.histogram);
    };

    /// Seconds of writes that would be lost if the primary died now, from the canary: at most.
    Gauge rpo_estimate_seconds: |p, rows| if p.canary.is_some() {
        rows.value(p.figures.rpo_seconds);
    };

    /// Bytes of writes that would be lost if the primary died now: at most.
    Gauge rpo_estimate_bytes: |p, rows| if p.engine.among(BYTES) {
        rows.value(p.figures.loss_bytes);
    };
}
