//! A group's members under one database probe: who is the primary, and what its standbys lack.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::canary::Canary;
use super::failover::{Found, Look, Watch};
use super::figures;
use super::primary::{Primary, Verdict};
use super::rate::WriteRate;
use super::ring::Ring;
use crate::model::{
    DatabaseSet, Epoch, PairFigures, PairKey, Pen, ReplicationFacts, Role, Sample, SetFigures,
    SetKey, TargetKey,
};
use crate::readiness::Terms;

/// A target that takes part.
#[derive(Debug)]
pub struct Member {
    /// Whose samples tell of it.
    pub target: TargetKey,
    /// The region that it is in.
    pub region: Arc<str>,
    /// Where its figures as a standby go; the configured primary has none.
    pub pair: Option<PairKey>,
    /// Where orders to write a canary to it go; none where the probe has no canary.
    pub pen: Option<Arc<Pen>>,
}

/// What changed with a sample.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// The figures of the set.
    pub(super) set: Option<SetFigures>,
    /// Whether the run was the known primary's.
    pub(super) of_primary: bool,
    /// The figures of the pairs that changed.
    pub(super) pairs: Vec<(PairKey, PairFigures)>,
    /// How long canaries took to be seen that were seen now: at most so long after they were
    /// acknowledged.
    pub(super) visible: Vec<(PairKey, Duration)>,
    /// Another member is the primary; or more is known of the last time that one became it.
    pub(super) found: Option<Found>,
}

/// The members, as last seen.
#[derive(Debug)]
pub struct Set {
    key: SetKey,
    named: DatabaseSet,
    /// A look is good for so long.
    fresh: Duration,
    members: Vec<Seat>,
    primary: Primary,
    watch: Watch,
    ring: Ring,
    writes: WriteRate,
    canary: Option<Canary>,
    /// Whether a run of a member was taken in.
    seen: bool,
    figures: SetFigures,
}

/// A member and what was last seen of it.
#[derive(Debug)]
pub(super) struct Seat {
    member: Member,
    /// Its last good look, unless a run failed since.
    pub(super) look: Option<Box<ReplicationFacts>>,
    /// The good look right before that: what the primary's is paired with where the last one ended
    /// too late for it.
    before: Option<Box<ReplicationFacts>>,
    figures: PairFigures,
}

impl Set {
    /// A set of which nothing is known yet. The first member is the configured primary.
    ///
    /// `interval` and `timeout` are those of the probe; the canaries are of the life `epoch`.
    pub fn new(
        key: SetKey,
        named: DatabaseSet,
        members: Vec<Member>,
        interval: Duration,
        timeout: Duration,
        epoch: Epoch,
    ) -> Self {
        let fresh = Terms::fresh_for(interval, timeout);
        let canary = members.iter().any(|member| member.pen.is_some());
        let seats = members.into_iter().map(|member| Seat {
            member,
            look: None,
            before: None,
            figures: PairFigures::default(),
        });
        Self {
            key,
            named: named.clone(),
            fresh,
            watch: Watch::new(named, seats.len()),
            members: seats.collect(),
            primary: Primary::default(),
            ring: Ring::new(fresh),
            writes: WriteRate::default(),
            canary: canary.then(|| Canary::new(epoch, interval)),
            seen: false,
            figures: SetFigures::default(),
        }
    }

    /// Where the figures of the set go.
    pub fn key(&self) -> SetKey {
        self.key
    }

    /// What it is called.
    pub(super) fn named(&self) -> &DatabaseSet {
        &self.named
    }

    /// The region of the last confirmed primary, whether it lives or not; `None` before the first.
    pub(super) fn primary_region(&self) -> Option<&Arc<str>> {
        let place = self.watch.place()?;
        Some(&self.members[place].member.region)
    }

    /// What the known primary said, if it was seen lately.
    pub(super) fn primary(&self) -> Option<&ReplicationFacts> {
        self.members[self.primary.known()?].look.as_deref()
    }

    /// Bytes a second that the primary seldom exceeds; `None`: not known.
    pub(super) fn write_rate(&self) -> Option<f64> {
        self.writes.high()
    }

    /// The figures now.
    pub(super) fn figures(&self) -> &SetFigures {
        &self.figures
    }

    /// The targets of the members.
    pub(super) fn targets(&self) -> impl Iterator<Item = TargetKey> + '_ {
        self.members.iter().map(|seat| seat.member.target)
    }

    /// Takes in a run of a member.
    pub(super) fn observe(&mut self, sample: &Sample) -> Changes {
        let mut changes = self.expire(sample.ended);
        let mut members = self.members.iter();
        let Some(place) = members.position(|seat| seat.member.target == sample.target) else {
            return changes;
        };
        self.seen = true;
        self.members[place].see(look(sample));
        let verdict = self.primary.judge(place, &self.members);
        self.watch(place, sample, verdict, &mut changes);
        self.written(place, sample, &mut changes);
        self.seen(place, sample, &mut changes);
        if self.primary.known() == Some(place) {
            changes.of_primary = true;
            self.pair_all(&mut changes);
        } else {
            self.standby(place, &mut changes);
        }
        self.order(verdict);
        self.count(&mut changes);
        changes
    }

    /// Drops looks that are so old that they say nothing of now: runs were skipped, or came to
    /// nothing that is known of.
    pub(super) fn expire(&mut self, now: Instant) -> Changes {
        let mut changes = Changes::default();
        for place in 0..self.members.len() {
            let seat = &mut self.members[place];
            let age = |look: &ReplicationFacts| now.saturating_duration_since(look.answered);
            if seat
                .look
                .as_deref()
                .is_none_or(|look| age(look) <= self.fresh)
            {
                continue;
            }
            seat.see(None);
            seat.figures = PairFigures::default();
            self.tell(place, &mut changes);
            if self.primary.known() == Some(place) {
                self.pair_all(&mut changes);
            }
            self.orders();
            self.count(&mut changes);
        }
        changes
    }

    fn count(&mut self, changes: &mut Changes) {
        self.figures.writable = self.members.iter().filter(|seat| seat.writable()).count() as u64;
        changes.set = Some(self.figures.clone());
    }

    /// The primary was looked at: every standby that was read before it can be paired.
    fn pair_all(&mut self, changes: &mut Changes) {
        let Some(primary) = self.primary.known() else {
            return;
        };
        let look = self.members[primary].look.clone();
        if let Some(look) = &look
            && let Some(position) = &look.position
        {
            self.ring.note(look.asked, position);
            self.writes.note(look.asked, position);
        }
        for place in 0..self.members.len() {
            if place != primary {
                self.pair(place, look.as_deref());
                self.tell(place, changes);
            }
        }
        self.members[primary].figures = PairFigures {
            canary_seen_seq: self.members[primary].figures.canary_seen_seq,
            ..PairFigures::default()
        };
        self.tell(primary, changes);
        let others = self.members.iter().enumerate();
        let applied: Option<Vec<_>> = others
            .filter(|(place, _)| *place != primary)
            .map(|(_, seat)| seat.look.as_deref()?.position.as_ref())
            .collect();
        // Nobody knows what one has that is silent.
        if let Some(applied) = applied {
            self.ring.forget(&applied);
        }
    }

    fn pair(&mut self, place: usize, primary: Option<&ReplicationFacts>) {
        let seat = &mut self.members[place];
        let (Some(_), Some(primary)) = (&seat.look, primary) else {
            return figures::without_primary(&mut seat.figures);
        };
        // One that was read after the primary may have what the primary had not.
        let mut looks = [&seat.look, &seat.before].into_iter().flatten();
        if let Some(standby) = looks.find(|look| look.answered <= primary.asked) {
            figures::both_sides(&mut seat.figures, standby, primary);
        }
    }

    /// A member that is not the known primary was looked at.
    fn standby(&mut self, place: usize, changes: &mut Changes) {
        let primary = self.primary.known();
        let primary = primary.and_then(|primary| self.members[primary].look.clone());
        let lag = primary
            .as_ref()
            .map(|primary| self.ring_lag(place, primary));
        let seat = &mut self.members[place];
        match &seat.look {
            None => seat.figures = PairFigures::default(),
            Some(look) => {
                figures::one_side(&mut seat.figures, look);
                match lag {
                    Some(lag) => {
                        seat.figures.lag_ring = lag.map(|(lag, _)| lag);
                        seat.figures.lag_ring_at_least = lag.is_some_and(|(_, least)| least);
                    }
                    None => figures::without_primary(&mut seat.figures),
                }
            }
        }
        self.tell(place, changes);
    }

    /// How far behind the primary the member is, and whether it is at least so far; `None` for one
    /// that follows nobody, or another.
    fn ring_lag(&self, place: usize, primary: &ReplicationFacts) -> Option<(Duration, bool)> {
        let look = self.members[place].look.as_deref()?;
        let follows = look.role != Role::Primary
            && figures::same_cluster(look, primary) != Some(false)
            && figures::one_history(look, primary);
        let position = look.position.as_ref().filter(|_| follows)?;
        let lag = self.ring.lag(position, look.answered)?;
        Some((lag, self.ring.lags_since_before(position)))
    }

    /// Whether another member is the primary now. Before what is written to it is taken in: what it
    /// lacks is told by what it had.
    fn watch(&mut self, place: usize, sample: &Sample, verdict: Verdict, changes: &mut Changes) {
        let seat = &self.members[place];
        let Some(facts) = seat.look.as_deref() else {
            return;
        };
        let canary = database(sample).and_then(|facts| facts.canary.as_ref());
        let look = Look {
            place,
            region: &seat.member.region,
            facts,
            mark: canary.map(|canary| canary.seen.mark),
            at: sample.at,
        };
        let confirmed = verdict == Verdict::Primary;
        changes.found = self.watch.look(look, confirmed, self.canary.as_ref());
    }

    /// What became of the order that the member had.
    fn written(&mut self, place: usize, sample: &Sample, changes: &mut Changes) {
        let (Some(canary), Some(pen)) = (&mut self.canary, &self.members[place].member.pen) else {
            return;
        };
        let write = database(sample).and_then(|facts| facts.canary.as_ref()?.write.as_ref());
        canary.written(pen, write, &mut self.figures);
        if let Some(at) = write.and_then(|write| write.outcome.ok())
            && let Some(found) = self.watch.acknowledged(place, at)
        {
            changes.found = Some(found);
        }
        if let Some(look) = self.members[place].look.as_deref()
            && self.primary.known() == Some(place)
        {
            canary.lives(look.answered);
        }
    }

    /// Which canary the member shows.
    fn seen(&mut self, place: usize, sample: &Sample, changes: &mut Changes) {
        let Some(canary) = &mut self.canary else {
            return;
        };
        let seat = &mut self.members[place];
        let sighting = database(sample).and_then(|facts| Some(facts.canary.as_ref()?.seen));
        let seen = canary.seen(place, sighting.as_ref());
        seat.figures.canary_seen_seq = seen.seq;
        seat.figures.lag_canary = seen.lag;
        seat.figures.rpo_seconds = seen.rpo;
        if let Some(pair) = seat.member.pair {
            changes
                .visible
                .extend(seen.visible.into_iter().map(|after| (pair, after)));
        }
    }

    /// After a look.
    fn order(&mut self, verdict: Verdict) {
        self.orders();
        let Some(canary) = &mut self.canary else {
            return;
        };
        if let Verdict::Refused(why) = verdict {
            self.figures.canary_suppressed[why as usize] += 1;
        }
        canary.forget(self.members.len());
    }

    /// Gives the one member that may have it the order for the next canary, and takes back all
    /// others.
    fn orders(&self) {
        let Some(canary) = &self.canary else {
            return;
        };
        let allowed = self.primary.may_be_written(&self.members);
        for (place, seat) in self.members.iter().enumerate() {
            if let Some(pen) = &seat.member.pen {
                let to = allowed.as_ref().filter(|(at, _)| *at == place);
                canary.order(pen, to.map(|(_, incarnation)| incarnation.clone()));
            }
        }
    }

    fn tell(&self, place: usize, changes: &mut Changes) {
        let seat = &self.members[place];
        if let Some(pair) = seat.member.pair {
            changes.pairs.push((pair, seat.figures.clone()));
        }
    }
}

impl Seat {
    fn see(&mut self, look: Option<Box<ReplicationFacts>>) {
        let last = std::mem::replace(&mut self.look, look);
        self.before = last.filter(|_| self.look.is_some());
    }

    /// Whether it was last seen writable.
    pub(super) fn writable(&self) -> bool {
        self.look
            .as_deref()
            .is_some_and(|look| look.writable == Some(true))
    }
}

fn database(sample: &Sample) -> Option<&crate::model::DatabaseFacts> {
    sample.facts()?.database.as_deref()
}

/// What a run saw of replication. A run may fail (a query with the wrong answer) and still have
/// seen it.
fn look(sample: &Sample) -> Option<Box<ReplicationFacts>> {
    database(sample)?.replication.clone()
}

mod succession;
#[cfg(test)]
mod tests;
