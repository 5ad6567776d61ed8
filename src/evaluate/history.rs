//! The past of every target: steps of time with what was counted in them, the last runs, and the last
//! failures in full.
//!
//! The evaluation writes a run into the past of its target, whose lock nobody holds for longer than it
//! takes to copy a few kilobytes. Whoever reads takes such copies, and makes sense of them on a thread
//! of its own.

mod batches;
mod cells;
mod durations;
mod frame;
mod matrix;
mod records;
mod run;
mod samples;
mod step;
#[cfg(test)]
mod test_samples;
mod track;
mod varint;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use self::frame::Frame;
use self::track::Track;
use crate::model::{HistoryTerms, LastRun, MatrixReport, Sample, Target, TargetKey};
use crate::readiness::rank::PastBatch;

/// How old what is made of all targets may be when it is told again.
const MAX_AGE: Duration = Duration::from_secs(5);

/// A step is over so many seconds after its end: until then, a run of it may still be on its way.
const LATE: u64 = 2;

/// The past of all targets.
#[derive(Debug)]
pub struct History {
    source_region: Arc<str>,
    index: RwLock<Arc<Index>>,
    /// What was told last of all of them.
    matrix: Mutex<Told<Arc<MatrixReport>>>,
    figures: Mutex<Told<Figures>>,
}

type Told<T> = Option<(Instant, T)>;

/// What the past of all targets takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Bytes of memory.
    pub bytes: usize,
    /// The length of a step, in seconds.
    pub step_seconds: u32,
    /// When the oldest step began, in seconds since 1970; `None` before the first run.
    pub begins: Option<u64>,
    /// Targets of which nothing is kept, since there is no room for so many.
    pub left_out: usize,
}

/// Something of a target's past that is to be saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Whose it is: [`Target::identity`], after its kind.
    pub identity: String,
    /// What it is, for [`Restore::step`], [`Restore::failure`] or [`Restore::batch`].
    pub bytes: Vec<u8>,
}

impl Saved {
    /// A batch of runs of a target, which is named with its length.
    pub fn batch(target: &Target, past: &PastBatch) -> Self {
        Self {
            identity: batches::name(&identity(target), past.length),
            bytes: batches::put(&past.batch),
        }
    }
}

/// What is to be saved of all targets, each the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsaved {
    /// Steps that are over.
    pub steps: Vec<Saved>,
    /// Failures in full.
    pub failures: Vec<Saved>,
    /// Batches of runs that rules gathered.
    pub batches: Vec<Saved>,
}

/// Whose past it is.
#[derive(Debug)]
pub(super) struct Entry {
    target: Target,
    frame: Arc<Frame>,
    track: Arc<Mutex<Track>>,
}

/// The targets that there are.
#[derive(Debug)]
struct Index {
    terms: HistoryTerms,
    frame: Arc<Frame>,
    left_out: usize,
    /// By probe and name.
    entries: Vec<Arc<Entry>>,
}

impl Entry {
    /// Takes in a run.
    pub(super) fn observe(&self, sample: &Sample) {
        self.track().observe(sample, &self.frame);
    }

    /// Takes in a batch that a rule gathered, to be saved.
    pub(super) fn gather(&self, past: PastBatch) {
        if !self.frame.is_nothing() {
            self.track().gathered.push(past);
        }
    }

    /// The batches that were saved in earlier lives, in that order. There are none the next time.
    pub(super) fn restored(&self) -> Vec<PastBatch> {
        self.track().gathered.restored()
    }

    fn name(&self) -> (&str, &str) {
        (&self.target.probe, &self.target.name)
    }

    /// Nothing is left half done by a panic while the lock was held: it is held for steps that cannot.
    fn track(&self) -> MutexGuard<'_, Track> {
        self.track.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What names a past: one of another kind under the same name says nothing of this one.
fn identity(target: &Target) -> String {
    format!("{}\u{1f}{}", target.kind, target.identity())
}

impl Index {
    /// The targets with as much room as the terms give; what is known of them goes on.
    fn of(
        targets: Vec<Target>,
        terms: &HistoryTerms,
        former: &HashMap<String, Arc<Entry>>,
    ) -> Self {
        let (frame, fit) = Frame::of(terms, targets.len());
        let (frame, nothing) = (Arc::new(frame.clone()), Arc::new(frame.nothing()));
        let left_out = targets.len() - fit;
        let frames = std::iter::repeat_n(&frame, fit);
        let frames = frames.chain(std::iter::repeat(&nothing));
        let entries = targets.into_iter().zip(frames).map(|(target, frame)| {
            let former = former.get(&identity(&target));
            let track = former.map(|entry| Arc::clone(&entry.track));
            let entry = Entry {
                target,
                frame: Arc::clone(frame),
                track: track.unwrap_or_default(),
            };
            entry.track().limit(frame);
            Arc::new(entry)
        });
        let mut entries: Vec<_> = entries.collect();
        entries.sort_by(|one, two| one.name().cmp(&two.name()));
        if left_out > 0 && !terms.keep.is_zero() {
            tracing::warn!(
                left_out,
                "there is no room for the history of so many targets (`history.size`)"
            );
        }
        Self {
            terms: *terms,
            frame,
            left_out: if terms.keep.is_zero() { 0 } else { left_out },
            entries,
        }
    }

    fn find(&self, probe: &str, target: &str) -> Option<&Arc<Entry>> {
        let found = self
            .entries
            .binary_search_by(|entry| entry.name().cmp(&(probe, target)));
        found.ok().map(|place| &self.entries[place])
    }

    fn by_identity(&self) -> HashMap<String, Arc<Entry>> {
        let entries = self.entries.iter();
        entries
            .map(|entry| (identity(&entry.target), Arc::clone(entry)))
            .collect()
    }
}

impl History {
    /// No past yet, of these targets as seen from this region.
    pub fn new(source_region: Arc<str>, targets: Vec<Target>, terms: &HistoryTerms) -> Self {
        Self {
            source_region,
            index: RwLock::new(Arc::new(Index::of(targets, terms, &HashMap::new()))),
            matrix: Mutex::default(),
            figures: Mutex::default(),
        }
    }

    /// Goes on with these targets. The past of one whose identity was there before is its own.
    pub(super) fn succeed(&self, targets: Vec<Target>, terms: &HistoryTerms) {
        let former = self.index().by_identity();
        let next = Arc::new(Index::of(targets, terms, &former));
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// Where the runs of these targets go, by their keys.
    pub(super) fn entries<'a>(
        &self,
        targets: impl Iterator<Item = (TargetKey, &'a Target)>,
    ) -> HashMap<TargetKey, Arc<Entry>> {
        let index = self.index();
        let entries = targets.filter_map(|(key, target)| {
            let entry = index.find(&target.probe, &target.name)?;
            Some((key, Arc::clone(entry)))
        });
        entries.collect()
    }

    fn index(&self) -> Arc<Index> {
        let index = self.index.read();
        Arc::clone(&index.unwrap_or_else(PoisonError::into_inner))
    }

    /// How much is kept.
    pub fn terms(&self) -> HistoryTerms {
        self.index().terms
    }

    /// The last run of a target; `None` before the first.
    pub fn last(&self, probe: &str, target: &str) -> Option<LastRun> {
        let index = self.index();
        let last = index.find(probe, target)?.track().last();
        last.map(run::Run::shown)
    }

    /// What has to be saved of what is over by now, or of all.
    pub fn unsaved(&self, now: SystemTime, all: bool) -> Unsaved {
        let now = run::millis(now) / 1_000;
        let over = now.saturating_sub(LATE);
        let mut saved = Unsaved::default();
        for entry in &self.index().entries {
            let unsaved = {
                let mut track = entry.track();
                track.close(over, all, &entry.frame);
                track.unsaved()
            };
            let target = &entry.target;
            let of = |bytes| Saved {
                identity: identity(target),
                bytes,
            };
            saved.steps.extend(unsaved.steps.into_iter().map(of));
            saved.failures.extend(unsaved.failures.into_iter().map(of));
            let batches = unsaved.batches.iter();
            let batches = batches.map(|past| Saved::batch(target, past));
            saved.batches.extend(batches);
        }
        saved
    }

    /// Who takes in what was saved, before there is anything else.
    pub fn restore(&self, now: SystemTime) -> Restore {
        Restore {
            entries: self.index().by_identity(),
            now: run::millis(now) / 1_000,
        }
    }

    /// What the past of all targets takes, as of a few seconds ago at most.
    pub fn figures(&self) -> Figures {
        told(&self.figures, || {
            let index = self.index();
            let tracks = index.entries.iter().map(|entry| {
                let track = entry.track();
                (track.bytes(), track.begins())
            });
            let (bytes, begins) = tracks.fold((0, None), |(all, first), (bytes, begins)| {
                let first: Option<u64> = [first, begins].into_iter().flatten().min();
                (all + bytes, first)
            });
            Figures {
                bytes,
                step_seconds: index.frame.long,
                begins,
                left_out: index.left_out,
            }
        })
    }

    /// What all targets are like, as of a few seconds ago at most.
    pub fn matrix(&self, now: SystemTime) -> Arc<MatrixReport> {
        told(&self.matrix, || {
            Arc::new(matrix::of(&self.source_region, &self.index(), now))
        })
    }
}

/// What was told last, if that was not long ago. Whoever asks meanwhile waits for it.
fn told<T: Clone>(last: &Mutex<Told<T>>, make: impl FnOnce() -> T) -> T {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    match &*last {
        Some((at, told)) if at.elapsed() < MAX_AGE => told.clone(),
        _ => {
            let now = make();
            *last = Some((Instant::now(), now.clone()));
            now
        }
    }
}

/// Takes in what was saved.
#[derive(Debug)]
pub struct Restore {
    entries: HashMap<String, Arc<Entry>>,
    now: u64,
}

impl Restore {
    /// Takes in a step; false if it is none, or too old, or of a target that is not there.
    pub fn step(&self, identity: &str, bytes: &[u8]) -> bool {
        let entry = self.entries.get(identity);
        entry.is_some_and(|entry| entry.track().restore_step(bytes, self.now, &entry.frame))
    }

    /// Takes in a failure; false if it is none, or of a target that is not there.
    pub fn failure(&self, identity: &str, bytes: &[u8]) -> bool {
        let entry = self.entries.get(identity);
        entry.is_some_and(|entry| entry.track().restore_failure(bytes, &entry.frame))
    }

    /// Takes in a batch, for the rules; false if it is none, or of a target that is not there.
    pub fn batch(&self, name: &str, bytes: &[u8]) -> bool {
        let read = || {
            let (identity, length) = batches::named(name)?;
            let entry = self.entries.get(identity)?;
            let batch = batches::take(bytes)?;
            Some((entry, PastBatch { length, batch }))
        };
        let read = read().filter(|(entry, _)| !entry.frame.is_nothing());
        if let Some((entry, past)) = read {
            entry.track().gathered.restore(past);
        }
        read.is_some()
    }
}

#[cfg(test)]
mod tests;
