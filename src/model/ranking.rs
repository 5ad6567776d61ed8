//! How the standbys of a group are ranked, and what came of it.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ReadyState, TargetKey, duration};

/// What is taken of the runs of a batch. A run that failed is slower than any other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantile {
    /// The median.
    #[default]
    Median,
    /// The 95th percentile, over batches three times as long.
    P95,
}

impl Quantile {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Median => "median",
            Self::P95 => "p95",
        }
    }
}

/// Which latency ranks the standbys of a group: that of one probe, as callers here would see it
/// after a failover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRanking {
    /// The probe. `None`: none of the group's tells a latency from this region, and the standbys are
    /// ranked by all else.
    pub probe: Option<Arc<str>>,
    /// What is taken of its runs.
    pub quantile: Quantile,
    /// From the start of one run of a target to the start of its next.
    pub interval: Duration,
    /// The probe's targets in each standby, in the order of the group's standbys.
    pub targets: Vec<Vec<TargetKey>>,
}

/// What is told of the ranks of a group's standbys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankingReport {
    /// How often a standby that had a rank got another, or none.
    pub changes: u64,
    /// The ranks that are told, and what they follow from.
    pub table: Arc<Table>,
}

/// What the rows of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rows {
    /// Standbys of a group.
    Standby,
    /// Variants: releases, images, blue and green. Only their latency and loss count.
    Variant,
}

/// Which of two candidates is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The first.
    Before,
    /// The second.
    After,
    /// Neither, as far as can be told, or not by enough to matter.
    Tie,
    /// They have too few batches in common.
    TooFew,
}

impl Verdict {
    /// The verdict on the same two, the other way round.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::Before => Self::After,
            Self::After => Self::Before,
            same => same,
        }
    }
}

/// An order with everything that it follows from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What the rows are.
    pub rows_are: Rows,
    /// The probe whose latency is compared; `None`: there is none.
    pub probe: Option<Arc<str>>,
    /// What was taken of each batch.
    pub quantile: Quantile,
    /// The length of a batch.
    pub batch_seconds: f64,
    /// Batches that two have to have in common to be compared.
    pub batches_needed: usize,
    /// Whether a batch is so long that the order tells of more than these minutes.
    pub lasting: bool,
    /// Best first.
    pub rows: Vec<Row>,
    /// Each compared with each that comes after it.
    pub differences: Vec<Difference>,
}

/// One candidate. `None`: not measured, or none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub name: Arc<str>,
    /// Its rank, from 1; equal ones share it.
    pub rank: Option<u32>,
    /// Whether it could take over; not for variants, nor where only runs are looked at.
    pub state: Option<ReadyState>,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The one.
    pub name: Arc<str>,
    /// The other.
    pub other: Arc<str>,
    /// Batches that both have.
    pub batches: usize,
    /// The lower end of the 99 % interval.
    pub low_seconds: Option<f64>,
    /// The median difference.
    pub median_seconds: Option<f64>,
    /// The upper end.
    pub high_seconds: Option<f64>,
    /// Where latency and loss put the one.
    pub verdict: Verdict,
}

impl Table {
    /// The columns' names, then a line of cells for each row.
    fn cells(&self) -> Vec<Vec<String>> {
        let judged = self.rows.iter().any(|row| row.state.is_some());
        let mut names = match self.rows_are {
            Rows::Standby => vec!["RANK", "STANDBY"],
            Rows::Variant => vec!["RANK", "VARIANT"],
        };
        if judged {
            names.extend(["STATE", "RPO", "RTO"]);
        }
        let quantile = self.quantile.as_str().to_uppercase();
        names.extend([&*quantile, "LOSS", "BATCHES", "DIFFERENCE (99 %)", "REASON"]);
        let head = names.into_iter().map(str::to_owned).collect();
        let rows = self.rows.iter().map(|row| row.cells(judged));
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
        let Some(probe) = &self.probe else {
            return writeln!(
                f,
                "\nEqual ones share a rank. No probe tells a latency to compare."
            );
        };
        let needed = self.batches_needed;
        let millis = (self.batch_seconds * 1e3).round() / 1e3;
        let length = Duration::try_from_secs_f64(millis).unwrap_or_default();
        let length = duration::display(length);
        writeln!(
            f,
            "\nEqual ones share a rank. Latency is that of {probe}. Each batch is {length}; {needed} \
             in common are needed."
        )?;
        if !self.lasting {
            writeln!(
                f,
                "So short batches tell of now only: equal ones differ for minutes at a time."
            )?;
        }
        Ok(())
    }
}

impl Row {
    fn cells(&self, judged: bool) -> Vec<String> {
        let mut cells = vec![
            self.rank.map_or_else(none, |rank| rank.to_string()),
            self.name.to_string(),
        ];
        if judged {
            cells.extend([
                self.state
                    .map_or_else(none, |state| state.as_str().to_owned()),
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
mod tests {
    use super::*;

    #[test]
    fn long_times_are_rounded_and_hostile_ones_do_no_harm() {
        assert_eq!(long(0.8124), "812ms");
        assert_eq!(long(59.9999), "1m");
        assert_eq!(long(342.4), "5m42s");
        assert_eq!(long(f64::INFINITY), "-");
        assert_eq!(millis(0.000_04), "0.0 ms");
    }
}
