//! When something is an alert. A kind of condition is one file in `rule/` and one line here.

mod annotations;
mod book;
mod kind;
mod machine;
mod maintenance;
mod mutes;
mod planned;
mod silences;
#[cfg(test)]
mod test_samples;
mod window;

// The kinds, written out, so that rustfmt finds them.
mod certificate;
mod failover;
mod failure_ratio;
mod failures;
mod health;
mod lag;
mod latency;
mod loss;
mod no_standby;
mod rank;
mod readiness;
mod rpo;
mod shift;

use std::time::{Instant, SystemTime};

use serde::Deserialize;

pub use self::annotations::{Annotations, Values};
pub use self::book::Alerts;
pub use self::kind::{
    Beyond, Kind, Measure, NeedOfGroup, NeedOfProbe, Pace, Problem, Scope, Watched,
};
pub use self::machine::{Change, Machine, Timer, Timing};
pub use self::maintenance::Maintenance;
pub use self::mutes::{Mutes, Muting};
pub use self::planned::{About, PlannedRule, WATCHDOG};
pub use self::shift::LONGEST_PAST;
pub use self::silences::Silences;
use crate::model::{GroupReport, PastFigures, Sample, StandbyReport};
use crate::readiness::rank::PastBatch;

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

impl Reading {
    /// A value that is bad above the threshold, and not at it.
    fn above(value: Option<f64>, threshold: f64) -> Self {
        Self {
            holds: value.map(|value| value > threshold),
            value,
            threshold: Some(threshold),
        }
    }

    /// A value that is bad below the threshold, and not at it.
    fn below(value: Option<f64>, threshold: f64) -> Self {
        Self {
            holds: value.map(|value| value < threshold),
            value,
            threshold: Some(threshold),
        }
    }
}

/// What the daemon knows of itself. Counts are since it started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Health {
    /// Whether what it must not forget is on disk.
    pub durable: bool,
    /// How often its clocks were found not to be trusted, for any cause.
    pub tilts: u64,
    /// Outcomes of runs that were lost between the schedule and the counters.
    pub samples_dropped: u64,
    /// Notifications that were given up: too old, or ordered to be.
    pub notifications_dropped: u64,
    /// When the oldest notification that waits for its receiver was made, in seconds since 1970.
    pub oldest_notification_timestamp_seconds: Option<f64>,
    /// Lines of the log that were dropped.
    pub log_lines_dropped: u64,
    /// Runs for which this host had no descriptor, buffer or memory left.
    pub runs_without_resources: u64,
}

#[cfg(test)]
impl Health {
    /// Of a daemon to which nothing has happened.
    pub(crate) const HEALTHY: Self = Self {
        durable: true,
        tilts: 0,
        samples_dropped: 0,
        notifications_dropped: 0,
        oldest_notification_timestamp_seconds: None,
        log_lines_dropped: 0,
        runs_without_resources: 0,
    };
}

/// A condition on the runs of one target.
///
/// There may be tens of thousands: its memory is bounded, and [`OfTarget::read`] is called for each
/// of them once a second and has to be done in well under a microsecond.
pub trait OfTarget: Send {
    /// Takes in a run of the target. Runs that end while the clocks are not trusted are left out.
    fn observe(&mut self, sample: &Sample);

    /// Looks, at `now`.
    fn read(&mut self, now: Instant) -> Reading;

    /// The batch of runs that is over since it was last asked, if another life of the daemon is to know
    /// of it. Asked after each look; the wall clock decides when the batch was.
    fn gathered(&mut self, _now: (Instant, SystemTime)) -> Option<PastBatch> {
        None
    }

    /// Takes the batches that were gathered in earlier lives, before the first run; how many of them
    /// are of use.
    fn remember(&mut self, _past: &[PastBatch]) -> usize {
        0
    }

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

/// A condition on the daemon itself. It is looked at also while the clocks are not trusted.
pub trait OfDaemon: Send {
    /// Looks, at `now`, which is so many seconds since 1970; called about once a second.
    fn read(&mut self, health: &Health, now: Instant, today: f64) -> Reading;

    /// What else there is to say to people, in one line.
    fn detail(&self, _health: &Health) -> Option<String> {
        None
    }
}

/// Declares the kinds: the `when` of a rule is one of them.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident($module:ident),)*) => {
        /// When the alerts of a rule begin and end: the one field of `when`.
        #[derive(Clone, Debug, PartialEq, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum When {
            $($(#[$doc])* $variant($module::Settings),)*
        }

        impl When {
            /// The names of the kinds.
            pub const KINDS: &[&str] = &[$(stringify!($module),)*];

            /// The kind's name.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => stringify!($module),)* }
            }

            /// Its settings.
            pub fn kind(&self) -> &dyn Kind {
                match self { $(Self::$variant(settings) => settings,)* }
            }
        }
    };
}

kinds! {
    /// Runs against a target take long.
    Latency(latency),
    /// Several of the last runs against a target failed.
    Failures(failures),
    /// A share of the runs against a target fails.
    FailureRatio(failure_ratio),
    /// A share of the packets to a target is not answered.
    Loss(loss),
    /// Runs against a target take longer than they did.
    Shift(shift),
    /// A certificate of a target expires soon.
    Certificate(certificate),
    /// A standby is not ready, or that is not known, or its primary is lost.
    Readiness(readiness),
    /// A standby is behind its primary.
    Lag(lag),
    /// A failover to a standby would lose too much.
    Rpo(rpo),
    /// No standby of a group can take over.
    NoStandby(no_standby),
    /// A standby's rank keeps changing.
    Rank(rank),
    /// A group failed over.
    Failover(failover),
    /// Something is wrong with this daemon.
    Health(health),
}
