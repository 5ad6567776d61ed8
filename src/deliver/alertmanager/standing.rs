//! Where an Alertmanager stands, for those who read it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{Fingerprint, ReceiverStatus};

/// What one Alertmanager was not told, and why. Its clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Standing(Arc<Mutex<ReceiverStatus>>);

impl Standing {
    /// Nothing is known of this member of a receiver yet.
    pub(super) fn of(receiver: Arc<str>, endpoint: &str) -> Self {
        let status = ReceiverStatus {
            receiver,
            endpoint: Some(endpoint.into()),
            ..ReceiverStatus::default()
        };
        Self(Arc::new(Mutex::new(status)))
    }

    /// As it is now. There are no deliveries: a state is told, and told again.
    pub(super) fn status(&self) -> ReceiverStatus {
        self.lock().clone()
    }

    pub(super) fn untold(&self, alerts: Vec<Fingerprint>) {
        self.lock().undelivered = alerts;
    }

    /// Why the last round failed, if it did.
    pub(super) fn came(&self, error: Option<String>) {
        self.lock().last_error = error;
    }

    /// A panic while the lock was held leaves what is still true.
    fn lock(&self) -> MutexGuard<'_, ReceiverStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
