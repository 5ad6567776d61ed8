//! When something is an alert. A kind of condition is one file in `rule/` and one line here.

mod book;
mod maintenance;
mod mutes;
mod silences;

use std::time::Instant;

pub use self::book::Alerts;
pub use self::maintenance::Maintenance;
pub use self::mutes::{Mutes, Muting};
pub use self::silences::Silences;
use crate::model::{GroupReport, Sample, StandbyReport};

/// What a condition finds when it looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Whether it holds; `None` where nothing can be said, which changes nothing.
    pub holds: Option<bool>,
    /// What was measured.
    pub value: Option<f64>,
    /// From which value on it holds.
    pub threshold: Option<f64>,
}

/// A condition on the runs of one target.
pub trait OfTarget: Send {
    /// Takes in a run of the target.
    fn observe(&mut self, sample: &Sample);

    /// Looks, at `now`.
    fn read(&mut self, now: Instant) -> Reading;
}

/// A condition on what is said of one standby.
pub trait OfStandby: Send {
    /// Looks, at `now`; called about once a second.
    fn read(&mut self, group: &GroupReport, standby: &StandbyReport, now: Instant) -> Reading;
}
