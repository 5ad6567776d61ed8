#![expect(clippy::float_cmp, reason = "small numbers that are exact")]

use super::*;
use crate::readiness::rank::test_windows::{Shape, window};

#[test]
fn the_ends_of_the_interval_follow_from_the_binomial_distribution() {
    for (n, rank) in [
        (7, None),
        (8, Some(1)),
        (24, Some(6)),
        (72, Some(25)),
        (0, None),
    ] {
        assert_eq!(interval_rank(n), rank, "{n}");
    }
}

/// The same by counting: `2 * (C(n, 0) + .. + C(n, rank - 1)) * 100 <= 2^n`.
#[test]
fn the_ends_agree_with_counting_in_whole_numbers() {
    for n in 1..=110_u32 {
        let (mut ways, mut below, mut rank) = (1_u128, 0_u128, 0_u32);
        loop {
            below += ways;
            if 200 * below > 1 << n {
                break;
            }
            ways = ways * u128::from(n - rank) / u128::from(rank + 1);
            rank += 1;
        }
        let counted = (rank > 0).then_some(rank as usize);
        assert_eq!(interval_rank(n as usize), counted, "{n}");
    }
}

#[test]
fn the_ends_are_known_beyond_what_powers_of_two_can_hold() {
    // 5000 - 2.576 * sqrt(10000) / 2, by the normal approximation, and half a step.
    assert_eq!(interval_rank(10_000), Some(4871));
}

fn flat(millis: f64) -> Shape {
    Shape {
        millis: vec![millis; 72],
        ..Shape::default()
    }
}

/// What a candidate of 100 ms is, compared with one of so many.
fn against(millis: f64) -> Verdict {
    compare(&window(&flat(100.0)), &window(&flat(millis))).verdict()
}

#[test]
fn a_difference_that_is_sure_counts_only_if_it_matters() {
    assert_eq!(against(100.0), Verdict::Tie);
    assert_eq!(against(104.9), Verdict::Tie);
    assert_eq!(against(105.1), Verdict::Before);
    assert_eq!(against(95.3), Verdict::Tie, "4.7 ms of 95.3 is under 5 %");
    assert_eq!(against(94.0), Verdict::After);
    let quick = |a, b| compare(&window(&flat(a)), &window(&flat(b))).verdict();
    assert_eq!(quick(1.0, 2.9), Verdict::Tie, "under 2 ms");
    assert_eq!(quick(1.0, 3.1), Verdict::Before);
}

#[test]
fn the_interval_is_made_of_the_differences_of_the_pairs() {
    // Both swing by seconds; what is between them does not.
    let swing = |n: u32| 100.0 + 1000.0 * f64::from(n % 7);
    let near = (0..24).map(swing).collect();
    let far = (0..24).map(|n| swing(n) + 501.0 + f64::from(n));
    let far = far.collect();
    let [near, far] = [near, far].map(|millis| {
        window(&Shape {
            millis,
            ..Shape::default()
        })
    });
    let comparison = compare(&far, &near);
    assert_eq!(comparison.common, 24);
    assert_eq!(comparison.verdict(), Verdict::After);
    let interval = comparison.interval.unwrap();
    let millis = |seconds: f64| (seconds * 1e4).round() / 10.0;
    // From the 6th to the 19th.
    assert_eq!(millis(interval.low), 506.0);
    assert_eq!(millis(interval.median), 512.5);
    assert_eq!(millis(interval.high), 519.0);
}

#[test]
fn a_large_difference_half_of_the_time_is_none_that_is_sure() {
    let split = |half: u32| Shape {
        millis: (0..72)
            .map(|n| if n % 2 == half { 100.0 } else { 200.0 })
            .collect(),
        ..Shape::default()
    };
    let comparison = compare(&window(&split(0)), &window(&split(1)));
    assert_eq!(comparison.verdict(), Verdict::Tie);
    let interval = comparison.interval.unwrap();
    assert_eq!((interval.low, interval.high), (-0.1, 0.1));
}

#[test]
fn fewer_than_24_batches_in_common_tell_nothing() {
    let late = Shape {
        first: 49,
        ..flat(500.0)
    };
    let comparison = compare(&window(&flat(1.0)), &window(&late));
    assert_eq!(comparison.common, 23);
    assert_eq!(comparison.interval, None);
    assert_eq!(comparison.verdict(), Verdict::TooFew);
    let enough = Shape {
        first: 48,
        ..flat(500.0)
    };
    let comparison = compare(&window(&flat(1.0)), &window(&enough));
    assert_eq!(comparison.verdict(), Verdict::Before);
}

/// A candidate of 30 runs a batch, some of which failed.
fn lossy(millis: f64, failed: impl Fn(u32) -> u32) -> Shape {
    Shape {
        failed: (0..72).map(failed).collect(),
        ..flat(millis)
    }
}

#[test]
fn losing_runs_all_the_time_weighs_more_than_being_quick() {
    let quick = window(&lossy(10.0, |n| n % 2));
    let slow = window(&lossy(200.0, |_| 0));
    let comparison = compare(&quick, &slow);
    assert_eq!(comparison.loss, Verdict::After);
    assert_eq!(comparison.latency, Verdict::Before);
    assert_eq!(comparison.verdict(), Verdict::After);
}

#[test]
fn a_loss_that_is_small_or_rare_does_not_decide() {
    let sound = window(&lossy(100.0, |_| 0));
    // One run in three batches: 1.1 %; in four: 0.8 %.
    let third = window(&lossy(100.0, |n| u32::from(n % 3 == 0)));
    let fourth = window(&lossy(100.0, |n| u32::from(n % 4 == 0)));
    assert_eq!(compare(&sound, &third).verdict(), Verdict::Before);
    assert_eq!(compare(&sound, &fourth).verdict(), Verdict::Tie);
    // Half an hour of darkness is six batches, and one event.
    let dark = window(&lossy(100.0, |n| if n < 6 { 30 } else { 0 }));
    assert_eq!(compare(&sound, &dark).verdict(), Verdict::Tie);
    // Two that lose as much, each in its own batches.
    let other = window(&lossy(100.0, |n| u32::from(n % 3 == 1)));
    assert_eq!(compare(&third, &other).verdict(), Verdict::Tie);
}

#[test]
fn one_that_answers_nothing_is_worse_and_two_of_them_are_equal() {
    let dead = Shape {
        millis: vec![f64::INFINITY; 72],
        failed: vec![30; 72],
        ..Shape::default()
    };
    let (dead, sound) = (window(&dead), window(&flat(100.0)));
    let comparison = compare(&dead, &sound);
    assert_eq!(comparison.loss, Verdict::After);
    assert_eq!(comparison.latency, Verdict::After);
    assert_eq!(comparison.interval.unwrap().low, f64::INFINITY);
    assert_eq!(compare(&dead, &dead).verdict(), Verdict::Tie);
}
