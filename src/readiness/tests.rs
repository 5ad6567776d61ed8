//! What holds for every sequence of looks, gaps, reloads and jumps of the clocks; and what the tests
//! of this module share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use smallvec::SmallVec;

use super::*;
use crate::model::{CheckReason, CheckState, GateKind, Promotability, ReadyState, Sight};

#[expect(clippy::disallowed_methods, reason = "any instant will do")]
pub(super) fn start() -> Instant {
    // Far enough from the clock's own origin for looks of the past.
    Instant::now() + secs(100_000)
}

pub(super) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn before(at: Instant, by: Duration) -> Instant {
    at.checked_sub(by).expect("after the clock's origin")
}

/// For which a result counts in these tests.
pub(super) const FRESH: Duration = secs(33);

/// A gate that looks at the standby alone and makes up its mind at the first result.
pub(super) fn check(name: &str) -> Check {
    Check {
        name: Arc::from(name),
        probe: None,
        gate: GateKind::Hard,
        side: Side::Standby,
        parents: SmallVec::new(),
        applicable: true,
        weight: 1.0,
        scale: None,
        terms: Terms::expiry(FRESH),
    }
}

/// A look: `o` good, `x` bad, `e` an error, anything else none.
pub(super) fn look(result: char, seen: Instant) -> Option<Look> {
    let outcome = match result {
        'o' => Outcome::Ok,
        'x' => Outcome::Bad(CheckReason::Refused),
        'e' => Outcome::Error(CheckReason::Permission),
        _ => return None,
    };
    Some(Look::new(outcome, seen))
}

/// Gates that do not build on each other, with one look each at `now`, as in [`look`]; `s` is good
/// and too old, `n` not applicable.
pub(super) fn board(gates: &str, now: Instant) -> Standby {
    let gate = |(place, kind): (usize, char)| Check {
        applicable: kind != 'n',
        ..check(&place.to_string())
    };
    let checks = gates.chars().enumerate().map(gate).collect();
    seen(checks, gates, now)
}

fn seen(checks: Vec<Check>, looks: &str, now: Instant) -> Standby {
    let long_ago = before(now, FRESH * 2);
    let mut standby = Standby::new(checks, long_ago).expect("in order");
    for (place, result) in looks.chars().enumerate() {
        let old = (result == 's').then(|| look('o', long_ago)).flatten();
        if let Some(look) = old.or(look(result, now)) {
            standby.observe(place, look, now);
        }
    }
    standby
}

const SIGHTS: [Sight; 5] = [
    Sight::Seen,
    Sight::Unclear,
    Sight::OneSided,
    Sight::Unwitnessed,
    Sight::Lost,
];

/// Ready is more than unknown, and that is more than not ready.
fn rank(state: ReadyState) -> u8 {
    match state {
        ReadyState::NotReady => 0,
        ReadyState::Unknown | ReadyState::PrimaryLost => 1,
        ReadyState::Ready => 2,
    }
}

/// Something that happens to a standby.
#[derive(Clone, Debug)]
enum Event {
    Look {
        place: usize,
        result: char,
        age: u64,
    },
    Wait(u64),
    Tick,
    Tilt {
        slept: u64,
    },
    /// The configuration is loaded anew, with another `fresh` of one check.
    Reload {
        place: usize,
        fresh: u64,
    },
}

const CHECKS: usize = 5;

fn event() -> impl Strategy<Value = Event> {
    let result = prop_oneof![4 => Just('o'), 3 => Just('x'), 1 => Just('e')];
    prop_oneof![
        12 => (0..CHECKS, result, 0..8_u64)
            .prop_map(|(place, result, age)| Event::Look { place, result, age }),
        6 => (0..15_u64).prop_map(Event::Wait),
        1 => (15..90_u64).prop_map(Event::Wait),
        2 => Just(Event::Tick),
        1 => prop_oneof![Just(0), 1..120_u64].prop_map(|slept| Event::Tilt { slept }),
        1 => (0..CHECKS, 10..40_u64).prop_map(|(place, fresh)| Event::Reload { place, fresh }),
    ]
}

/// Checks of every kind that build on each other.
fn family() -> Vec<Check> {
    let mut checks: Vec<_> = ["tcp", "auth", "role", "off", "leaf"].map(check).into();
    checks[0].terms = Terms::network(secs(33));
    checks[1].terms = Terms::network(secs(20));
    checks[1].parents.push(0);
    checks[2].terms = Terms::safety(secs(33));
    checks[2].parents.push(1);
    checks[3].gate = GateKind::Off;
    checks[4].parents.extend([0, 3]);
    checks
}

/// A standby, its time, and a reader that looks at it every second and after every event, and
/// changes nothing.
struct Watch {
    standby: Standby,
    now: Instant,
    last: Vec<CheckState>,
    changes: Vec<[u64; CheckState::ALL.len()]>,
}

impl Watch {
    fn new() -> Self {
        let now = start();
        Self {
            standby: Standby::new(family(), now).expect("in order"),
            now,
            last: vec![CheckState::Unknown; CHECKS],
            changes: vec![[0; CheckState::ALL.len()]; CHECKS],
        }
    }

    fn read(&mut self) {
        for (place, state) in self.standby.states(self.now).enumerate() {
            if state == State::Unknown(CheckReason::Tilt) {
                continue;
            }
            if state.label() != self.last[place] {
                self.last[place] = state.label();
                self.changes[place][state.label() as usize] += 1;
            }
        }
    }

    fn fresh(&self, place: usize) -> Duration {
        let mut terms = self.standby.checks().map(|check| check.terms);
        terms.nth(place).expect("a check").fresh
    }

    fn apply(&mut self, event: &Event) {
        let now = self.now;
        match *event {
            Event::Look { place, result, age } => {
                let look = look(result, before(now, secs(age))).expect("a look");
                self.standby.observe(place, look, now);
            }
            Event::Wait(seconds) => {
                for _ in 0..seconds {
                    self.now += secs(1);
                    self.read();
                }
            }
            Event::Tick => self.standby.tick(now),
            Event::Tilt { slept } => self.standby.tilt(now + secs(30), secs(slept), now),
            Event::Reload { place, fresh } => {
                let mut checks: Vec<_> = self.standby.checks().cloned().collect();
                checks[place].terms.fresh = secs(fresh);
                let next = Standby::new(checks, now).expect("in order");
                let before = std::mem::replace(&mut self.standby, next);
                self.standby.succeed(before, |_| true, now);
            }
        }
        self.read();
    }
}

proptest! {
    #[test]
    fn no_sequence_makes_a_transition_without_its_count(events in vec(event(), 0..120)) {
        let mut watch = Watch::new();
        for event in &events {
            watch.apply(event);
        }
        watch.standby.tick(watch.now);
        for place in 0..CHECKS {
            prop_assert_eq!(watch.standby.transitions(place), watch.changes[place]);
        }
    }

    #[test]
    fn reading_and_ticking_agree(events in vec(event(), 0..60), later in 0..200_u64) {
        let mut watch = Watch::new();
        for event in &events {
            watch.apply(event);
        }
        let now = watch.now + secs(later);
        let read: Vec<_> = watch.standby.states(now).collect();
        watch.standby.tick(now);
        let ticked: Vec<_> = watch.standby.states(now).collect();
        prop_assert_eq!(read, ticked);
    }

    #[test]
    fn a_step_of_the_wall_clock_changes_nothing_in_the_end(
        events in vec(event(), 0..80),
        at in any::<prop::sample::Index>(),
    ) {
        let (mut without, mut with) = (Watch::new(), Watch::new());
        let at = at.index(events.len() + 1);
        for (index, event) in events.iter().enumerate() {
            if index == at {
                with.apply(&Event::Tilt { slept: 0 });
            }
            without.apply(event);
            with.apply(event);
        }
        // Past every tilt of either.
        for watch in [&mut without, &mut with] {
            watch.apply(&Event::Wait(30));
        }
        let (now, with_now) = (without.now, with.now);
        let plain: Vec<_> = without.standby.states(now).collect();
        let stepped: Vec<_> = with.standby.states(with_now).collect();
        prop_assert_eq!(plain, stepped);
    }

    #[test]
    fn missing_data_never_gives_ready(
        looks in "[ox]{1,8}",
        missing in any::<prop::sample::Index>(),
        how in prop_oneof![Just("."), Just("e"), Just("s")],
        sight in prop::sample::select(&SIGHTS[..]),
    ) {
        let now = start();
        let at = missing.index(looks.len());
        let mut gates = looks;
        gates.replace_range(at..=at, how);
        let verdict = board(&gates, now).verdict(sight, now);
        prop_assert_ne!(verdict.state, ReadyState::Ready);
        let last = LastSight {
            seen: now,
            at: std::time::SystemTime::UNIX_EPOCH,
            rpo: Some(secs(0)),
            loss_bytes: Some(0),
        };
        let promotion = board(&gates, now).promotion(sight, Some(&last), secs(5), now);
        prop_assert_ne!(promotion.state, Promotability::Viable);
    }

    #[test]
    fn nothing_is_ready_that_was_not_lately_seen_to_be_good(events in vec(event(), 0..120)) {
        let mut watch = Watch::new();
        // The conclusive looks at the first check: when, and whether good.
        let mut results: Vec<(Instant, bool)> = Vec::new();
        for event in &events {
            let fresh = watch.fresh(0);
            watch.apply(event);
            match event {
                Event::Look { place: 0, result, age } if *result != 'e' => {
                    results.push((before(watch.now, secs(*age)), *result == 'o'));
                }
                // Everything before it was longer ago than the clock says.
                Event::Tilt { slept } => {
                    for (seen, _) in &mut results {
                        *seen = before(*seen, secs(*slept));
                    }
                }
                Event::Reload { .. } if watch.fresh(0) != fresh => results.clear(),
                _ => {}
            }
            if watch.standby.states(watch.now).next() == Some(State::Pass) {
                prop_assert!(seen_good(&results, watch.fresh(0), watch.now), "{:?}", results);
            }
        }
    }

    #[test]
    fn adding_a_check_that_does_not_pass_never_raises_readiness(
        gates in "[oxesn.]{0,8}",
        added in "[xes.]",
        sight in prop::sample::select(&SIGHTS[..]),
    ) {
        let now = start();
        let before = board(&gates, now).verdict(sight, now).state;
        let after = board(&format!("{gates}{added}"), now).verdict(sight, now).state;
        prop_assert!(rank(after) <= rank(before), "{before:?}, then {after:?}");
        prop_assert_ne!(after, ReadyState::Ready);
    }

    #[test]
    fn nor_does_one_that_others_build_on(gates in "[oxesn.]{1,8}", added in "[xes.]") {
        let now = start();
        for gate in [GateKind::Hard, GateKind::Scored] {
            let mut checks = vec![Check { gate, ..check("parent") }];
            checks.extend(gates.chars().enumerate().map(|(place, kind)| Check {
                applicable: kind != 'n',
                parents: SmallVec::from_slice(&[0]),
                ..check(&place.to_string())
            }));
            let with = seen(checks, &format!("{added}{gates}"), now);
            prop_assert_ne!(with.verdict(Sight::Seen, now).state, ReadyState::Ready);
        }
    }

    #[test]
    fn a_worse_check_never_makes_a_better_verdict(
        gates in "[oxes.]{1,8}",
        place in any::<prop::sample::Index>(),
        sight in prop::sample::select(&SIGHTS[..]),
    ) {
        let now = start();
        let at = place.index(gates.len());
        // From the best to the worst.
        let ranks: Vec<_> = ["o", ".", "x"]
            .map(|kind| {
                let mut gates = gates.clone();
                gates.replace_range(at..=at, kind);
                rank(board(&gates, now).verdict(sight, now).state)
            })
            .into();
        prop_assert!(ranks.is_sorted_by(|better, worse| better >= worse), "{ranks:?}");
    }

    #[test]
    fn a_score_stays_between_nothing_and_its_coverage(
        looks in vec((prop::sample::select(vec!['o', 'x', 'e', '.']), -5.0..25.0_f64, 0.0..9.0_f64), 1..9),
    ) {
        let now = start();
        let checks = looks.iter().enumerate().map(|(place, (_, _, weight))| Check {
            gate: GateKind::Scored,
            weight: *weight,
            scale: Scale::new(10.0, 20.0),
            ..check(&place.to_string())
        });
        let mut standby = Standby::new(checks.collect(), now).expect("in order");
        for (place, (result, value, _)) in looks.iter().enumerate() {
            if let Some(look) = look(*result, now) {
                standby.observe(place, Look { value: Some(*value), ..look }, now);
            }
        }
        if let Some(score) = standby.score(now) {
            prop_assert!(0.0 <= score.ratio && score.ratio <= score.coverage + 1e-9);
            prop_assert!(score.coverage <= 1.0 + 1e-9);
        }
    }
}

/// Whether there is a good result no further back than results follow each other without a gap.
fn seen_good(results: &[(Instant, bool)], fresh: Duration, now: Instant) -> bool {
    let mut results = results.to_vec();
    results.sort_by_key(|(seen, _)| std::cmp::Reverse(*seen));
    let mut after = now;
    for (seen, good) in results {
        if after - seen > fresh {
            return false;
        }
        if good {
            return true;
        }
        after = seen;
    }
    false
}

/// How often a check that every 10 s is bad with the probability `bad` comes to fail in a day.
fn false_downs_per_day(terms: Terms, bad: f64, days: u32, seed: u64) -> f64 {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut judgement = Judgement::new(terms);
    let mut now = start();
    let (mut downs, mut failed) = (0, true);
    for _ in 0..days * 8640 {
        let outcome = Outcome::bad_if(rng.f64() < bad, CheckReason::Timeout);
        judgement.observe(outcome, now);
        let fails = judgement.state(now).label() == CheckState::Fail;
        downs += u32::from(fails && !failed);
        failed = fails;
        now += secs(10);
    }
    f64::from(downs) / f64::from(days)
}

#[test]
fn false_downs_are_as_rare_as_the_formula_says() {
    for (bad, fall, days) in [
        (0.01_f64, 1, 30),
        (0.01, 2, 600),
        (0.05, 3, 600),
        (0.10, 3, 100),
    ] {
        let mut terms = Terms::network(FRESH);
        terms.fall = std::num::NonZeroU32::new(fall).expect("not zero");
        let expected = 8640.0 * bad.powi(i32::try_from(fall).expect("small")) * (1.0 - bad);
        let found = false_downs_per_day(terms, bad, days, 7);
        let error = (found / expected - 1.0).abs();
        assert!(
            error < 0.15,
            "p = {bad}, fall {fall}: {found} a day, expected {expected}"
        );
    }
}

#[test]
fn a_link_that_works_half_of_the_time_fails_once_and_stays_failed() {
    for seed in 0..20 {
        let downs = false_downs_per_day(Terms::network(FRESH), 0.5, 1, seed);
        assert!(downs <= 3.0, "seed {seed}: {downs} times in a day");
    }
}
