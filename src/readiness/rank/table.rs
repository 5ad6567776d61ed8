//! An order, for people and programs.

use std::sync::Arc;

use super::batches::{Grid, SHORTEST, Window};
use super::compare::{MIN_BATCHES, compare};
use super::order::{Candidate, Order, Place, Why};
use crate::model::ranking::{Difference, Row, Rows, Table};

/// The table of an `order` of these `candidates`, by the runs of `probe` in batches on `grid`. A
/// candidate that is not in the order is not in the table.
pub fn table(
    rows_are: Rows,
    probe: Option<Arc<str>>,
    grid: &Grid,
    candidates: &[Candidate],
    order: &Order,
) -> Table {
    let named = |name: &str| candidates.iter().find(|c| *c.name == *name);
    let rows = order.places.iter().filter_map(|place| {
        let candidate = named(&place.name)?;
        Some(row(rows_are, candidate, place, named))
    });
    let in_order: Vec<_> = order.places.iter().filter_map(|p| named(&p.name)).collect();
    Table {
        rows_are,
        probe,
        quantile: grid.quantile(),
        batch_seconds: grid.length().as_secs_f64(),
        batches_needed: MIN_BATCHES,
        lasting: grid.length() >= SHORTEST,
        rows: rows.collect(),
        differences: differences(&in_order),
    }
}

/// Each of `candidates` compared with each that comes after it.
fn differences(candidates: &[&Candidate]) -> Vec<Difference> {
    let others = |at: usize| &candidates[at + 1..];
    let each = candidates.iter().enumerate();
    let pairs = each.flat_map(|(at, one)| others(at).iter().map(move |other| (one, other)));
    pairs
        .filter_map(|(one, other)| difference(one, other))
        .collect()
}

/// `None` where no latency is compared.
fn difference(one: &Candidate, other: &Candidate) -> Option<Difference> {
    let comparison = compare(one.window.as_ref()?, other.window.as_ref()?);
    let (low, median, high) = match comparison.interval {
        Some(i) => (finite(i.low), finite(i.median), finite(i.high)),
        None => (None, None, None),
    };
    Some(Difference {
        name: Arc::clone(&one.name),
        other: Arc::clone(&other.name),
        batches: comparison.common,
        low_seconds: low,
        median_seconds: median,
        high_seconds: high,
        verdict: comparison.verdict(),
    })
}

fn finite(seconds: f64) -> Option<f64> {
    seconds.is_finite().then_some(seconds)
}

fn row<'a>(
    rows_are: Rows,
    candidate: &Candidate,
    place: &Place,
    named: impl Fn(&str) -> Option<&'a Candidate>,
) -> Row {
    let (standing, window) = (&candidate.standing, candidate.window.as_ref());
    let other = match &place.why {
        Why::Level { with } => named(with),
        Why::Behind { other, .. } => named(other),
        Why::First | Why::TooFew { .. } => None,
    };
    Row {
        name: Arc::clone(&place.name),
        rank: place.rank,
        state: (rows_are == Rows::Standby).then_some(standing.state),
        rpo_seconds: standing.rpo.map(|rpo| rpo.as_secs_f64()),
        rto_seconds: standing.rto.map(|rto| rto.as_secs_f64()),
        latency_seconds: window.and_then(Window::seconds).and_then(finite),
        loss_ratio: window.and_then(Window::loss),
        batches: candidate.batches(),
        score_ratio: standing.score,
        difference: other.and_then(|other| difference(candidate, other)),
        reason: reason(&place.why),
    }
}

fn reason(why: &Why) -> String {
    match why {
        Why::First => "first".to_owned(),
        Why::Level { with } => format!("as good as {with}"),
        Why::Behind { other, by } => format!("behind {other} by {}", by.as_str()),
        Why::TooFew { batches } if *batches < MIN_BATCHES => {
            format!("not ranked: {batches} of {MIN_BATCHES} batches")
        }
        Why::TooFew { .. } => format!("not ranked: under {MIN_BATCHES} batches in common"),
    }
}

#[cfg(test)]
mod tests;
