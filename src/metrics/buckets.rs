//! The bounds of a histogram, and one target's counts between them.

use std::time::Duration;

/// Bounds of the histogram of how long a canary took to be seen, in seconds.
///
/// A canary is looked for once in an interval, so that the time found is coarse: from 5 ms, a
/// standby in the next rack that is asked at the right moment, to a minute, where the usual
/// objectives for lost data end.
pub const VISIBILITY: [f64; 12] = [
    0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0,
];

/// The upper bounds of a histogram. Targets of one probe share them.
#[derive(Debug, PartialEq)]
pub struct Buckets {
    /// Bounds in nanoseconds, so that a duration is compared as what it is.
    nanos: Box<[u64]>,
    /// The labels of all buckets with their comma, `+Inf` last: `,le="0.005"`.
    labels: Box<[Box<str>]>,
}

impl Buckets {
    /// Takes the bounds, in seconds: positive, rising, at least a nanosecond apart, and without
    /// the infinite one, which is always there.
    ///
    /// The error says which bound is wrong.
    pub fn new(seconds: &[f64]) -> Result<Self, String> {
        let mut nanos = Vec::with_capacity(seconds.len());
        for &bound in seconds {
            let rounded = Duration::try_from_secs_f64(bound).map_or(0, nanoseconds);
            if rounded == 0 {
                return Err(format!(
                    "the bucket {bound} is not a positive number of seconds"
                ));
            }
            if nanos.last().is_some_and(|last| *last >= rounded) {
                return Err(format!("the bucket {bound} is not above the one before it"));
            }
            nanos.push(rounded);
        }
        let labels = seconds.iter().map(|bound| le(*bound));
        Ok(Self {
            nanos: nanos.into(),
            labels: labels
                .chain(["+Inf".to_owned()])
                .map(|bound| format!(",le=\"{bound}\"").into())
                .collect(),
        })
    }

    /// The label of every bucket, the infinite one last.
    pub(super) fn labels(&self) -> &[Box<str>] {
        &self.labels
    }
}

/// A bound as the label `le` shows it: always a float, spelled as Go's clients spell it, so that a
/// server which does not rewrite the label (Prometheus 2) and one which does agree on the series.
pub(super) fn le(bound: f64) -> String {
    if bound == f64::INFINITY {
        return "+Inf".to_owned();
    }
    let scientific = format!("{bound:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{bound:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// Whole nanoseconds; more than five centuries count as that.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How many durations fell between the bounds.
#[derive(Debug)]
pub(super) struct Histogram {
    /// Per bucket, not cumulative; the infinite one last.
    counts: Box<[u64]>,
    /// In nanoseconds: a whole number takes no rounding and can never be NaN.
    sum: u64,
}

impl Histogram {
    pub(super) fn new(buckets: &Buckets) -> Self {
        Self {
            counts: vec![0; buckets.labels.len()].into(),
            sum: 0,
        }
    }

    pub(super) fn observe(&mut self, buckets: &Buckets, duration: Duration) {
        let nanos = nanoseconds(duration);
        let bucket = buckets.nanos.partition_point(|bound| *bound < nanos);
        self.counts[bucket] += 1;
        self.sum = self.sum.saturating_add(nanos);
    }

    pub(super) fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The sum of what was observed, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        Duration::from_nanos(self.sum).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_that_make_no_histogram_are_refused() {
        for bad in [
            &[0.0][..],
            &[-1.0],
            &[f64::NAN],
            &[f64::INFINITY],
            &[0.1, 0.1],
            &[0.2, 0.1],
            &[1e-12],
        ] {
            assert!(Buckets::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn le_is_a_float_in_the_canonical_spelling() {
        for (bound, text) in [
            (1.0, "1.0"),
            (10.0, "10.0"),
            (0.005, "0.005"),
            (0.0001, "0.0001"),
            (0.000_05, "5e-05"),
            (0.000_025, "2.5e-05"),
            (100_000.0, "100000.0"),
            (1_000_000.0, "1e+06"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(le(bound), text);
        }
    }

    #[test]
    fn a_duration_on_a_bound_belongs_below_it() {
        let buckets = Buckets::new(&[0.005, 0.1]).expect("valid");
        let mut histogram = Histogram::new(&buckets);
        for micros in [0, 5_000, 5_001, 100_000, 100_001, 60_000_000] {
            histogram.observe(&buckets, Duration::from_micros(micros));
        }
        assert_eq!(histogram.counts(), [2, 2, 2]);
        assert!((histogram.seconds() - 60.210_002).abs() < 1e-9);
    }

    #[test]
    fn an_absurd_duration_spoils_nothing() {
        let buckets = Buckets::new(&[1.0]).expect("valid");
        let mut histogram = Histogram::new(&buckets);
        histogram.observe(&buckets, Duration::MAX);
        histogram.observe(&buckets, Duration::MAX);
        assert_eq!(histogram.counts(), [0, 2]);
        assert!(histogram.seconds().is_finite());
    }
}
