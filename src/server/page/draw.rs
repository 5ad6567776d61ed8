//! Where the parts of small pictures are. The templates draw them by attributes alone, since the policy
//! of the pages allows no style in them.

use std::fmt::Write as _;

use serde::Serialize;

/// The width of a bar, in its own units.
pub(super) const WIDTH: f64 = 100.0;

/// A figure held against what was promised.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Meter {
    /// Where the figure ends.
    fill: f64,
    /// Where the promise is.
    mark: f64,
    /// Whether the figure is beyond it.
    over: bool,
}

impl Meter {
    /// None where one of them is not known.
    pub(super) fn of(value: Option<f64>, objective: Option<f64>) -> Option<Self> {
        let (value, objective) = (value.filter(|v| v.is_finite())?, objective?);
        let most = (objective * 1.25).max(value).max(f64::MIN_POSITIVE);
        Some(Self {
            fill: share(value, most),
            mark: share(objective, most),
            over: value > objective,
        })
    }
}

/// An interval on a line that has a zero.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Interval {
    zero: f64,
    low: f64,
    width: f64,
    middle: f64,
}

impl Interval {
    /// On a line that goes as far to each side of 0 as `reach`.
    pub(super) fn of(low: f64, middle: f64, high: f64, reach: f64) -> Option<Self> {
        let at = |value: f64| share(value.clamp(-reach, reach) + reach, 2.0 * reach);
        let all_finite = [low, middle, high].into_iter().all(f64::is_finite);
        (reach > 0.0 && all_finite).then(|| Self {
            zero: WIDTH / 2.0,
            low: at(low),
            width: (at(high) - at(low)).max(1.0),
            middle: at(middle),
        })
    }
}

/// The points of a line for `<polyline>`: one for each value that is known, and one line for each
/// stretch of them. It is as high as `height`, with its own smallest value at the bottom.
pub(super) fn sparkline(values: &[Option<f64>], width: f64, height: f64) -> Vec<String> {
    let known = || values.iter().flatten().filter(|value| value.is_finite());
    let (low, high) = known().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(*value), high.max(*value))
    });
    let reach = (high - low).max(high * 0.1).max(f64::MIN_POSITIVE);
    let step = width / f64::from(u32::try_from(values.len().max(2) - 1).unwrap_or(u32::MAX));
    let mut lines = vec![String::new()];
    for (place, value) in (0_u32..).zip(values) {
        let line = lines.last_mut();
        match (value.filter(|value| value.is_finite()), line) {
            (Some(value), Some(line)) => {
                let (x, y) = (
                    f64::from(place) * step,
                    height * (1.0 - (value - low) / reach),
                );
                if line.is_empty() {
                    // A single point is a short line, too.
                    let _ = write!(line, "{:.1},{y:.1} ", (x - 0.5).max(0.0));
                }
                let _ = write!(line, "{x:.1},{y:.1} ");
            }
            (None, Some(line)) if !line.is_empty() => lines.push(String::new()),
            _ => {}
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// A part of a whole in units of [`WIDTH`], to a tenth.
pub(super) fn share(part: f64, whole: f64) -> f64 {
    let share = (part / whole * WIDTH).clamp(0.0, WIDTH);
    (share * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_shows_what_is_beyond_the_objective() {
        let within = Meter::of(Some(1.0), Some(4.0)).expect("known");
        assert_eq!((within.fill, within.mark, within.over), (20.0, 80.0, false));
        let beyond = Meter::of(Some(8.0), Some(4.0)).expect("known");
        assert_eq!((beyond.fill, beyond.mark, beyond.over), (100.0, 50.0, true));
        assert_eq!(Meter::of(None, Some(4.0)), None);
        assert_eq!(Meter::of(Some(f64::NAN), Some(4.0)), None);
    }

    #[test]
    fn an_interval_is_on_one_line_with_its_zero() {
        let all = Interval::of(-0.5, 0.5, 1.0, 1.0).expect("finite");
        assert_eq!(
            (all.zero, all.low, all.width, all.middle),
            (50.0, 25.0, 75.0, 75.0)
        );
        assert_eq!(Interval::of(f64::NEG_INFINITY, 0.0, 1.0, 1.0), None);
        assert_eq!(Interval::of(0.0, 0.0, 0.0, 0.0), None);
    }

    #[test]
    fn a_gap_of_a_sparkline_stays_one() {
        let lines = sparkline(&[Some(1.0), Some(2.0), None, Some(1.5)], 30.0, 10.0);
        assert_eq!(lines, ["0.0,10.0 0.0,10.0 10.0,0.0 ", "29.5,5.0 30.0,5.0 "]);
        assert!(sparkline(&[None, None], 30.0, 10.0).is_empty());
        assert!(sparkline(&[], 30.0, 10.0).is_empty());
    }
}
