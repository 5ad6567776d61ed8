//! The latencies of one candidate, in batches on a grid that all candidates share.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime};

use crate::model::Sample;
use crate::model::ranking::Quantile;

/// A batch is never shorter, but in a benchmark: it must outlast the time over which a path's latency
/// hangs together. At a correlation of 0.97 over 10 s, batches of one minute are sure of a difference
/// between equals in a third of all simulations.
pub(super) const SHORTEST: Duration = Duration::from_mins(5);

/// What is looked back on at least.
const WINDOW: Duration = Duration::from_hours(6);

/// Batches that a window has at least, for slow probes: half as many again as a comparison needs.
const FEWEST_BATCHES: u32 = 36;

/// Batches of a benchmark: a quarter more than a comparison needs, for a host that is busy has some
/// with too few runs.
const BENCHMARK_BATCHES: u32 = 30;

/// Runs without which a batch does not count.
const MIN_RUNS: u32 = 20;

/// Runs that a batch has room for: one in six may be missed.
const PLANNED_RUNS: u32 = 24;

/// Times of the current batch that are held; beyond it, every second one is dropped, again and
/// again. 300 runs of five packets each, one run a second, fit.
const MOST_SAMPLES: usize = 2048;

/// The quantile of at least one time; reorders them.
fn quantile_of(quantile: Quantile, micros: &mut [u32]) -> u32 {
    let last = micros.len() - 1;
    let at = match quantile {
        Quantile::Median => last / 2,
        Quantile::P95 => last * 95 / 100,
    };
    *micros.select_nth_unstable(at).1
}

/// Where batches begin and end, on the monotonic clock. Candidates that are to be compared share
/// one, so that what the whole host or path suffers hits both of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    origin: Instant,
    /// The number of the batch that begins there.
    first: u32,
    length: Duration,
    batches: u32,
    quantile: Quantile,
}

impl Grid {
    /// The grid for candidates of which the slowest is probed once in `interval`.
    ///
    /// A batch holds 24 runs and takes at least 5 minutes (15 for the tail): 5 minutes up to an
    /// interval of 12 s, 12 minutes at 30 s, 24 minutes at 60 s. The window is 6 hours, and at
    /// least 36 batches: 72 batches up to an interval of 12 s, 14.4 hours at 60 s.
    pub fn new(origin: Instant, quantile: Quantile, interval: Duration) -> Self {
        let length = Self::length_for(quantile, interval);
        let fit = u32::try_from(WINDOW.as_secs() / length.as_secs()).unwrap_or(u32::MAX);
        Self {
            origin,
            first: 0,
            length,
            batches: fit.max(FEWEST_BATCHES),
            quantile,
        }
    }

    /// The grid for one candidate alone, with a run at `at`, which is `today` on the wall clock. Its
    /// batches are numbered from 1970 on, so that those of another life of the daemon have their places
    /// beside them; each begins with a run, so that not those of all targets end together.
    pub fn dated(at: Instant, today: SystemTime, quantile: Quantile, interval: Duration) -> Self {
        let grid = Self::new(at, quantile, interval);
        let since = since_1970(today);
        let length = grid.length.as_nanos();
        let runs = (since % length) / interval.as_nanos().max(1);
        let before = u32::try_from(runs).unwrap_or(0);
        Self {
            origin: at.checked_sub(interval * before).unwrap_or(at),
            first: u32::try_from(since / length).unwrap_or(0),
            ..grid
        }
    }

    /// The length of a batch of such a grid.
    pub fn length_for(quantile: Quantile, interval: Duration) -> Duration {
        let shortest = match quantile {
            Quantile::Median => SHORTEST,
            Quantile::P95 => SHORTEST * 3,
        };
        interval.saturating_mul(PLANNED_RUNS).max(shortest)
    }

    /// The grid for a benchmark of `duration`: 30 short batches. It tells of now, not of later: for
    /// minutes, equal candidates do differ.
    pub fn benchmark(origin: Instant, duration: Duration) -> Self {
        Self {
            origin,
            first: 0,
            length: (duration / BENCHMARK_BATCHES).max(Duration::from_millis(1)),
            batches: BENCHMARK_BATCHES,
            quantile: Quantile::Median,
        }
    }

    /// The same with a window of so many batches.
    #[must_use]
    pub fn keeping(self, batches: u32) -> Self {
        Self { batches, ..self }
    }

    /// Whether batches are alike on both, wherever they begin.
    pub fn is_as(&self, other: &Self) -> bool {
        let Self { origin, first, .. } = *self;
        *self
            == Self {
                origin,
                first,
                ..*other
            }
    }

    /// The length of a batch.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// How many batches a window has.
    pub fn batches(&self) -> u32 {
        self.batches
    }

    /// What is kept of a batch.
    pub fn quantile(&self) -> Quantile {
        self.quantile
    }

    /// The longest time from run to run at which batches are sure to count.
    pub fn interval(&self) -> Duration {
        self.length / PLANNED_RUNS
    }

    /// The runs of one after the other that fill every batch of a window.
    pub fn needed_runs(&self) -> u32 {
        self.batches * PLANNED_RUNS
    }

    /// The batch that `at` falls into.
    pub fn slot(&self, at: Instant) -> u32 {
        let since = at.saturating_duration_since(self.origin);
        let since = u32::try_from(since.as_nanos() / self.length.as_nanos());
        self.first.saturating_add(since.unwrap_or(u32::MAX))
    }

    /// The number that a batch of a [dated](Self::dated) grid has by the wall clock as it is now. It is
    /// another one where that clock was set since the grid was made. `None`: it was set to before 1970.
    pub fn number(&self, slot: u32, (now, today): (Instant, SystemTime)) -> Option<u32> {
        let nanos = |nanos: u128| i128::try_from(nanos).unwrap_or(i128::MAX);
        let length = nanos(self.length.as_nanos());
        let since = now.saturating_duration_since(self.origin).as_nanos();
        let ours = i128::from(self.first) * length + nanos(since);
        let ahead = nanos(since_1970(today)).saturating_sub(ours);
        let ahead = ahead.saturating_add(length / 2).div_euclid(length);
        u32::try_from(i128::from(slot) + ahead).ok()
    }
}

fn since_1970(today: SystemTime) -> u128 {
    let since = today.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos())
}

/// What is left of the runs of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Which batch of the grid it is.
    pub slot: u32,
    /// The quantile in microseconds; [`Batch::FAILED`] for none.
    pub micros: u32,
    /// Runs that ended in it.
    pub runs: u32,
    /// Those that failed.
    pub failed: u32,
}

/// A batch for another life of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastBatch {
    /// How long it is.
    pub length: Duration,
    /// The batch, on a [dated](Grid::dated) grid.
    pub batch: Batch,
}

const FAILED: u32 = Batch::FAILED;

impl Batch {
    /// Stands for the time of a run that failed: longer than any.
    pub const FAILED: u32 = u32::MAX;

    /// The quantile in seconds; infinite where too many runs failed for one.
    pub fn seconds(&self) -> f64 {
        match self.micros {
            FAILED => f64::INFINITY,
            micros => f64::from(micros) / 1e6,
        }
    }

    /// The share of runs that failed, 0 to 1.
    pub fn loss(&self) -> f64 {
        f64::from(self.failed) / f64::from(self.runs.max(1))
    }
}

/// The latencies of one candidate, seen from this daemon. With the window of a ranking it takes at
/// most 10 KiB: the times of the current batch, and 16 bytes for every batch before it.
#[derive(Debug)]
pub struct Batches {
    grid: Grid,
    /// Batches that are over and count, oldest first.
    over: VecDeque<Batch>,
    current: Current,
}

impl Batches {
    /// No runs yet.
    pub fn new(grid: Grid) -> Self {
        Self {
            grid,
            over: VecDeque::new(),
            current: Current::new(grid.first),
        }
    }

    /// Takes the batches of an earlier life, in the order in which they were written, in the place of
    /// what there is. Those that are too old are left out, and those that are still to come: the clock
    /// was ahead then.
    pub fn remember(&mut self, mut past: Vec<Batch>) {
        let current = self.current.slot;
        let oldest = current.saturating_sub(self.grid.batches);
        past.retain(|batch| (oldest..current).contains(&batch.slot));
        // Where the clock was set back there are two of a number. The later one is of the clock that
        // went on.
        past.reverse();
        past.sort_by_key(|batch| batch.slot);
        past.dedup_by_key(|batch| batch.slot);
        self.over = past.into();
    }

    /// The last batch that is over and counts.
    pub fn last(&self) -> Option<&Batch> {
        self.over.back()
    }

    /// Takes a run, or each packet of it. A fault of our own is no run.
    pub fn observe(&mut self, sample: &Sample) {
        let answered = match &sample.outcome {
            Ok(reply) => &reply.latencies[..],
            Err(failure) if failure.reason.is_own() => return,
            Err(_) => &[],
        };
        for latency in answered {
            self.record(sample.ended, Some(*latency));
        }
        let packets = sample.facts().and_then(|facts| facts.ping);
        let lost = packets.map_or(0, |packets| packets.sent.saturating_sub(packets.received));
        for _ in 0..lost.max(sample.outcome.is_err().into()) {
            self.record(sample.ended, None);
        }
    }

    /// Takes a run, or a packet of a run, that ended at `at`; no latency where it failed.
    ///
    /// What is not known (a fault of our own) is no run and is not to be given here. A run from
    /// before the current batch counts in the current one.
    pub fn record(&mut self, at: Instant, latency: Option<Duration>) {
        self.advance(at);
        self.current.record(latency);
    }

    /// The batches of the window before `now`. The one under way is not among them.
    pub fn window(&mut self, now: Instant) -> Window {
        self.advance(now);
        Window {
            grid: self.grid,
            batches: self.over.iter().copied().collect(),
        }
    }

    fn advance(&mut self, now: Instant) {
        let slot = self.grid.slot(now);
        if slot <= self.current.slot {
            return;
        }
        self.over.extend(self.current.close(self.grid.quantile));
        self.current.begin(slot);
        let oldest = slot.saturating_sub(self.grid.batches);
        while self.over.front().is_some_and(|batch| batch.slot < oldest) {
            self.over.pop_front();
        }
    }
}

/// The batch under way.
#[derive(Debug)]
struct Current {
    slot: u32,
    /// Every `stride`-th time, in microseconds.
    micros: Vec<u32>,
    stride: u32,
    runs: u32,
    failed: u32,
}

impl Current {
    fn new(slot: u32) -> Self {
        Self {
            slot,
            micros: Vec::new(),
            stride: 1,
            runs: 0,
            failed: 0,
        }
    }

    fn begin(&mut self, slot: u32) {
        let mut micros = std::mem::take(&mut self.micros);
        micros.clear();
        *self = Self {
            micros,
            ..Self::new(slot)
        };
    }

    fn record(&mut self, latency: Option<Duration>) {
        if self.runs.is_multiple_of(self.stride) {
            if self.micros.len() == MOST_SAMPLES {
                self.thin();
            }
            let micros = latency.map_or(FAILED, |l| {
                u32::try_from(l.as_micros()).map_or(FAILED - 1, |micros| micros.min(FAILED - 1))
            });
            self.micros.push(micros);
        }
        self.runs = self.runs.saturating_add(1);
        self.failed = self.failed.saturating_add(latency.is_none().into());
    }

    fn thin(&mut self) {
        let mut index = 0_u32;
        self.micros.retain(|_| {
            index += 1;
            index % 2 == 1
        });
        self.stride *= 2;
    }

    fn close(&mut self, quantile: Quantile) -> Option<Batch> {
        (self.runs >= MIN_RUNS).then(|| Batch {
            slot: self.slot,
            micros: quantile_of(quantile, &mut self.micros),
            runs: self.runs,
            failed: self.failed,
        })
    }
}

/// The batches of one candidate that are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub(super) grid: Grid,
    /// Oldest first, at most one of a slot.
    batches: Vec<Batch>,
}

impl Window {
    /// The window of several targets taken together, such as all that run one release: the mean of
    /// their quantiles in the batches that all of them have. Two such windows differ by the mean of
    /// what their targets differ by, if they have targets at the same places. `None`: no members, or
    /// on different grids.
    pub fn joined(members: &[Self]) -> Option<Self> {
        let (first, others) = members.split_first()?;
        if others.iter().any(|other| other.grid != first.grid) {
            return None;
        }
        let batches = first.batches.iter().filter_map(|batch| {
            let rest = others.iter().map(|other| other.at(batch.slot));
            let all: Option<Vec<_>> = std::iter::once(Some(*batch)).chain(rest).collect();
            Some(mean(&all?))
        });
        Some(Self {
            grid: first.grid,
            batches: batches.collect(),
        })
    }

    /// The batches from one slot of the grid up to another, as if they were so many slots later: to
    /// be compared with what came then.
    #[must_use]
    pub fn part(&self, slots: Range<u32>, later: u32) -> Self {
        let batches = self.batches.iter();
        let batches = batches.filter(|batch| slots.contains(&batch.slot));
        Self {
            grid: self.grid,
            batches: batches
                .map(|batch| Batch {
                    slot: batch.slot.saturating_add(later),
                    ..*batch
                })
                .collect(),
        }
    }

    /// How many batches there are.
    pub fn len(&self) -> usize {
        self.batches.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The newest batch.
    pub(super) fn newest(&self) -> Option<u32> {
        self.batches.last().map(|batch| batch.slot)
    }

    /// The median of the batches' quantiles, in seconds; infinite where most batches have none.
    /// `None` without batches.
    pub fn seconds(&self) -> Option<f64> {
        let mut all: Vec<_> = self.batches.iter().map(Batch::seconds).collect();
        median(&mut all)
    }

    /// The share of runs that failed, 0 to 1. `None` without batches.
    pub fn loss(&self) -> Option<f64> {
        loss(self.batches.iter())
    }

    /// What this window and another have of the same batches; nothing on different grids.
    pub(super) fn pairs(&self, other: &Self) -> Vec<(Batch, Batch)> {
        if self.grid != other.grid {
            return Vec::new();
        }
        let mut theirs = other.batches.iter().peekable();
        let both = |mine: &Batch| {
            while theirs.next_if(|batch| batch.slot < mine.slot).is_some() {}
            let same = theirs.next_if(|batch| batch.slot == mine.slot)?;
            Some((*mine, *same))
        };
        self.batches.iter().filter_map(both).collect()
    }

    fn at(&self, slot: u32) -> Option<Batch> {
        let found = self.batches.binary_search_by_key(&slot, |b| b.slot);
        found.ok().map(|index| self.batches[index])
    }
}

/// The mean of batches of one slot; at least one.
fn mean(batches: &[Batch]) -> Batch {
    let sum: u64 = batches.iter().map(|b| u64::from(b.micros)).sum();
    let micros = if batches.iter().any(|b| b.micros == FAILED) {
        FAILED
    } else {
        u32::try_from(sum / batches.len() as u64).unwrap_or(FAILED)
    };
    let total = |of: fn(&Batch) -> u32| batches.iter().map(of).fold(0, u32::saturating_add);
    Batch {
        slot: batches[0].slot,
        micros,
        runs: total(|b| b.runs),
        failed: total(|b| b.failed),
    }
}

/// The share of all runs of the batches that failed.
#[expect(clippy::cast_precision_loss, reason = "a ratio of counts")]
pub(super) fn loss<'a>(batches: impl Iterator<Item = &'a Batch>) -> Option<f64> {
    let add = |(runs, failed): (u64, u64), batch: &Batch| {
        (
            runs + u64::from(batch.runs),
            failed + u64::from(batch.failed),
        )
    };
    let (runs, failed) = batches.fold((0, 0), add);
    (runs > 0).then(|| failed as f64 / runs as f64)
}

/// The median; sorts. Between the two infinities it is 0: nothing to choose.
pub(super) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    let middle = lower.midpoint(upper);
    Some(if middle.is_nan() { 0.0 } else { middle })
}

#[cfg(test)]
mod tests;
