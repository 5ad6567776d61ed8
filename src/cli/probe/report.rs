//! What a run came to, for people.

use std::fmt::Write as _;
use std::time::Duration;

use super::advice::advice;
use super::bar::{draw, millis};
use super::facts;
use crate::cli::daemons::moment;
use crate::cli::table::{Cell, table};
use crate::cli::terminal::{Ink, Tone, printable};
use crate::config::PlannedTarget;
use crate::model::{Failure, Reply, Sample, timestamp_seconds};

/// Everything about one run.
pub(super) fn block(target: &PlannedTarget, sample: &Sample, ink: Ink) -> String {
    let of = &target.target;
    let mut text = ink.paint(Tone::Title, &of.to_string());
    let (region, address) = (printable(&of.target_region), printable(&of.address));
    let _ = writeln!(text, "  {} to {address} in {region}", of.kind);
    let _ = writeln!(text, "  {}", outcome(sample, ink));
    if let Err(failure) = &sample.outcome {
        text += &why(failure);
    }
    text += &draw(sample, ink);
    if let Some(facts) = sample.facts() {
        for line in facts::lines(facts, sample.at) {
            let _ = writeln!(text, "  {}", printable(&line));
        }
    }
    text
}

/// One of many runs, as it comes.
pub(super) fn line(target: &PlannedTarget, sample: &Sample, ink: Ink) -> String {
    let at = moment(timestamp_seconds(sample.at));
    let mut line = format!("{at}  {}  {}", target.target, outcome(sample, ink));
    let laps = sample.laps.iter();
    let laps: Vec<_> = laps
        .map(|(phase, took)| format!("{} {}", phase.as_str(), millis(took)))
        .collect();
    if !laps.is_empty() {
        let _ = write!(line, " ({})", laps.join(", "));
    }
    if let Err(failure) = &sample.outcome {
        let _ = write!(line, ": {}", printable(&failure.detail));
    }
    line + "\n"
}

fn outcome(sample: &Sample, ink: Ink) -> String {
    let took = sample.ended.saturating_duration_since(sample.started);
    match &sample.outcome {
        Ok(reply) => format!("{} {}", ink.paint(Tone::Good, "success"), times(reply)),
        Err(failure) => {
            let (tone, word) = if failure.reason.is_own() {
                (Tone::Doubt, "unknown")
            } else {
                (Tone::Bad, "failure")
            };
            let reason = failure.reason.as_str();
            format!("{} after {}: {reason}", ink.paint(tone, word), millis(took))
        }
    }
}

/// The time of an exchange, or those of a ping's packets.
fn times(reply: &Reply) -> String {
    let (least, most) = (reply.latencies.iter().min(), reply.latencies.iter().max());
    match (least, most) {
        (Some(least), Some(most)) if reply.latencies.len() > 1 => {
            format!("in {} to {}", millis(*least), millis(*most))
        }
        (Some(only), _) => format!("in {}", millis(*only)),
        _ => String::new(),
    }
}

fn why(failure: &Failure) -> String {
    let advice = advice(failure.reason);
    format!(
        "    {}\n    what it means: {}\n    what to do: {}\n",
        printable(&failure.detail),
        advice.what,
        advice.todo
    )
}

/// What many runs came to, a row for each target.
pub(super) fn summary(targets: &[&PlannedTarget], samples: &[Sample], ink: Ink) -> String {
    let rows: Vec<_> = targets.iter().map(|target| row(target, samples)).collect();
    let head = [
        "TARGET", "RUNS", "FAILED", "UNKNOWN", "FASTEST", "MEDIAN", "SLOWEST",
    ];
    "\n".to_owned() + &table(head, &rows, "", ink)
}

fn row(target: &PlannedTarget, samples: &[Sample]) -> [Cell; 7] {
    let runs = samples.iter().filter(|of| of.target == target.key);
    let runs: Vec<_> = runs.map(|of| &of.outcome).collect();
    let failures = runs.iter().filter_map(|outcome| outcome.as_ref().err());
    let unknown = failures.clone().filter(|failure| failure.reason.is_own());
    let unknown = unknown.count();
    let failed = failures.count() - unknown;
    let replies = runs.iter().filter_map(|outcome| outcome.as_ref().ok());
    let mut times: Vec<Duration> = replies.flat_map(|reply| reply.latencies.clone()).collect();
    times.sort_unstable();
    let time = |at: usize| Cell::or_none(times.get(at).copied().map(millis));
    let count = |count: usize, tone: Tone| match count {
        0 => Cell::plain("0"),
        count => Cell(tone, count.to_string()),
    };
    [
        Cell::plain(target.target.to_string()),
        Cell::plain(runs.len().to_string()),
        count(failed, Tone::Bad),
        count(unknown, Tone::Doubt),
        time(0),
        time(times.len() / 2),
        time(times.len().saturating_sub(1)),
    ]
}
