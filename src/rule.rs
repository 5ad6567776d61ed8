//! When something is an alert. A kind of condition is one file in `rule/` and one line here.

mod annotations;
mod book;
mod machine;
mod planned;

use std::time::Instant;

pub use self::annotations::{Annotations, Values};
pub use self::book::Alerts;
pub use self::machine::{Change, Machine, Timer, Timing};
pub use self::planned::{About, PlannedRule, Severity, WATCHDOG};
use crate::model::{GroupReport, PastFigures, Sample, StandbyReport};

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

/// When the alerts of a rule begin and end. The kinds follow.
#[derive(Clone, Debug)]
pub enum When {}

/// A condition on the runs of one target.
///
/// There may be tens of thousands: its memory is bounded, and [`OfTarget::read`] is called for each
/// of them once a second and has to be done in well under a microsecond.
pub trait OfTarget: Send {
    /// Takes in a run of the target. Runs that end while the clocks are not trusted are left out.
    fn observe(&mut self, sample: &Sample);

    /// Looks, at `now`.
    fn read(&mut self, now: Instant) -> Reading;

    /// What else there is to say to people, in one line: the annotation variable `detail`.
    fn detail(&self) -> Option<String> {
        None
    }
}

/// A condition on what is said of one standby.
pub trait OfStandby: Send {
    /// Looks, at `now`; called about once a second.
    fn read(&mut self, group: &GroupReport, standby: &StandbyReport, now: Instant) -> Reading;

    /// What else there is to say to people, in one line: by default, why it is not ready.
    fn detail(&self, _group: &GroupReport, standby: &StandbyReport) -> Option<String> {
        standby.reasons.first().map(|_| standby.line())
    }
}

/// A condition on a group as a whole.
pub trait OfGroup: Send {
    /// Looks, at `now`; called about once a second. The wall clock is in the report.
    fn read(&mut self, group: &GroupReport, past: &PastFigures, now: Instant) -> Reading;

    /// What else there is to say to people, in one line.
    fn detail(&self, _group: &GroupReport, _past: &PastFigures) -> Option<String> {
        None
    }
}
