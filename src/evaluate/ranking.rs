//! The ranks of a group's standbys.
//!
//! The latency that ranks is that of one probe of the group, from here: what callers here will see
//! after the move. A mean over several probes would be nobody's latency. What lies between primary
//! and standby has no part in it: it is in the loss of data already.
//!
//! Where the probe has several targets in a standby's region, each counts as much as the other: the
//! mean of their quantiles, batch by batch ([`Window::joined`]). The quantile of all their runs
//! together would be that of the nearer half, and jump to the other half and back with the noise.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::model::ranking::{Rows, Table};
use crate::model::{PlannedRanking, RankingReport, Sample, TargetKey};
use crate::readiness::rank::{
    Batches, Candidate, Grid, Preference, Published, Standing, Window, order, table,
};

/// From one evaluation to the next. An order is told when it was found three times in a row, so that
/// a standby that is not ready any more loses its rank within half a minute; by latency, each time
/// needs a batch of its own.
const EVERY: Duration = Duration::from_secs(10);

/// How far back the worst loss of data is looked for, at least; at most twice as far.
const WORST: Duration = Duration::from_mins(5);

/// The standbys of one group, and how they are ranked.
#[derive(Debug)]
pub struct Ranking {
    probe: Option<Arc<str>>,
    grid: Grid,
    standbys: Vec<Standby>,
    published: Published,
    table: Option<Arc<Table>>,
    /// When the next evaluation is due; `None`: now.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Standby {
    name: Arc<str>,
    preference: Option<Preference>,
    targets: Vec<(TargetKey, Batches)>,
    rpo: Worst,
}

impl Ranking {
    /// The ranking of `standbys`, of which no run has been seen. `preferred` are those of them that
    /// are preferred, the first one most; `origin` is any time before the first run.
    pub fn new(
        standbys: &[Arc<str>],
        planned: &PlannedRanking,
        preferred: &[Arc<str>],
        origin: Instant,
    ) -> Self {
        let grid = Grid::new(origin, planned.quantile, planned.interval);
        let preference = |name: &Arc<str>| {
            let mut places = (1..).zip(preferred);
            let place = places.find_map(|(place, other)| (other == name).then_some(place))?;
            Some(Preference { place, until: None })
        };
        let standby = |(index, name): (usize, &Arc<str>)| Standby {
            name: Arc::clone(name),
            preference: preference(name),
            targets: planned
                .targets
                .get(index)
                .into_iter()
                .flatten()
                .map(|target| (*target, Batches::new(grid)))
                .collect(),
            rpo: Worst::default(),
        };
        Self {
            probe: planned.probe.clone(),
            grid,
            standbys: standbys.iter().enumerate().map(standby).collect(),
            published: Published::default(),
            table: None,
            due: None,
        }
    }

    /// Takes over from the ranking as it was before the configuration was loaded anew. The latencies
    /// of a target go on while batches are as long as they were; what is told goes on while it is told
    /// of the same standbys, until another order lasts.
    ///
    /// `go_on` tells of each standby whether its databases are the same.
    pub(super) fn succeed(&mut self, former: Self, go_on: &[bool]) {
        let same_grid = self.grid.is_as(&former.grid);
        let mut batches: HashMap<_, _> = HashMap::new();
        let names = |standbys: &[Standby]| -> BTreeSet<_> {
            standbys.iter().map(|of| Arc::clone(&of.name)).collect()
        };
        let same_standbys = names(&self.standbys) == names(&former.standbys);
        let mut losses = HashMap::new();
        for standby in former.standbys {
            batches.extend(standby.targets);
            losses.insert(standby.name, standby.rpo);
        }
        for (standby, _) in self
            .standbys
            .iter_mut()
            .zip(go_on)
            .filter(|(_, go_on)| **go_on)
        {
            standby.rpo = losses.remove(&standby.name).unwrap_or_default();
        }
        if same_grid {
            self.grid = former.grid;
            for (target, of) in self.standbys.iter_mut().flat_map(|of| &mut of.targets) {
                *of = batches
                    .remove(target)
                    .unwrap_or_else(|| Batches::new(former.grid));
            }
        }
        self.published = former.published.succeeded(same_standbys, same_grid);
        self.table = former.table.filter(|_| same_standbys);
        self.due = former.due;
    }

    /// The targets whose samples it takes.
    pub fn targets(&self) -> impl Iterator<Item = TargetKey> {
        let targets = self.standbys.iter().flat_map(|standby| &standby.targets);
        targets.map(|(target, _)| *target)
    }

    /// Takes in a run; one of a target that is not its own changes nothing.
    pub fn observe(&mut self, sample: &Sample) {
        let targets = self.standbys.iter_mut().flat_map(|s| &mut s.targets);
        for (_, batches) in targets.filter(|(target, _)| *target == sample.target) {
            batches.observe(sample);
        }
    }

    /// Finds the order anew if that is due: every ten seconds, however often it is called. To be
    /// called at least as often.
    ///
    /// `standings` are in the order of the standbys; their preference is set here. `objective` is
    /// that for the loss of data. Whether the ranks that are told have changed.
    pub fn evaluate(
        &mut self,
        standings: &[Standing],
        objective: Option<Duration>,
        now: Instant,
        today: SystemTime,
    ) -> bool {
        for (standby, standing) in self.standbys.iter_mut().zip(standings) {
            standby.rpo.note(standing.rpo, now);
        }
        if self.due.is_some_and(|due| now < due) {
            return false;
        }
        self.due = Some(now + EVERY);
        let grid = self.probe.is_some().then_some(self.grid);
        let standbys = self.standbys.iter_mut().zip(standings);
        let candidates: Vec<_> = standbys
            .map(|(standby, standing)| standby.candidate(standing, grid, now))
            .collect();
        let changed = self.published.offer(order(&candidates, objective, today));
        self.table = self.published.order().map(|order| {
            let probe = self.probe.clone();
            Arc::new(table(Rows::Standby, probe, &self.grid, &candidates, order))
        });
        changed
    }

    /// The rank of a standby, from 1, that is told. `None`: it has none.
    pub fn rank(&self, standby: usize) -> Option<u32> {
        let name = &self.standbys.get(standby)?.name;
        let mut places = self.published.order()?.places.iter();
        places.find(|place| place.name == *name)?.rank
    }

    /// What is told, with every comparison. `None` until an order was found three times in a row:
    /// in the first half minute.
    pub fn report(&self) -> Option<RankingReport> {
        Some(RankingReport {
            changes: self.published.changes(),
            table: Arc::clone(self.table.as_ref()?),
        })
    }
}

impl Standby {
    /// It as it stands; `grid` is that of its latencies, if any are compared.
    fn candidate(&mut self, standing: &Standing, grid: Option<Grid>, now: Instant) -> Candidate {
        let batches = self.targets.iter_mut().map(|(_, batches)| batches);
        let windows: Vec<_> = batches.map(|batches| batches.window(now)).collect();
        Candidate {
            name: Arc::clone(&self.name),
            standing: Standing {
                rpo: self.rpo.of(standing.rpo),
                preference: self.preference,
                ..*standing
            },
            window: grid.map(|grid| {
                let none = || Batches::new(grid).window(now);
                Window::joined(&windows).unwrap_or_else(none)
            }),
        }
    }
}

/// The worst loss of data of the last minutes. What would be lost rises and falls with every canary,
/// and a standby that is now just within a band and now just beyond it is beyond it.
#[derive(Debug, Default)]
struct Worst {
    /// When the current minutes began.
    began: Option<Instant>,
    current: Option<Duration>,
    before: Option<Duration>,
}

impl Worst {
    fn note(&mut self, rpo: Option<Duration>, now: Instant) {
        let over = |began| now.saturating_duration_since(began) >= WORST;
        if self.began.is_none_or(over) {
            self.before = self.current.take();
            self.began = Some(now);
        }
        self.current = self.current.max(rpo);
    }

    /// What is not known now is not known.
    fn of(&self, rpo: Option<Duration>) -> Option<Duration> {
        rpo.max(self.current)
            .max(self.before)
            .filter(|_| rpo.is_some())
    }
}

#[cfg(test)]
mod tests;
