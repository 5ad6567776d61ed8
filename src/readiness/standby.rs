//! The checks of one standby, what hangs on what, and the count of every change.

use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::{Judgement, Outcome, Scale, State, Terms};
use crate::model::{CheckReason, CheckState, GateKind};

/// Checks of one standby that are judged without a look at the heap.
const USUAL: usize = 64;

/// What a check looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The standby alone: it can be answered while the primary is gone.
    Standby,
    /// The primary alone.
    Primary,
    /// Both, or what is between them.
    Pair,
}

/// One readiness question about a standby.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Its name, the value of the label `check`.
    pub name: Arc<str>,
    /// The probe that it lives on; `None` if on none.
    pub probe: Option<Arc<str>>,
    /// What it counts for.
    pub gate: GateKind,
    /// What it looks at.
    pub side: Side,
    /// The checks that it builds on, by their places; all of them come before it. While one of them
    /// does not pass, this one is unknown, because whatever it says would only repeat the other. One
    /// that is off or not applicable stands for those that it builds on itself.
    pub parents: SmallVec<[usize; 2]>,
    /// Whether the question arises at all.
    pub applicable: bool,
    /// Its share of the score if it is scored; finite, not negative.
    pub weight: f64,
    /// What its values are worth if it is scored; `None`: everything if it passes, nothing if it
    /// fails.
    pub scale: Option<Scale>,
    /// How it makes up its mind.
    pub terms: Terms,
}

/// What is wrong with a list of checks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disorder {
    /// A check builds on itself, on one that comes after it, or on none that there is.
    #[error("check {0} builds on a check that does not come before it")]
    Order(Arc<str>),
    /// A check of the standby alone builds on one that needs the primary.
    #[error("check {0} looks at the standby alone and builds on a check that needs the primary")]
    Side(Arc<str>),
    /// A weight is negative or not finite.
    #[error("check {0} has a weight that is negative or not finite")]
    Weight(Arc<str>),
    /// Two checks of one probe have the same name.
    #[error("check {0} is there twice")]
    Twice(Arc<str>),
}

/// One look at a check.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// What it found.
    pub outcome: Outcome,
    /// The figure that it measured, for people and for the score.
    pub value: Option<f64>,
    /// The bound that the figure was held against.
    pub threshold: Option<f64>,
    /// When it was made.
    pub seen: Instant,
}

impl Look {
    /// A look without figures.
    pub const fn new(outcome: Outcome, seen: Instant) -> Self {
        Self {
            outcome,
            value: None,
            threshold: None,
            seen,
        }
    }
}

/// A check and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) check: Check,
    pub(super) judgement: Judgement,
    /// Of the newest conclusive look.
    pub(super) value: Option<f64>,
    /// Of the newest conclusive look.
    pub(super) threshold: Option<f64>,
    /// The state as of the last count.
    counted: CheckState,
    /// Changes to each state, in the order of [`CheckState::ALL`].
    transitions: [u64; CheckState::ALL.len()],
}

impl Watched {
    fn new(check: Check) -> Self {
        let state = if check.applicable {
            CheckState::Unknown
        } else {
            CheckState::NotApplicable
        };
        Self {
            judgement: Judgement::new(check.terms),
            check,
            value: None,
            threshold: None,
            counted: state,
            transitions: [0; CheckState::ALL.len()],
        }
    }

    fn count(&mut self, state: CheckState) {
        if state != self.counted {
            self.transitions[state as usize] += 1;
            self.counted = state;
        }
    }
}

/// The checks of one standby.
///
/// Every change of a state that a reader can see is counted exactly once, also one that time alone
/// makes and nobody looks at: [`Standby::tick`] and everything else that changes something first go
/// through the changes up to `now`, one after the other. The only changes that are not counted are
/// those into and out of a tilt: what is the same after it as before it has not changed.
#[derive(Clone, Debug)]
pub struct Standby {
    checks: Vec<Watched>,
    /// Until when this daemon's clocks cannot be trusted.
    tilted_until: Option<Instant>,
    /// Up to when changes are counted.
    counted_to: Instant,
}

impl Standby {
    /// A standby of which nothing was seen before `now`.
    pub fn new(checks: Vec<Check>, now: Instant) -> Result<Self, Disorder> {
        for (place, check) in checks.iter().enumerate() {
            well_placed(check, &checks[..place])?;
        }
        Ok(Self {
            checks: checks.into_iter().map(Watched::new).collect(),
            tilted_until: None,
            counted_to: now,
        })
    }

    /// The checks, in their places.
    pub fn checks(&self) -> impl ExactSizeIterator<Item = &Check> {
        self.checks.iter().map(|watched| &watched.check)
    }

    /// How often the check in `place` changed to each state, in the order of [`CheckState::ALL`].
    pub fn transitions(&self, place: usize) -> [u64; CheckState::ALL.len()] {
        self.checks[place].transitions
    }

    /// When the check in `place` was last looked at with a result.
    pub fn last_conclusive(&self, place: usize) -> Option<Instant> {
        self.checks[place].judgement.last_conclusive()
    }

    /// The value of the last result of the check in `place`, and the bound that it was held against.
    pub fn figures(&self, place: usize) -> (Option<f64>, Option<f64>) {
        (self.checks[place].value, self.checks[place].threshold)
    }

    /// What the checks say at `now`, in their places.
    pub fn states(&self, now: Instant) -> impl Iterator<Item = State> {
        self.watched(now).map(|(_, state)| state)
    }

    /// Takes in a look at the check in `place`. One at a check that is not applicable is passed over.
    pub fn observe(&mut self, place: usize, look: Look, now: Instant) {
        self.tick(now);
        let watched = &mut self.checks[place];
        if !watched.check.applicable {
            return;
        }
        watched.judgement.observe(look.outcome, look.seen);
        if !matches!(look.outcome, Outcome::Error(_)) {
            watched.value = look.value;
            watched.threshold = look.threshold;
        }
        self.count(self.counted_to);
    }

    /// Counts what time alone has changed.
    pub fn tick(&mut self, now: Instant) {
        while let Some(change) = self.next_change()
            && change <= now
        {
            self.count(change);
        }
        self.count(now.max(self.counted_to));
    }

    /// Takes in that this daemon's clocks cannot be trusted before `until`, and that this host slept
    /// for `slept` just before `now`.
    ///
    /// Until then every check is unknown, and looks are taken in as ever. Thus a step of the wall
    /// clock changes nothing in the end, and after a sleep only that counts which was seen lately.
    pub fn tilt(&mut self, until: Instant, slept: Duration, now: Instant) {
        self.tick(now);
        self.tilted_until = self.tilted_until.max(Some(until));
        if slept > Duration::ZERO {
            for watched in &mut self.checks {
                watched.judgement.slept(slept);
            }
        }
        self.count(self.counted_to);
    }

    /// Takes over from the same standby as it was before the configuration was loaded anew. A check
    /// keeps what is known of it if its terms are the same and `same` says of its place that it asks
    /// the same of the same, and its counts in any case.
    pub fn succeed(&mut self, mut before: Self, same: impl Fn(usize) -> bool, now: Instant) {
        before.tick(now);
        self.tilted_until = self.tilted_until.max(before.tilted_until);
        self.counted_to = before.counted_to;
        for (place, watched) in self.checks.iter_mut().enumerate() {
            let is_it = |old: &Watched| named(&old.check) == named(&watched.check);
            let Some(at) = before.checks.iter().position(is_it) else {
                continue;
            };
            let old = before.checks.swap_remove(at);
            watched.counted = old.counted;
            watched.transitions = old.transitions;
            let same_terms = old.check.terms == watched.check.terms;
            if same_terms && watched.check.applicable && same(place) {
                watched.judgement = old.judgement;
                watched.value = old.value;
                watched.threshold = old.threshold;
            }
        }
        self.count(self.counted_to);
    }

    /// The checks with their states at `now`.
    pub(super) fn watched(&self, now: Instant) -> impl Iterator<Item = (&Watched, State)> {
        let tilted = self.tilted_until.is_some_and(|until| now < until);
        let mut clear = SmallVec::<[bool; USUAL]>::new();
        self.checks.iter().map(move |watched| {
            let check = &watched.check;
            let parents_pass = check.parents.iter().all(|parent| clear[*parent]);
            let own = watched.judgement.state(now);
            let in_the_way = check.applicable && check.gate != GateKind::Off;
            clear.push(parents_pass && (!in_the_way || own == State::Pass));
            let state = if !check.applicable {
                State::NotApplicable
            } else if tilted {
                State::Unknown(CheckReason::Tilt)
            } else if !parents_pass {
                State::Unknown(CheckReason::Dependency)
            } else {
                own
            };
            (watched, state)
        })
    }

    /// When a state next changes by time alone, after what was counted.
    fn next_change(&self) -> Option<Instant> {
        let after = self.counted_to;
        let untilted = self.tilted_until.filter(|until| *until > after);
        self.checks
            .iter()
            .filter_map(|watched| watched.judgement.next_change(after))
            .chain(untilted)
            .min()
    }

    /// Counts the changes since the last count, as of `at`.
    fn count(&mut self, at: Instant) {
        self.counted_to = at;
        if self.tilted_until.is_some_and(|until| at < until) {
            return;
        }
        let states: SmallVec<[CheckState; USUAL]> = self.states(at).map(State::label).collect();
        for (watched, state) in self.checks.iter_mut().zip(states) {
            watched.count(state);
        }
    }
}

/// What tells a check from every other of its standby.
fn named(check: &Check) -> (Option<&str>, &str) {
    (check.probe.as_deref(), &check.name)
}

fn well_placed(check: &Check, earlier: &[Check]) -> Result<(), Disorder> {
    let name = || Arc::clone(&check.name);
    if earlier.iter().any(|other| named(other) == named(check)) {
        return Err(Disorder::Twice(name()));
    }
    for parent in &check.parents {
        let parent = earlier
            .get(*parent)
            .ok_or_else(|| Disorder::Order(name()))?;
        if check.side == Side::Standby && parent.side != Side::Standby {
            return Err(Disorder::Side(name()));
        }
    }
    if !check.weight.is_finite() || check.weight < 0.0 {
        return Err(Disorder::Weight(name()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{FRESH, check, look, secs, start};
    use super::*;

    /// tcp, auth on it, role on that.
    fn chain() -> Vec<Check> {
        let mut checks = vec![check("tcp"), check("auth"), check("role")];
        checks[1].parents.push(0);
        checks[2].parents.push(1);
        checks
    }

    fn seen(checks: Vec<Check>, looks: &str) -> (Standby, Instant) {
        let now = start();
        let mut standby = Standby::new(checks, now).expect("in order");
        for (place, result) in looks.chars().enumerate() {
            if let Some(look) = look(result, now) {
                standby.observe(place, look, now);
            }
        }
        (standby, now)
    }

    fn labels(standby: &Standby, now: Instant) -> Vec<&'static str> {
        let told = |state: State| {
            state
                .reason()
                .map_or(state.label().as_str(), CheckReason::as_str)
        };
        standby.states(now).map(told).collect()
    }

    #[test]
    fn one_cause_is_told_once() {
        for (looks, states) in [
            ("ooo", ["pass", "pass", "pass"]),
            ("xxx", ["refused", "dependency", "dependency"]),
            ("oxx", ["pass", "refused", "dependency"]),
            (".oo", ["not_seen", "dependency", "dependency"]),
            ("eoo", ["permission", "dependency", "dependency"]),
            ("oxo", ["pass", "refused", "dependency"]),
        ] {
            let (standby, now) = seen(chain(), looks);
            assert_eq!(labels(&standby, now), states, "{looks}");
        }
    }

    #[test]
    fn what_is_off_or_not_applicable_stands_for_what_it_builds_on() {
        let mut off = chain();
        off[1].gate = GateKind::Off;
        let mut none = chain();
        none[1].applicable = false;
        for (checks, looks, role) in [
            (&off, "oxo", "pass"),
            (&off, "xxo", "dependency"),
            (&none, "oxo", "pass"),
            (&none, "xxo", "dependency"),
        ] {
            let (standby, now) = seen(checks.clone(), looks);
            assert_eq!(labels(&standby, now)[2], role, "{looks}");
        }
    }

    #[test]
    fn a_list_in_disorder_is_refused() {
        let name = |name: &str| Arc::from(name);
        let mut cases = [
            (chain(), Disorder::Order(name("tcp"))),
            (chain(), Disorder::Order(name("auth"))),
            (chain(), Disorder::Side(name("role"))),
            (chain(), Disorder::Weight(name("auth"))),
            (chain(), Disorder::Weight(name("tcp"))),
            (chain(), Disorder::Twice(name("tcp"))),
        ];
        cases[0].0[0].parents.push(0);
        cases[1].0[1].parents.push(7);
        cases[2].0[1].side = Side::Pair;
        cases[3].0[1].weight = -1.0;
        cases[4].0[0].weight = f64::NAN;
        cases[5].0[2].name = name("tcp");
        for (checks, disorder) in cases {
            let refused = Standby::new(checks, start()).expect_err("in disorder");
            assert_eq!(refused, disorder);
        }
    }

    #[test]
    fn a_change_by_age_is_counted_once_whoever_comes_first() {
        let counts = |standby: &Standby| {
            let [pass, fail, unknown, stale, _] = standby.transitions(0);
            (pass, fail, unknown, stale)
        };
        let (standby, now) = seen(vec![check("tcp")], "o");
        assert_eq!(counts(&standby), (1, 0, 0, 0));
        let later = now + FRESH + secs(1);
        assert_eq!(labels(&standby, later), ["stale"]);
        assert_eq!(counts(&standby), (1, 0, 0, 0), "reading changes nothing");
        let mut ticked = standby.clone();
        ticked.tick(later);
        ticked.tick(later + secs(1));
        assert_eq!(counts(&ticked), (1, 0, 0, 1));
        let mut looked = standby.clone();
        looked.observe(0, look('o', later).expect("a look"), later);
        assert_eq!(counts(&looked), (2, 0, 0, 1));
    }

    #[test]
    fn every_change_on_the_way_is_counted_however_late_the_tick() {
        let (mut standby, now) = seen(vec![check("tcp")], "o");
        let error = now + secs(20);
        standby.observe(0, look('e', error).expect("a look"), error);
        standby.tick(now + secs(1_000));
        assert_eq!(
            standby.transitions(0),
            [1, 0, 1, 1, 0],
            "unknown, then stale"
        );
    }

    #[test]
    fn in_a_tilt_everything_is_unknown_and_nothing_is_counted() {
        let (mut standby, now) = seen(vec![check("tcp")], "o");
        let until = now + secs(30);
        standby.tilt(until, Duration::ZERO, now);
        assert_eq!(labels(&standby, now), ["tilt"]);
        let bad = now + secs(20);
        standby.observe(0, look('x', bad).expect("a look"), bad);
        let still = now + secs(29);
        standby.tick(still);
        assert_eq!(labels(&standby, still), ["tilt"]);
        assert_eq!(standby.transitions(0), [1, 0, 0, 0, 0]);
        standby.tick(until);
        assert_eq!(labels(&standby, until), ["refused"]);
        assert_eq!(standby.transitions(0), [1, 1, 0, 0, 0]);
    }

    #[test]
    fn after_a_sleep_only_that_counts_which_was_seen_since() {
        let (mut standby, now) = seen(vec![check("seen again"), check("not")], "oo");
        let until = now + secs(30);
        standby.tilt(until, secs(60), now);
        let again = now + secs(10);
        standby.observe(0, look('o', again).expect("a look"), again);
        assert_eq!(labels(&standby, until), ["pass", "stale"]);
        standby.tick(until);
        assert_eq!(standby.transitions(0), [1, 0, 0, 0, 0]);
        assert_eq!(standby.transitions(1), [1, 0, 0, 1, 0]);
    }

    #[test]
    fn a_reload_keeps_what_it_does_not_change_and_counts_what_it_does() {
        let names = ["kept", "slower", "dropped"].map(check);
        let (before, now) = seen(names.into(), "ooo");
        let mut checks = vec![check("new"), check("slower"), check("kept")];
        checks[1].terms.fresh = secs(300);
        let mut standby = Standby::new(checks, now).expect("in order");
        standby.succeed(before, |_| true, now);
        assert_eq!(labels(&standby, now), ["not_seen", "not_seen", "pass"]);
        assert_eq!(standby.transitions(0), [0, 0, 0, 0, 0]);
        assert_eq!(standby.transitions(1), [1, 0, 1, 0, 0]);
        assert_eq!(standby.transitions(2), [1, 0, 0, 0, 0]);
    }
}
