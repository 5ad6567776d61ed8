//! How long a failover would take, stage by stage.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes a second that a standby applies, where it was never seen at work: one segment of
/// `PostgreSQL`'s log.
pub const APPLY: f64 = 16.0 * 1024.0 * 1024.0;

/// Rates that are kept.
const RATES: usize = 64;

/// Rates without which none is told.
const MIN_RATES: usize = 5;

/// Whether a figure was seen or taken for granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// It follows from what was seen.
    Measured,
    /// It follows from a setting or a default.
    Assumed,
}

impl Basis {
    /// The value of the label `basis`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Assumed => "assumed",
        }
    }
}

/// A part of a failover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Until the loss of the primary is noticed.
    Detect,
    /// Until the decision.
    Decide,
    /// The promotion of the database.
    Promote,
    /// What the database has received and must apply before.
    Apply,
    /// Fetching the image of the application.
    Pull,
    /// Starting the application.
    Start,
    /// Until clients have the new address.
    Dns,
    /// Until the new side is as fast as it should be.
    Warm,
    /// All of it.
    Total,
}

impl Stage {
    /// The value of the label `stage`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Detect => "detect",
            Self::Decide => "decide",
            Self::Promote => "promote",
            Self::Apply => "apply",
            Self::Pull => "pull",
            Self::Start => "start",
            Self::Dns => "dns",
            Self::Warm => "warm",
            Self::Total => "total",
        }
    }
}

/// What a stage takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// So long, and how that is known.
    Takes(Duration, Basis),
    /// The group has no such stage.
    NotApplicable,
    /// It was to be measured and is not: the total is not known either.
    Unknown,
}

impl Time {
    /// The time where it is known.
    pub const fn known(self) -> Option<Duration> {
        match self {
            Self::Takes(time, _) => Some(time),
            Self::NotApplicable | Self::Unknown => None,
        }
    }

    fn then(self, next: Self) -> Self {
        self.joined(next, Duration::saturating_add)
    }

    /// Both at once: the longer of the two.
    #[must_use]
    pub fn beside(self, other: Self) -> Self {
        self.joined(other, Duration::max)
    }

    /// Both as one, which is measured only if both are.
    fn joined(self, other: Self, join: fn(Duration, Duration) -> Duration) -> Self {
        match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::NotApplicable, one) | (one, Self::NotApplicable) => one,
            (Self::Takes(a, Basis::Measured), Self::Takes(b, Basis::Measured)) => {
                Self::Takes(join(a, b), Basis::Measured)
            }
            (Self::Takes(a, _), Self::Takes(b, _)) => Self::Takes(join(a, b), Basis::Assumed),
        }
    }
}

/// An estimate of the time to recover: `detect + decide + max(promote + apply, pull + start) + dns +
/// warm`, for the database and the application come up side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rto {
    /// See [`Rto::detected`].
    pub detect: Time,
    /// A setting.
    pub decide: Time,
    /// See [`Rto::promoted`].
    pub promote: Time,
    /// See [`Rto::applied`].
    pub apply: Time,
    /// The image's compressed bytes by the measured throughput.
    pub pull: Time,
    /// A setting.
    pub start: Time,
    /// The time to live of the address.
    pub dns: Time,
    /// A setting.
    pub warm: Time,
}

impl Rto {
    /// The time until a loss is noticed: `fall` failed runs, the last of which ends by its deadline.
    pub fn detected(fall: u32, interval: Duration, timeout: Duration) -> Time {
        let time = interval.saturating_mul(fall).saturating_add(timeout);
        Time::Takes(time, Basis::Assumed)
    }

    /// The time that nine in ten of the promotions that were seen did not exceed, or else the
    /// assumed one.
    pub fn promoted(seen: &[Duration], assumed: Duration) -> Time {
        let mut seen = seen.to_vec();
        seen.sort_unstable();
        let p90 = seen.get((seen.len() * 9).div_ceil(10).saturating_sub(1));
        p90.map_or(Time::Takes(assumed, Basis::Assumed), |time| {
            Time::Takes(*time, Basis::Measured)
        })
    }

    /// The time to apply what is received, at a rate (in bytes a second) that was seen, or else at
    /// the assumed one.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn applied(unapplied_bytes: Option<u64>, seen: Option<f64>, assumed: f64) -> Time {
        let Some(bytes) = unapplied_bytes else {
            return Time::Unknown;
        };
        let (rate, basis) = match seen {
            _ if bytes == 0 => return Time::Takes(Duration::ZERO, Basis::Measured),
            Some(rate) => (rate, Basis::Measured),
            None => (assumed, Basis::Assumed),
        };
        let time = Duration::try_from_secs_f64(bytes as f64 / rate);
        Time::Takes(time.unwrap_or(Duration::MAX), basis)
    }

    /// Every stage, the total last.
    pub fn stages(&self) -> [(Stage, Time); 9] {
        [
            (Stage::Detect, self.detect),
            (Stage::Decide, self.decide),
            (Stage::Promote, self.promote),
            (Stage::Apply, self.apply),
            (Stage::Pull, self.pull),
            (Stage::Start, self.start),
            (Stage::Dns, self.dns),
            (Stage::Warm, self.warm),
            (Stage::Total, self.total()),
        ]
    }

    /// The whole.
    pub fn total(&self) -> Time {
        let database = self.promote.then(self.apply);
        let application = self.pull.then(self.start);
        self.detect
            .then(self.decide)
            .then(database.beside(application))
            .then(self.dns)
            .then(self.warm)
    }
}

/// How fast a standby applies what it has received.
///
/// Only what it does while it has work for the whole time between two looks tells that: a standby
/// that keeps up applies as slowly as its primary writes.
#[derive(Debug, Default)]
pub struct ApplyRate {
    last: Option<Look>,
    /// Bytes a second, oldest first.
    rates: VecDeque<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    applied: u64,
    waiting: u64,
}

impl ApplyRate {
    /// Takes a look: how many bytes were applied, and how many were received and not applied.
    ///
    /// A time without progress is not counted: it is stopped or stuck, not slow, and that is for its
    /// own check to tell. A position that went back is another history.
    pub fn look(&mut self, at: Instant, applied: u64, waiting: u64) {
        let look = Look {
            at,
            applied,
            waiting,
        };
        if let Some(rate) = self.last.replace(look).and_then(|last| last.rate(look)) {
            if self.rates.len() == RATES {
                self.rates.pop_front();
            }
            self.rates.push_back(rate);
        }
    }

    /// Bytes a second that nine in ten of the last 64 rates exceed. `None`: fewer than 5 were seen.
    pub fn slow(&self) -> Option<f64> {
        let mut rates: Vec<_> = self.rates.iter().copied().collect();
        rates.sort_unstable_by(f64::total_cmp);
        let tenth = rates.len().div_ceil(10);
        (rates.len() >= MIN_RATES).then(|| rates[tenth - 1])
    }
}

impl Look {
    /// The rate up to a later look, if there was work all the time.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn rate(self, later: Self) -> Option<f64> {
        let done = later.applied.checked_sub(self.applied)?;
        let time = later.at.saturating_duration_since(self.at).as_secs_f64();
        let busy = done > 0 && done <= self.waiting && later.waiting > 0 && time > 0.0;
        busy.then(|| done as f64 / time)
    }
}

#[cfg(test)]
mod tests;
