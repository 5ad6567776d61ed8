//! Alerts that are over are forgotten: once every receiver knows, and not at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::lane::Moment;
use super::outbox::Slip;
use crate::model::{Alert, AlertState, Fingerprint};
use crate::rule::Alerts;

/// So long an alert that is over stays in the book: Alertmanagers are told again and again.
const KEPT: Duration = Duration::from_mins(15);

/// Strikes alerts out of the book that nobody is to be told of any more.
pub(super) struct Settling {
    book: Alerts,
    version: watch::Receiver<u64>,
    /// Since when each alert is over.
    over: BTreeMap<Fingerprint, (Arc<Alert>, Instant)>,
    /// Those that may go, and the version of the book in which they were found.
    candidates: Option<(u64, Vec<Arc<Alert>>)>,
}

impl Settling {
    pub(super) fn new(book: &Alerts) -> Self {
        Self {
            version: book.changes(),
            book: book.clone(),
            over: BTreeMap::new(),
            candidates: None,
        }
    }

    /// Settles what was found the last time, if every receiver has looked since and is owed nothing of
    /// it; and looks for more.
    pub(super) fn round(&mut self, receivers: &[Arc<Slip>], moment: Moment) {
        if let Some((version, candidates)) = self.candidates.take() {
            if !receivers
                .iter()
                .all(|slip| slip.lock().seen >= Some(version))
            {
                self.candidates = Some((version, candidates));
                return;
            }
            for alert in candidates {
                if !is_owed(receivers, alert.fingerprint()) {
                    self.book.settle(&alert);
                }
            }
        }
        // Before the book is read: what changes from now on is of a later version.
        let version = *self.version.borrow_and_update();
        let former = std::mem::take(&mut self.over);
        let told = self.book.to_tell().into_iter();
        let over = told.filter(|(_, alert)| alert.state == AlertState::Resolved);
        self.over = over
            .map(|(fingerprint, alert)| {
                let known = former.get(&fingerprint);
                let known = known.filter(|(known, _)| same_episode(known, &alert));
                let since = known.map_or_else(|| since(&alert, moment), |(_, since)| *since);
                (fingerprint, (alert, since))
            })
            .collect();
        let over = self.over.values();
        let candidates: Vec<_> = over
            .filter(|(_, since)| moment.now.saturating_duration_since(*since) >= KEPT)
            .map(|(alert, _)| Arc::clone(alert))
            .collect();
        if !candidates.is_empty() {
            self.candidates = Some((version, candidates));
        }
    }
}

fn is_owed(receivers: &[Arc<Slip>], fingerprint: Fingerprint) -> bool {
    receivers.iter().any(|slip| {
        let told = slip.lock();
        told.status.undelivered.binary_search(&fingerprint).is_ok()
    })
}

fn same_episode(one: &Alert, other: &Alert) -> bool {
    one.start_timestamp_seconds == other.start_timestamp_seconds
}

fn since(alert: &Alert, moment: Moment) -> Instant {
    let end = alert.end_timestamp_seconds;
    end.map_or(moment.now, |end| moment.back(end))
}
