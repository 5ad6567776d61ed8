//! The machine against a reference that knows the whole history, and what holds for every history.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Where an alert stands, without its clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Inactive,
    Pending,
    Firing,
}

fn state(machine: &Machine) -> State {
    match machine {
        Machine::Inactive => State::Inactive,
        Machine::Pending { .. } => State::Pending,
        Machine::Firing { .. } => State::Firing,
    }
}

/// A look, so many seconds after the start of the history.
type Look = (u64, Option<bool>);

/// The reference: where the alert stands after these looks, by asking the whole history.
fn reference(timing: Timing, looks: &[Look]) -> State {
    let (pending, keep) = (timing.pending.as_secs(), timing.keep_firing.as_secs());
    // The looks since the condition was last found over, up to and with the one at this place.
    let stretch = |at: usize| {
        let over = looks[..at].iter().rposition(|look| look.1 == Some(false));
        &looks[over.map_or(0, |over| over + 1)..=at]
    };
    let both = |pair: &&[Look]| pair.iter().all(|look| look.1 == Some(true));
    let held = |at: usize| -> u64 {
        let pairs = stretch(at).windows(2).filter(both);
        pairs.map(|pair| pair[1].0 - pair[0].0).sum()
    };
    let begins = |at: &usize| looks[*at].1 == Some(true) && held(*at) >= pending;
    let ends = |at: usize| {
        let mut before = looks[..at].iter().rev();
        let last = before.find(|look| look.1 == Some(true));
        looks[at].1 == Some(false) && last.is_some_and(|last| looks[at].0 - last.0 >= keep)
    };
    let places = 0..looks.len();
    if places
        .clone()
        .filter(begins)
        .any(|began| !(began..looks.len()).any(ends))
    {
        return State::Firing;
    }
    let last = looks.len().checked_sub(1).filter(|last| {
        let open = stretch(*last).iter();
        looks[*last].1 != Some(false) && open.clone().any(|look| look.1 == Some(true))
    });
    last.map_or(State::Inactive, |_| State::Pending)
}

#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn start() -> Instant {
    Instant::now() + Duration::from_secs(100_000)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn timing(pending: u64, keep_firing: u64) -> Timing {
    Timing {
        pending: secs(pending),
        keep_firing: secs(keep_firing),
    }
}

fn timings() -> impl Strategy<Value = Timing> {
    let some = || prop_oneof![Just(0), 1..20u64];
    (some(), some()).prop_map(|(pending, keep)| timing(pending, keep))
}

/// Looks with gaps between them; most come in runs of the same finding, as they do in life.
fn histories() -> impl Strategy<Value = Vec<Look>> {
    let finding = prop_oneof![
        3 => Just(Some(true)),
        2 => Just(Some(false)),
        1 => Just(None)
    ];
    let runs = vec((finding, vec(1..6u64, 1..6)), 0..12);
    runs.prop_map(|runs| {
        let looks = runs.into_iter();
        let looks = looks.flat_map(|(holds, gaps)| gaps.into_iter().map(move |gap| (gap, holds)));
        let mut at = 0;
        let looks = looks.map(|(gap, holds)| {
            at += gap;
            (at, holds)
        });
        looks.collect()
    })
}

/// As it is after a restart that takes no time.
fn again(machine: Machine, now: Instant) -> Machine {
    let timer = machine.timer(now);
    let text = serde_json::to_string(&timer).expect("JSON");
    let timer: Option<Timer> = serde_json::from_str(&text).expect("the same");
    timer.map_or(Machine::Inactive, |timer| {
        Machine::restored(timer, 0.0, now)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn it_is_as_the_whole_history_says_also_over_restarts(
        timing in timings(),
        looks in histories(),
        restarts in vec(any::<bool>(), 80),
    ) {
        let origin = start();
        let mut machine = Machine::default();
        for (place, (at, holds)) in looks.iter().enumerate() {
            let now = origin + secs(*at);
            let before = state(&machine);
            let change = machine.step(timing, *holds, now);
            let after = state(&machine);
            prop_assert_eq!(after, reference(timing, &looks[..=place]), "after {:?}", &looks[..=place]);
            let expected = match (before, after) {
                (State::Inactive, State::Pending) => Some(Change::Pending),
                (State::Inactive | State::Pending, State::Firing) => Some(Change::Firing),
                (State::Pending, State::Inactive) => Some(Change::Withdrawn),
                (State::Firing, State::Inactive) => Some(Change::Over),
                (before, after) => {
                    prop_assert_eq!(before, after);
                    None
                }
            };
            prop_assert_eq!(change, expected);
            prop_assert!(holds.is_some() || change.is_none(), "changed by nothing");
            if restarts[place % restarts.len()] {
                machine = again(machine, now);
            }
        }
    }

    #[test]
    fn nothing_fires_or_ends_before_its_time(timing in timings(), looks in histories()) {
        let origin = start();
        let mut machine = Machine::default();
        let (mut began, mut held) = (None, None);
        for (at, holds) in looks {
            match machine.step(timing, holds, origin + secs(at)) {
                Some(Change::Pending) => began = Some(at),
                Some(Change::Firing) => {
                    let since = began.take().map_or(0, |began| at - began);
                    prop_assert!(since >= timing.pending.as_secs() || timing.pending.is_zero());
                }
                Some(Change::Over) => {
                    prop_assert!(held.is_some_and(|held| at - held >= timing.keep_firing.as_secs()));
                }
                Some(Change::Withdrawn) | None => {}
            }
            if holds == Some(true) {
                held = Some(at);
            }
        }
    }
}

/// A machine after looks at these seconds.
fn after(timing: Timing, origin: Instant, looks: &[Look]) -> Machine {
    let mut machine = Machine::default();
    for (at, holds) in looks {
        machine.step(timing, *holds, origin + secs(*at));
    }
    machine
}

#[test]
fn time_away_counts_up_to_an_hour_and_never_backwards() {
    let timing = timing(5_000, 5_000);
    let origin = start();
    let pending = after(timing, origin, &[(0, Some(true)), (100, Some(true))]);
    let firing = Machine::Firing {
        last: origin + secs(100),
        seen: false,
    };
    let now = origin + secs(100);
    for (away, counted) in [
        (-3_600.0, 0.0),
        (f64::NAN, 0.0),
        (f64::INFINITY, 0.0),
        (0.0, 0.0),
        (60.0, 60.0),
        (3_600.0, 3_600.0),
        (86_400.0, 3_600.0),
    ] {
        let restored = |machine: Machine| {
            let timer = machine.timer(now).expect("an alert");
            Machine::restored(timer, away, now).timer(now)
        };
        let held = Timer::Pending {
            held_seconds: 100.0 + counted,
            seen: true,
        };
        assert_eq!(restored(pending), Some(held), "{away}");
        let last = Timer::Firing {
            last_seconds: counted,
            seen: false,
        };
        assert_eq!(restored(firing), Some(last), "{away}");
    }
}

#[test]
fn time_away_does_not_count_where_nothing_was_known_and_never_ends_what_held() {
    let timing = timing(100, 100);
    let origin = start();
    let now = origin + secs(20);
    let looks = [(0, Some(true)), (10, Some(true)), (20, None)];
    let timer = after(timing, origin, &looks).timer(now).expect("pending");
    let mut silent = Machine::restored(timer, 3_600.0, now);
    assert_eq!(silent.step(timing, Some(true), now), None);
    let held = Timer::Firing {
        last_seconds: 1.0,
        seen: true,
    };
    let mut firing = Machine::restored(held, 3_600.0, now);
    assert_eq!(firing.step(timing, Some(false), now), None);
    let later = now + secs(99);
    assert_eq!(firing.step(timing, Some(false), later), Some(Change::Over));
}

#[test]
fn a_restart_alone_fires_nothing() {
    let timing = timing(60, 0);
    let now = start();
    let timer = Timer::Pending {
        held_seconds: 0.0,
        seen: true,
    };
    let mut machine = Machine::restored(timer, 3_600.0, now);
    assert_eq!(machine.step(timing, None, now), None);
    assert_eq!(state(&machine), State::Pending);
    assert_eq!(machine.step(timing, Some(true), now), Some(Change::Firing));
    let mut machine = Machine::restored(timer, 3_600.0, now);
    let withdrawn = Some(Change::Withdrawn);
    assert_eq!(machine.step(timing, Some(false), now), withdrawn);
}
