//! The past of the targets: for the server, and in files that a later life of the daemon reads.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tracing::{error, info};

use super::stopped;
use super::supervise::Supervisor;
use crate::evaluate::{History, Saved};
use crate::metrics::Own;
use crate::model::{HistoryTerms, LastRun, MatrixReport, NoSuch, SamplesReport, Span};
use crate::rule::LONGEST_PAST;
use crate::server;
use crate::store::{Bounds, Segments};

/// The past, as the server knows it.
pub(super) struct Past(pub(super) Arc<History>);

impl server::History for Past {
    fn last(&self, probe: &str, target: &str) -> Option<LastRun> {
        self.0.last(probe, target)
    }

    fn samples(&self, probe: &str, target: &str, span: Span) -> Result<SamplesReport, NoSuch> {
        self.0.samples(probe, target, span, SystemTime::now())
    }

    fn matrix(&self) -> Arc<MatrixReport> {
        self.0.matrix(SystemTime::now())
    }
}

/// Shows what the past takes.
pub(super) fn show(history: &History, own: &Own) {
    let figures = history.figures();
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    own.history_bytes.set(whole(figures.bytes as u64));
    own.history_step_seconds.set(figures.step_seconds.into());
    own.history_targets_left_out
        .set(whole(figures.left_out as u64));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    let span = figures
        .begins
        .map_or(0, |begins| now.saturating_sub(begins));
    // A step that is older may be there until the next one pushes it out. It is not told.
    let span = span.min(history.terms().keep.as_secs());
    own.history_span_seconds.set(whole(span));
}

/// Writes what is over to the state's folder, on a thread of its own: a disk that hangs or is full
/// costs history and nothing else.
pub(super) struct Saver {
    history: Arc<History>,
    own: Arc<Own>,
    steps: Segments,
    failures: Segments,
    batches: Segments,
    /// Whether the last attempt failed: one line in the log is enough.
    failing: bool,
}

impl Saver {
    /// Takes in what was saved before, which reads files, and saves from now on until `stop`.
    pub(super) fn start(
        folder: &Path,
        history: &Arc<History>,
        own: &Arc<Own>,
        stop: watch::Receiver<bool>,
        supervisor: &mut Supervisor,
    ) -> Result<(), String> {
        let saver = Self {
            history: Arc::clone(history),
            own: Arc::clone(own),
            steps: Segments::new(folder, "history-steps"),
            failures: Segments::new(folder, "history-failures"),
            batches: Segments::new(folder, "history-batches"),
            failing: false,
        };
        saver.read();
        supervisor.thread("history", move || saver.run(stopped(stop)))
    }

    fn read(&self) {
        if self.history.terms().keep.is_zero() {
            return;
        }
        let restore = self.history.restore(SystemTime::now());
        let mut taken = 0_u64;
        let [of_steps, of_failures, of_batches] = bounds(&self.history.terms());
        let steps = self.steps.read(of_steps.bytes, |identity, bytes| {
            taken += u64::from(restore.step(identity, bytes));
        });
        let failures = self.failures.read(of_failures.bytes, |identity, bytes| {
            taken += u64::from(restore.failure(identity, bytes));
        });
        let batches = self.batches.read(of_batches.bytes, |name, bytes| {
            taken += u64::from(restore.batch(name, bytes));
        });
        let found = [steps, failures, batches];
        let damaged = found.iter().map(|found| found.damaged).sum();
        self.own.history_corruptions_total.inc_by(damaged);
        let read: u64 = found.iter().map(|found| found.items).sum();
        if read > 0 {
            info!(read, taken, "read the history");
        }
    }

    async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = tokio::time::sleep(pause(&self.history.terms())) => self.save(false),
            }
        }
        self.save(true);
    }

    /// Saves what is over, or all.
    fn save(&mut self, all: bool) {
        let now = SystemTime::now();
        let unsaved = self.history.unsaved(now, all);
        let [of_steps, of_failures, of_batches] = bounds(&self.history.terms());
        let saved = [
            (&mut self.steps, unsaved.steps, of_steps),
            (&mut self.failures, unsaved.failures, of_failures),
            (&mut self.batches, unsaved.batches, of_batches),
        ]
        .map(|(segments, items, bounds)| segments.write(items.iter().map(item), now, bounds));
        let bytes = self.steps.bytes() + self.failures.bytes() + self.batches.bytes();
        self.own
            .history_disk_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
        let mut failed = false;
        for error in saved.into_iter().filter_map(Result::err) {
            self.own.history_write_failures_total.inc();
            if !self.failing && !failed {
                error!(%error, "the history cannot be written: what is over meanwhile is lost at the next start");
            }
            failed = true;
        }
        if self.failing && !failed {
            info!("the history is written again");
        }
        self.failing = failed;
    }
}

fn item(saved: &Saved) -> (&str, &[u8]) {
    (&saved.identity, &saved.bytes)
}

/// What steps, failures and batches may take on disk. One eighth each is for failures and batches: an
/// outage pushes out no more of the steps than its own.
fn bounds(terms: &HistoryTerms) -> [Bounds; 3] {
    let eighth = terms.size / 8;
    // A rule may compare with what is further back than steps are kept. Who keeps nothing keeps no
    // batches either.
    let past = if terms.keep.is_zero() {
        terms.keep
    } else {
        LONGEST_PAST
    };
    [
        (terms.size - 2 * eighth, terms.keep),
        (eighth, terms.keep),
        (eighth, past),
    ]
    .map(|(bytes, keep)| Bounds { bytes, keep })
}

/// From one look for what is over to the next: a tenth of a step.
fn pause(terms: &HistoryTerms) -> Duration {
    (terms.step / 10).max(Duration::from_secs(1))
}
