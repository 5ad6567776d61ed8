//! Which member of a set is the primary, over time: when another one becomes it, what that cost.
//!
//! A failover is told once the new primary is confirmed (see [`super::primary`]) and follows from the
//! old one by its history. One that happened before this daemon knew a primary is never told.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::canary::Canary;
use super::figures;
use super::past::moment;
use super::user_path::Window;
use crate::model::{
    DatabaseSet, Failover, Identity, LossUnknown, Mark, Position, ReplicationFacts, Role, RtoBasis,
    Withheld, stable_hash,
};

/// A run of a member that answered.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    /// The member, by its place.
    pub(super) place: usize,
    /// The member's region.
    pub(super) region: &'a Arc<str>,
    /// What it said.
    pub(super) facts: &'a ReplicationFacts,
    /// The canary that it showed before the run wrote one; `None`: the run did not look.
    pub(super) mark: Option<Result<Option<Mark>, Withheld>>,
    /// The wall clock when the run ended.
    pub(super) at: SystemTime,
}

/// What became of the primary.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found {
    /// Another member took over, and around when; or more is known of the last time.
    Failover(Failover, Window),
    /// Another member is the primary, and it did not follow from the one before.
    Replaced { from: Arc<str>, to: Arc<str> },
}

/// The primary of a set, over time.
#[derive(Debug)]
pub(super) struct Watch {
    set: DatabaseSet,
    held: Option<Held>,
    /// Of each member but the primary, by its place: since when it has been writable.
    rising: Vec<Option<Rising>>,
    /// The last failover, until the new primary acknowledged a canary.
    open: Option<Open>,
}

/// The confirmed primary.
#[derive(Debug)]
struct Held {
    place: usize,
    region: Arc<str>,
    /// What it said when it was last found to be the primary.
    facts: ReplicationFacts,
    /// When it was last seen writable.
    writable: Instant,
    writable_at: SystemTime,
    /// When it was first seen not to be, after that.
    stepped_down: Option<Instant>,
}

/// A member that is writable and not the primary.
#[derive(Clone, Copy, Debug)]
struct Rising {
    /// When it was first seen so: the look began and ended.
    asked: Instant,
    answered: Instant,
    at: SystemTime,
    mark: Option<Mark>,
    /// Whether the canary could be read.
    read: bool,
}

#[derive(Debug)]
struct Open {
    failover: Failover,
    place: usize,
    /// When the old primary acknowledged its last canary.
    last: Instant,
}

impl Watch {
    /// A watch over so many members, of whom nothing is known yet.
    pub(super) fn new(set: DatabaseSet, members: usize) -> Self {
        Self {
            set,
            held: None,
            rising: vec![None; members],
            open: None,
        }
    }

    /// Goes on with what was known of members who have these places now, if they are still there.
    pub(super) fn succeed(&mut self, former: Self, places: &[Option<usize>]) {
        self.held = former.held.and_then(|held| {
            let place = places[held.place]?;
            Some(Held { place, ..held })
        });
        self.open = former.open.and_then(|open| {
            let place = places[open.place]?;
            Some(Open { place, ..open })
        });
        for (rising, place) in former.rising.into_iter().zip(places) {
            if let Some(place) = place {
                self.rising[*place] = rising;
            }
        }
    }

    /// The place of the last confirmed primary.
    pub(super) fn place(&self) -> Option<usize> {
        self.held.as_ref().map(|held| held.place)
    }

    /// Takes in a look. `confirmed` tells whether the member is the primary for sure.
    pub(super) fn look(
        &mut self,
        look: Look<'_>,
        confirmed: bool,
        canary: Option<&Canary>,
    ) -> Option<Found> {
        let writable = look.facts.role == Role::Primary && look.facts.writable == Some(true);
        match &mut self.held {
            Some(held) if held.place == look.place => held.see(look, writable, confirmed),
            _ => self.rise(look, writable),
        }
        if !confirmed || self.place() == Some(look.place) {
            return None;
        }
        let new = Held::new(look);
        let rising = self.rising[look.place].take();
        self.open = None;
        let old = self.held.replace(new)?;
        if !succeeds(look.facts, &old.facts) {
            return Some(Found::Replaced {
                from: old.region,
                to: Arc::clone(look.region),
            });
        }
        let (failover, around) = self.failed_over(&old, rising?, look, canary);
        Some(Found::Failover(failover, around))
    }

    fn rise(&mut self, look: Look<'_>, writable: bool) {
        let rising = &mut self.rising[look.place];
        if !writable {
            *rising = None;
            return;
        }
        let rising = rising.get_or_insert(Rising {
            asked: look.facts.asked,
            answered: look.facts.answered,
            at: look.at,
            mark: None,
            read: false,
        });
        if let Some(Ok(mark)) = look.mark {
            rising.mark = mark;
            rising.read = true;
        }
    }

    fn failed_over(
        &mut self,
        old: &Held,
        new: Rising,
        look: Look<'_>,
        canary: Option<&Canary>,
    ) -> (Failover, Window) {
        // Seen with looks that do not overlap.
        let both = old.writable > new.answered;
        let lost = match canary {
            None => Err(LossUnknown::NoCanary),
            Some(_) if both => Err(LossUnknown::SplitBrain),
            Some(canary) if canary.last(old.writable).is_none() => Err(LossUnknown::Writer),
            Some(_) if !new.read => Err(LossUnknown::NotRead),
            Some(canary) => canary.lost(new.mark),
        };
        let rpo = lost.ok();
        let down_first = old.stepped_down.is_some_and(|down| down <= new.asked);
        let without = new.answered.saturating_duration_since(old.writable);
        let failover = Failover {
            id: self.id(look),
            group: Arc::clone(&self.set.group),
            probe: Arc::clone(&self.set.probe),
            source_region: Arc::clone(&self.set.source_region),
            from: Arc::clone(&old.region),
            to: Arc::clone(look.region),
            timestamp_seconds: moment(if both { old.writable_at } else { new.at }),
            planned: down_first && rpo.is_none_or(|lost| lost.writes == 0),
            rto_write_seconds: without.as_secs_f64(),
            rto_write_basis: RtoBasis::Roles,
            rpo_writes: rpo.map(|lost| lost.writes),
            rpo_seconds: rpo.map(|lost| lost.time.as_secs_f64()),
            rpo_unknown: lost.err(),
            rto_user_seconds: None,
            drill: None,
        };
        let before = canary.and_then(|canary| canary.last(old.writable));
        self.open = before.filter(|_| !both).map(|last| Open {
            failover: failover.clone(),
            place: look.place,
            last,
        });
        let around = Window {
            from: before.unwrap_or(old.writable),
            to: new.answered,
        };
        (failover, around)
    }

    /// The member in this place acknowledged a canary. The first one of a new primary tells for how
    /// long none was.
    pub(super) fn acknowledged(&mut self, place: usize, at: Instant) -> Option<Found> {
        let open = self.open.take_if(|open| open.place == place)?;
        let without: Duration = at.saturating_duration_since(open.last);
        let failover = Failover {
            rto_write_seconds: without.as_secs_f64(),
            rto_write_basis: RtoBasis::Canary,
            ..open.failover
        };
        let around = Window {
            from: open.last,
            to: at,
        };
        Some(Found::Failover(failover, around))
    }

    /// Made of what every vantage sees alike.
    fn id(&self, look: Look<'_>) -> String {
        let parts = [
            &*self.set.group,
            &*self.set.probe,
            look.region,
            &reign(look.facts),
        ];
        format!("{:016x}", stable_hash(&parts.join("\u{1f}")))
    }
}

impl Held {
    fn new(look: Look<'_>) -> Self {
        Self {
            place: look.place,
            region: Arc::clone(look.region),
            facts: look.facts.clone(),
            writable: look.facts.asked,
            writable_at: look.at,
            stepped_down: None,
        }
    }

    fn see(&mut self, look: Look<'_>, writable: bool, confirmed: bool) {
        if confirmed {
            *self = Self::new(look);
        } else if writable {
            self.writable = look.facts.asked;
            self.writable_at = look.at;
            self.stepped_down = None;
        } else if look.facts.role == Role::Standby || look.facts.writable == Some(false) {
            self.stepped_down.get_or_insert(look.facts.answered);
        }
    }
}

/// Whether a new primary took over from the old one, by its own history.
fn succeeds(new: &ReplicationFacts, old: &ReplicationFacts) -> bool {
    match (&new.identity, &old.identity) {
        (Some(Identity::System(ours)), Some(Identity::System(theirs))) => {
            let higher = new.timeline.zip(old.timeline).is_some_and(|(n, o)| n > o);
            ours == theirs && higher
        }
        (Some(Identity::History { previous, .. }), Some(Identity::History { id, .. })) => {
            previous.as_ref().is_some_and(|(before, _)| before == id)
        }
        // Nothing marks a promotion here but that it is another server, which has what the old one
        // had. Where neither has written anything that cannot be seen, and is not doubted.
        (Some(Identity::Server(ours)), Some(Identity::Server(theirs))) => {
            ours != theirs && figures::same_cluster(new, old) != Some(false)
        }
        (Some(Identity::Number(ours)), Some(Identity::Number(theirs))) => {
            ours != theirs && figures::same_cluster(new, old) != Some(false)
        }
        _ => false,
    }
}

/// What tells a server's time as the primary from every other one's, and stays as it is all the
/// while: for `MySQL` and `MariaDB`, what it had from others when it took over.
fn reign(facts: &ReplicationFacts) -> String {
    match (&facts.identity, &facts.position) {
        (Some(Identity::System(system)), _) => {
            format!("{system}/{}", facts.timeline.unwrap_or_default())
        }
        (Some(Identity::History { id, .. }), _) => id.to_string(),
        (Some(Identity::Server(server)), Some(Position::Gtids(all))) => {
            format!("{server}/{}", all.of_others(server))
        }
        (Some(Identity::Server(server)), _) => server.to_string(),
        (Some(Identity::Number(number)), Some(Position::Domains(all))) => {
            format!("{number}/{}", all.applied())
        }
        (Some(Identity::Number(number)), _) => number.to_string(),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Domains, GtidSet};

    fn primary(identity: Identity, position: Option<Position>) -> ReplicationFacts {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let now = Instant::now();
        ReplicationFacts {
            role: Role::Primary,
            writable: Some(true),
            identity: Some(identity),
            position,
            ..ReplicationFacts::new(now, now)
        }
    }

    fn postgres(system: u64, timeline: u64) -> ReplicationFacts {
        ReplicationFacts {
            timeline: Some(timeline),
            ..primary(Identity::System(system), None)
        }
    }

    fn redis(id: &str, previous: Option<&str>) -> ReplicationFacts {
        let previous = previous.map(|previous| (previous.into(), 100));
        let id = id.into();
        primary(Identity::History { id, previous }, None)
    }

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429561";
    const B: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn mysql(server: &str, gtids: &str) -> ReplicationFacts {
        let gtids = GtidSet::parse(gtids).expect("a set");
        let position = Some(Position::Gtids(gtids));
        primary(Identity::Server(server.into()), position)
    }

    fn mariadb(server: u32, slave: &str, binlog: &str, state: &str) -> ReplicationFacts {
        let domains = Domains::of_server(slave, binlog, Some(state)).expect("positions");
        let position = Some(Position::Domains(domains));
        primary(Identity::Number(server), position)
    }

    #[test]
    fn a_postgres_succeeds_by_a_higher_timeline_of_the_same_system() {
        let old = postgres(1, 4);
        assert!(succeeds(&postgres(1, 5), &old));
        assert!(succeeds(&postgres(1, 7), &old));
        assert!(!succeeds(&postgres(1, 4), &old));
        assert!(!succeeds(&postgres(1, 3), &old));
        assert!(!succeeds(&postgres(2, 5), &old));
    }

    #[test]
    fn a_redis_succeeds_by_the_history_that_it_had_before() {
        let old = redis("a", Some("x"));
        assert!(succeeds(&redis("b", Some("a")), &old));
        for stranger in [redis("b", None), redis("b", Some("x")), redis("a", None)] {
            assert!(!succeeds(&stranger, &old));
        }
        assert_ne!(reign(&redis("a", None)), reign(&redis("b", Some("a"))));
    }

    #[test]
    fn a_mysql_succeeds_as_another_server_with_transactions_of_the_old_one() {
        let old = mysql(A, &format!("{A}:1-100"));
        let new = mysql(B, &format!("{A}:1-90,{B}:1"));
        assert!(succeeds(&new, &old), "what it lacks is lost");
        assert!(!succeeds(&mysql(A, &format!("{A}:1-200")), &old));
        assert!(!succeeds(&mysql(B, &format!("{B}:1-9")), &old));
        // It writes on, and names itself as it did.
        let later = mysql(B, &format!("{A}:1-90,{B}:1-70"));
        assert_eq!(reign(&later), reign(&new));
        let again = mysql(B, &format!("{A}:1-91,{B}:1-70"));
        assert_ne!(reign(&again), reign(&new));
    }

    #[test]
    fn a_mariadb_succeeds_as_another_server_of_the_old_ones_history() {
        let old = mariadb(1, "", "0-1-6", "0-1-6");
        let new = mariadb(2, "0-1-5", "0-2-6", "0-1-5,0-2-6");
        assert!(succeeds(&new, &old));
        assert!(!succeeds(&mariadb(1, "", "0-1-9", "0-1-9"), &old));
        assert!(!succeeds(&mariadb(2, "0-3-5", "0-2-6", "0-3-5"), &old));
        let later = mariadb(2, "0-1-5", "0-2-90", "0-1-5,0-2-90");
        assert_eq!(reign(&later), reign(&new));
    }

    #[test]
    fn engines_do_not_succeed_each_other() {
        assert!(!succeeds(&postgres(1, 2), &redis("a", None)));
    }
}
