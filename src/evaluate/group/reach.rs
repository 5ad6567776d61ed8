//! Whether a probe reaches the group's primary.

use std::time::{Duration, Instant};

use super::Witness;
use crate::model::{Sample, TargetKey};
use crate::readiness::{Judgement, Outcome, State, Terms};

/// One probe's view of the primary: one judgement for each of its targets.
#[derive(Debug)]
pub(super) struct Reach {
    targets: Vec<(TargetKey, Judgement)>,
}

impl Reach {
    pub(super) fn new(probe: &Witness) -> Self {
        let terms = Terms::network(Terms::fresh_for(probe.interval, probe.timeout));
        let targets = probe.primary.iter();
        Self {
            targets: targets.map(|key| (*key, Judgement::new(terms))).collect(),
        }
    }

    /// Takes in a run. A database that told of its replication is reached, whatever was wrong with
    /// the rest.
    pub(super) fn observe(&mut self, sample: &Sample) {
        let database = sample.facts().and_then(|facts| facts.database.as_deref());
        let told = database.is_some_and(|database| database.replication.is_some());
        let outcome = match &sample.outcome {
            Err(failure) if !told => Outcome::of_failure(failure.reason),
            _ => Outcome::Ok,
        };
        for (_, judgement) in self
            .targets
            .iter_mut()
            .filter(|(key, _)| *key == sample.target)
        {
            judgement.observe(outcome, sample.ended);
        }
    }

    /// Takes in that this host slept.
    pub(super) fn slept(&mut self, slept: Duration) {
        for (_, judgement) in &mut self.targets {
            judgement.slept(slept);
        }
    }

    /// Whether each target is reached at `now`.
    pub(super) fn states(&self, now: Instant) -> impl Iterator<Item = State> + '_ {
        self.targets
            .iter()
            .map(move |(_, judgement)| judgement.state(now))
    }
}
