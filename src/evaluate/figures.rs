//! A standby's figures from what it said and what its primary said.

use crate::model::{Identity, PairFigures, Position, ReplicationFacts, Slot};

/// What the standby's own words tell.
pub(super) fn one_side(figures: &mut PairFigures, standby: &ReplicationFacts) {
    let (received, applied) = (standby.received.as_ref(), standby.position.as_ref());
    figures.apply_bytes = received.zip(applied).and_then(|(r, a)| r.bytes_beyond(a));
    figures.lag_native = standby.native_lag;
    if received.is_none() {
        // It receives from nobody: what it lacked is no measure of anything any more.
        figures.loss_bytes = None;
    }
}

/// What both tell. The standby was read first, so that the primary had at least what it is compared
/// with: a difference can be too large by what was written between the two looks, never too small.
pub(super) fn both_sides(
    figures: &mut PairFigures,
    standby: &ReplicationFacts,
    primary: &ReplicationFacts,
) {
    without_primary_except_lag(figures);
    figures.identity_mismatch = same_cluster(standby, primary).map(|same| !same);
    if figures.identity_mismatch == Some(true) {
        return;
    }
    slot(figures, standby, primary);
    let limits = standby.limits.zip(primary.limits);
    figures.lower_limits = limits.map(|(own, needed)| own.lower_than(&needed));
    figures.keys_ratio = keys_ratio(standby.keys, primary.keys);
    if !one_history(standby, primary) {
        return;
    }
    let Some(current) = &primary.position else {
        return;
    };
    if let Some(received) = &standby.received {
        figures.loss_bytes = current.bytes_beyond(received);
    }
    if let Some(applied) = &standby.position {
        figures.missing_transactions = current.transactions_beyond(applied);
        figures.errant_transactions = errant(standby, primary);
        figures.unrecoverable_transactions = unrecoverable(standby, primary);
    }
}

/// Nothing is known of the primary, or not lately.
pub(super) fn without_primary(figures: &mut PairFigures) {
    without_primary_except_lag(figures);
    figures.lag_ring = None;
    figures.lag_ring_at_least = false;
}

fn without_primary_except_lag(figures: &mut PairFigures) {
    *figures = PairFigures {
        apply_bytes: figures.apply_bytes,
        lag_ring: figures.lag_ring,
        lag_ring_at_least: figures.lag_ring_at_least,
        lag_canary: figures.lag_canary,
        lag_native: figures.lag_native,
        canary_seen_seq: figures.canary_seen_seq,
        rpo_seconds: figures.rpo_seconds,
        ..PairFigures::default()
    };
}

/// Transactions that only the standby has.
fn errant(standby: &ReplicationFacts, primary: &ReplicationFacts) -> Option<u64> {
    match (standby.position.as_ref()?, primary.position.as_ref()?) {
        (Position::Gtids(standby), Position::Gtids(primary)) => {
            Some(standby.difference(primary).len())
        }
        (Position::Domains(mine), Position::Domains(theirs)) => {
            let Some(Identity::Number(server)) = standby.identity else {
                return None;
            };
            mine.errant_beyond(server, theirs)
        }
        _ => None,
    }
}

/// Missing transactions that the primary cannot send any more. What the standby has received needs
/// not be sent.
fn unrecoverable(standby: &ReplicationFacts, primary: &ReplicationFacts) -> Option<u64> {
    let (current, applied) = (primary.position.as_ref()?, standby.position.as_ref()?);
    match (current, applied, primary.purged.as_ref()?) {
        (Position::Gtids(current), Position::Gtids(applied), Position::Gtids(purged)) => {
            let mut gone = current.difference(applied).intersection(purged);
            if let Some(Position::Gtids(received)) = &standby.received {
                gone = gone.difference(received);
            }
            Some(gone.len())
        }
        _ => None,
    }
}

/// The standby's slot on the primary, by the name that the standby uses.
fn slot(figures: &mut PairFigures, standby: &ReplicationFacts, primary: &ReplicationFacts) {
    let Some(name) = &standby.slot else { return };
    let slot: Option<&Slot> = primary.slots.iter().find(|slot| slot.name == *name);
    figures.slot_retained_bytes = slot.and_then(|slot| slot.retained_bytes);
    figures.slot_lost = match slot {
        Some(slot) => Some(slot.lost),
        None if primary.slots.len() >= Slot::MOST => None,
        // One that is not there holds nothing back.
        None => Some(true),
    };
}

fn keys_ratio(standby: Option<u64>, primary: Option<u64>) -> Option<f64> {
    let (standby, primary) = (standby?, primary.filter(|keys| *keys > 0)?);
    #[expect(clippy::cast_precision_loss, reason = "a ratio of counts")]
    Some(standby as f64 / primary as f64)
}

/// Whether the two are copies of one database. `None`: it cannot be told.
pub(super) fn same_cluster(standby: &ReplicationFacts, primary: &ReplicationFacts) -> Option<bool> {
    match (standby.identity.as_ref()?, primary.identity.as_ref()?) {
        (Identity::System(a), Identity::System(b)) => Some(a == b),
        (Identity::Server(_), Identity::Server(_)) => shared_transactions(standby, primary),
        (Identity::Number(_), Identity::Number(_)) => {
            match (standby.position.as_ref()?, primary.position.as_ref()?) {
                (Position::Domains(standby), Position::Domains(primary)) => {
                    standby.follows(primary)
                }
                _ => None,
            }
        }
        (Identity::History { .. }, Identity::History { .. }) => shared_history(standby, primary),
        _ => Some(false),
    }
}

/// Copies of one `MySQL` have transactions in common as soon as either of them has any.
fn shared_transactions(a: &ReplicationFacts, b: &ReplicationFacts) -> Option<bool> {
    match (a.position.as_ref()?, b.position.as_ref()?) {
        (Position::Gtids(a), Position::Gtids(b)) if !a.is_empty() && !b.is_empty() => {
            Some(!a.intersection(b).is_empty())
        }
        _ => None,
    }
}

/// A Redis takes over the history of its primary with the first copy of the data; until then, and
/// while it is cut off, its history says nothing. One that was promoted keeps the history that it had
/// as its previous one.
fn shared_history(standby: &ReplicationFacts, primary: &ReplicationFacts) -> Option<bool> {
    let theirs = histories(primary);
    if histories(standby).any(|ours| theirs.clone().any(|theirs| ours == theirs)) {
        return Some(true);
    }
    let link = standby.link?;
    (link.up == Some(true) && !link.initial_sync).then_some(false)
}

/// The history that a Redis follows, and the one before.
fn histories(facts: &ReplicationFacts) -> impl Iterator<Item = &str> + Clone {
    let (now, before) = match &facts.identity {
        Some(Identity::History { id, previous }) => (Some(&**id), previous.as_ref()),
        _ => (None, None),
    };
    now.into_iter().chain(before.map(|(id, _)| &**id))
}

/// Whether positions of the two count the same bytes. After a promotion there are two histories of
/// one cluster: a `PostgreSQL` that still follows the old timeline may have what the new one has not,
/// at the same position, and only Redis tells where they part.
pub(super) fn one_history(standby: &ReplicationFacts, primary: &ReplicationFacts) -> bool {
    if let (Some(ours), Some(theirs)) = (standby.timeline, primary.timeline) {
        return ours == theirs;
    }
    let (
        Some(Identity::History { id: ours, .. }),
        Some(Identity::History {
            id: theirs,
            previous,
        }),
    ) = (&standby.identity, &primary.identity)
    else {
        return true;
    };
    let offset = match &standby.position {
        Some(Position::Offset(offset)) => *offset,
        _ => u64::MAX,
    };
    let before = |(id, until): &(Box<str>, u64)| id == ours && offset <= *until;
    ours == theirs || previous.as_ref().is_some_and(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Link, Role};
    use std::time::Instant;

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn redis(role: Role, id: &str, previous: Option<(&str, u64)>, offset: u64) -> ReplicationFacts {
        let now = Instant::now();
        let mut facts = ReplicationFacts::new(now, now);
        facts.role = role;
        facts.identity = Some(Identity::History {
            id: id.into(),
            previous: previous.map(|(id, until)| (id.into(), until)),
        });
        facts.position = Some(Position::Offset(offset));
        facts.received = (role == Role::Standby).then_some(Position::Offset(offset));
        facts.link = (role == Role::Standby).then_some(Link {
            up: Some(true),
            ..Link::default()
        });
        facts
    }

    #[test]
    fn a_redis_is_of_a_cluster_by_its_history() {
        let primary = redis(Role::Primary, "a", None, 900);
        let same = |standby: &ReplicationFacts| same_cluster(standby, &primary);
        assert_eq!(same(&redis(Role::Standby, "a", None, 800)), Some(true));
        assert_eq!(same(&redis(Role::Standby, "b", None, 800)), Some(false));
        // Promoted by accident; the primary went on since.
        let rogue = redis(Role::Primary, "b", Some(("a", 850)), 851);
        assert_eq!(same(&rogue), Some(true));
        // It has not followed anyone yet, or is cut off: then it may be any.
        let mut fresh = redis(Role::Standby, "b", None, 1);
        fresh.link = Some(Link::default());
        assert_eq!(same(&fresh), None);
    }

    #[test]
    fn a_slot_that_is_not_among_the_first_ones_is_not_known_to_be_lost() {
        let mut standby = redis(Role::Standby, "a", None, 1);
        standby.slot = Some("south".into());
        let mut primary = redis(Role::Primary, "a", None, 1);
        let lost = |primary: &ReplicationFacts| {
            let mut figures = PairFigures::default();
            both_sides(&mut figures, &standby, primary);
            figures.slot_lost
        };
        assert_eq!(lost(&primary), Some(true), "there is none");
        let other = Slot {
            name: "other".into(),
            active: true,
            retained_bytes: None,
            lost: false,
        };
        primary.slots = vec![other.clone(); Slot::MOST];
        assert_eq!(lost(&primary), None, "there may be more");
        primary.slots[0].name = "south".into();
        assert_eq!(lost(&primary), Some(false));
    }

    #[test]
    fn offsets_are_compared_within_one_history() {
        let promoted = redis(Role::Primary, "b", Some(("a", 850)), 900);
        for (id, offset, loss) in [("b", 880, Some(20)), ("a", 850, Some(50)), ("a", 851, None)] {
            let standby = redis(Role::Standby, id, None, offset);
            let mut figures = PairFigures::default();
            both_sides(&mut figures, &standby, &promoted);
            assert_eq!(figures.loss_bytes, loss, "{id} {offset}");
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn what_was_received_needs_no_log_of_the_primary_any_more() {
        use crate::model::GtidSet;
        let gtids = |numbers: &str| {
            let text = format!("3e11fa47-71ca-11e1-9e33-c80aa9429562:{numbers}");
            Some(Position::Gtids(GtidSet::parse(&text).expect("a set")))
        };
        let now = Instant::now();
        let mut primary = ReplicationFacts::new(now, now);
        primary.position = gtids("1-100");
        primary.purged = gtids("1-80");
        let mut standby = ReplicationFacts::new(now, now);
        standby.position = gtids("1-50");
        for (received, told) in [(None, 30), (gtids("1-70"), 10), (gtids("51-90"), 0)] {
            standby.received = received;
            let mut figures = PairFigures::default();
            both_sides(&mut figures, &standby, &primary);
            assert_eq!(figures.unrecoverable_transactions, Some(told));
            assert_eq!(figures.missing_transactions, Some(50));
        }
    }
}
