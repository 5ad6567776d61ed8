//! The series of all targets.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::buckets::Buckets;
use super::families::{FAMILIES, Family};
use super::page::{Format, Page};
use super::series::Series;
use crate::model::{Observation, Sample, Shape, Target, TargetKey};

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

/// The series of all targets.
///
/// One task writes; a scrape reads in short slices, so that neither waits long for the other.
#[derive(Debug, Default)]
pub struct Store {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    series: Vec<Series>,
    labels: HashSet<Arc<str>>,
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
        interval: Duration,
        timeout: Duration,
    ) -> Result<TargetKey, String> {
        for name in target.labels.keys() {
            check_label(name).map_err(|why| format!("{target}: {why}"))?;
        }
        let series = Series::new(target, shape, buckets, phase_buckets, interval, timeout);
        let mut inner = self.lock();
        let key = u32::try_from(inner.series.len()).map_err(|_| "too many targets".to_owned())?;
        if !inner.labels.insert(Arc::clone(&series.labels)) {
            return Err(format!("{target} is there twice: give one another name"));
        }
        inner.series.push(series);
        Ok(TargetKey(key))
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

    /// How many targets there are.
    pub fn targets(&self) -> usize {
        self.lock().series.len()
    }

    /// How many series the targets have now. It writes them all to find out, so it is as dear as a
    /// scrape; [`super::Own`] has the number of the last one.
    pub fn series(&self) -> u64 {
        let mut page = Page::new(Format::Text);
        self.write(&mut page, Page::clear);
        page.rows()
    }

    /// Writes the series, family by family, and calls `full` after every slice that filled the
    /// page, with the store free for its writer.
    pub(super) fn write(&self, page: &mut Page, mut full: impl FnMut(&mut Page)) {
        for family in FAMILIES {
            let mut headed = false;
            let mut next = Some(0);
            while let Some(from) = next {
                next = self.slice(family, from, &mut headed, page);
                if page.is_full() {
                    full(page);
                }
            }
        }
    }

    /// Writes a family from one target on until the page is full; the target after it, if any.
    fn slice(
        &self,
        family: &Family,
        from: usize,
        headed: &mut bool,
        page: &mut Page,
    ) -> Option<usize> {
        let inner = self.lock();
        for (index, series) in inner.series.iter().enumerate().skip(from) {
            if page.is_full() {
                return Some(index);
            }
            family.write(series, headed, page);
        }
        None
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
