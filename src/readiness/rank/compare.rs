//! Which of two candidates is better, if that can be told.

use super::batches::{Batch, Window, loss, median};
use crate::model::ranking::Verdict;

/// Batches that two candidates must have in common: two hours of the shortest.
pub const MIN_BATCHES: usize = 24;

/// The chance that an interval leaves out what it should hold: 1 - 0.99.
const RISK: f64 = 0.01;

/// A difference in latency that matters: this share of the better one's ...
const MIN_SHARE: f64 = 0.05;

/// ... and this many seconds.
const MIN_SECONDS: f64 = 0.002;

/// A difference in the share of failed runs that matters.
const MIN_LOSS: f64 = 0.01;

/// One candidate, compared with another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Batches that both have.
    pub common: usize,
    /// How much longer the first one takes, in seconds. `None` below [`MIN_BATCHES`].
    pub interval: Option<Interval>,
    /// Which one loses fewer of its runs.
    pub loss: Verdict,
    /// Which one takes less time.
    pub latency: Verdict,
}

impl Comparison {
    /// Which one is better: by loss, and if that does not decide, by latency.
    pub fn verdict(&self) -> Verdict {
        match self.loss {
            Verdict::Tie => self.latency,
            decided => decided,
        }
    }
}

/// Where a median lies, with a confidence of 99 %. Infinite where too many runs failed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The median of what was measured.
    pub median: f64,
    /// The upper end.
    pub high: f64,
}

/// Compares two candidates by the batches that they have in common.
///
/// By loss, one is worse if it lost at least one percentage point more of its runs, and more in so
/// many of the batches in which they differ that chance does not do it (a sign test, 99 %). So one
/// outage, which is a few batches, does not decide; losses all the time do.
///
/// By latency, one is better if the 99 % confidence interval of the median of the differences,
/// batch by batch, leaves out 0, and that median is at least 5 % of the better one's latency and at
/// least 2 ms.
pub fn compare(a: &Window, b: &Window) -> Comparison {
    let pairs = a.pairs(b);
    let common = pairs.len();
    let (true, Some(rank)) = (common >= MIN_BATCHES, interval_rank(common)) else {
        return Comparison {
            common,
            interval: None,
            loss: Verdict::TooFew,
            latency: Verdict::TooFew,
        };
    };
    let interval = interval(&pairs, rank);
    Comparison {
        common,
        interval: Some(interval),
        loss: by_loss(&pairs),
        latency: by_latency(&pairs, &interval),
    }
}

/// The verdict by loss alone. Too few batches in common make a tie: whether the two can be compared
/// at all is for the latencies to say.
pub(super) fn compare_loss(a: &Window, b: &Window) -> Verdict {
    let pairs = a.pairs(b);
    if pairs.len() < MIN_BATCHES {
        return Verdict::Tie;
    }
    by_loss(&pairs)
}

fn by_loss(pairs: &[(Batch, Batch)]) -> Verdict {
    let of = |side: fn(&(Batch, Batch)) -> &Batch| loss(pairs.iter().map(side)).unwrap_or(0.0);
    let more = of(|pair| &pair.1) - of(|pair| &pair.0);
    if more.abs() < MIN_LOSS {
        return Verdict::Tie;
    }
    let better = pairs.iter().filter(|(a, b)| a.loss() < b.loss()).count();
    let worse = pairs.iter().filter(|(a, b)| a.loss() > b.loss()).count();
    // The interval of the differences that are not 0 leaves out 0 if fewer than its rank are on one
    // side.
    let rank = interval_rank(better + worse).unwrap_or(0);
    if more > 0.0 && worse < rank {
        Verdict::Before
    } else if more < 0.0 && better < rank {
        Verdict::After
    } else {
        Verdict::Tie
    }
}

fn by_latency(pairs: &[(Batch, Batch)], interval: &Interval) -> Verdict {
    let verdict = if interval.high < 0.0 {
        Verdict::Before
    } else if interval.low > 0.0 {
        Verdict::After
    } else {
        return Verdict::Tie;
    };
    let middle = |side: fn(&(Batch, Batch)) -> &Batch| {
        let mut all: Vec<_> = pairs.iter().map(|pair| side(pair).seconds()).collect();
        median(&mut all).unwrap_or(f64::INFINITY)
    };
    let better = middle(|pair| &pair.0).min(middle(|pair| &pair.1));
    if interval.median.abs() >= (better * MIN_SHARE).max(MIN_SECONDS) {
        verdict
    } else {
        Verdict::Tie
    }
}

/// How one candidate takes other times than another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// How many times as long it takes.
    pub ratio: Interval,
    /// How many seconds longer.
    pub seconds: Interval,
}

/// Compares two by what their runs take alone, by the test of [`compare`] with as few batches as it
/// can do with. Batches in which most runs failed have no time and are left out.
///
/// `None`: there are less than `least` batches in common, or less than the 8 that the test needs.
pub fn change(a: &Window, b: &Window, least: usize) -> Option<Change> {
    let mut pairs = a.pairs(b);
    pairs.retain(|(a, b)| a.seconds().is_finite() && b.seconds().is_finite());
    let rank = interval_rank(pairs.len()).filter(|_| pairs.len() >= least)?;
    // A time below a microsecond is 0; such two are equal.
    let ratio = |(a, b): &(Batch, Batch)| a.seconds().max(1e-6) / b.seconds().max(1e-6);
    Some(Change {
        ratio: middle(pairs.iter().map(ratio).collect(), rank),
        seconds: interval(&pairs, rank),
    })
}

/// The interval from the `rank`-th lowest to the `rank`-th highest difference.
fn interval(pairs: &[(Batch, Batch)], rank: usize) -> Interval {
    let differences = pairs
        .iter()
        .map(|(a, b)| {
            // Two batches without a time are equal; their difference is no number.
            if a.micros == b.micros {
                0.0
            } else {
                a.seconds() - b.seconds()
            }
        })
        .collect();
    middle(differences, rank)
}

/// The median of at least `rank` values, from the `rank`-th lowest to the `rank`-th highest.
fn middle(mut values: Vec<f64>, rank: usize) -> Interval {
    let median = median(&mut values).unwrap_or(0.0);
    Interval {
        low: values[rank - 1],
        median,
        high: values[values.len() - rank],
    }
}

/// Which of `n` sorted values, counted from either end and from 1, are the ends of the 99 %
/// confidence interval of their median: 6 of 24, 25 of 72. `None`: there are too few values.
///
/// As many of `n` values are below the true median as heads fall in `n` throws of a coin, so the
/// ends are as far in as `2 P(heads < rank) <= 1 %` lets them be.
#[expect(clippy::cast_precision_loss, reason = "a count of batches")]
fn interval_rank(n: usize) -> Option<usize> {
    let mut rank = 0;
    let mut below = 0.0;
    // As logarithms, for 0.5 to the n is no number from 1075 on.
    let mut chance = -(n as f64) * std::f64::consts::LN_2;
    loop {
        below += chance.exp();
        if 2.0 * below > RISK {
            return (rank > 0).then_some(rank);
        }
        chance += ((n - rank) as f64 / (rank + 1) as f64).ln();
        rank += 1;
    }
}

#[cfg(test)]
mod tests;
