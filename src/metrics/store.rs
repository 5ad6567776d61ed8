//! The series of all targets, sets and pairs.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use super::alertmanagers::AlertmanagerSeries;
use super::buckets::Buckets;
use super::groups::GroupSeries;
use super::members::MemberSeries;
use super::page::{Format, Page};
use super::pairs::PairSeries;
use super::receivers::ReceiverSeries;
use super::rows::{Family, Subject};
use super::series::{Series, Terms};
use super::sets::SetSeries;
use super::standbys::StandbySeries;
use super::tables::Tables;
use super::{alertmanagers, families, groups, members, pairs, receivers, sets, standbys};
use crate::model::{
    DatabaseSet, GroupMember, GroupReport, Observation, PairFigures, PairKey, PastFigures,
    ReceiverFigures, Sample, SetFigures, SetKey, Shape, StandbyPlace, Target, TargetKey,
};

/// The labels that hotspare itself puts on series, and those that mean something to Prometheus.
const RESERVED: &[&str] = &[
    "probe",
    "kind",
    "source_region",
    "target_region",
    "target",
    "address",
    "phase",
    "reason",
    "cause",
    "le",
    "quantile",
    "job",
    "instance",
];

/// Characters that the name of a label may have.
const MAX_LABEL: usize = 64;

/// The series of all targets, and of the sets and pairs of databases among them.
///
/// One task writes; a scrape reads in short slices, so that neither waits long for the other. What
/// there are series of changes as a whole, and never in the middle of a page.
#[derive(Debug, Default)]
pub struct Store {
    inner: Mutex<Inner>,
    pages: RwLock<()>,
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    tables: Tables,
    alertmanagers: Vec<Arc<AlertmanagerSeries>>,
    receivers: Vec<ReceiverSeries>,
}

/// A change of what there are series of. No page is made as long as it is held.
#[derive(Debug)]
pub struct Change<'a> {
    store: &'a Store,
    _pages: RwLockWriteGuard<'a, ()>,
}

impl Store {
    /// A store without targets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a target: its series exist from now on, at zero.
    ///
    /// The error says which label cannot be shown, or that the target or its key is there already:
    /// two equal series would make Prometheus refuse the whole page.
    pub fn insert(
        &self,
        key: TargetKey,
        target: &Target,
        shape: &Shape,
        buckets: Arc<Buckets>,
        phase_buckets: Arc<Buckets>,
        terms: Terms,
    ) -> Result<(), String> {
        for name in target.labels.keys() {
            check_label(name).map_err(|why| format!("{target}: {why}"))?;
        }
        let series = Series::new(target, shape, buckets, phase_buckets, terms);
        let tables = &mut self.lock().tables;
        if tables.target(key).is_some() {
            return Err(format!("{target} has the key of another target"));
        }
        if !tables.claim(&series.labels) {
            return Err(format!("{target} is there twice: give one another name"));
        }
        tables.add(key, series);
        Ok(())
    }

    /// Adds a set: its series exist from now on. Keys are dense, from 0 in order.
    ///
    /// The error says that the set is there already.
    pub fn insert_set(&self, set: &DatabaseSet) -> Result<SetKey, String> {
        let series = SetSeries::new(set)?;
        let tables = &mut self.lock().tables;
        let key = place(tables.sets.len(), "sets")?;
        if !tables.claim(&series.labels) {
            let (group, probe) = (&set.group, &set.probe);
            return Err(format!("the set {group}/{probe} is there twice"));
        }
        tables.sets.push(series);
        Ok(SetKey(key))
    }

    /// Adds a pair: the set's standby in this region, beside its primary. Its series exist from now
    /// on. Keys are dense over all sets, from 0 in order.
    ///
    /// The error says that there is no such set, or that the pair is there already.
    pub fn insert_pair(&self, set: SetKey, standby: &str) -> Result<PairKey, String> {
        let tables = &mut self.lock().tables;
        let key = place(tables.pairs.len(), "pairs")?;
        let series = tables
            .sets
            .get(set.index())
            .map(|set| PairSeries::new(set, standby))
            .ok_or_else(|| format!("there is no set {} for {standby}", set.0))?;
        if !tables.claim(&series.labels) {
            return Err(format!("the pair {{{}}} is there twice", series.labels));
        }
        tables.pairs.push(series);
        Ok(PairKey(key))
    }

    /// Adds a target to what belongs to a group.
    ///
    /// The error says that it is there already.
    pub fn insert_member(&self, member: &GroupMember) -> Result<(), String> {
        let series = MemberSeries::new(member);
        let tables = &mut self.lock().tables;
        if !tables.claim(&series.labels) {
            return Err(format!("the member {{{}}} is there twice", series.labels));
        }
        tables.members.push(series);
        Ok(())
    }

    /// Adds a standby of a group: its series exist from now on.
    ///
    /// The error says that it is there already.
    pub fn insert_standby(&self, standby: &StandbyPlace) -> Result<(), String> {
        let series = StandbySeries::new(standby);
        let tables = &mut self.lock().tables;
        if !tables.claim(&series.labels) {
            return Err(format!("the standby {{{}}} is there twice", series.labels));
        }
        tables.standbys.push(series);
        Ok(())
    }

    /// Adds a group, seen from a region: its series exist from now on.
    ///
    /// The error says that it is there already.
    pub fn insert_group(&self, group: &str, source_region: &str) -> Result<(), String> {
        let series = GroupSeries::new(group, source_region);
        let tables = &mut self.lock().tables;
        if !tables.claim(&series.labels) {
            return Err(format!("the group {{{}}} is there twice", series.labels));
        }
        tables.groups.push(series);
        Ok(())
    }

    /// Replaces the figures of the receivers that there are series of. Those of others come with
    /// [`Change::set_receivers`].
    pub fn notified(&self, receivers: Vec<ReceiverFigures>) {
        let mut inner = self.lock();
        let figures = receivers.into_iter();
        let mut figures: HashMap<_, _> = figures.map(|of| (Arc::clone(&of.receiver), of)).collect();
        for series in &mut inner.receivers {
            if let Some(figures) = figures.remove(&series.figures.receiver) {
                series.figures = figures;
            }
        }
    }

    /// Replaces what is known of the past of every group. False if they are not as many as this
    /// store has, in the order in which they were added.
    #[must_use]
    pub fn happened(&self, groups: Vec<PastFigures>) -> bool {
        let tables = &mut self.lock().tables;
        let same = tables.groups.len() == groups.len();
        for (series, figures) in tables.groups.iter_mut().zip(groups) {
            series.figures = figures;
        }
        same
    }

    /// Replaces what is said of every standby. False if they are not the standbys of this store, in
    /// the order in which they were added.
    #[must_use]
    pub fn judged(&self, groups: Vec<GroupReport>) -> bool {
        let tables = &mut self.lock().tables;
        let mut series = tables.standbys.iter_mut();
        let all = groups.into_iter().all(|group| {
            let ranking = group.ranking.as_ref();
            let mut reports = group.standbys.into_iter();
            reports.all(|report| {
                let next = series.next();
                next.is_some_and(|series| series.judged(&group.group, ranking, report))
            })
        });
        all && series.next().is_none()
    }

    /// Replaces the figures of a set. False if it is not of this store.
    pub fn set_figures(&self, set: SetKey, figures: SetFigures) -> bool {
        let tables = &mut self.lock().tables;
        let series = tables.sets.get_mut(set.index());
        series.map(|s| s.figures = Some(figures)).is_some()
    }

    /// Replaces the figures of a pair. False if it is not of this store.
    pub fn pair_figures(&self, pair: PairKey, figures: PairFigures) -> bool {
        let tables = &mut self.lock().tables;
        let series = tables.pairs.get_mut(pair.index());
        series.map(|p| p.figures = figures).is_some()
    }

    /// Counts a canary that the standby was seen to show so long after its acknowledgement. False
    /// if the pair is not of this store, or its set has no canary.
    pub fn visible(&self, pair: PairKey, after: Duration) -> bool {
        let tables = &mut self.lock().tables;
        let series = tables.pairs.get_mut(pair.index());
        series.is_some_and(|p| p.visible(after))
    }

    /// Counts what the schedule tells. False if the target is not of this store, as one that was taken
    /// out while its run was under way: then nothing is counted.
    #[must_use]
    pub fn observe(&self, observation: &Observation) -> bool {
        match observation {
            Observation::Sample(sample) => self.observe_sample(sample),
            Observation::Missed { target, slots, .. } => self.missed(*target, *slots),
        }
    }

    /// Counts a run. False if the target is not of this store.
    #[must_use]
    pub fn observe_sample(&self, sample: &Sample) -> bool {
        self.update(sample.target, |series| series.observe(sample))
    }

    /// Counts slots that passed without a run. False if the target is not of this store.
    #[must_use]
    pub fn missed(&self, target: TargetKey, slots: u64) -> bool {
        self.update(target, |series| series.missed += slots)
    }

    /// How many targets there are.
    pub fn targets(&self) -> usize {
        self.lock().tables.series.len()
    }

    /// How many series the targets, sets and pairs have now. It writes them all to find out, so it is as dear as a
    /// scrape; [`super::Own`] has the number of the last one.
    pub fn series(&self) -> u64 {
        let mut page = Page::new(Format::Text);
        self.write(&mut page, Page::clear);
        page.rows()
    }

    /// Keeps changes of what there are series of out while a page is made. Not to be taken twice by
    /// one thread.
    pub fn page(&self) -> RwLockReadGuard<'_, ()> {
        self.pages.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps pages out while what there are series of is changed; waits for those that are being made.
    /// Not to be taken while this thread has it or makes a page.
    pub fn change(&self) -> Change<'_> {
        Change {
            store: self,
            _pages: self.pages.write().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// How often another store took the place of this one: who kept something made of it sees whether
    /// it is still of use.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Writes the series, family by family, and calls `full` after every slice that filled the
    /// page, with the store free for its writer.
    pub(super) fn write(&self, page: &mut Page, mut full: impl FnMut(&mut Page)) {
        self.table(
            families::FAMILIES,
            |inner| &inner.tables.series,
            page,
            &mut full,
        );
        self.table(sets::FAMILIES, |inner| &inner.tables.sets, page, &mut full);
        self.table(
            pairs::FAMILIES,
            |inner| &inner.tables.pairs,
            page,
            &mut full,
        );
        self.table(
            members::FAMILIES,
            |inner| &inner.tables.members,
            page,
            &mut full,
        );
        self.table(
            standbys::FAMILIES,
            |inner| &inner.tables.standbys,
            page,
            &mut full,
        );
        self.table(
            groups::FAMILIES,
            |inner| &inner.tables.groups,
            page,
            &mut full,
        );
        self.table(
            alertmanagers::FAMILIES,
            |inner| &inner.alertmanagers,
            page,
            &mut full,
        );
        self.table(
            receivers::FAMILIES,
            |inner| &inner.receivers,
            page,
            &mut full,
        );
    }

    fn table<S: Subject>(
        &self,
        families: &[Family<S>],
        subjects: fn(&Inner) -> &[S],
        page: &mut Page,
        full: &mut impl FnMut(&mut Page),
    ) {
        for family in families {
            let mut headed = false;
            let mut next = Some(0);
            while let Some(from) = next {
                next = slice(family, subjects(&self.lock()), from, &mut headed, page);
                if page.is_full() {
                    full(page);
                }
            }
        }
    }

    fn update(&self, target: TargetKey, change: impl FnOnce(&mut Series)) -> bool {
        self.lock().tables.target(target).map(change).is_some()
    }

    /// A panic while the lock was held leaves numbers that are still numbers.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Change<'_> {
    /// The targets, sets, pairs, members, standbys and groups of `fresh` take the place of those that
    /// are there, in its order and with its [`SetKey`]s and [`PairKey`]s. Receivers and Alertmanagers
    /// stay.
    ///
    /// A target of the same key keeps all that was counted and seen of it. A pair of the same labels
    /// keeps the histogram of its canaries; the figures of sets and pairs begin unknown, and are to be
    /// told before the change ends. Standbys and groups are told with every page.
    pub fn succeed(&self, fresh: Store) {
        let fresh = fresh.inner.into_inner();
        let fresh = fresh.unwrap_or_else(PoisonError::into_inner);
        let mut inner = self.store.lock();
        let former = std::mem::replace(&mut inner.tables, fresh.tables);
        inner.tables.succeed(former);
        self.store.generation.fetch_add(1, Ordering::Release);
    }

    /// Replaces the receivers of notifications that there are series of, with their figures.
    ///
    /// The error says which one is there twice; then nothing is changed.
    pub fn set_receivers(&self, receivers: Vec<ReceiverFigures>) -> Result<(), String> {
        let receivers = receivers.into_iter().map(ReceiverSeries::new);
        let receivers: Vec<_> = receivers.collect();
        let mut labels = HashSet::new();
        if let Some(twice) = receivers.iter().find(|of| !labels.insert(&of.labels)) {
            return Err(format!("the receiver {{{}}} is there twice", twice.labels));
        }
        self.store.lock().receivers = receivers;
        Ok(())
    }

    /// Replaces the Alertmanagers that there are series of: of each its receiver and its endpoint. One
    /// that was there before keeps its figures. Whoever tells an Alertmanager counts in what is
    /// returned, in the same order.
    ///
    /// The error says which one is there twice; then nothing is changed.
    pub fn set_alertmanagers(
        &self,
        all: &[(&str, &str)],
    ) -> Result<Vec<Arc<AlertmanagerSeries>>, String> {
        let mut inner = self.store.lock();
        let former = inner.alertmanagers.iter();
        let former: HashMap<_, _> = former.map(|of| (of.shared_labels(), of)).collect();
        let mut seen = HashSet::new();
        let mut series = Vec::with_capacity(all.len());
        for (receiver, endpoint) in all {
            let fresh = AlertmanagerSeries::new(receiver, endpoint)?;
            let labels = fresh.shared_labels();
            let before = former.get(&labels).map(|before| Arc::clone(before));
            if !seen.insert(labels) {
                return Err(format!("{receiver} has {endpoint} twice"));
            }
            series.push(before.unwrap_or_else(|| Arc::new(fresh)));
        }
        inner.alertmanagers.clone_from(&series);
        Ok(series)
    }
}

/// Writes a family from one subject on until the page is full; the place of the one after it, if
/// any.
fn slice<S: Subject>(
    family: &Family<S>,
    subjects: &[S],
    from: usize,
    headed: &mut bool,
    page: &mut Page,
) -> Option<usize> {
    for (index, subject) in subjects.iter().enumerate().skip(from) {
        if page.is_full() {
            return Some(index);
        }
        family.write(subject, headed, page);
    }
    None
}

/// The key of the one that comes after so many.
fn place(count: usize, of: &str) -> Result<u32, String> {
    u32::try_from(count).map_err(|_| format!("too many {of}"))
}

/// Whether the operator may use this name for a label of a target's info series.
///
/// The error says why not.
pub fn check_label(name: &str) -> Result<(), String> {
    let valid = name
        .bytes()
        .all(|b| b == b'_' || b.is_ascii_lowercase() || b.is_ascii_digit());
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if !valid || !begins || name.len() > MAX_LABEL {
        return Err(
            "not a label name: lower-case letters, digits and `_`, the first not a digit"
                .to_owned(),
        );
    }
    if name.starts_with("__") {
        return Err("label names that begin with `__` are Prometheus' own".to_owned());
    }
    if RESERVED.contains(&name) {
        return Err(format!(
            "the label `{name}` is hotspare's or Prometheus' own"
        ));
    }
    Ok(())
}
