//! An order, for people and programs.

use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::Serialize;

use super::batches::{Grid, Quantile, SHORTEST};
use super::compare::{MIN_BATCHES, Verdict, compare};
use super::order::{Candidate, Order, Place, Why};
use crate::model::duration;

/// What the rows of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rows {
    /// Standbys of a group.
    Standby,
    /// Variants: releases, images, blue and green. Only their latency and loss count.
    Variant,
}

/// An order with everything that it follows from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// What the rows are.
    pub rows_are: Rows,
    /// What was taken of each batch: `median` or `p95`.
    pub quantile: &'static str,
    /// The length of a batch.
    pub batch_seconds: f64,
    /// Best first.
    pub rows: Vec<Row>,
    /// Each compared with each that comes after it.
    pub differences: Vec<Difference>,
}

/// One candidate. `None`: not measured, or none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its rank, from 1; equal ones share it.
    pub rank: Option<u32>,
    /// `ready`, `unknown` or `not_ready`; not for variants.
    pub state: Option<&'static str>,
    /// What would be lost.
    pub rpo_seconds: Option<f64>,
    /// The estimated time to recover.
    pub rto_seconds: Option<f64>,
    /// The median of its batches' quantiles; also `None` where most batches have none because too
    /// many runs failed.
    pub latency_seconds: Option<f64>,
    /// The share of runs that failed, 0 to 1.
    pub loss_ratio: Option<f64>,
    /// Batches that count.
    pub batches: usize,
    /// The score of the checks that are no gates, 0 to 1.
    pub score_ratio: Option<f64>,
    /// How it compares with the one that the reason names.
    pub difference: Option<Difference>,
    /// Why it has this rank.
    pub reason: String,
}

/// How much longer one candidate takes than another. `None`: too few batches in common, or beyond
/// measure because too many runs failed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The one.
    pub name: String,
    /// The other.
    pub other: String,
    /// Batches that both have.
    pub batches: usize,
    /// The lower end of the 99 % interval.
    pub low_seconds: Option<f64>,
    /// The median difference.
    pub median_seconds: Option<f64>,
    /// The upper end.
    pub high_seconds: Option<f64>,
    /// `before`, `after`, `tie` or `too_few`: where latency and loss put the one.
    pub verdict: &'static str,
}

impl Difference {
    fn between(one: &Candidate, other: &Candidate) -> Self {
        let comparison = compare(&one.window, &other.window);
        let (low, median, high) = match comparison.interval {
            Some(i) => (finite(i.low), finite(i.median), finite(i.high)),
            None => (None, None, None),
        };
        Self {
            name: one.name.to_string(),
            other: other.name.to_string(),
            batches: comparison.common,
            low_seconds: low,
            median_seconds: median,
            high_seconds: high,
            verdict: match comparison.verdict() {
                Verdict::Before => "before",
                Verdict::After => "after",
                Verdict::Tie => "tie",
                Verdict::TooFew => "too_few",
            },
        }
    }

    /// Each of `candidates` compared with each that comes after it.
    pub fn all(candidates: &[&Candidate]) -> Vec<Self> {
        let others = |at: usize| &candidates[at + 1..];
        let each = candidates.iter().enumerate();
        each.flat_map(|(at, one)| {
            others(at)
                .iter()
                .map(move |other| Self::between(one, other))
        })
        .collect()
    }
}

fn finite(seconds: f64) -> Option<f64> {
    seconds.is_finite().then_some(seconds)
}

impl Table {
    /// The table of an `order` of these `candidates`, whose batches are on `grid`. A candidate that
    /// is not in the order is not in the table.
    pub fn new(rows_are: Rows, grid: &Grid, candidates: &[Candidate], order: &Order) -> Self {
        let named = |name: &str| candidates.iter().find(|c| *c.name == *name);
        let rows = order.places.iter().filter_map(|place| {
            let candidate = named(&place.name)?;
            Some(Row::new(rows_are, candidate, place, named))
        });
        let in_order: Vec<_> = order.places.iter().filter_map(|p| named(&p.name)).collect();
        Self {
            rows_are,
            quantile: match grid.quantile() {
                Quantile::Median => "median",
                Quantile::Tail => "p95",
            },
            batch_seconds: grid.length().as_secs_f64(),
            rows: rows.collect(),
            differences: Difference::all(&in_order),
        }
    }

    /// The columns' names, then a line of cells for each row.
    fn cells(&self) -> Vec<Vec<String>> {
        let standbys = self.rows_are == Rows::Standby;
        let mut names = match self.rows_are {
            Rows::Standby => vec!["RANK", "STANDBY", "STATE", "RPO", "RTO"],
            Rows::Variant => vec!["RANK", "VARIANT"],
        };
        let quantile = self.quantile.to_uppercase();
        names.extend([&*quantile, "LOSS", "BATCHES", "DIFFERENCE (99 %)", "REASON"]);
        let head = names.into_iter().map(str::to_owned).collect();
        let rows = self.rows.iter().map(|row| row.cells(standbys));
        std::iter::once(head).chain(rows).collect()
    }
}

impl fmt::Display for Table {
    /// Columns with two spaces between, and what the figures are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.cells();
        let width = |column: usize| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..lines[0].len()).map(width).collect();
        for line in &lines {
            let mut text = String::new();
            for (cell, width) in line.iter().zip(&widths) {
                write!(text, "{cell:width$}  ")?;
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        let length = Duration::from_secs_f64(self.batch_seconds);
        writeln!(
            f,
            "\nEqual ones share a rank. Each batch is {}; {MIN_BATCHES} in common are needed.",
            duration::display(length),
        )?;
        if length < SHORTEST {
            writeln!(
                f,
                "So short batches tell of now only: equal ones differ for minutes at a time."
            )?;
        }
        Ok(())
    }
}

impl Row {
    fn new<'a>(
        rows_are: Rows,
        candidate: &Candidate,
        place: &Place,
        named: impl Fn(&str) -> Option<&'a Candidate>,
    ) -> Self {
        let (standing, window) = (&candidate.standing, &candidate.window);
        let other = match &place.why {
            Why::Level { with } => named(with),
            Why::Behind { other, .. } => named(other),
            Why::First | Why::TooFew { .. } => None,
        };
        let state = standing.state.as_str();
        Self {
            name: place.name.to_string(),
            rank: place.rank,
            state: (rows_are == Rows::Standby).then_some(state),
            rpo_seconds: standing.rpo.map(|rpo| rpo.as_secs_f64()),
            rto_seconds: standing.rto.map(|rto| rto.as_secs_f64()),
            latency_seconds: window.seconds().and_then(finite),
            loss_ratio: window.loss(),
            batches: window.len(),
            score_ratio: standing.score,
            difference: other.map(|other| Difference::between(candidate, other)),
            reason: reason(&place.why),
        }
    }

    fn cells(&self, standby: bool) -> Vec<String> {
        let mut cells = vec![
            self.rank.map_or_else(none, |rank| rank.to_string()),
            self.name.clone(),
        ];
        if standby {
            cells.extend([
                self.state.map_or_else(none, str::to_owned),
                self.rpo_seconds.map_or_else(none, long),
                self.rto_seconds.map_or_else(none, long),
            ]);
        }
        let percent = |ratio: f64| format!("{:.1} %", ratio * 100.0);
        cells.extend([
            self.latency_seconds.map_or_else(none, millis),
            self.loss_ratio.map_or_else(none, percent),
            self.batches.to_string(),
            self.difference.as_ref().map_or_else(none, difference),
            self.reason.clone(),
        ]);
        cells
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

fn none() -> String {
    "-".to_owned()
}

fn millis(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}

/// To the millisecond below a minute, and to the second above.
fn long(seconds: f64) -> String {
    let (whole, part) = if seconds < 60.0 {
        (1e3, 1e3)
    } else {
        (1.0, 1.0)
    };
    let time = Duration::try_from_secs_f64((seconds * whole).round() / part);
    time.map_or_else(|_| none(), duration::display)
}

fn difference(difference: &Difference) -> String {
    let Some(median) = difference.median_seconds else {
        return none();
    };
    let signed = |seconds: f64| format!("{:+.1}", seconds * 1e3);
    let end = |seconds: Option<f64>| seconds.map_or_else(none, signed);
    let (low, high) = (end(difference.low_seconds), end(difference.high_seconds));
    format!("{} ms ({low} to {high})", signed(median))
}

#[cfg(test)]
mod tests;
