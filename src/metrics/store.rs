//! The series of all targets, sets and pairs.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
/// One task writes; a scrape reads in short slices, so that neither waits long for the other.
#[derive(Debug, Default)]
pub struct Store {
    inner: Mutex<Inner>,
    pages: std::sync::RwLock<()>,
}

#[derive(Debug, Default)]
struct Inner {
    series: Vec<Series>,
    sets: Vec<SetSeries>,
    pairs: Vec<PairSeries>,
    members: Vec<MemberSeries>,
    standbys: Vec<StandbySeries>,
    groups: Vec<GroupSeries>,
    alertmanagers: Vec<Arc<AlertmanagerSeries>>,
    receivers: Vec<ReceiverSeries>,
    /// Of all eight: their first or last label tells them apart.
    labels: HashSet<Arc<str>>,
}

/// STAND-IN until the store has its own.
#[derive(Debug)]
pub struct Change<'a>(
    &'a Store,
    #[expect(dead_code, reason = "held until the change is done")]
    std::sync::RwLockWriteGuard<'a, ()>,
);

impl Change<'_> {
    /// STAND-IN until the store has its own.
    pub fn succeed(&self, fresh: Store) {
        let fresh = fresh.inner.into_inner();
        *self.0.lock() = fresh.unwrap_or_else(PoisonError::into_inner);
    }
}

impl Store {
    /// A store without targets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a target: its series exist from now on, at zero. Keys are dense, from 0 in order.
    ///
    /// The error says which label cannot be shown, or that the target is there already: two equal
    /// series would make Prometheus refuse the whole page.
    pub fn insert(
        &self,
        target: &Target,
        shape: &Shape,
        buckets: Arc<Buckets>,
        phase_buckets: Arc<Buckets>,
        terms: Terms,
    ) -> Result<TargetKey, String> {
        for name in target.labels.keys() {
            check_label(name).map_err(|why| format!("{target}: {why}"))?;
        }
        let series = Series::new(target, shape, buckets, phase_buckets, terms);
        let mut inner = self.lock();
        let key = place(inner.series.len(), "targets")?;
        if !inner.labels.insert(Arc::clone(&series.labels)) {
            return Err(format!("{target} is there twice: give one another name"));
        }
        inner.series.push(series);
        Ok(TargetKey(key))
    }

    /// Adds a set: its series exist from now on. Keys are dense, from 0 in order.
    ///
    /// The error says that the set is there already.
    pub fn insert_set(&self, set: &DatabaseSet) -> Result<SetKey, String> {
        let series = SetSeries::new(set)?;
        let mut inner = self.lock();
        let key = place(inner.sets.len(), "sets")?;
        if !inner.labels.insert(Arc::clone(&series.labels)) {
            let (group, probe) = (&set.group, &set.probe);
            return Err(format!("the set {group}/{probe} is there twice"));
        }
        inner.sets.push(series);
        Ok(SetKey(key))
    }

    /// Adds a pair: the set's standby in this region, beside its primary. Its series exist from now
    /// on. Keys are dense over all sets, from 0 in order.
    ///
    /// The error says that there is no such set, or that the pair is there already.
    pub fn insert_pair(&self, set: SetKey, standby: &str) -> Result<PairKey, String> {
        let mut inner = self.lock();
        let key = place(inner.pairs.len(), "pairs")?;
        let series = inner
            .sets
            .get(set.index())
            .map(|set| PairSeries::new(set, standby))
            .ok_or_else(|| format!("there is no set {} for {standby}", set.0))?;
        if !inner.labels.insert(Arc::clone(&series.labels)) {
            return Err(format!("the pair {{{}}} is there twice", series.labels));
        }
        inner.pairs.push(series);
        Ok(PairKey(key))
    }

    /// Adds a target to what belongs to a group.
    ///
    /// The error says that it is there already.
    pub fn insert_member(&self, member: &GroupMember) -> Result<(), String> {
        let series = MemberSeries::new(member);
        let mut inner = self.lock();
        if !inner.labels.insert(Arc::clone(&series.labels)) {
            return Err(format!("the member {{{}}} is there twice", series.labels));
        }
        inner.members.push(series);
        Ok(())
    }

    /// Adds a standby of a group: its series exist from now on.
    ///
    /// The error says that it is there already.
    pub fn insert_standby(&self, standby: &StandbyPlace) -> Result<(), String> {
        let series = StandbySeries::new(standby);
        let mut inner = self.lock();
        if !inner.labels.insert(Arc::clone(&series.labels)) {
            return Err(format!("the standby {{{}}} is there twice", series.labels));
        }
        inner.standbys.push(series);
        Ok(())
    }

    /// Adds a group, seen from a region: its series exist from now on.
    ///
    /// The error says that it is there already.
    pub fn insert_group(&self, group: &str, source_region: &str) -> Result<(), String> {
        let series = GroupSeries::new(group, source_region);
        let mut inner = self.lock();
        if !inner.labels.insert(Arc::clone(&series.labels)) {
            return Err(format!("the group {{{}}} is there twice", series.labels));
        }
        inner.groups.push(series);
        Ok(())
    }

    /// Adds an Alertmanager of a receiver: its series exist from now on. Whoever tells it counts in
    /// what is returned.
    ///
    /// The error says that it is there already.
    pub fn insert_alertmanager(
        &self,
        receiver: &str,
        endpoint: &str,
    ) -> Result<Arc<AlertmanagerSeries>, String> {
        let series = Arc::new(AlertmanagerSeries::new(receiver, endpoint)?);
        let mut inner = self.lock();
        if !inner.labels.insert(series.shared_labels()) {
            return Err(format!("{receiver} has {endpoint} twice"));
        }
        inner.alertmanagers.push(Arc::clone(&series));
        Ok(series)
    }

    /// Adds a receiver of notifications: its series exist from now on.
    ///
    /// The error says that it is there already.
    pub fn insert_receiver(&self, figures: ReceiverFigures) -> Result<(), String> {
        let series = ReceiverSeries::new(figures);
        let mut inner = self.lock();
        if !inner.labels.insert(Arc::clone(&series.labels)) {
            return Err(format!("the receiver {{{}}} is there twice", series.labels));
        }
        inner.receivers.push(series);
        Ok(())
    }

    /// Replaces the figures of every receiver. False if they are not as many as this store has, in
    /// the order in which they were added.
    #[must_use]
    pub fn notified(&self, receivers: Vec<ReceiverFigures>) -> bool {
        let mut inner = self.lock();
        let same = inner.receivers.len() == receivers.len();
        for (series, figures) in inner.receivers.iter_mut().zip(receivers) {
            series.figures = figures;
        }
        same
    }

    /// Replaces what is known of the past of every group. False if they are not as many as this
    /// store has, in the order in which they were added.
    #[must_use]
    pub fn happened(&self, groups: Vec<PastFigures>) -> bool {
        let mut inner = self.lock();
        let same = inner.groups.len() == groups.len();
        for (series, figures) in inner.groups.iter_mut().zip(groups) {
            series.figures = figures;
        }
        same
    }

    /// Replaces what is said of every standby. False if they are not the standbys of this store, in
    /// the order in which they were added.
    #[must_use]
    pub fn judged(&self, groups: Vec<GroupReport>) -> bool {
        let mut inner = self.lock();
        let mut series = inner.standbys.iter_mut();
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
        let mut inner = self.lock();
        let series = inner.sets.get_mut(set.index());
        series.map(|s| s.figures = Some(figures)).is_some()
    }

    /// Replaces the figures of a pair. False if it is not of this store.
    pub fn pair_figures(&self, pair: PairKey, figures: PairFigures) -> bool {
        let mut inner = self.lock();
        let series = inner.pairs.get_mut(pair.index());
        series.map(|p| p.figures = figures).is_some()
    }

    /// Counts a canary that the standby was seen to show so long after its acknowledgement. False
    /// if the pair is not of this store, or its set has no canary.
    pub fn visible(&self, pair: PairKey, after: Duration) -> bool {
        let mut inner = self.lock();
        let series = inner.pairs.get_mut(pair.index());
        series.is_some_and(|p| p.visible(after))
    }

    /// Counts what the schedule tells. False if the target is not of this store: the caller counts
    /// the sample as dropped.
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

    /// STAND-IN until the store has its own.
    pub fn change(&self) -> Change<'_> {
        let pages = self.pages.write();
        Change(self, pages.unwrap_or_else(PoisonError::into_inner))
    }

    /// How many targets there are.
    pub fn targets(&self) -> usize {
        self.lock().series.len()
    }

    /// How many series the targets, sets and pairs have now. It writes them all to find out, so it is as dear as a
    /// scrape; [`super::Own`] has the number of the last one.
    pub fn series(&self) -> u64 {
        let mut page = Page::new(Format::Text);
        self.write(&mut page, Page::clear);
        page.rows()
    }

    /// Writes the series, family by family, and calls `full` after every slice that filled the
    /// page, with the store free for its writer.
    pub(super) fn write(&self, page: &mut Page, mut full: impl FnMut(&mut Page)) {
        self.table(families::FAMILIES, |inner| &inner.series, page, &mut full);
        self.table(sets::FAMILIES, |inner| &inner.sets, page, &mut full);
        self.table(pairs::FAMILIES, |inner| &inner.pairs, page, &mut full);
        self.table(members::FAMILIES, |inner| &inner.members, page, &mut full);
        self.table(standbys::FAMILIES, |inner| &inner.standbys, page, &mut full);
        self.table(groups::FAMILIES, |inner| &inner.groups, page, &mut full);
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
        let mut inner = self.lock();
        let series = inner.series.get_mut(target.index());
        series.map(change).is_some()
    }

    /// A panic while the lock was held leaves numbers that are still numbers.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
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
