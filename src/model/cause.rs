//! Why a check does not pass, in one line for people.

use std::fmt;
use std::time::Duration;

use super::{Unit, duration};

/// What there is to say of a check that does not pass; shown as
/// `orders lag: threshold: 7.2s, limit 5s, seen 3s ago`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cause<'a> {
    /// The probe that answers the check; empty for a question about the group itself.
    pub probe: &'a str,
    /// The check's name.
    pub check: &'a str,
    /// The reason, or what it says where it gives none.
    pub why: &'a str,
    /// The figure of its last result.
    pub value: Option<f64>,
    /// The bound that the figure was held against.
    pub threshold: Option<f64>,
    /// What both are measured in, if that is known.
    pub unit: Option<Unit>,
    /// How long ago its last result was, in seconds.
    pub age_seconds: Option<f64>,
}

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.probe.is_empty() {
            write!(f, "{} ", self.probe)?;
        }
        write!(f, "{}: {}", self.check, self.why)?;
        let value = self.value.map(|value| figure(self.unit, value));
        let limit = self
            .threshold
            .map(|limit| format!("limit {}", figure(self.unit, limit)));
        let age = self
            .age_seconds
            .map(|age| format!("seen {} ago", figure(Some(Unit::Seconds), age)));
        for (place, part) in [value, limit, age].into_iter().flatten().enumerate() {
            write!(f, "{}{part}", if place == 0 { ": " } else { ", " })?;
        }
        Ok(())
    }
}

/// A figure as it is read at a glance: rounded, unlike [`Unit::display`], which reads back.
pub fn figure(unit: Option<Unit>, value: f64) -> String {
    match unit {
        Some(Unit::Seconds) => seconds(value),
        Some(Unit::Bytes) => bytes(value),
        Some(Unit::Ratio) => format!("{}%", rounded(value * 100.0)),
        Some(Unit::Count | Unit::Number) | None => rounded(value),
    }
}

/// `7.2s`, and `1h30m` from a minute and a half on.
fn seconds(value: f64) -> String {
    if value < 90.0 {
        return format!("{}s", rounded(value));
    }
    Duration::try_from_secs_f64(value.round())
        .map_or_else(|_| format!("{value}s"), duration::display)
}

fn bytes(value: f64) -> String {
    let mut value = value;
    let mut units = ["B", "KiB", "MiB", "GiB"].into_iter();
    for unit in units.by_ref() {
        if value < 1024.0 {
            return format!("{}{unit}", rounded(value));
        }
        value /= 1024.0;
    }
    format!("{}TiB", rounded(value))
}

/// To a thousandth, and to a tenth from 10 on.
fn rounded(value: f64) -> String {
    let parts = if value.abs() < 10.0 { 1000.0 } else { 10.0 };
    // Adding zero makes a zero that is below zero one that is not.
    format!("{}", (value * parts).round() / parts + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_there_is() {
        let whole = Cause {
            probe: "orders",
            check: "lag",
            why: "threshold",
            value: Some(7.204_9),
            threshold: Some(5.0),
            unit: Some(Unit::Seconds),
            age_seconds: Some(3.000_2),
        };
        let shown = "orders lag: threshold: 7.205s, limit 5s, seen 3s ago";
        assert_eq!(whole.to_string(), shown);
        let bare = Cause {
            probe: "",
            check: "hold",
            value: None,
            threshold: None,
            unit: None,
            age_seconds: None,
            ..whole
        };
        assert_eq!(bare.to_string(), "hold: threshold");
        let timed = Cause {
            age_seconds: Some(100_000.0),
            ..bare
        };
        let shown = "hold: threshold: seen 1d3h46m40s ago";
        assert_eq!(timed.to_string(), shown);
    }

    #[test]
    fn figures_are_rounded_to_what_matters() {
        for (unit, value, shown) in [
            (Some(Unit::Seconds), 0.0421, "0.042s"),
            (Some(Unit::Seconds), 12.34, "12.3s"),
            (Some(Unit::Seconds), 604_800.4, "7d"),
            (Some(Unit::Seconds), 1e300, &format!("{}s", 1e300)),
            (Some(Unit::Bytes), 512.0, "512B"),
            (Some(Unit::Bytes), 16_777_216.0, "16MiB"),
            (Some(Unit::Bytes), 5e12, "4.547TiB"),
            (Some(Unit::Ratio), 0.07, "7%"),
            (Some(Unit::Ratio), 0.123_46, "12.3%"),
            (Some(Unit::Count), 1000.0, "1000"),
            (None, -0.0001, "0"),
            (None, f64::NAN, "NaN"),
        ] {
            assert_eq!(figure(unit, value), shown, "{unit:?} {value}");
        }
    }

    #[test]
    fn the_units_have_the_names_that_they_have_in_json() {
        for unit in Unit::ALL {
            let json = serde_json::to_value(unit).expect("plain");
            assert_eq!(json, unit.as_str());
        }
    }
}
