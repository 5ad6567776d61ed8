//! What was last seen of one database of a standby.

use std::time::{Duration, Instant};

use super::{Compared, Witness};
use crate::model::{Link, PairFigures, ReplicationFacts, Role, Sample};
use crate::readiness::rank::ApplyRate;
use crate::readiness::{Hearing, LastSight, Patience, Terms};

/// A database probe's view of one standby.
#[derive(Debug)]
pub(super) struct Database {
    /// The probe, by its place.
    pub(super) probe: usize,
    /// Whether positions are counted in bytes, so that what waits to be applied is known.
    pub(super) in_bytes: bool,
    patience: Patience,
    /// Whether the standby was of another cluster when that could last be told.
    stranger: bool,
    /// The standby's link, and when it was told.
    link: Option<(Link, Instant)>,
    figures: PairFigures,
    /// When these were told.
    told: Option<Instant>,
    /// When both sides were last seen, and what was known then.
    pub(super) last_sight: Option<LastSight>,
    /// When the primary was last seen to live.
    lived: Option<Instant>,
    /// How fast the standby applies what it has received.
    pub(super) applies: ApplyRate,
}

impl Database {
    /// The view of the probe in this place; `None` if it is no database.
    pub(super) fn new(at: usize, probe: &Witness) -> Option<Self> {
        let silence = match probe.kind {
            "postgres" | "mysql" => Patience::STREAMED,
            "redis" => Patience::REDIS,
            _ => return None,
        };
        Some(Self {
            probe: at,
            in_bytes: probe.kind != "mysql",
            patience: Patience {
                silence,
                fresh: Terms::fresh_for(probe.interval, probe.timeout),
            },
            stranger: false,
            link: None,
            figures: PairFigures::default(),
            told: None,
            last_sight: None,
            lived: None,
            applies: ApplyRate::default(),
        })
    }

    /// Takes in a run against the standby.
    pub(super) fn observe(&mut self, sample: &Sample) {
        let database = sample.facts().and_then(|facts| facts.database.as_deref());
        let Some(facts) = database.and_then(|database| database.replication.as_deref()) else {
            return;
        };
        let none = Link {
            // A standby that receives from nobody hears nobody.
            up: (facts.role == Role::Standby).then_some(false),
            ..Link::default()
        };
        self.link = Some((facts.link.unwrap_or(none), facts.answered));
        self.applied(facts);
    }

    fn applied(&mut self, facts: &ReplicationFacts) {
        let (Some(received), Some(position)) = (&facts.received, &facts.position) else {
            return;
        };
        let (Some(waiting), Some(applied)) = (received.bytes_beyond(position), position.bytes())
        else {
            return;
        };
        self.applies.look(facts.answered, applied, waiting);
    }

    /// Takes in what the two sides are to each other. What would be lost is kept as it is once the
    /// primary is out of sight.
    pub(super) fn compare(&mut self, figures: &PairFigures, seen: Compared<'_>) {
        self.figures = figures.clone();
        self.told = Some(seen.sample.ended);
        if let Some(stranger) = figures.identity_mismatch {
            self.stranger = stranger;
        }
        if self.stranger {
            // What was seen before was seen of another server.
            self.last_sight = None;
        }
        let (rpo, loss_bytes) = (rpo(figures), figures.loss_bytes);
        let known = rpo.is_some() || loss_bytes.is_some();
        if seen.of_primary && (seen.primary.is_some() || seen.sample.outcome.is_ok()) {
            self.lived = Some(seen.sample.ended);
        }
        if seen.of_primary && seen.primary.is_some() && known {
            self.last_sight = Some(LastSight {
                seen: seen.sample.ended,
                at: seen.sample.at,
                rpo,
                loss_bytes,
            });
        }
    }

    /// For how long the primary was seen to live after the two sides were last seen: what it wrote
    /// then is in no figure.
    pub(super) fn unpaired(&self) -> Duration {
        let both = self.last_sight.zip(self.lived);
        both.map_or(Duration::ZERO, |(last, lived)| {
            lived.saturating_duration_since(last.seen)
        })
    }

    /// The figures, unless they are so old that they say nothing of `now`.
    pub(super) fn figures(&self, now: Instant) -> Option<&PairFigures> {
        let told = self.told?;
        let age = now.saturating_duration_since(told);
        (age <= self.patience.fresh).then_some(&self.figures)
    }

    /// Seconds of writes that would be lost.
    pub(super) fn rpo(&self, now: Instant) -> Option<Duration> {
        self.figures(now).and_then(rpo)
    }

    /// Whether the standby hears the primary. One of another cluster hears another primary.
    pub(super) fn hearing(&self, now: Instant) -> Hearing {
        let link = self.link.filter(|_| !self.stranger);
        link.map_or(Hearing::Unknown, |(link, told)| {
            Hearing::of(link, told, self.patience, now)
        })
    }
}

/// Seconds of writes that would be lost: by the canary or, where it tells nothing, by the primary's
/// positions, unless these only tell a lag that is longer than what was seen of it.
fn rpo(figures: &PairFigures) -> Option<Duration> {
    let lag = figures.lag_ring.filter(|_| !figures.lag_ring_at_least);
    figures.rpo_seconds.or(lag)
}
