//! Where the receivers of notifications stand.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Fingerprint;

/// Where a receiver stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReceiverStatus {
    /// Its name.
    pub receiver: Arc<str>,
    /// Which of its Alertmanagers it is, if it has any.
    pub endpoint: Option<Arc<str>>,
    /// Deliveries that it has not taken yet.
    pub deliveries: usize,
    /// Since when the oldest of them waits, in seconds since 1970.
    pub oldest_timestamp_seconds: Option<f64>,
    /// Since when it answers that somebody has to change something first, in seconds since 1970.
    pub rejecting_since_timestamp_seconds: Option<f64>,
    /// Why the last attempt failed, if it did.
    pub last_error: Option<String>,
    /// The alerts whose state it is to be told and does not know, in the order of the fingerprints.
    pub undelivered: Vec<Fingerprint>,
}
