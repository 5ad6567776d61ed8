use proptest::prelude::*;

use super::*;
use crate::readiness::rank::test_windows::{Shape, window};

fn standing() -> Standing {
    Standing {
        state: ReadyState::Ready,
        rpo: None,
        rto: None,
        preference: None,
        score: None,
    }
}

/// A candidate of that many milliseconds all the time.
fn candidate(name: &str, millis: f64, standing: Standing) -> Candidate {
    Candidate {
        name: Arc::from(name),
        standing,
        window: Some(window(&Shape {
            millis: vec![millis; 24],
            ..Shape::default()
        })),
    }
}

const RPO: Duration = Duration::from_secs(10);

fn day(n: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(24 * n)
}

fn ordered(candidates: &[Candidate]) -> Order {
    order(candidates, Some(RPO), day(100))
}

/// `name rank` of each, in a row.
fn row(order: &Order) -> String {
    let place = |place: &Place| match place.rank {
        Some(rank) => format!("{} {rank}", place.name),
        None => format!("{} -", place.name),
    };
    let places: Vec<_> = order.places.iter().map(place).collect();
    places.join(", ")
}

fn behind(other: &str, by: Level) -> Why {
    Why::Behind {
        other: Arc::from(other),
        by,
    }
}

#[test]
fn each_level_outweighs_all_that_follow_it() {
    let secs = Duration::from_secs;
    let worst = Standing {
        state: ReadyState::NotReady,
        rpo: Some(secs(60)),
        rto: Some(secs(900)),
        ..standing()
    };
    let first = |until| {
        Some(Preference {
            place: 1,
            until: Some(until),
        })
    };
    let of = |state, rpo, rto| Standing {
        state,
        rpo: Some(secs(rpo)),
        rto: Some(secs(rto)),
        ..standing()
    };
    // Each is better than the one before it at one level, and worse at all that follow.
    let candidates = [
        candidate("a", 10.0, worst),
        candidate("b", 20.0, of(ReadyState::Unknown, 60, 900)),
        candidate("c", 30.0, of(ReadyState::Ready, 60, 900)),
        candidate("d", 40.0, of(ReadyState::Ready, 10, 900)),
        candidate("e", 50.0, of(ReadyState::Ready, 5, 900)),
        candidate("f", 60.0, of(ReadyState::Ready, 1, 900)),
        candidate("g", 80.0, of(ReadyState::Ready, 0, 400)),
        candidate("h", 70.0, of(ReadyState::Ready, 0, 300)),
        Candidate {
            standing: Standing {
                preference: first(day(101)),
                ..of(ReadyState::Ready, 0, 350)
            },
            ..candidate("i", 71.0, standing())
        },
    ];
    let order = ordered(&candidates);
    assert_eq!(row(&order), "i 1, h 2, g 3, f 4, e 5, d 6, c 7, b 8, a 9");
    let whys: Vec<_> = order.places.into_iter().map(|place| place.why).collect();
    assert_eq!(whys[0], Why::First);
    assert_eq!(
        whys[1..],
        [
            behind("i", Level::Preference),
            // The best by latency, whatever the preference made of it.
            behind("h", Level::Latency),
            behind("h", Level::Rto),
            behind("f", Level::Rpo),
            behind("e", Level::Rpo),
            behind("d", Level::Rpo),
            behind("c", Level::State),
            behind("b", Level::State),
        ]
    );
}

#[test]
fn losing_runs_outweighs_latency() {
    let mut lossy = candidate("lossy", 10.0, standing());
    lossy.window = Some(window(&Shape {
        millis: vec![10.0; 24],
        failed: vec![1; 24],
        ..Shape::default()
    }));
    let order = ordered(&[lossy, candidate("slow", 90.0, standing())]);
    assert_eq!(row(&order), "slow 1, lossy 2");
    assert_eq!(order.places[1].why, behind("slow", Level::Loss));
}

#[test]
fn a_row_of_small_steps_is_broken_where_one_loses_to_the_best() {
    // Each is a tie with its neighbour; c loses to a, and e to c.
    let steps = [
        ("a", 100.0),
        ("b", 104.0),
        ("c", 108.0),
        ("d", 112.0),
        ("e", 116.0),
    ];
    let candidates = steps.map(|(name, millis)| candidate(name, millis, standing()));
    let order = ordered(&candidates);
    assert_eq!(row(&order), "a 1, b 1, c 2, d 2, e 3");
    let with = Arc::from("a");
    assert_eq!(order.places[1].why, Why::Level { with });
    assert_eq!(order.places[3].why, behind("a", Level::Latency));
    assert_eq!(order.places[4].why, behind("c", Level::Latency));
}

#[test]
fn estimates_are_equal_up_to_twice_the_best() {
    let of = |name, rto: Option<u64>| {
        let rto = rto.map(Duration::from_secs);
        candidate(name, 10.0, Standing { rto, ..standing() })
    };
    let order = ordered(&[
        of("a", Some(100)),
        of("b", Some(200)),
        of("c", Some(201)),
        of("d", None),
        of("e", None),
    ]);
    assert_eq!(row(&order), "a 1, b 1, c 2, d 3, e 3");
}

#[test]
fn a_loss_of_data_is_banded_by_the_objective() {
    let millis = Duration::from_millis;
    let band = |rpo, objective: Option<u64>| rpo_band(Some(millis(rpo)), objective.map(millis));
    for (rpo, objective, expected) in [
        (0, Some(10_000), 0),
        (1_000, Some(10_000), 0),
        (1_001, Some(10_000), 1),
        (5_000, Some(10_000), 1),
        (5_001, Some(10_000), 2),
        (10_000, Some(10_000), 2),
        (10_001, Some(10_000), 3),
        // An objective below a second is an objective still.
        (500, Some(500), 0),
        (501, Some(500), 3),
        (1_000, None, 0),
        (1_001, None, 3),
    ] {
        assert_eq!(band(rpo, objective), expected, "{rpo} {objective:?}");
    }
    assert_eq!(rpo_band(None, Some(RPO)), 4);
    assert_eq!(rpo_band(None, None), 4);
}

#[test]
fn a_preference_holds_until_its_date() {
    let preferred = |place, until| Standing {
        preference: Some(Preference { place, until }),
        ..standing()
    };
    let candidates = [
        candidate("a", 10.0, standing()),
        candidate("b", 10.0, preferred(2, None)),
        candidate("c", 10.0, preferred(1, Some(day(100)))),
    ];
    assert_eq!(row(&order(&candidates, None, day(99))), "c 1, b 2, a 3");
    assert_eq!(row(&order(&candidates, None, day(100))), "b 1, a 2, c 2");
}

#[test]
fn the_score_and_the_name_order_those_of_one_rank_only() {
    let scored = |name, score| {
        candidate(
            name,
            10.0,
            Standing {
                score,
                ..standing()
            },
        )
    };
    let order = ordered(&[
        scored("d", None),
        scored("c", Some(0.5)),
        scored("a", Some(0.5)),
        scored("b", Some(0.9)),
    ]);
    assert_eq!(row(&order), "b 1, a 1, c 1, d 1");
}

#[test]
fn too_few_batches_are_no_rank_and_do_not_disturb_the_others() {
    let mut young = candidate("young", 1.0, standing());
    young.window = Some(window(&Shape {
        millis: vec![1.0; 24],
        first: 1,
        ..Shape::default()
    }));
    let order = ordered(&[
        young.clone(),
        candidate("b", 20.0, standing()),
        candidate("a", 10.0, standing()),
    ]);
    assert_eq!(row(&order), "a 1, b 2, young -");
    assert_eq!(order.places[2].why, Why::TooFew { batches: 23 });
    assert_eq!(row(&ordered(&[young])), "young -");
    assert_eq!(row(&ordered(&[])), "");
}

/// Enough batches each, too few in common: nobody can say.
#[test]
fn those_who_were_never_measured_together_are_not_ordered() {
    let at = |name, skipped: usize, len, millis| Candidate {
        window: Some(window(&Shape {
            millis: vec![millis; len],
            first: skipped,
            ..Shape::default()
        })),
        ..candidate(name, 1.0, standing())
    };
    let whole = at("whole", 0, 60, 10.0);
    let late = at("late", 36, 60, 50.0);
    assert_eq!(row(&ordered(&[late.clone(), whole])), "whole 1, late 2");
    let early = at("early", 0, 30, 10.0);
    let order = ordered(&[late, early]);
    assert_eq!(row(&order), "early 1, late -");
    assert_eq!(order.places[1].why, Why::TooFew { batches: 24 });
}

#[test]
fn one_that_was_measured_at_better_times_only_does_not_come_first() {
    // Nights are quick: the young one has seen nothing else, and is the slower one of the two.
    let night = |n: usize, millis: f64| if n < 40 { 3.0 * millis } else { millis };
    let shape = |millis, first| Shape {
        millis: (0..70).map(|n| night(n, millis)).collect(),
        first,
        ..Shape::default()
    };
    let old = Candidate {
        window: Some(window(&shape(100.0, 0))),
        ..candidate("old", 1.0, standing())
    };
    let young = Candidate {
        window: Some(window(&shape(150.0, 44))),
        ..candidate("young", 1.0, standing())
    };
    let seconds = |candidate: &Candidate| candidate.window.as_ref().and_then(Window::seconds);
    assert!(seconds(&young) < seconds(&old));
    assert_eq!(row(&ordered(&[young, old])), "old 1, young 2");
}

#[test]
fn variants_are_ordered_by_what_their_targets_took() {
    let of = |millis| candidate("x", millis, standing()).window.unwrap();
    let green = Candidate::measured(Arc::from("green"), &[of(100.0), of(20.0)]).unwrap();
    let blue = Candidate::measured(Arc::from("blue"), &[of(120.0), of(24.0)]).unwrap();
    let order = ordered(&[blue, green]);
    assert_eq!(row(&order), "green 1, blue 2");
    assert!(Candidate::measured(Arc::from("none"), &[]).is_none());
}

/// Any standing, with values that often meet.
fn standings() -> impl Strategy<Value = Standing> {
    let state = prop_oneof![
        Just(ReadyState::Ready),
        Just(ReadyState::Unknown),
        Just(ReadyState::NotReady),
        Just(ReadyState::PrimaryLost)
    ];
    let seconds = |upper: u64| proptest::option::of((0..upper).prop_map(Duration::from_secs));
    let preference = proptest::option::of((1..3_u32, 99..102_u64)).prop_map(|preference| {
        preference.map(|(place, until)| Preference {
            place,
            until: Some(day(until)),
        })
    });
    let score = proptest::option::of(0..3_u8).prop_map(|score| score.map(|s| f64::from(s) / 2.0));
    (state, seconds(15), seconds(9), preference, score).prop_map(
        |(state, rpo, rto, preference, score)| Standing {
            state,
            rpo,
            rto,
            preference,
            score,
        },
    )
}

/// Any window: steps that are often below what matters, noise, failures, gaps at the start.
fn windows() -> impl Strategy<Value = Window> {
    let batches = proptest::collection::vec(
        (0..12_u8, prop_oneof![9 => Just(0_u32), 1 => 0..31_u32]),
        26,
    );
    (0..6_u8, batches, 0..5_usize).prop_map(|(step, batches, first)| {
        let base = 100.0 + 3.0 * f64::from(step);
        let millis = |(noise, _): &(u8, u32)| base + f64::from(*noise);
        window(&Shape {
            millis: batches.iter().map(millis).collect(),
            failed: batches.iter().map(|(_, failed)| *failed).collect(),
            first,
        })
    })
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    proptest::collection::vec((standings(), windows()), 0..6).prop_map(|all| {
        let named = (b'a'..).zip(all);
        let candidate = |(name, (standing, window)): (u8, _)| Candidate {
            name: Arc::from(char::from(name).to_string()),
            standing,
            window: Some(window),
        };
        named.map(candidate).collect()
    })
}

proptest! {
    #[test]
    fn a_verdict_is_the_opposite_of_that_on_the_two_swapped(a in windows(), b in windows()) {
        let (there, back) = (compare(&a, &b), compare(&b, &a));
        prop_assert_eq!(there.common, back.common);
        prop_assert_eq!(there.loss, back.loss.reversed());
        prop_assert_eq!(there.latency, back.latency.reversed());
        prop_assert_eq!(there.verdict(), back.verdict().reversed());
        if let (Some(there), Some(back)) = (there.interval, back.interval) {
            prop_assert!(there.low <= there.median && there.median <= there.high);
            let negated = (-back.high, -back.median, -back.low);
            prop_assert_eq!((there.low, there.median, there.high), negated);
        }
    }

    #[test]
    fn one_is_never_better_than_itself(a in windows()) {
        let verdict = compare(&a, &a).verdict();
        let expected = if a.len() < MIN_BATCHES { Verdict::TooFew } else { Verdict::Tie };
        prop_assert_eq!(verdict, expected);
    }

    #[test]
    fn the_order_of_the_input_changes_nothing(
        (given, shuffled) in candidates().prop_flat_map(|given| {
            (Just(given.clone()), Just(given).prop_shuffle())
        })
    ) {
        prop_assert_eq!(ordered(&given), ordered(&shuffled));
    }

    #[test]
    fn ranks_begin_at_one_and_leave_none_out(given in candidates()) {
        let order = ordered(&given);
        prop_assert_eq!(order.places.len(), given.len());
        let ranks: Vec<_> = order.places.iter().map_while(|place| place.rank).collect();
        let mut expected = ranks.clone();
        expected.dedup();
        let dense: Vec<_> = (1..).take(expected.len()).collect();
        prop_assert_eq!(expected, dense);
        // Those without a rank are the last, and have a reason.
        for place in &order.places[ranks.len()..] {
            prop_assert_eq!(place.rank, None);
            prop_assert!(matches!(place.why, Why::TooFew { .. }), "{:?}", place);
        }
    }

    #[test]
    fn an_equal_one_shares_the_rank(given in candidates()) {
        let Some(first) = given.first() else { return Ok(()) };
        let twin = Candidate { name: Arc::from("twin"), ..first.clone() };
        let mut all = given.clone();
        all.push(twin);
        let ranks = ordered(&all).ranks();
        prop_assert_eq!(ranks["twin"], ranks[&first.name]);
    }

    #[test]
    fn adding_a_worse_one_changes_nothing_for_the_others(given in candidates()) {
        let last = Candidate {
            name: Arc::from("last"),
            standing: Standing {
                state: ReadyState::NotReady,
                rpo: None,
                rto: None,
                preference: None,
                score: None,
            },
            window: candidate("last", 500.0, standing()).window,
        };
        let before = ordered(&given).ranks();
        let mut all = given;
        all.push(last);
        let mut after = ordered(&all).ranks();
        after.remove("last");
        prop_assert_eq!(before, after);
    }
}
