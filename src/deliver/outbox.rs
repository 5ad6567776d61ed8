//! What the deliveries have come to, for those who read it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{Beat, ReceiverFigures, ReceiverStatus};
use crate::notify::RefusalReason;

/// Deliveries and states of alerts that a receiver was never told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    /// Deliveries that grew too old.
    pub(super) age: u64,
    /// Deliveries whose receiver was taken out of the configuration.
    pub(super) operator: u64,
    /// Alerts that are too long for any message.
    pub(super) size: u64,
    /// Alerts that are over, it seems, and not in the book any more.
    pub(super) lost: u64,
}

/// What is counted for a receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Attempts that came to their end.
    pub(super) attempts: u64,
    /// Those of them that failed, in the order of the reasons.
    pub(super) failures: [u64; RefusalReason::ALL.len()],
    pub(super) superseded: u64,
    pub(super) dropped: Dropped,
    /// Changes of lanes that the store did not take.
    pub(super) not_kept: u64,
}

/// The reasons of [`Dropped`], as the label `reason` has them.
pub const DROPPED: [&str; 4] = ["age", "operator", "size", "lost"];

impl Counts {
    pub(super) fn failed(&mut self, reason: RefusalReason) {
        let place = RefusalReason::ALL.iter().position(|r| *r == reason);
        if let Some(count) = place.and_then(|place| self.failures.get_mut(place)) {
            *count += 1;
        }
    }
}

/// What one receiver's task tells.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) status: ReceiverStatus,
    pub(super) counts: Counts,
    /// The version of the book that it has seen.
    pub(super) seen: Option<u64>,
}

/// Where a receiver's task tells it.
#[derive(Debug, Default)]
pub(super) struct Slip(Mutex<Told>);

impl Slip {
    pub(super) fn of(receiver: Arc<str>) -> Self {
        let status = ReceiverStatus {
            receiver,
            ..ReceiverStatus::default()
        };
        Self(Mutex::new(Told {
            status,
            ..Told::default()
        }))
    }

    /// A panic while the lock was held leaves what is still true.
    pub(super) fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is on its way to the receivers, for all who read it. Its clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Outbox(Arc<Mutex<Listed>>);

/// Who tells, as it is configured now.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    pub(super) slips: Vec<Arc<Slip>>,
    /// Signs of life, with their names.
    pub(super) beats: Vec<(String, Arc<Beat>)>,
}

impl Outbox {
    pub(super) fn list(&self, listed: Listed) {
        *self.lock() = listed;
    }

    /// Where each receiver stands, in the order of the configuration. One that was taken out of it
    /// follows until the configuration changes again, if something was on its way to it.
    pub fn receivers(&self) -> Vec<ReceiverStatus> {
        let slips = self.listed().slips.into_iter();
        slips.map(|slip| slip.lock().status.clone()).collect()
    }

    /// What is counted, for the metrics, in the same order.
    pub fn figures(&self) -> Vec<ReceiverFigures> {
        let slips = self.listed().slips.into_iter();
        slips.map(|slip| figures(&slip.lock())).collect()
    }

    /// Signs of life, with their names: of each receiver's task, and of what oversees them. A
    /// receiver that does not answer stops none of them.
    pub fn beats(&self) -> Vec<(String, Arc<Beat>)> {
        self.listed().beats
    }

    fn listed(&self) -> Listed {
        self.lock().clone()
    }

    /// It is replaced as a whole.
    fn lock(&self) -> MutexGuard<'_, Listed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn figures(told: &Told) -> ReceiverFigures {
    let Told { status, counts, .. } = told;
    let Dropped {
        age,
        operator,
        size,
        lost,
    } = counts.dropped;
    let reasons = RefusalReason::ALL.map(RefusalReason::as_str);
    ReceiverFigures {
        receiver: Arc::clone(&status.receiver),
        attempts: counts.attempts,
        failures: reasons.into_iter().zip(counts.failures).collect(),
        superseded: counts.superseded,
        dropped: DROPPED
            .into_iter()
            .zip([age, operator, size, lost])
            .collect(),
        not_kept: counts.not_kept,
        deliveries: status.deliveries as u64,
        oldest_timestamp_seconds: status.oldest_timestamp_seconds,
        rejecting: status.rejecting_since_timestamp_seconds.is_some(),
    }
}
