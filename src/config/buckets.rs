//! The bounds of the histograms.

use crate::metrics::Buckets;

/// Bounds that a histogram may have. Each is a series for every target.
pub const MAX_BUCKETS: usize = 64;

/// Bounds of the histogram of a run's duration, in seconds, unless the configuration has others.
///
/// From 50 µs, a round trip within a rack, to 10 s, a database that hangs; close together between
/// 5 ms and 300 ms, where the round trips between regions are and where thresholds are set. The
/// numbers that people choose as thresholds (10, 50, 100, 150, 200, 250, 300, 500 ms, 1 s) are
/// bounds, so that "above 150 ms" is exact.
pub const DURATION: [f64; 22] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075,
    0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Bounds of the histograms of a run's phases, in seconds, unless the configuration has others.
///
/// Fewer, because a target has one histogram for each phase and they only have to show which
/// phase it was.
pub const PHASE: [f64; 8] = [0.000_1, 0.001, 0.005, 0.025, 0.1, 0.3, 1.0, 5.0];

/// The longest timeout, in seconds.
const DAY: f64 = 86_400.0;

/// What is wrong with bounds: the place of the one at fault, if it is one, and what to say.
pub(super) fn fault(bounds: &[f64]) -> Option<(Option<usize>, String)> {
    if bounds.is_empty() {
        return Some((None, "there is no bound".to_owned()));
    }
    if bounds.len() > MAX_BUCKETS {
        let count = bounds.len();
        return Some((
            None,
            format!(
                "{count} bounds are more than {MAX_BUCKETS}; each is a series for every target"
            ),
        ));
    }
    if let Some(i) = bounds.iter().position(|bound| *bound <= 0.0) {
        return Some((Some(i), "a bound in seconds must be above 0".to_owned()));
    }
    if let Some(i) = bounds.iter().position(|bound| *bound < 1e-9) {
        let message = "a bound must be at least a nanosecond (1e-9)";
        return Some((Some(i), message.to_owned()));
    }
    if let Some(i) = bounds.iter().position(|bound| *bound > DAY) {
        let message =
            format!("a bound above the longest timeout, a day ({DAY}), would tell nothing");
        return Some((Some(i), message));
    }
    if let Some(i) = bounds.windows(2).position(|pair| pair[0] >= pair[1]) {
        let (before, bound) = (bounds[i], bounds[i + 1]);
        let message = format!("bounds must rise, but {bound} comes after {before}");
        return Some((Some(i + 1), message));
    }
    refused(bounds)
}

/// What the histogram itself says of bounds that are good by themselves.
fn refused(bounds: &[f64]) -> Option<(Option<usize>, String)> {
    let whole = Buckets::new(bounds).err()?;
    let first =
        (1..=bounds.len()).find_map(|n| Some((Some(n - 1), Buckets::new(&bounds[..n]).err()?)));
    first.or(Some((None, whole)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_good_bounds() {
        assert_eq!(fault(&DURATION), None);
        assert_eq!(fault(&PHASE), None);
    }

    #[test]
    fn bad_bounds_are_told_apart() {
        for (bounds, at, part) in [
            (&[][..], None, "no bound"),
            (&[0.1; 65], None, "more than 64"),
            (&[0.0, 1.0], Some(0), "above 0"),
            (&[1.0, 1.0], Some(1), "must rise"),
            (&[1.0, 2.0, 0.5], Some(2), "0.5 comes after 2"),
            (&[1e-10, 1.0], Some(0), "at least a nanosecond"),
            (
                &[0.1, 0.100_000_000_01],
                Some(1),
                "not above the one before",
            ),
            (&[1.0, 1e20], Some(1), "longest timeout"),
        ] {
            let (index, message) = fault(bounds).expect("a fault");
            assert_eq!(index, at, "{message}");
            assert!(message.contains(part), "{message}");
        }
    }
}
