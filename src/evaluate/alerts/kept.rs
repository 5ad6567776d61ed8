//! What must not be forgotten of an alert beyond what the book says of it.

use serde::{Deserialize, Serialize};
use tracing::error;

use crate::model::Fingerprint;
use crate::rule::Timer;
use crate::store::{Entry, Store};

/// The timer of an alert. It is written when its condition begins or ceases to be seen to hold, and
/// not while time passes.
///
/// Without one, the condition of a pending alert has been seen to hold since it is active, and that
/// of a firing one is seen to hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct KeptTimer {
    /// The alert.
    pub(super) alert: Fingerprint,
    /// Its timer.
    pub(super) timer: Timer,
    /// When that was, in seconds since 1970.
    pub(super) timestamp_seconds: f64,
}

impl Entry for KeptTimer {
    const TABLE: &'static str = "alert_timers";

    fn id(&self) -> String {
        self.alert.to_string()
    }
}

/// Keeps the timer of an alert, or none.
pub(super) fn keep(store: &Store, alert: Fingerprint, timer: Option<&KeptTimer>) {
    let kept = match timer {
        Some(timer) => store.put(timer),
        None => store.remove::<KeptTimer>(&alert.to_string()),
    };
    if let Err(error) = kept {
        error!(%alert, %error, "the timer of an alert is kept in memory only");
    }
}
