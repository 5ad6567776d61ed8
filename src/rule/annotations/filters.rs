//! The filters of annotations: figures as people read them.

use minijinja::Environment;
use minijinja::value::Value;
use time::OffsetDateTime;

use super::UNKNOWN;
use crate::model::{Unit, figure};

/// Adds them. What is no number becomes text too.
pub(super) fn add(environment: &mut Environment<'static>) {
    let by_unit = [
        ("seconds", Unit::Seconds),
        ("percent", Unit::Ratio),
        ("bytes", Unit::Bytes),
    ];
    for (name, unit) in by_unit {
        environment.add_filter(name, move |value: Value| {
            number(&value).map_or_else(|| words(&value), |value| shown(Some(unit), value))
        });
    }
    environment.add_filter("timestamp", |value: Value| {
        number(&value).map_or_else(|| words(&value), timestamp)
    });
}

/// A figure as it is read at a glance; of a time below a second, in the unit that people say it in.
pub(super) fn shown(unit: Option<Unit>, value: f64) -> String {
    let milliseconds = value * 1e3;
    match unit {
        Some(Unit::Seconds) if (1e-3..1.0).contains(&value) => {
            format!("{}ms", figure(None, milliseconds))
        }
        Some(Unit::Seconds) if value > 0.0 && value < 1e-3 => {
            format!("{}us", figure(None, milliseconds * 1e3))
        }
        unit => figure(unit, value),
    }
}

fn number(value: &Value) -> Option<f64> {
    if !value.is_number() {
        return None;
    }
    let number = f64::try_from(value.clone()).ok();
    number.filter(|number| number.is_finite())
}

fn words(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => UNKNOWN.to_owned(),
    }
}

/// `2026-11-21 16:05:00 UTC`.
pub(super) fn timestamp(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a number that is too large becomes the largest, which is no time"
    )]
    let time = OffsetDateTime::from_unix_timestamp(seconds as i64);
    let Ok(time) = time else {
        return UNKNOWN.to_owned();
    };
    let (date, (hour, minute, second)) = (time.date(), time.to_hms());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}
