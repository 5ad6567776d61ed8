//! How a standby goes on with another configuration.

use std::time::Instant;

use super::Candidate;
use crate::evaluate::group::database::Database;
use crate::evaluate::group::question::Question;
use crate::evaluate::group::succession::{Everywhere, Kept};
use crate::model::CheckKind;
use crate::readiness::Side;

impl Candidate {
    /// Its region.
    pub(in super::super) fn region(&self) -> &std::sync::Arc<str> {
        &self.region
    }

    /// Takes over from the standby as it was before the configuration was loaded anew. `kept` tells
    /// of each probe what of it is as it was.
    ///
    /// Tells whether all its databases go on.
    pub(in super::super) fn succeed(
        &mut self,
        former: Self,
        kept: &[Option<Kept>],
        now: Instant,
    ) -> bool {
        let Self {
            questions,
            answered,
            mut histories,
            mut versions,
            mut differs,
            databases,
            standby,
            ttl,
            region: _,
        } = former;
        // Where each question was, if it is as it was.
        let places: Vec<_> = self
            .questions
            .iter()
            .map(|question| questions.iter().position(|of| question.is_as(of, kept)))
            .collect();
        self.standby
            .succeed(standby, |at| places[at].is_some(), now);
        for (at, before) in places.iter().enumerate() {
            let Some(before) = *before else { continue };
            self.answered[at] = answered[before];
            for nth in 0..self.questions[at].targets() {
                if let Some(history) = histories.remove(&(before, nth)) {
                    self.histories.insert((at, nth), history);
                }
                if let Some(since) = differs.remove(&(before, nth)) {
                    self.differs.insert((at, nth), since);
                }
            }
            self.questions[at].succeed(&questions[before]);
        }
        let of_probes = kept.iter().enumerate();
        for (at, kept) in of_probes.filter_map(|(at, kept)| Some((at, (*kept)?))) {
            if let Some(version) = versions.remove(&kept.place).filter(|_| kept.primary) {
                self.versions.insert(at, version);
            }
            if let Some((_, ttl)) = ttl.filter(|(of, _)| *of == kept.place && kept.standby) {
                self.ttl = Some((at, ttl));
            }
        }
        self.go_on(databases, kept)
    }

    fn go_on(&mut self, former: Vec<Database>, kept: &[Option<Kept>]) -> bool {
        let mut all = self.databases.len() == former.len();
        let mut former: Vec<_> = former.into_iter().map(Some).collect();
        for database in &mut self.databases {
            let probe = database.probe;
            let kept = kept[probe].filter(|kept| kept.pair());
            let before = kept.and_then(|kept| {
                let mut former = former.iter_mut();
                let is_it = |of: &&mut Option<Database>| {
                    of.as_ref().is_some_and(|of| of.probe == kept.place)
                };
                former.find(is_it)?.take()
            });
            match before {
                Some(before) => {
                    *database = before;
                    database.probe = probe;
                }
                None => all = false,
            }
        }
        all
    }
}

impl Question {
    /// Whether the other one asked the same of the same.
    fn is_as(&self, other: &Self, kept: &[Option<Kept>]) -> bool {
        let (ours, theirs) = (&self.planned, &other.planned);
        if (&ours.probe, &ours.name) != (&theirs.probe, &theirs.name)
            || (&ours.kind, ours.bound) != (&theirs.kind, theirs.bound)
        {
            return false;
        }
        let Some(probe) = self.probe else {
            return other.probe.is_none();
        };
        kept[probe].is_some_and(|kept| {
            Some(kept.place) == other.probe
                && kept.standby
                && match ours.kind {
                    CheckKind::Version => kept.primary,
                    CheckKind::SinglePrimary => kept.everywhere == Everywhere::Same,
                    _ => self.side() == Side::Standby || kept.pair(),
                }
        })
    }
}
