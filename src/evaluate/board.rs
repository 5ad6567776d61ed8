//! What is known of every group: changed by the evaluation, read by whoever asks.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::group::{Compared, Group};
use super::set::{Changes, Set};
use crate::model::{
    Drill, DrillOrder, DrillRefusal, Failover, GroupReport, PastFigures, PlannedGroup, Sample,
    TargetKey,
};
use crate::readiness::{Jolt, Reading, Tilt};

/// The groups, as judged.
///
/// A reader holds the lock while it makes its reports, some microseconds for each standby; the
/// evaluation, which is no probe, waits so long.
#[derive(Debug)]
pub struct Board {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    groups: Vec<Group>,
    /// The groups that want to see a target's runs.
    groups_of: HashMap<TargetKey, Vec<usize>>,
    tilt: Tilt,
}

impl Board {
    /// The groups, of which nothing was seen yet.
    pub fn new(groups: Vec<Group>) -> Self {
        let mut groups_of: HashMap<TargetKey, Vec<usize>> = HashMap::new();
        for (index, group) in groups.iter().enumerate() {
            for target in group.targets() {
                groups_of.entry(target).or_default().push(index);
            }
        }
        let inner = Inner {
            groups,
            groups_of,
            tilt: Tilt::default(),
        };
        Self {
            inner: Mutex::new(inner),
        }
    }

    /// What is to be said of every group at `now`, which is `today` on the wall clock.
    pub fn reports(&self, now: Instant, today: SystemTime) -> Vec<GroupReport> {
        let inner = self.lock();
        let groups = inner.groups.iter();
        groups.map(|group| group.report(now, today)).collect()
    }

    /// What is planned of every group, in the order of the reports.
    pub fn planned(&self) -> Vec<PlannedGroup> {
        let inner = self.lock();
        let groups = inner.groups.iter();
        groups.map(|group| group.planned().clone()).collect()
    }

    /// What happened to every group, for its metrics.
    pub fn past(&self) -> Vec<PastFigures> {
        let inner = self.lock();
        let groups = inner.groups.iter();
        groups.map(|group| group.past().figures()).collect()
    }

    /// The failovers of every group that are known, oldest first.
    pub fn failovers(&self) -> Vec<Failover> {
        let inner = self.lock();
        let groups = inner.groups.iter();
        groups
            .flat_map(|group| group.past().failovers().to_vec())
            .collect()
    }

    /// The drills of every group that are known, oldest first.
    pub fn drills(&self) -> Vec<Drill> {
        let inner = self.lock();
        let groups = inner.groups.iter();
        groups
            .flat_map(|group| group.past().drills().to_vec())
            .collect()
    }

    /// Carries out what an operator orders at `now`, which is `today` on the wall clock.
    pub fn drill(
        &self,
        order: &DrillOrder,
        now: Instant,
        today: SystemTime,
    ) -> Result<Drill, DrillRefusal> {
        let inner = &mut *self.lock();
        let name = match order {
            DrillOrder::Start(start) => &start.group,
            DrillOrder::Finish(group) | DrillOrder::Abort(group) => group,
        };
        let mut groups = inner.groups.iter_mut();
        let group = groups.find(|group| group.name() == name);
        let group = group.ok_or(DrillRefusal::NoGroup)?;
        group.drill(order, now, today)
    }

    /// Takes in a run.
    pub(super) fn observe(&self, sample: &Sample) {
        let inner = &mut *self.lock();
        for group in inner.groups_of.get(&sample.target).into_iter().flatten() {
            inner.groups[*group].observe(sample);
        }
    }

    /// Takes in what a run changed in what is known of a database from both sides.
    pub(super) fn compare(&self, sample: &Sample, set: &Set, changes: &Changes) {
        let inner = &mut *self.lock();
        let seen = Compared {
            sample,
            of_primary: changes.of_primary,
            primary: set.primary(),
            write_rate: set.write_rate(),
            set: set.figures(),
        };
        for group in inner.groups_of.get(&sample.target).into_iter().flatten() {
            let group = &mut inner.groups[*group];
            for (pair, figures) in &changes.pairs {
                group.compare(*pair, figures, seen);
            }
            group.primary(set, changes);
        }
    }

    /// These groups take the place of those that there are: a group of the same name goes on as far as
    /// it is the same. The sets are those of the same configuration and have taken over already.
    pub(super) fn succeed(&self, fresh: Self, sets: &[Set], (now, today): (Instant, SystemTime)) {
        let fresh = fresh.inner.into_inner();
        let mut fresh = fresh.unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *self.lock();
        let former = std::mem::take(&mut inner.groups).into_iter();
        let mut former: HashMap<_, _> = former.map(|of| (of.name().to_owned(), of)).collect();
        let mut places = HashMap::new();
        for (place, group) in fresh.groups.iter_mut().enumerate() {
            places.insert(group.name().to_owned(), place);
            if let Some(former) = former.remove(group.name()) {
                group.succeed(former, (now, today));
            }
            // What is new in it was not there when the clocks were found not to be trusted.
            if let Some(until) = inner.tilt.until(now) {
                let slept = Duration::ZERO;
                group.tilt(Jolt { until, slept }, now);
            }
        }
        for set in sets {
            if let Some(place) = places.get(&*set.named().group) {
                fresh.groups[*place].serves(set);
            }
        }
        inner.groups = fresh.groups;
        inner.groups_of = fresh.groups_of;
    }

    /// Takes a reading of the clocks, and counts what time alone has changed. It is due once a
    /// second. Tells what the clocks are worth now.
    pub(super) fn tick(&self, reading: Reading, today: SystemTime) -> Tilt {
        let inner = &mut *self.lock();
        let now = reading.monotonic;
        if let Some(jolt) = inner.tilt.read(reading) {
            for group in &mut inner.groups {
                group.tilt(jolt, now);
            }
        }
        for group in &mut inner.groups {
            group.tick(now, today);
        }
        inner.tilt.clone()
    }

    /// A panic while the lock was held leaves a judgement that ages like any other.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
