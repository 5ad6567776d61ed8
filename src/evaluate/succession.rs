//! How the evaluation goes on with another configuration.

use std::sync::atomic::Ordering;
use std::time::SystemTime;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::alerts::Ruleset;
use super::board::Board;
use super::set::Set;
use super::{Evaluation, State, not_seen, show};
use crate::metrics::Store;
use crate::model::{HistoryTerms, Target, TargetKey};

/// What is judged from now on: made of a configuration that was loaded while the daemon runs, all of
/// it as at a start. What goes on takes over what was seen of it, by the keys of the targets and the
/// names of all else.
pub struct Succession {
    /// The targets. One whose key was there before is the same, with all its settings.
    pub targets: Vec<(TargetKey, Target)>,
    /// The series of the targets, sets, pairs, standbys and groups.
    pub series: Store,
    /// The sets that the targets are members of.
    pub sets: Vec<Set>,
    /// The groups.
    pub board: Board,
    /// The rules, which look at these targets and groups.
    pub ruleset: Ruleset,
    /// How much of the past of the targets is kept.
    pub history: HistoryTerms,
    /// Told once all of it has taken over.
    pub done: oneshot::Sender<()>,
}

impl Evaluation {
    /// Takes over, between two observations. What the pages read changes in one go.
    pub(super) fn succeed(&mut self, next: Succession) {
        let (now, today) = (Instant::now().into_std(), SystemTime::now());
        let change = self.series.change();
        change.succeed(next.series);
        self.sets.succeed(next.sets);
        self.board
            .succeed(next.board, self.sets.all(), (now, today));
        for set in self.sets.all() {
            if !show(&self.series, set.key(), set.told()) {
                self.own.samples_dropped_total.inc();
            }
        }
        drop(change);
        if let Some(history) = &self.history {
            let targets = next.targets.iter().map(|(_, target)| target.clone());
            history.succeed(targets.collect(), &next.history);
        }
        self.target(next.targets);
        self.remember();
        if let Some((alerts, _)) = &mut self.alerts {
            alerts.succeed(next.ruleset, (now, today));
        }
        // Nobody may wait for it any more: the daemon ends.
        let _ = next.done.send(());
    }

    fn target(&mut self, targets: Vec<(TargetKey, Target)>) {
        let former = std::mem::replace(&mut self.targets, not_seen(targets));
        for (key, watched) in &mut self.targets {
            if let Some(former) = former.get(key) {
                watched.state = former.state;
            }
        }
        let states = self.targets.values().map(|watched| watched.state);
        let unseen = states.filter(|state| *state == State::NotSeen).count();
        self.progress.unseen.store(unseen, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
