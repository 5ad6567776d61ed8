//! `shift`: runs against a target take longer than they did.

use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;

use super::kind::zero_problem;
use super::{
    Beyond, Kind, Measure, NeedOfProbe, OfTarget, Pace, Problem, Reading, Scope, Watched, window,
};
use crate::model::duration::{self, display};
use crate::model::ranking::Quantile;
use crate::model::{Sample, Unit};
use crate::readiness::rank::{Batch, Batches, Change, Grid, PastBatch, change};

/// Batches that are compared unless `over` says otherwise: as many as the ranking needs.
const BATCHES: u32 = 24;

/// Batches that are compared at least: with less, chance cannot be ruled out (99 %).
const FEWEST: u32 = 8;

/// The furthest that the past can be away.
const FURTHEST: Duration = Duration::from_hours(7 * 24);

/// How far back batches can be of use: what is compared is never longer than how far away it is.
pub const LONGEST_PAST: Duration = Duration::from_hours(2 * 7 * 24);

/// The settings.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The probe; by default every one.
    pub probe: Option<String>,
    /// The regions of the targets; by default all.
    pub to: Option<Vec<String>>,
    /// The least that matters: so many times as long as before ...
    pub by: f64,
    /// ... and so much longer.
    #[serde(deserialize_with = "duration::deserialize")]
    pub at_least: Duration,
    /// How far back the runs are that are compared; by default 24 batches of the ranking.
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub over: Option<Duration>,
    /// How long before them the runs were that they are compared with.
    #[serde(deserialize_with = "duration::deserialize")]
    pub than: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            probe: None,
            to: None,
            by: 1.2,
            at_least: Duration::from_millis(2),
            over: None,
            than: Duration::from_hours(24),
        }
    }
}

impl Kind for Settings {
    fn scope(&self) -> Scope<'_> {
        Scope::Targets {
            probe: self.probe.as_deref(),
            to: self.to.as_deref(),
            needs: NeedOfProbe::Nothing,
        }
    }

    fn measure(&self) -> Measure {
        Measure {
            what: "the latency, as a multiple of what it was".into(),
            unit: Some(Unit::Number),
            beyond: Beyond::AtLeast,
            threshold: Some(self.by),
        }
    }

    fn shared(&self) -> bool {
        false
    }

    fn problems(&self) -> Vec<Problem> {
        let by = (!(1.0 < self.by && self.by <= 100.0))
            .then(|| Problem::new("by", "must be above 1 and at most 100"));
        let over = self.over.into_iter().flat_map(window::too_long);
        let than = if self.than > FURTHEST {
            let message = format!("must be at most {}", display(FURTHEST));
            Some(Problem::new("than", message))
        } else {
            zero_problem("than", self.than)
        };
        by.into_iter().chain(over).chain(than).collect()
    }

    fn problems_at(&self, pace: Pace) -> Vec<Problem> {
        let length = length(pace);
        let least = length * FEWEST;
        let over = self.over.filter(|over| *over < least).map(|_| {
            let message = format!(
                "must be at least {}, {FEWEST} batches of {}",
                display(least),
                display(length)
            );
            Problem::new("over", message)
        });
        let recent = length * self.batches(pace);
        let than = (self.than < recent).then(|| {
            let message = format!("must be at least {}, what is compared", display(recent));
            Problem::new("than", message)
        });
        over.into_iter().chain(than).collect()
    }

    fn of_target(&self, watched: Watched<'_>) -> Option<Box<dyn OfTarget>> {
        Some(Box::new(Shift::new(self, watched.pace)))
    }
}

impl Settings {
    /// Batches that are compared.
    fn batches(&self, pace: Pace) -> u32 {
        let length = length(pace);
        let fit = self.over.map(|over| over.as_nanos() / length.as_nanos());
        let fit = fit.map_or(BATCHES, |fit| u32::try_from(fit).unwrap_or(u32::MAX));
        fit.max(FEWEST)
    }
}

/// The length of a batch: as in the ranking.
fn length(pace: Pace) -> Duration {
    Grid::length_for(Quantile::Median, pace.interval)
}

/// The batches of runs as far back as they are compared. A day of batches of five minutes takes 5 KiB,
/// and the batch under way up to 8.
#[derive(Debug)]
struct Shift {
    by: f64,
    at_least: f64,
    interval: Duration,
    /// Batches that are compared, and how many before them those are that they are compared with.
    recent: u32,
    before: u32,
    batches: Option<(Grid, Batches)>,
    /// Those of earlier lives, until the first run.
    past: Vec<Batch>,
    /// The last one that is kept for the next life.
    gathered: Option<u32>,
    /// What was read in this batch.
    read: Option<(u32, Reading)>,
}

impl Shift {
    fn new(settings: &Settings, pace: Pace) -> Self {
        let length = length(pace);
        let recent = settings.batches(pace);
        let before = (settings.than + length / 2).as_nanos() / length.as_nanos();
        Self {
            by: settings.by,
            at_least: settings.at_least.as_secs_f64(),
            interval: pace.interval,
            recent,
            before: u32::try_from(before).unwrap_or(u32::MAX).max(recent),
            batches: None,
            past: Vec::new(),
            gathered: None,
            read: None,
        }
    }

    /// The batches, on a grid that the first run decides on.
    fn batches(&mut self, run: &Sample) -> &mut Batches {
        let kept = self.before.max(self.recent * 2).saturating_add(self.recent);
        let (_, batches) = self.batches.get_or_insert_with(|| {
            let grid = Grid::dated(run.ended, run.at, Quantile::Median, self.interval);
            let grid = grid.keeping(kept);
            let mut batches = Batches::new(grid);
            batches.remember(std::mem::take(&mut self.past));
            self.gathered = batches.last().map(|batch| batch.slot);
            (grid, batches)
        });
        batches
    }

    /// Looks at the batches that are over.
    fn look(&mut self, now: Instant) -> Reading {
        let unknown = Reading {
            threshold: Some(self.by),
            ..Reading::default()
        };
        let Some((grid, batches)) = &mut self.batches else {
            return unknown;
        };
        let (end, window) = (grid.slot(now), batches.window(now));
        // So many batches that end here, beside those that ended so much before.
        let beside = |end: u32, count: u32, before: u32| {
            let slots = end.checked_sub(count)?..end;
            let then = slots.start.checked_sub(before)?..slots.end - before;
            let least = (count * 2 / 3).max(FEWEST) as usize;
            change(&window.part(slots, 0), &window.part(then, before), least)
        };
        if let Some(change) = beside(end, self.recent, self.before) {
            return self.judge(change, 1.0);
        }
        // Not for so long: in the hours that lie between, the time of day makes a difference. What
        // rises by it rises on, maybe twice as fast: only what comes on top of that is a shift.
        let few = (self.recent / 2).max(FEWEST);
        let rise = end.checked_sub(few).and_then(|end| beside(end, few, few));
        let change = beside(end, few, few).zip(rise);
        change.map_or(unknown, |(change, rise)| {
            self.judge(change, rise.ratio.median.max(1.0).powi(2))
        })
    }

    /// Where everything takes `rise` times as long by itself.
    fn judge(&self, change: Change, rise: f64) -> Reading {
        let Change { ratio, seconds } = change;
        let by = self.by * rise;
        let matters = ratio.median >= by && seconds.median >= self.at_least;
        let holds = match (matters, ratio.low > rise) {
            (true, true) => Some(true),
            (false, _) => Some(false),
            // It may be chance.
            (true, false) => None,
        };
        Reading {
            holds,
            value: Some(ratio.median),
            threshold: Some(by),
        }
    }
}

impl OfTarget for Shift {
    fn observe(&mut self, sample: &Sample) {
        self.batches(sample).observe(sample);
    }

    fn read(&mut self, now: Instant) -> Reading {
        // The runs decide on the grid, and not the looks, which are the same for all: they would come
        // to the ends of their batches together.
        let slot = self.batches.as_ref().map_or(0, |(grid, _)| grid.slot(now));
        if let Some((of, reading)) = self.read
            && of == slot
        {
            return reading;
        }
        let reading = self.look(now);
        self.read = Some((slot, reading));
        reading
    }

    fn gathered(&mut self, now: (Instant, SystemTime)) -> Option<PastBatch> {
        let (grid, batches) = self.batches.as_ref()?;
        let batch = batches.last()?;
        if self.gathered == Some(batch.slot) {
            return None;
        }
        self.gathered = Some(batch.slot);
        Some(PastBatch {
            length: grid.length(),
            batch: Batch {
                slot: grid.number(batch.slot, now)?,
                ..*batch
            },
        })
    }

    fn remember(&mut self, past: &[PastBatch]) -> usize {
        let length = Grid::length_for(Quantile::Median, self.interval);
        let fit = past.iter().filter(|past| past.length == length);
        self.past = fit.map(|past| past.batch).collect();
        self.past.len()
    }
}

#[cfg(test)]
mod tests;
