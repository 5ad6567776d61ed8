//! The series of an Alertmanager: what it was told, after Prometheus' notifier.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::buckets::{Buckets, Histogram};
use super::page::push_label;
use super::rows::{Subject, families};

/// Bounds of how long a request took, in seconds: from one in the same rack to the longest that is
/// waited for.
const LATENCY: [f64; 9] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// One Alertmanager of one receiver: whoever tells it counts here.
#[derive(Debug)]
pub struct AlertmanagerSeries {
    /// The labels of every sample, rendered.
    labels: Arc<str>,
    buckets: Buckets,
    figures: Mutex<Figures>,
}

#[derive(Debug)]
struct Figures {
    sent: u64,
    errors: u64,
    dropped: u64,
    queue: u64,
    latency: Histogram,
}

impl Subject for Arc<AlertmanagerSeries> {
    fn labels(&self) -> &str {
        &self.labels
    }
}

impl AlertmanagerSeries {
    pub(super) fn new(receiver: &str, endpoint: &str) -> Result<Self, String> {
        let mut labels = String::new();
        push_label(&mut labels, "receiver", receiver);
        push_label(&mut labels, "endpoint", endpoint);
        let buckets = Buckets::new(&LATENCY)?;
        let figures = Figures {
            sent: 0,
            errors: 0,
            dropped: 0,
            queue: 0,
            latency: Histogram::new(&buckets),
        };
        Ok(Self {
            labels: labels.into(),
            buckets,
            figures: Mutex::new(figures),
        })
    }

    pub(super) fn shared_labels(&self) -> Arc<str> {
        Arc::clone(&self.labels)
    }

    /// Counts a request that was answered, or given up, after this time.
    pub fn request(&self, after: Duration) {
        self.figures().latency.observe(&self.buckets, after);
    }

    /// Counts alerts in a request that was answered well.
    pub fn sent(&self, alerts: usize) {
        self.figures().sent += alerts as u64;
    }

    /// Counts alerts in a request that failed.
    pub fn failed(&self, alerts: usize) {
        self.figures().errors += alerts as u64;
    }

    /// Counts an alert that the Alertmanager does not want.
    pub fn dropped(&self) {
        self.figures().dropped += 1;
    }

    /// Says how many alerts it has still to be told of.
    pub fn queue(&self, alerts: usize) {
        self.figures().queue = alerts as u64;
    }

    /// A panic while the lock was held leaves numbers that are still numbers.
    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

families! {
    of Arc<AlertmanagerSeries>;

    /// Alerts in requests that the Alertmanager took. One that lasts is sent every minute.
    Counter alertmanager_alerts_sent: |a, rows| rows.value(a.figures().sent);

    /// Alerts in requests to the Alertmanager that failed. They are sent again.
    Counter alertmanager_errors: |a, rows| rows.value(a.figures().errors);

    /// Alerts that the Alertmanager refuses as not valid. They are tried again after 15 minutes, or once they change.
    Counter alertmanager_alerts_dropped: |a, rows| rows.value(a.figures().dropped);

    /// How long requests to the Alertmanager took, answered or not.
    Histogram alertmanager_latency_seconds: |a, rows| {
        rows.histogram(&[], &a.buckets, &a.figures().latency);
    };

    /// Alerts with a change that the Alertmanager was not told yet.
    Gauge alertmanager_queue_length: |a, rows| rows.value(a.figures().queue);
}
