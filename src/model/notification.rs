//! What is counted of notifications.

use std::sync::Arc;

/// One receiver's figures, for the metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceiverFigures {
    /// Its name.
    pub receiver: Arc<str>,
    /// Attempts to tell it something that came to their end.
    pub attempts: u64,
    /// Those of them that failed, by reason.
    pub failures: Vec<(&'static str, u64)>,
    /// Deliveries in whose place one with a newer state came.
    pub superseded: u64,
    /// What it was never told, by reason.
    pub dropped: Vec<(&'static str, u64)>,
    /// Changes of what it was told that the store did not take.
    pub not_kept: u64,
    /// Deliveries that it has not taken yet.
    pub deliveries: u64,
    /// Since when the oldest of them waits, in seconds since 1970.
    pub oldest_timestamp_seconds: Option<f64>,
    /// Whether it answers that somebody has to change something first.
    pub rejecting: bool,
}
