//! What is told of all targets at a glance.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::durations::Durations;
use super::frame::LINE;
use super::step::Step;
use super::{Entry, Index, run};
use crate::model::{MatrixReport, Outcome, ProbeRow, RegionCell};

/// What is told of now is what was seen in so many seconds.
const NOW: u64 = 300;

/// What all targets are like.
pub(super) fn of(source_region: &Arc<str>, index: &Index, now: SystemTime) -> MatrixReport {
    let millis = run::millis(now);
    let clock = Clock {
        now: millis / 1_000,
        step: index.frame.short.into(),
    };
    let mut probes: Vec<ProbeRow> = Vec::new();
    let of_probes = index
        .entries
        .chunk_by(|one, two| one.target.probe == two.target.probe);
    for entries in of_probes {
        let mut regions: BTreeMap<&Arc<str>, Region> = BTreeMap::new();
        for entry in entries {
            let region = regions.entry(&entry.target.target_region);
            region.or_default().add(entry, clock);
        }
        let target = &entries[0].target;
        probes.push(ProbeRow {
            probe: Arc::clone(&target.probe),
            kind: target.kind,
            regions: regions
                .into_iter()
                .map(|(name, region)| region.told(name))
                .collect(),
        });
    }
    MatrixReport {
        source_region: Arc::clone(source_region),
        timestamp_seconds: run::seconds(millis),
        line_step_seconds: clock.step,
        probes,
    }
}

/// In seconds: when it is, and how long a step of a line is.
#[derive(Clone, Copy, Debug)]
struct Clock {
    now: u64,
    step: u64,
}

impl Clock {
    /// Where in the line a step goes: 0 is now.
    fn ago(self, step: &Step) -> Option<usize> {
        let ago = (self.now / self.step).checked_sub(step.start / self.step)?;
        usize::try_from(ago).ok().filter(|ago| *ago < LINE)
    }
}

/// The targets of a probe in a region.
#[derive(Debug)]
struct Region {
    targets: usize,
    down: usize,
    unknown: usize,
    now: Step,
    /// The latest first.
    line: Vec<Durations>,
}

impl Default for Region {
    fn default() -> Self {
        Self {
            targets: 0,
            down: 0,
            unknown: 0,
            now: Step::default(),
            line: vec![Durations::default(); LINE],
        }
    }
}

impl Region {
    fn add(&mut self, entry: &Entry, clock: Clock) {
        let (last, (steps, open)) = {
            let track = entry.track();
            (track.last(), track.short())
        };
        self.targets += 1;
        match last.map(run::Run::outcome) {
            Some(Outcome::Success) => {}
            Some(Outcome::Failure) => self.down += 1,
            Some(Outcome::Unknown) | None => self.unknown += 1,
        }
        let steps = steps.iter();
        let steps = steps.filter_map(|bytes| Step::take(&mut bytes.iter().copied()));
        for step in steps.chain(open) {
            if step.end() + NOW > clock.now && step.start <= clock.now {
                self.now.merge(&step, usize::MAX);
            }
            if let Some(ago) = clock.ago(&step) {
                self.line[ago].merge(&step.durations, usize::MAX);
            }
        }
    }

    fn told(self, name: &Arc<str>) -> RegionCell {
        let now = &self.now;
        let line = self.line.iter().rev();
        RegionCell {
            region: Arc::clone(name),
            targets: self.targets,
            down: self.down,
            unknown: self.unknown,
            median_seconds: now.durations.quantile(0.5),
            p99_seconds: now.durations.quantile(0.99),
            failure_ratio: ratio(now.failures, now.attempts()),
            packet_loss_ratio: ratio(now.lost, now.packets),
            line: line.map(|durations| durations.quantile(0.5)).collect(),
        }
    }
}

fn ratio(part: u32, all: u32) -> Option<f64> {
    (all > 0).then(|| f64::from(part) / f64::from(all))
}
