//! Whether a probe reaches the server that is the group's primary now.

use std::time::{Duration, Instant};

use super::Witness;
use crate::model::{CheckReason, Sample, TargetKey};
use crate::readiness::{Judgement, Outcome, State, Terms};

/// One probe's view of the primary: one judgement for each target that is, or may become, the
/// primary.
#[derive(Debug)]
pub(super) struct Reach {
    targets: Vec<(TargetKey, Judgement)>,
    /// The targets that serve: those in the configured primary's region, until a database is seen to
    /// have another primary.
    serving: Vec<TargetKey>,
}

impl Reach {
    pub(super) fn new(probe: &Witness) -> Self {
        let terms = Terms::network(Terms::fresh_for(probe.interval, probe.timeout));
        let standbys = probe.standbys.iter().flatten();
        let others = standbys.filter(|_| !probe.pairs.is_empty());
        let targets = probe.primary.iter().chain(others);
        Self {
            targets: targets.map(|key| (*key, Judgement::new(terms))).collect(),
            serving: probe.primary.clone(),
        }
    }

    /// Goes on with what was seen of the same targets.
    pub(super) fn succeed(&mut self, former: &Self) {
        for (key, judgement) in &mut self.targets {
            let mut before = former.targets.iter();
            if let Some((_, known)) = before.find(|(of, _)| of == key) {
                *judgement = *known;
            }
        }
    }

    /// The targets that serve.
    pub(super) fn serving(&self) -> &[TargetKey] {
        &self.serving
    }

    /// Takes in that the database has its primary there.
    pub(super) fn serves(&mut self, target: TargetKey) {
        if self.serving != [target] {
            self.serving = vec![target];
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

    /// Whether each target that serves is reached at `now`. One that has just answered is not out of
    /// reach, however slowly it is believed again.
    pub(super) fn states(&self, now: Instant) -> impl Iterator<Item = State> + '_ {
        let targets = self.targets.iter();
        let serving = targets.filter(|(key, _)| self.serving.contains(key));
        serving.map(move |(_, judgement)| match judgement.state(now) {
            State::Fail(_) if !judgement.is_bad_now() => State::Unknown(CheckReason::Undecided),
            state => state,
        })
    }
}
