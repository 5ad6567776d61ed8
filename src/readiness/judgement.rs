//! One check as a state machine: slow to change its mind, quick to forget.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::recent::Recent;
use crate::model::{CheckReason, CheckState, Reason};

/// Changes among the last 21 results with which a failing check is flapping: a quarter of the 20
/// that are possible.
const FLAPS: u32 = 5;

/// Changes among the last 21 results with which it is calm again: a twentieth.
const CALM: u32 = 1;

/// The first moment after an age's limit.
const INSTANT: Duration = Duration::from_nanos(1);

/// What one look at a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was measured, and is as it should be.
    Ok,
    /// It was measured, and is not.
    Bad(CheckReason),
    /// It could not be measured. Nothing is learned by it.
    Error(CheckReason),
}

impl Outcome {
    /// Of something that should not be.
    pub const fn bad_if(bad: bool, reason: CheckReason) -> Self {
        if bad { Self::Bad(reason) } else { Self::Ok }
    }

    /// Of a run that failed and should have succeeded: bad, or an error where the fault is ours.
    pub fn of_failure(reason: Reason) -> Self {
        if reason.is_own() {
            Self::Error(reason.into())
        } else {
            Self::Bad(reason.into())
        }
    }
}

/// How a check makes up its mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Good results in a row after which it passes.
    pub rise: NonZeroU32,
    /// Bad results in a row after which it fails.
    pub fall: NonZeroU32,
    /// How old the last result may be for the check to say anything.
    pub fresh: Duration,
}

impl Terms {
    /// For what goes over a network. Where each look is bad with the probability p by itself, a check
    /// every 10 s fails falsely 8640 · p³ · (1 - p) times a day: 0.01 for p = 1 %, 1 for 5 %, 8 for
    /// 10 %. With p = 1 % it would be 86 for `fall` 1, and 0.9 for 2.
    pub const fn network(fresh: Duration) -> Self {
        Self::new(2, 3, fresh)
    }

    /// For facts of which one sight is enough (two primaries, another cluster, transactions that only
    /// the standby has): fails at once, recovers slowly.
    pub const fn safety(fresh: Duration) -> Self {
        Self::new(5, 1, fresh)
    }

    /// For what is no chance event, like an expiry.
    pub const fn expiry(fresh: Duration) -> Self {
        Self::new(1, 1, fresh)
    }

    /// How old the last result may be where one is due every `interval` and has `timeout`: three
    /// intervals and a timeout, so that two lost looks do not make it stale.
    pub const fn fresh_for(interval: Duration, timeout: Duration) -> Duration {
        interval.saturating_mul(3).saturating_add(timeout)
    }

    const fn new(rise: u32, fall: u32, fresh: Duration) -> Self {
        const fn at_least_one(n: u32) -> NonZeroU32 {
            NonZeroU32::MIN.saturating_add(n - 1)
        }
        Self {
            rise: at_least_one(rise),
            fall: at_least_one(fall),
            fresh,
        }
    }
}

/// What a check says at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Good.
    Pass,
    /// Bad, and why; or [`CheckReason::Flapping`].
    Fail(CheckReason),
    /// Nothing, and why.
    Unknown(CheckReason),
    /// Nothing any more: nobody has looked for too long.
    Stale,
    /// The configuration says that the question does not arise here.
    NotApplicable,
}

impl State {
    /// The state without its reason.
    pub const fn label(self) -> CheckState {
        match self {
            Self::Pass => CheckState::Pass,
            Self::Fail(_) => CheckState::Fail,
            Self::Unknown(_) => CheckState::Unknown,
            Self::Stale => CheckState::Stale,
            Self::NotApplicable => CheckState::NotApplicable,
        }
    }

    /// Why it does not pass.
    pub const fn reason(self) -> Option<CheckReason> {
        match self {
            Self::Fail(reason) | Self::Unknown(reason) => Some(reason),
            Self::Stale => Some(CheckReason::Stale),
            Self::Pass | Self::NotApplicable => None,
        }
    }
}

/// What a check's looks add up to.
///
/// It begins unknown and passes only after [`Terms::rise`] good results in a row. An error changes
/// nothing of that; time does: a result counts for [`Terms::fresh`], after which the check is
/// unknown if looks still come and bring errors, and stale if none come. When results come again,
/// a good one finds the check as it was, while a bad one makes it undecided at once: no check passes
/// that was not lately seen to be good.
///
/// A failing check whose results changed 5 times or more among the last 21 is flapping: it goes on
/// failing until they changed once at most. This delays a recovery and never fails a check by itself,
/// because with one bad look in twenty, 5 changes among 21 are nothing unusual, and the rates of
/// [`Terms::network`] would not hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    terms: Terms,
    /// Whether it passes; `None`: undecided.
    passes: Option<bool>,
    /// The newest results that agree: what they were, and how many.
    streak: (bool, u32),
    recent: Recent,
    flapping: bool,
    /// Why the newest bad one was bad.
    bad: CheckReason,
    /// When the newest conclusive look was.
    conclusive: Option<Instant>,
    /// The newest error, if nothing conclusive came after it.
    error: Option<(Instant, CheckReason)>,
}

impl Judgement {
    /// A check that nobody has looked at.
    pub const fn new(terms: Terms) -> Self {
        Self {
            terms,
            passes: None,
            streak: (true, 0),
            recent: Recent::EMPTY,
            flapping: false,
            bad: CheckReason::NotSeen,
            conclusive: None,
            error: None,
        }
    }

    /// How it makes up its mind.
    pub const fn terms(&self) -> Terms {
        self.terms
    }

    /// When the newest look was that measured something.
    pub const fn last_conclusive(&self) -> Option<Instant> {
        self.conclusive
    }

    /// Whether the newest results were bad, as many in a row as it takes to fail. A check may go on
    /// failing after them.
    pub fn is_bad_now(&self) -> bool {
        let (good, count) = self.streak;
        !good && count >= self.terms.fall.get()
    }

    /// Takes in what a look found that was made at `seen`.
    pub fn observe(&mut self, outcome: Outcome, seen: Instant) {
        match outcome {
            Outcome::Ok => self.conclude(true, seen),
            Outcome::Bad(reason) => {
                self.bad = reason;
                self.conclude(false, seen);
            }
            Outcome::Error(reason) => {
                if self.conclusive.is_none_or(|at| at <= seen) {
                    self.error = Some((seen, reason));
                }
            }
        }
    }

    fn conclude(&mut self, good: bool, seen: Instant) {
        if self.conclusive.is_some_and(|at| !self.is_fresh(at, seen)) {
            self.resume(good);
        }
        self.conclusive = self.conclusive.max(Some(seen));
        self.error = self.error.filter(|(at, _)| *at > seen);
        self.recent.push(good);
        self.streak = match self.streak {
            (same, count) if same == good => (good, count.saturating_add(1)),
            _ => (good, 1),
        };
        let failed = self.passes == Some(false);
        let enough = if good {
            self.terms.rise
        } else {
            self.terms.fall
        };
        if self.streak.1 >= enough.get() {
            self.passes = Some(good);
        }
        let fails = failed || self.passes == Some(false);
        let changes = self.recent.changes();
        self.flapping = if self.flapping {
            changes > CALM
        } else {
            fails && changes >= FLAPS
        };
    }

    /// After a time without results: those before it are no part of any row.
    fn resume(&mut self, good: bool) {
        self.streak.1 = 0;
        if !good && self.passes == Some(true) {
            self.passes = None;
        }
    }

    /// Takes in that this host slept, which the monotonic clock does not see: everything was longer
    /// ago by that much.
    pub fn slept(&mut self, slept: Duration) {
        let earlier = |at: Instant| at.checked_sub(slept);
        let conclusive = self.conclusive.map(earlier);
        if conclusive == Some(None) {
            *self = Self::new(self.terms);
            return;
        }
        self.conclusive = conclusive.flatten();
        self.error = self
            .error
            .and_then(|(at, reason)| Some((earlier(at)?, reason)));
    }

    /// What it says at `now`.
    pub fn state(&self, now: Instant) -> State {
        let Some(conclusive) = self.conclusive else {
            let reason = self
                .error
                .map_or(CheckReason::NotSeen, |(_, reason)| reason);
            return State::Unknown(reason);
        };
        if !self.is_fresh(conclusive, now) {
            return match self.error {
                Some((at, reason)) if self.is_fresh(at, now) => State::Unknown(reason),
                _ => State::Stale,
            };
        }
        match self.passes {
            _ if self.flapping => State::Fail(CheckReason::Flapping),
            Some(true) => State::Pass,
            Some(false) => State::Fail(self.bad),
            None => State::Unknown(CheckReason::Undecided),
        }
    }

    /// When the state next changes by time alone; later than `after`.
    pub(super) fn next_change(&self, after: Instant) -> Option<Instant> {
        let conclusive = self.conclusive?;
        let error = self.error.map(|(at, _)| at);
        [Some(conclusive), error]
            .into_iter()
            .flatten()
            .filter_map(|at| at.checked_add(self.terms.fresh)?.checked_add(INSTANT))
            .filter(|change| *change > after)
            .min()
    }

    fn is_fresh(&self, at: Instant, now: Instant) -> bool {
        now.saturating_duration_since(at) <= self.terms.fresh
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{secs, start};
    use super::*;

    /// What a check says after each of the looks, which are 10 s apart: `o` good, `x` bad, `e` an
    /// error, `.` none. It says `P` for pass, `F` fail, `f` flapping, `S` stale, `E` the error's
    /// reason, `U` undecided, `-` not seen.
    fn story(mut judgement: Judgement, looks: &str) -> String {
        let mut now = start();
        let mut said = String::new();
        for look in looks.chars() {
            match look {
                'o' => judgement.observe(Outcome::Ok, now),
                'x' => judgement.observe(Outcome::Bad(CheckReason::Refused), now),
                'e' => judgement.observe(Outcome::Error(CheckReason::Permission), now),
                _ => {}
            }
            said.push(match judgement.state(now) {
                State::Pass => 'P',
                State::Fail(CheckReason::Refused) => 'F',
                State::Fail(CheckReason::Flapping) => 'f',
                State::Stale => 'S',
                State::Unknown(CheckReason::Permission) => 'E',
                State::Unknown(CheckReason::Undecided) => 'U',
                State::Unknown(CheckReason::NotSeen) => '-',
                other => panic!("{other:?}"),
            });
            now += secs(10);
        }
        said
    }

    /// Three intervals of 10 s and a timeout of 3 s.
    const FRESH: Duration = Terms::fresh_for(secs(10), secs(3));

    #[test]
    fn a_check_of_the_network_makes_up_its_mind_slowly() {
        for (looks, said) in [
            ("..", "--"),
            ("oo", "UP"),
            ("xxx", "UUF"),
            ("ooxx", "UPPP"),
            ("ooxxoxx", "UPPPPPP"),
            ("ooxxxoo", "UPPPFFP"),
            ("xxxoxoo", "UUFFFFP"),
            ("oxoxoxoxox", "UUUUUUUUUU"),
            // An error is neither good nor bad.
            ("ee", "EE"),
            ("oeo", "UUP"),
            ("ooxexex", "UPPPPPF"),
            // A result is good for 33 s.
            ("oo....", "UPPPPS"),
            ("ooeeee", "UPPPPE"),
            ("ooeeee....", "UPPPPEEEES"),
            ("xxx....", "UUFFFFS"),
            ("o....", "UUUUS"),
            // What comes after a time without results.
            ("oo....o", "UPPPPSP"),
            ("oo....xxx", "UPPPPSUUF"),
            ("oo....xo", "UPPPPSUU"),
            ("oo....xoo", "UPPPPSUUP"),
            ("oox....xx", "UPPPPPSUU"),
            ("xxx....oo", "UUFFFFSFP"),
            ("xxx....xx", "UUFFFFSFF"),
            ("o....oo", "UUUUSUP"),
        ] {
            let judgement = Judgement::new(Terms::network(FRESH));
            assert_eq!(story(judgement, looks), said, "{looks}");
        }
    }

    #[test]
    fn a_fact_of_safety_fails_at_once_and_an_expiry_does_not_hesitate() {
        for (terms, looks, said) in [
            (Terms::safety(FRESH), "oooooxooooo", "UUUUPFFFFFP"),
            (Terms::safety(FRESH), "xooooo", "FFFFFP"),
            (Terms::expiry(FRESH), "oxo", "PFP"),
        ] {
            assert_eq!(story(Judgement::new(terms), looks), said, "{looks}");
        }
    }

    #[test]
    fn a_check_that_fails_and_wavers_is_flapping_until_it_is_calm() {
        let wavering = Judgement::new(Terms::expiry(FRESH));
        let looks = "oxoxox".to_owned() + &"o".repeat(20);
        let said = "PFPFPf".to_owned() + &"f".repeat(19) + "P";
        assert_eq!(story(wavering, &looks), said);
        let slow = Judgement::new(Terms::network(FRESH));
        assert_eq!(
            story(slow, "ooxxxooxxxooxxxoo"),
            "UPPPFFPPPFFPPPfff",
            "five changes"
        );
        assert_eq!(
            story(slow, "ooxooxooxooxoo"),
            "UPPPPPPPPPPPPP",
            "what passes does not flap"
        );
    }

    #[test]
    fn a_result_is_good_to_the_end_of_its_time_and_not_longer() {
        let seen = start();
        let mut judgement = Judgement::new(Terms::expiry(FRESH));
        judgement.observe(Outcome::Ok, seen);
        let end = seen + FRESH;
        assert_eq!(judgement.state(end), State::Pass);
        let change = judgement.next_change(seen);
        assert_eq!(change, Some(end + INSTANT));
        assert_eq!(judgement.state(end + INSTANT), State::Stale);
        assert_eq!(judgement.next_change(end + INSTANT), None);
    }

    #[test]
    fn a_result_that_comes_late_is_as_old_as_its_look() {
        let seen = start();
        let mut judgement = Judgement::new(Terms::expiry(FRESH));
        judgement.observe(Outcome::Ok, seen + secs(60));
        judgement.observe(Outcome::Ok, seen);
        assert_eq!(judgement.last_conclusive(), Some(seen + secs(60)));
        judgement.observe(Outcome::Error(CheckReason::Local), seen);
        assert_eq!(judgement.state(seen + secs(94)), State::Stale);
    }

    #[test]
    fn sleep_makes_everything_older() {
        let seen = start();
        let mut judgement = Judgement::new(Terms::expiry(FRESH));
        judgement.observe(Outcome::Ok, seen);
        judgement.slept(secs(30));
        assert_eq!(judgement.state(seen + secs(3)), State::Pass);
        assert_eq!(judgement.state(seen + secs(4)), State::Stale);
    }

    #[test]
    fn a_run_that_failed_by_our_own_fault_says_nothing_of_the_target() {
        for (reason, outcome) in [
            (Reason::Refused, Outcome::Bad(CheckReason::Refused)),
            (Reason::TimeoutTls, Outcome::Bad(CheckReason::Timeout)),
            (
                Reason::NoPermission,
                Outcome::Error(CheckReason::Permission),
            ),
            (Reason::Stalled, Outcome::Error(CheckReason::Local)),
        ] {
            assert_eq!(Outcome::of_failure(reason), outcome);
        }
    }
}
