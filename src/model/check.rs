//! The readiness questions of a group, as they are asked: which, where, and from when on the answer
//! is bad.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{GateKind, duration, size};

/// One readiness question, asked about every standby of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedCheck {
    /// Its name, the value of the label `check`. Unique among those of its probe, and among those of
    /// the group itself.
    pub name: Arc<str>,
    /// The probe that answers it; empty for a question about the group itself.
    pub probe: Arc<str>,
    /// What is asked.
    pub kind: CheckKind,
    /// Beyond which value the answer is bad; `None` where the answer is no number.
    pub bound: Option<Bound>,
    /// What it counts for.
    pub gate: GateKind,
    /// Good answers in a row after which it passes.
    pub rise: NonZeroU32,
    /// Bad answers in a row after which it fails.
    pub fall: NonZeroU32,
    /// The names of the checks of the same probe that it builds on. They come before it.
    pub parents: &'static [&'static str],
}

/// What a check asks.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckKind {
    /// Whether a run against the standby's target succeeds.
    Reachable,
    /// The part of the packets of a ping that is not answered, over a while.
    PacketLoss {
        /// How far back.
        over: Duration,
    },
    /// How long runs against the standby's target take.
    Latency {
        /// Which part of the runs has to be faster than the bound: above 0 and below 1.
        quantile: f64,
        /// How far back.
        over: Duration,
    },
    /// Whether the standby's service answers as it should.
    Healthy,
    /// How long the standby's certificates are valid, the one that expires first.
    Certificate,
    /// For how long the standby has run another version than the primary.
    Version,
    /// Whether the DNS server answers as it should.
    Answers,
    /// The longest that an answer of the DNS server may be kept.
    Ttl,
    /// Whether the standby is a standby, and not writable.
    Role,
    /// Whether the standby is of the primary's cluster.
    Identity,
    /// Whether exactly one member of the group is writable.
    SinglePrimary,
    /// Whether the standby's link to the primary is up, and how long nothing has come over it.
    Link,
    /// Bytes that the primary has and the standby has not received.
    LossBytes {
        /// What the primary writes in this time may be missing too, where that is more than the
        /// bound.
        writes: Option<Duration>,
    },
    /// Transactions that the primary has and the standby has not applied.
    LossTransactions,
    /// Bytes that the standby has received and not applied.
    Apply,
    /// How long ago the primary was first seen beyond what the standby has applied.
    Lag,
    /// The seconds of writes that would be lost, by the canary.
    Canary,
    /// Whether the standby's slot still has the log that it needs.
    Slot,
    /// Whether the standby has transactions that the primary has not.
    Errant,
    /// Whether the primary's logs still have the transactions that the standby lacks.
    Unrecoverable,
    /// The standby's keys per key of the primary.
    Keys {
        /// With fewer keys on the primary, the check passes.
        least: u64,
    },
    /// Whether the parameters that would stop the standby are as large as the primary's.
    Config,
    /// Whether the law that holds in the standby's region is one of those that the group may be
    /// under.
    Jurisdiction {
        /// The standbys' regions in which it is not.
        outside: Vec<Arc<str>>,
    },
    /// Whether somebody holds the standby back.
    Hold,
    /// How long ago a drill last succeeded.
    DrillAge,
    /// How long a failover to the standby would take.
    Rto,
    /// The number that the run against the standby's target came to, its [`super::ValueFacts`].
    /// While a run fails or brings none, the number is not known, and the standby not bad.
    Value,
    /// Whether the standby's HA manager would promote it: it answers, and its
    /// [`super::ManagerFacts`] have no objection.
    Manager,
}

/// On which side of its limit a value is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// Values above the limit are bad.
    Above,
    /// Values below the limit are bad.
    Below,
}

impl Beyond {
    /// The key that sets the limit.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::Below => "below",
        }
    }
}

/// What a bound is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// A part of a whole, 0 to 1.
    Ratio,
    /// A count.
    Count,
    /// Any number.
    Number,
}

impl Unit {
    /// Every unit.
    pub const ALL: [Self; 5] = [
        Self::Seconds,
        Self::Bytes,
        Self::Ratio,
        Self::Count,
        Self::Number,
    ];

    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::Ratio => "ratio",
            Self::Count => "count",
            Self::Number => "number",
        }
    }

    /// Reads a value as it is written in this unit. The error says what was expected.
    pub fn parse(self, text: &str) -> Result<f64, String> {
        match self {
            Self::Seconds => duration::parse(text).map(|value| value.as_secs_f64()),
            Self::Bytes => size::parse(text).map(float),
            Self::Ratio => ratio(text),
            Self::Count => {
                let count = text.parse::<u32>();
                let count = count.map_err(|_| "expected a whole number from 0 on".to_owned());
                count.map(f64::from)
            }
            Self::Number => {
                let number = text.parse().ok().filter(|number: &f64| number.is_finite());
                number.ok_or_else(|| "expected a number".to_owned())
            }
        }
    }

    /// A value of this unit as it would be written.
    pub fn display(self, value: f64) -> String {
        match self {
            Self::Seconds => Duration::try_from_secs_f64(value)
                .map_or_else(|_| value.to_string(), duration::display),
            Self::Bytes => size::display(whole(value)),
            // Rounded to what can be told from a neighbour: 0.07 * 100 is not 7.
            Self::Ratio => format!("{}%", (value * 1e8).round() / 1e6),
            Self::Count | Self::Number => value.to_string(),
        }
    }
}

/// The value beyond which a check is bad.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// On which side of the limit.
    pub beyond: Beyond,
    /// What it is measured in.
    pub unit: Unit,
    /// The last value that is good.
    pub limit: f64,
    /// From which value on a scored check is worth less than everything, on the good side of the
    /// limit, at which it is worth nothing. `None`: it is worth everything up to the limit.
    pub warn: Option<f64>,
}

impl Bound {
    /// Whether a value is within the bound. One that is no number is not.
    pub fn admits(&self, value: f64) -> bool {
        match self.beyond {
            Beyond::Above => value <= self.limit,
            Beyond::Below => value >= self.limit,
        }
    }

    /// Whether a value comes before the limit, so that it can warn of it.
    pub fn warns_at(&self, value: f64) -> bool {
        match self.beyond {
            Beyond::Above => value < self.limit,
            Beyond::Below => value > self.limit,
        }
    }
}

/// `above 5%, warn 1%`.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            beyond,
            unit,
            limit,
            warn,
        } = *self;
        write!(f, "{} {}", beyond.as_str(), unit.display(limit))?;
        let warn = warn.map(|warn| unit.display(warn));
        warn.iter().try_for_each(|warn| write!(f, ", warn {warn}"))
    }
}

/// Reads a percentage from 0 to 100.
fn ratio(text: &str) -> Result<f64, String> {
    let expected = || "expected a percentage like 5% or 0.5%".to_owned();
    let percent = text
        .strip_suffix('%')
        .and_then(|number| number.parse().ok());
    let percent: Option<f64> = percent.filter(|percent| (0.0..=100.0).contains(percent));
    let percent = percent.ok_or_else(expected)?;
    // Shifted as it is written: 99.9 / 100 is not 0.999.
    format!("{percent}e-2").parse().map_err(|_| expected())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a threshold; beyond 2^53 bytes it is rounded"
)]
const fn float(bytes: u64) -> f64 {
    bytes as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a size that was read as a whole number"
)]
const fn whole(bytes: f64) -> u64 {
    bytes as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back_as_they_are_shown() {
        for (unit, text, value) in [
            (Unit::Seconds, "250ms", 0.25),
            (Unit::Seconds, "100ms", 0.1),
            (Unit::Seconds, "180d", 15_552_000.0),
            (Unit::Bytes, "64MiB", 67_108_864.0),
            (Unit::Ratio, "5%", 0.05),
            (Unit::Ratio, "7%", 0.07),
            (Unit::Ratio, "0.5%", 0.005),
            (Unit::Ratio, "100%", 1.0),
            (Unit::Count, "1000", 1000.0),
            (Unit::Number, "1.2", 1.2),
            (Unit::Number, "-3", -3.0),
        ] {
            let read = unit.parse(text).expect("good");
            assert!((read - value).abs() < 1e-12, "{text}: {read}");
            assert_eq!(unit.display(read), text);
        }
    }

    #[test]
    fn a_percentage_is_the_number_nearest_to_what_is_written() {
        for (text, ratio) in [("99.9%", "0.999"), ("99.99%", "0.9999"), ("7%", "0.07")] {
            assert_eq!(
                Unit::Ratio.parse(text).map(|v| v.to_string()),
                Ok(ratio.into())
            );
        }
    }

    #[test]
    fn values_of_other_units_are_refused() {
        for (unit, texts) in [
            (Unit::Seconds, ["5", "5%", "5MiB"].as_slice()),
            (Unit::Bytes, &["5", "5s", "5MB", "-5MiB"]),
            (Unit::Ratio, &["0.05", "5 %", "101%", "-1%", "NaN%", "%"]),
            (Unit::Count, &["1.5", "-1", "5%", "1e3", ""]),
            (Unit::Number, &["5s", "NaN", "inf", "", "1,5"]),
        ] {
            for text in texts {
                assert!(unit.parse(text).is_err(), "{unit:?} {text}");
            }
        }
    }

    #[test]
    fn a_limit_is_the_last_good_value_and_nothing_is_no_good_value() {
        let bound = |beyond| Bound {
            beyond,
            unit: Unit::Number,
            limit: 1.0,
            warn: None,
        };
        for (value, above, below) in [
            (0.9, true, false),
            (1.0, true, true),
            (1.1, false, true),
            (f64::NAN, false, false),
        ] {
            assert_eq!(bound(Beyond::Above).admits(value), above, "{value}");
            assert_eq!(bound(Beyond::Below).admits(value), below, "{value}");
        }
    }
}
