//! The series of a receiver of notifications.

use std::sync::Arc;

use super::page::push_label;
use super::rows::{Subject, families};
use crate::model::ReceiverFigures;

/// One receiver.
#[derive(Debug)]
pub(super) struct ReceiverSeries {
    /// The labels of every sample, rendered.
    pub(super) labels: Arc<str>,
    pub(super) figures: ReceiverFigures,
}

impl Subject for ReceiverSeries {
    fn labels(&self) -> &str {
        &self.labels
    }
}

impl ReceiverSeries {
    pub(super) fn new(figures: ReceiverFigures) -> Self {
        let mut labels = String::new();
        push_label(&mut labels, "receiver", &figures.receiver);
        Self {
            labels: labels.into(),
            figures,
        }
    }
}

families! {
    of ReceiverSeries;

    /// Attempts to tell a receiver something.
    Counter notifications: |r, rows| rows.value(r.figures.attempts);

    /// Attempts to tell a receiver something that failed, by reason; they are made again.
    Counter notification_failures: |r, rows| {
        for (reason, count) in &r.figures.failures {
            rows.with("reason", reason, *count);
        }
    };

    /// Deliveries that were not taken before an alert in them had a newer state, which is told
    /// instead.
    Counter notifications_superseded: |r, rows| rows.value(r.figures.superseded);

    /// What a receiver was never told, by reason.
    Counter notifications_dropped: |r, rows| {
        for (reason, count) in &r.figures.dropped {
            rows.with("reason", reason, *count);
        }
    };

    /// Deliveries that the receiver has not taken yet.
    Gauge outbox_deliveries: |r, rows| rows.value(r.figures.deliveries);

    /// Since when the oldest of these deliveries waits; NaN without one.
    Gauge outbox_oldest_timestamp_seconds: |r, rows| {
        rows.value(r.figures.oldest_timestamp_seconds);
    };

    /// Changes of what a receiver was told for which the state had no room: they are in memory only.
    Counter outbox_not_kept: |r, rows| rows.value(r.figures.not_kept);

    /// Whether the receiver answers that somebody has to change something first: it points
    /// elsewhere, does not let the daemon in, or does not want what it gets.
    Gauge receiver_rejecting: |r, rows| rows.value(r.figures.rejecting);
}
