//! The past of one target.

use std::time::SystemTime;

use super::batches::Gathered;
use super::frame::Frame;
use super::records::{Copied, Records};
use super::run::{self, Run};
use super::step::Step;
use crate::model::Sample;
use crate::readiness::rank::PastBatch;

/// Failures of a target that are saved at once, at most: it may fail ten times a second.
const SAVED_FAILURES: usize = 4;

/// The past of one target. The steps that go on are whole, what is over is bytes.
#[derive(Debug, Default)]
pub(super) struct Track {
    last: Option<Run>,
    short: Step,
    long: Step,
    short_steps: Records,
    long_steps: Records,
    runs: Records,
    failures: Records,
    /// Of the steps and failures, the last ones that are not saved.
    unsaved_steps: usize,
    unsaved_failures: usize,
    /// What rules gathered of it.
    pub(super) gathered: Gathered,
}

/// What there is to save, mostly as bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unsaved {
    pub(super) steps: Vec<Vec<u8>>,
    pub(super) failures: Vec<Vec<u8>>,
    pub(super) batches: Vec<PastBatch>,
}

/// All of it as it was at a moment.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) short: Vec<Step>,
    pub(super) long: Vec<Step>,
    pub(super) runs: Copied,
    pub(super) failures: Copied,
}

impl Track {
    /// Takes in a run.
    pub(super) fn observe(&mut self, sample: &Sample, frame: &Frame) {
        let run = Run::of(sample);
        self.last = Some(run);
        if frame.is_nothing() {
            return;
        }
        self.begin(run::millis(sample.at) / 1_000, frame);
        self.short.count(sample);
        let mut bytes = Vec::with_capacity(64);
        run.put(&sample.laps, &mut bytes);
        self.runs.push(&bytes, frame.runs);
        bytes.clear();
        if run::put_failure(sample, &mut bytes) {
            self.failures.push(&bytes, frame.failures);
            let unsaved = (self.unsaved_failures + 1).min(SAVED_FAILURES);
            self.unsaved_failures = unsaved.min(self.failures.count());
        }
    }

    /// Goes on to the short step of a moment. A clock that was set back a little counts in the step
    /// that goes on.
    fn begin(&mut self, seconds: u64, frame: &Frame) {
        let length = u64::from(frame.short);
        let start = seconds - seconds % length;
        let goes_on = self.short.runs > 0;
        if goes_on && self.short.start <= seconds + length && seconds < self.short.end() {
            return;
        }
        if goes_on {
            self.close_short(frame);
        }
        self.short.begin(start, frame.short);
    }

    fn close_short(&mut self, frame: &Frame) {
        if self.short.runs == 0 {
            return;
        }
        let mut bytes = Vec::with_capacity(64);
        self.short.put(&mut bytes);
        self.short_steps.push(&bytes, frame.short_steps);
        let length = u64::from(frame.long);
        let start = self.short.start - self.short.start % length;
        if self.long.runs > 0 && self.long.start != start {
            self.close_long(frame);
        }
        if self.long.runs == 0 {
            self.long.begin(start, frame.long);
        }
        self.long.take_in(&self.short);
        self.short.begin(0, frame.short);
    }

    fn close_long(&mut self, frame: &Frame) {
        if self.long.runs == 0 {
            return;
        }
        let mut bytes = Vec::with_capacity(64);
        self.long.put(&mut bytes);
        self.long_steps.push(&bytes, frame.long_steps);
        self.unsaved_steps = (self.unsaved_steps + 1).min(self.long_steps.count());
        self.long.begin(0, frame.long);
    }

    /// Closes what is over by now, or all.
    pub(super) fn close(&mut self, now: u64, all: bool, frame: &Frame) {
        if all || self.short.end() <= now {
            self.close_short(frame);
        }
        if all || self.long.end() <= now {
            self.close_long(frame);
        }
    }

    /// What was not saved yet. From now on it is.
    pub(super) fn unsaved(&mut self) -> Unsaved {
        let last = |records: &Records, count: usize| -> Vec<Vec<u8>> {
            if count == 0 {
                return Vec::new();
            }
            let saved = records.count().saturating_sub(count);
            let copied = records.copy();
            copied.iter().skip(saved).map(<[u8]>::to_vec).collect()
        };
        Unsaved {
            steps: last(&self.long_steps, std::mem::take(&mut self.unsaved_steps)),
            failures: last(&self.failures, std::mem::take(&mut self.unsaved_failures)),
            batches: self.gathered.unsaved(),
        }
    }

    /// Adds a step that was saved; false if it is none, or none of the time that is kept.
    pub(super) fn restore_step(&mut self, bytes: &[u8], now: u64, frame: &Frame) -> bool {
        let step = Step::take(&mut bytes.iter().copied());
        let good = step.is_some_and(|step| is_kept(&step, now, frame));
        if good {
            self.long_steps.push(bytes, frame.long_steps);
        }
        good
    }

    /// Adds a failure that was saved; false if it is none.
    pub(super) fn restore_failure(&mut self, bytes: &[u8], frame: &Frame) -> bool {
        let good = run::take_failure(bytes).is_some();
        if good {
            self.failures.push(bytes, frame.failures);
        }
        good
    }

    /// From now on there is room for so much.
    pub(super) fn limit(&mut self, frame: &Frame) {
        if frame.is_nothing() {
            *self = Self {
                last: self.last,
                ..Self::default()
            };
        }
        self.short_steps.limit(frame.short_steps);
        self.long_steps.limit(frame.long_steps);
        self.runs.limit(frame.runs);
        self.failures.limit(frame.failures);
        self.unsaved_steps = self.unsaved_steps.min(self.long_steps.count());
        self.unsaved_failures = self.unsaved_failures.min(self.failures.count());
    }

    /// The last run.
    pub(super) fn last(&self) -> Option<Run> {
        self.last
    }

    /// All of it, to be read at leisure, but for steps that are too old by now.
    pub(super) fn seen(&self, now: SystemTime, frame: &Frame) -> impl FnOnce() -> Seen + use<> {
        let now = run::millis(now) / 1_000;
        let frame = frame.clone();
        let (short, long) = (self.short_steps.copy(), self.long_steps.copy());
        let (runs, failures) = (self.runs.copy(), self.failures.copy());
        let open = [&self.short, &self.long].map(Clone::clone);
        move || {
            let [open_short, open_long] = open;
            let steps = |copied: &Copied, open: &[&Step]| -> Vec<Step> {
                let closed = copied.iter();
                let closed = closed.filter_map(|bytes| Step::take(&mut bytes.iter().copied()));
                let open = open.iter().filter(|step| step.runs > 0);
                let all = closed.chain(open.map(|step| (*step).clone()));
                all.filter(|step| is_kept(step, now, &frame)).collect()
            };
            Seen {
                short: steps(&short, &[&open_short]),
                long: steps(&long, &[&open_long, &open_short]),
                runs,
                failures,
            }
        }
    }

    /// The short steps alone, that which goes on too.
    pub(super) fn short(&self) -> (Copied, Option<Step>) {
        let open = (self.short.runs > 0).then(|| self.short.clone());
        (self.short_steps.copy(), open)
    }

    /// When the past begins; `None` without any.
    pub(super) fn begins(&self) -> Option<u64> {
        let first = self.long_steps.first();
        let first = first.and_then(|bytes| Step::take(&mut bytes.into_iter()));
        let open = [&self.long, &self.short];
        let mut open = open.into_iter().filter(|step| step.runs > 0);
        let open = open.next().map(|step| step.start);
        first.map(|step| step.start).or(open)
    }

    /// Bytes of memory beside itself.
    pub(super) fn bytes(&self) -> usize {
        let records = [
            &self.short_steps,
            &self.long_steps,
            &self.runs,
            &self.failures,
        ];
        let records = records.iter().map(|records| records.bytes());
        let open = [&self.short, &self.long];
        let open = open.iter().map(|step| step.durations.bytes());
        records.chain(open).sum()
    }
}

/// Whether a step is neither too old nor still to come.
fn is_kept(step: &Step, now: u64, frame: &Frame) -> bool {
    let of = u64::from(step.length);
    step.end().saturating_add(frame.keep) > now && step.start <= now.saturating_add(of)
}

#[cfg(test)]
mod tests;
