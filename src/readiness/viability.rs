//! Whether the primary is lost, and whether the standby may be promoted then.

use std::time::{Duration, Instant, SystemTime};

use super::{Causes, Side, Standby, State, Truth};
use crate::model::{CheckReason, Link, Promotability, Sight};

/// Whether a standby hears its primary. It is a witness: where a vantage cannot reach the primary and
/// the standby hears it, the vantage is cut off and the primary lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// It heard from the primary lately.
    Hears,
    /// It has heard nothing for too long, or its link is down.
    Silent,
    /// It cannot be told.
    Unknown,
}

/// How long a witness may be silent, and how long its word holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The longest silence of a link that is alive.
    pub silence: Duration,
    /// The age up to which a look at the standby says something of now.
    pub fresh: Duration,
}

impl Patience {
    /// The longest silence of a link of `PostgreSQL`, `MySQL` or `MariaDB` that is alive: where there
    /// is nothing to send, `PostgreSQL` sends a keepalive every 30 s (half of `wal_sender_timeout`)
    /// and `MariaDB` and `MySQL` a heartbeat (half of `slave_net_timeout`), and half of that is added.
    pub const STREAMED: Duration = Duration::from_secs(45);

    /// The same of Redis: it pings its replicas every 10 s (`repl-ping-replica-period`).
    pub const REDIS: Duration = Duration::from_secs(20);
}

impl Hearing {
    /// What the standby's link, as seen at `seen`, says of `now`.
    ///
    /// That a standby calls its link up says nothing: it does so for a minute after the last byte.
    /// What counts is when the last byte came, on the standby's own clock.
    pub fn of(link: Link, seen: Instant, patience: Patience, now: Instant) -> Self {
        let age = now.saturating_duration_since(seen);
        let down = link.up == Some(false);
        match link.silence {
            Some(silence) if !down && silence.saturating_add(age) <= patience.silence => {
                Self::Hears
            }
            _ if age > patience.fresh => Self::Unknown,
            _ if down => Self::Silent,
            Some(silence) if silence > patience.silence => Self::Silent,
            // It may have heard something since, or not; or it does not tell.
            _ => Self::Unknown,
        }
    }

    /// What several links of one standby say together: one that hears is enough, and for silence all
    /// of them have to be known to be silent.
    pub fn together(hearings: impl IntoIterator<Item = Self>) -> Self {
        let mut all = None;
        for hearing in hearings {
            match hearing {
                Self::Hears => return Self::Hears,
                Self::Unknown => all = Some(Self::Unknown),
                Self::Silent => all = all.or(Some(Self::Silent)),
            }
        }
        all.unwrap_or(Self::Unknown)
    }
}

/// Judges by the checks that reach for the primary, and by what the standby hears.
///
/// One check that passes is enough to see it. For it to be out of sight all of them have to fail,
/// except those that depend on others or are not applicable.
pub fn sight_of(reaches: impl IntoIterator<Item = State>, hearing: Hearing) -> Sight {
    let (mut fails, mut unclear) = (false, false);
    for state in reaches {
        match state {
            State::Pass => return Sight::Seen,
            State::Fail(_) => fails = true,
            State::Unknown(CheckReason::Dependency) | State::NotApplicable => {}
            State::Unknown(_) | State::Stale => unclear = true,
        }
    }
    match hearing {
        _ if unclear || !fails => Sight::Unclear,
        Hearing::Hears => Sight::OneSided,
        Hearing::Unknown => Sight::Unwitnessed,
        Hearing::Silent => Sight::Lost,
    }
}

/// What would be lost, as of the last time that the standby and the primary were both seen. It is
/// kept as it is once the primary is out of sight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LastSight {
    /// When that was.
    pub seen: Instant,
    /// The same on the wall clock, for people.
    pub at: SystemTime,
    /// Seconds of writes, at most; `None` if it was not known then.
    pub rpo: Option<Duration>,
    /// Bytes; `None` if they were not known then.
    pub loss_bytes: Option<u64>,
}

/// The judgement on a promotion.
#[derive(Clone, Debug, PartialEq)]
pub struct Promotion {
    /// What it comes to.
    pub state: Promotability,
    /// Whether the loss at the last sight was within the objective.
    pub loss: Truth,
    /// The standby's own gates that do not pass.
    pub causes: Causes,
}

impl Standby {
    /// Whether the standby may be promoted at `now`, if the primary is lost: the gates that look at
    /// the standby alone have to pass now, and the loss `last` seen has to be at most `objective`.
    pub fn promotion(
        &self,
        sight: Sight,
        last: Option<&LastSight>,
        objective: Duration,
        now: Instant,
    ) -> Promotion {
        let loss = match last.and_then(|last| last.rpo) {
            None => Truth::Unknown,
            Some(rpo) if rpo <= objective => Truth::Yes,
            Some(_) => Truth::No,
        };
        let (gates, causes) =
            self.gates(now, |side, state| (side == Side::Standby).then_some(state));
        let state = match (sight, gates.and(loss)) {
            (Sight::Seen, _) => Promotability::NotAsked,
            (Sight::Unclear | Sight::OneSided | Sight::Unwitnessed, _)
            | (Sight::Lost, Truth::Unknown) => Promotability::Unknown,
            (Sight::Lost, Truth::Yes) => Promotability::Viable,
            (Sight::Lost, Truth::No) => Promotability::NotViable,
        };
        Promotion {
            state,
            loss,
            causes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{board, check, look, secs, start};
    use super::*;

    const PATIENCE: Patience = Patience {
        silence: Patience::STREAMED,
        fresh: secs(33),
    };

    #[test]
    fn a_witness_is_heard_by_its_silence_and_not_by_its_flag() {
        use Hearing::{Hears, Silent, Unknown};
        for (up, silence, age, hearing) in [
            (Some(true), Some(0), 0, Hears),
            (Some(true), Some(30), 10, Hears),
            (None, Some(45), 0, Hears),
            (Some(true), Some(46), 0, Silent),
            (Some(true), Some(46), 33, Silent),
            (Some(false), Some(1), 0, Silent),
            (Some(false), None, 33, Silent),
            // It may have heard something since it was looked at.
            (Some(true), Some(30), 20, Unknown),
            (Some(true), None, 0, Unknown),
            (None, None, 0, Unknown),
            // Nobody has looked for too long.
            (Some(true), Some(60), 34, Unknown),
            (Some(false), None, 34, Unknown),
            (Some(true), Some(0), 40, Hears),
        ] {
            let link = Link {
                up,
                silence: silence.map(secs),
                initial_sync: false,
            };
            let seen = start();
            let said = Hearing::of(link, seen, PATIENCE, seen + secs(age));
            assert_eq!(said, hearing, "{up:?} {silence:?} {age}");
        }
    }

    #[test]
    fn one_link_that_hears_is_enough_and_all_have_to_be_silent() {
        use Hearing::{Hears, Silent, Unknown};
        for (links, together) in [
            (&[][..], Unknown),
            (&[Silent], Silent),
            (&[Silent, Silent], Silent),
            (&[Silent, Unknown], Unknown),
            (&[Unknown, Silent], Unknown),
            (&[Silent, Unknown, Hears], Hears),
        ] {
            assert_eq!(Hearing::together(links.iter().copied()), together);
        }
    }

    #[test]
    fn a_primary_is_lost_only_if_nobody_sees_or_hears_it() {
        use Hearing::{Hears, Silent, Unknown};
        let fail = State::Fail(CheckReason::Timeout);
        let hidden = State::Unknown(CheckReason::Dependency);
        let undecided = State::Unknown(CheckReason::Undecided);
        for (reaches, hearing, sight) in [
            (&[State::Pass][..], Silent, Sight::Seen),
            (&[fail, State::Pass], Silent, Sight::Seen),
            (&[undecided, State::Pass], Silent, Sight::Seen),
            (&[], Silent, Sight::Unclear),
            (&[hidden, State::NotApplicable], Silent, Sight::Unclear),
            (&[fail, undecided], Silent, Sight::Unclear),
            (&[fail, State::Stale], Silent, Sight::Unclear),
            (&[fail], Hears, Sight::OneSided),
            (&[fail], Unknown, Sight::Unwitnessed),
            (&[fail], Silent, Sight::Lost),
            (&[fail, hidden, State::NotApplicable], Silent, Sight::Lost),
        ] {
            let said = sight_of(reaches.iter().copied(), hearing);
            assert_eq!(said, sight, "{reaches:?} {hearing:?}");
        }
    }

    #[test]
    fn a_promotion_is_viable_by_what_is_seen_now_and_what_was_lost_at_the_last_sight() {
        use Promotability::{NotAsked, NotViable, Unknown, Viable};
        let now = start();
        for (gates, sight, rpo, state) in [
            ("oo", Sight::Lost, Some(5), Viable),
            ("oo", Sight::Lost, Some(6), NotViable),
            ("oo", Sight::Lost, None, Unknown),
            ("ox", Sight::Lost, Some(5), NotViable),
            ("ox", Sight::Lost, None, NotViable),
            ("os", Sight::Lost, Some(5), Unknown),
            ("os", Sight::Lost, Some(6), NotViable),
            ("", Sight::Lost, Some(0), Unknown),
            ("oo", Sight::Seen, Some(0), NotAsked),
            ("oo", Sight::OneSided, Some(0), Unknown),
            ("oo", Sight::Unwitnessed, Some(0), Unknown),
            ("xx", Sight::Unclear, Some(9), Unknown),
        ] {
            let last = LastSight {
                seen: now,
                at: SystemTime::UNIX_EPOCH,
                rpo: rpo.map(secs),
                loss_bytes: None,
            };
            let promotion = board(gates, now).promotion(sight, Some(&last), secs(5), now);
            assert_eq!(promotion.state, state, "{gates} {sight:?} {rpo:?}");
        }
        let never = board("oo", now).promotion(Sight::Lost, None, secs(5), now);
        assert_eq!((never.state, never.loss), (Unknown, Truth::Unknown));
    }

    #[test]
    fn what_needs_the_primary_does_not_stand_in_the_way_of_a_promotion() {
        let now = start();
        let mut checks = vec![check("http"), check("primary"), check("link")];
        checks[1].side = Side::Primary;
        checks[2].side = Side::Pair;
        let mut standby = Standby::new(checks, now).expect("in order");
        for (place, result) in "oxx".chars().enumerate() {
            standby.observe(place, look(result, now).expect("a look"), now);
        }
        let last = LastSight {
            seen: now,
            at: SystemTime::UNIX_EPOCH,
            rpo: Some(secs(1)),
            loss_bytes: None,
        };
        let promotion = standby.promotion(Sight::Lost, Some(&last), secs(5), now);
        assert_eq!(promotion.state, Promotability::Viable);
        assert_eq!(promotion.causes, Causes::default());
    }
}
