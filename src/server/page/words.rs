//! Figures and moments as people read them. `page.js` writes ages in the same words as time goes on.

use std::fmt::Write as _;

use minijinja::value::Value;
use minijinja::{Environment, State};

use crate::model::{self, Outcome, Unit};

/// What stands where nothing is known.
const NONE: &str = "–";

/// Gives the templates their words. Of the context they take `now`, in seconds since 1970.
pub(super) fn add_to(environment: &mut Environment<'static>) {
    environment.add_filter("when", when);
    environment.add_filter("seconds", |value: Option<f64>| {
        value.map_or_else(|| NONE.to_owned(), seconds)
    });
    environment.add_filter("latency", |value: Option<f64>| {
        value.map_or_else(|| NONE.to_owned(), latency)
    });
    environment.add_filter("percent", |value: Option<f64>| {
        value.map_or_else(|| NONE.to_owned(), percent)
    });
    environment.add_filter("bytes", |value: Option<f64>| {
        value.map_or_else(|| NONE.to_owned(), |value| figure(Some(Unit::Bytes), value))
    });
    environment.add_filter("segment", |text: &str| segment(text));
    environment.add_filter("words", words);
}

/// How a target is by its last run: the class that it is drawn in, and the word.
pub(super) const fn state(last: Option<Outcome>) -> (&'static str, &'static str) {
    match last {
        Some(Outcome::Success) => ("ready", "up"),
        Some(Outcome::Failure) => ("not-ready", "down"),
        Some(Outcome::Unknown) => ("unknown", "unknown"),
        None => ("none", "not run yet"),
    }
}

/// The same of a run that ended so many seconds ago, of which one is due each `interval`. As with the checks,
/// two that do not come say nothing yet, and then what was before is told of the past alone.
pub(super) fn state_now(
    last: Option<(Outcome, f64)>,
    interval: f64,
    timeout: f64,
) -> (&'static str, &'static str) {
    match last {
        Some((_, age)) if age > interval * 3.0 + timeout => ("unknown", "not run lately"),
        last => state(last.map(|(outcome, _)| outcome)),
    }
}

/// A label of a closed set as words.
#[expect(clippy::needless_pass_by_value, reason = "filters take what they own")]
fn words(label: String) -> String {
    label.replace('_', " ")
}

/// A moment as an element that says how long ago it was, and goes on to say so.
fn when(state: &State<'_, '_>, at: Option<f64>) -> Value {
    let now = state.lookup("now").and_then(|now| f64::try_from(now).ok());
    let text = match (at, now) {
        (Some(at), Some(now)) => {
            format!(
                "<time data-at=\"{at:.3}\" datetime=\"{}\">{}</time>",
                iso(at),
                ago(now - at)
            )
        }
        _ => "never".to_owned(),
    };
    Value::from_safe_string(text)
}

/// How long ago something was; what is below 0 is still to come.
pub(super) fn ago(seconds: f64) -> String {
    let text = span(seconds.abs());
    if seconds <= -1.0 {
        format!("in {text}")
    } else {
        format!("{text} ago")
    }
}

/// A time in the one or two units that matter.
pub(super) fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0).floor();
    let (minutes, hours, days) = (whole / 60.0, whole / 3600.0, whole / 86_400.0);
    if whole < 60.0 {
        format!("{whole} s")
    } else if hours < 1.0 {
        format!("{} min", minutes.floor())
    } else if days < 1.0 {
        format!("{} h {} min", hours.floor(), (minutes % 60.0).floor())
    } else {
        format!("{} d {} h", days.floor(), (hours % 24.0).floor())
    }
}

/// The moment in the notation of RFC 3339; nothing for one that no calendar has.
pub(super) fn iso(at: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the calendar refuses what is cut"
    )]
    let moment = jiff::Timestamp::from_second(at.floor() as i64);
    moment.map_or_else(|_| String::new(), |moment| moment.to_string())
}

/// A figure in its unit, `–` for one that is none.
pub(super) fn figure(unit: Option<Unit>, value: f64) -> String {
    if value.is_finite() {
        model::figure(unit, value)
    } else {
        NONE.to_owned()
    }
}

pub(super) fn seconds(value: f64) -> String {
    figure(Some(Unit::Seconds), value)
}

/// A short time: to a hundredth of a millisecond, to a tenth from 10 ms on, and in seconds from 1 s on.
pub(super) fn latency(seconds: f64) -> String {
    if !seconds.is_finite() {
        return NONE.to_owned();
    }
    let millis = seconds * 1e3;
    match millis.abs() {
        of if of < 10.0 => format!("{millis:.2} ms"),
        of if of < 1000.0 => format!("{millis:.1} ms"),
        _ => format!("{seconds:.2} s"),
    }
}

/// A difference of short times, with its sign.
pub(super) fn signed(seconds: f64) -> String {
    let sign = if seconds < 0.0 { '−' } else { '+' };
    format!("{sign}{}", latency(seconds.abs()))
}

pub(super) fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    match percent {
        of if !of.is_finite() => NONE.to_owned(),
        of if of == 0.0 || of >= 10.0 => format!("{of:.0} %"),
        of if of < 0.1 => "<0.1 %".to_owned(),
        of => format!("{of:.1} %"),
    }
}

/// A name as a segment of a path.
pub(super) fn segment(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            // Also the dot: `..` would lead elsewhere.
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_the_units_that_matter() {
        for (seconds, text) in [
            (0.4, "0 s ago"),
            (59.9, "59 s ago"),
            (60.0, "1 min ago"),
            (7_500.0, "2 h 5 min ago"),
            (100_000.0, "1 d 3 h ago"),
            (-0.9, "0 s ago"),
            (-90.0, "in 1 min"),
        ] {
            assert_eq!(ago(seconds), text);
        }
    }

    #[test]
    fn figures_are_read_at_a_glance_and_hostile_ones_do_no_harm() {
        assert_eq!(latency(0.000_12), "0.12 ms");
        assert_eq!(latency(0.081_54), "81.5 ms");
        assert_eq!(latency(2.345), "2.35 s");
        assert_eq!(latency(f64::NAN), "–");
        assert_eq!(signed(-0.002), "−2.00 ms");
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.000_5), "<0.1 %");
        assert_eq!(percent(0.123), "12 %");
        assert_eq!(iso(f64::NAN), "1970-01-01T00:00:00Z");
        assert_eq!(iso(1e300), "");
    }

    #[test]
    fn a_run_that_is_too_old_says_nothing_of_now() {
        let after = |age| state_now(Some((Outcome::Success, age)), 10.0, 3.0);
        // By a clock that was set back meanwhile it may be still to come.
        for age in [-60.0, 0.0, 33.0] {
            assert_eq!(after(age), ("ready", "up"));
        }
        assert_eq!(after(33.1), ("unknown", "not run lately"));
        assert_eq!(state_now(None, 10.0, 3.0), ("none", "not run yet"));
    }

    #[test]
    fn a_name_is_one_segment_whatever_is_in_it() {
        assert_eq!(segment("eu-west"), "eu-west");
        assert_eq!(segment("../a?b#c/ü"), "%2E%2E%2Fa%3Fb%23c%2F%C3%BC");
    }
}
