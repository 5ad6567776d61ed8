//! The series of a group: its failovers and its drills.

use std::sync::Arc;

use super::page::push_label;
use super::rows::{Subject, families};
use crate::model::{DrillKind, Failover, PastFigures};

/// One group, seen from a region.
#[derive(Debug)]
pub(super) struct GroupSeries {
    /// The labels of every sample, rendered.
    pub(super) labels: Arc<str>,
    pub(super) figures: PastFigures,
}

impl Subject for GroupSeries {
    fn labels(&self) -> &str {
        &self.labels
    }
}

impl GroupSeries {
    pub(super) fn new(group: &str, source_region: &str) -> Self {
        let mut labels = String::new();
        push_label(&mut labels, "group", group);
        push_label(&mut labels, "source_region", source_region);
        Self {
            labels: labels.into(),
            figures: PastFigures::default(),
        }
    }

    fn last<T>(&self, of: impl Fn(&Failover) -> Option<T>) -> Option<T> {
        self.figures.last.as_ref().and_then(of)
    }
}

families! {
    of GroupSeries;

    /// Failovers that this run of the daemon saw: whether they were planned, and part of a drill.
    Counter failover_events: |g, rows| {
        for (planned, counts) in ["false", "true"].into_iter().zip(g.figures.failovers) {
            for (drill, count) in ["false", "true"].into_iter().zip(counts) {
                rows.more(&[",planned=\"", planned, "\",drill=\"", drill, "\""], count);
            }
        }
    };

    /// When the new primary of the last failover was first seen writable; NaN without one.
    Gauge failover_last_timestamp_seconds: |g, rows| {
        rows.value(g.last(|last| Some(last.timestamp_seconds)));
    };

    /// For how long nothing could be written at the last failover: up to two intervals and a run's
    /// time too long.
    Gauge failover_last_rto_write_seconds: |g, rows| {
        rows.value(g.last(|last| Some(last.rto_write_seconds)));
    };

    /// The longest time for which the users' path failed from here around the last failover; NaN
    /// where it is not known.
    Gauge failover_last_rto_user_seconds: |g, rows| {
        rows.value(g.last(|last| last.rto_user_seconds));
    };

    /// Seconds of writes that the last failover lost, by the canary; NaN where it is not known.
    Gauge failover_last_rpo_seconds: |g, rows| rows.value(g.last(|last| last.rpo_seconds));

    /// Acknowledged canaries that the last failover lost; NaN where it is not known.
    Gauge failover_last_rpo_writes: |g, rows| rows.value(g.last(|last| last.rpo_writes));

    /// When a drill was last finished with every standby ready; NaN if none was.
    Gauge drill_last_success_timestamp_seconds: |g, rows| {
        for (kind, last) in DrillKind::ALL.into_iter().zip(g.figures.succeeded) {
            rows.with("kind", kind.as_str(), last);
        }
    };

    /// Whether a drill is under way: announced and neither finished nor aborted.
    Gauge drill_in_progress: |g, rows| {
        for kind in DrillKind::ALL {
            let open = g.figures.open.is_some_and(|(open, _)| open == kind);
            rows.with("kind", kind.as_str(), open);
        }
    };

    /// When the drill under way is to be over; NaN without one.
    Gauge drill_deadline_timestamp_seconds: |g, rows| {
        for kind in DrillKind::ALL {
            let open = g.figures.open.filter(|(open, _)| *open == kind);
            rows.with("kind", kind.as_str(), open.map(|(_, deadline)| deadline));
        }
    };
}
