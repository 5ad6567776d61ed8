//! What is told of one target.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::durations::Durations;
use super::frame::Frame;
use super::run::{self, Run};
use super::step::Step;
use super::track::Seen;
use super::{History, Index, cells};
use crate::model::{NoSuch, PastStep, PhaseSeconds, SamplesReport, Span};

/// Cells that are told as one: half a doubling.
const ROW: u16 = 4;

impl History {
    /// What is known of a target.
    pub fn samples(
        &self,
        probe: &str,
        target: &str,
        span: Span,
        now: SystemTime,
    ) -> Result<SamplesReport, NoSuch> {
        let index = self.index();
        let entry = index.find(probe, target);
        let entry = entry.ok_or_else(|| missing(&index, probe))?;
        // The lock is gone before anything is read.
        let seen = entry.track().seen(now, &entry.frame);
        let seen = seen();
        let (length, steps) = divided(&seen, span, &entry.frame);
        let rows = Rows::of(steps.values());
        let target = &entry.target;
        let runs = seen.runs.iter();
        let failures = seen.failures.iter();
        Ok(SamplesReport {
            probe: Arc::clone(&target.probe),
            kind: target.kind,
            target: Arc::clone(&target.name),
            source_region: Arc::clone(&target.source_region),
            target_region: Arc::clone(&target.target_region),
            timestamp_seconds: run::seconds(run::millis(now)),
            step_seconds: length,
            bounds_seconds: rows.bounds(),
            steps: steps.values().map(|step| shown(step, rows)).collect(),
            recent: runs
                .filter_map(|bytes| Run::take(&mut bytes.iter().copied()))
                .collect(),
            failures: failures.filter_map(run::take_failure).collect(),
        })
    }
}

fn missing(index: &Index, probe: &str) -> NoSuch {
    let names = index.entries.iter().map(|entry| &entry.target);
    let of_probe = names.clone().filter(|target| *target.probe == *probe);
    let targets: Vec<_> = of_probe.map(|target| Arc::clone(&target.name)).collect();
    if !targets.is_empty() {
        return NoSuch::Target(targets);
    }
    let mut probes: Vec<_> = names.map(|target| Arc::clone(&target.probe)).collect();
    probes.dedup();
    NoSuch::Probe(probes)
}

/// The steps that are asked for, all of one length.
fn divided(seen: &Seen, span: Span, frame: &Frame) -> (u64, BTreeMap<u64, Step>) {
    let asked = span.step.unwrap_or(frame.long.into());
    let (steps, own) = if asked < frame.long.into() {
        (&seen.short, frame.short)
    } else {
        (&seen.long, frame.long)
    };
    let within = |step: &&Step| {
        span.from.is_none_or(|from| from < step.end()) && span.to.is_none_or(|to| step.start <= to)
    };
    let steps: Vec<_> = steps.iter().filter(within).collect();
    // Those that were made while there were other targets may be longer.
    let longest = steps.iter().map(|step| step.length).max();
    let own = u64::from(longest.unwrap_or(own).max(own));
    let length = asked.div_ceil(own).saturating_mul(own);
    let mut divided: BTreeMap<u64, Step> = BTreeMap::new();
    for step in steps {
        let start = step.start - step.start % length;
        let into = divided.entry(start).or_default();
        into.start = start;
        into.merge(step, usize::MAX);
    }
    (length, divided)
}

/// The rows that durations are told in.
#[derive(Clone, Copy, Debug)]
struct Rows {
    /// The first of those with any, and the one after the last.
    first: u16,
    end: u16,
}

impl Rows {
    fn of<'a>(steps: impl Iterator<Item = &'a Step>) -> Self {
        let cells = steps.flat_map(|step| step.durations.iter());
        let rows = cells.map(|(cell, _)| u16::from(cell) / ROW);
        let (first, end) = rows.fold((u16::MAX, 0), |(first, end), row| {
            (first.min(row), end.max(row + 1))
        });
        let first = first.min(end);
        Self { first, end }
    }

    fn bounds(self) -> Vec<f64> {
        if self.first == self.end {
            return Vec::new();
        }
        let bounds = self.first..=self.end;
        bounds.map(|row| cells::lower(row * ROW)).collect()
    }

    fn counts(self, durations: &Durations) -> Vec<u64> {
        let rows = usize::from(self.end - self.first);
        // One below the first bound and one above the last.
        let mut counts = vec![0; if rows == 0 { 1 } else { rows + 2 }];
        for (cell, count) in durations.iter() {
            let row = usize::from(u16::from(cell) / ROW - self.first);
            counts[row + 1] += u64::from(count);
        }
        counts
    }
}

fn shown(step: &Step, rows: Rows) -> PastStep {
    PastStep {
        start_timestamp_seconds: step.start,
        runs: step.runs.into(),
        failures: step.failures.into(),
        unknown: step.unknown.into(),
        packets: step.packets.into(),
        packets_lost: step.lost.into(),
        counts: rows.counts(&step.durations),
        minimum_seconds: step.durations.quantile(0.0),
        median_seconds: step.durations.quantile(0.5),
        maximum_seconds: step.durations.quantile(1.0),
        phases: PhaseSeconds(step.phases().collect()),
    }
}
