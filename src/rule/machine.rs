//! What becomes of a condition that holds: an alert that is pending, fires, and is over.

use std::time::Duration;

/// For how long a condition has to hold, and to be over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// For how long it has to be seen to hold before the alert fires (`for`); zero: it fires at once.
    pub pending: Duration,
    /// For how long it has to be over before the alert is, counted from when it was last seen to
    /// hold (`keep_firing_for`).
    pub keep_firing: Duration,
}
