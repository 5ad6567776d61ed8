use proptest::collection::vec;
use proptest::prelude::*;

use super::super::test_samples::{failed, ping, succeeded};
use super::*;
use crate::model::Reason;

fn run() -> impl Strategy<Value = Sample> {
    prop_oneof![
        6 => (1..5_000_u64).prop_map(|took| succeeded(0, took)),
        2 => (vec(1..300_u64, 0..6), 0..5_u32).prop_map(|(took, lost)| ping(0, &took, lost)),
        1 => Just(failed(0, Reason::Refused, "no")),
        1 => Just(failed(0, Reason::Stalled, "late")),
    ]
}

fn of(samples: &[Sample]) -> Step {
    let mut step = Step::default();
    step.begin(1_795_261_200, 600);
    for sample in samples {
        step.count(sample);
    }
    step
}

fn bytes(step: &Step) -> Vec<u8> {
    let mut bytes = Vec::new();
    step.put(&mut bytes);
    bytes
}

#[test]
fn runs_are_counted_by_what_came_of_them() {
    let step = of(&[
        succeeded(0, 100),
        succeeded(0, 300),
        failed(0, Reason::Refused, "no"),
        failed(0, Reason::NoPermission, "no"),
        ping(0, &[20, 30], 3),
    ]);
    assert_eq!((step.runs, step.failures, step.unknown), (5, 1, 1));
    assert_eq!((step.packets, step.lost), (5, 3));
    assert_eq!(step.attempts(), 4);
    let counted: u32 = step.durations.iter().map(|(_, count)| count).sum();
    assert_eq!(counted, 4, "each packet counts");
    // The ping has no phases: the mean is over all that succeeded.
    let phases: Vec<_> = step.phases().collect();
    assert_eq!(phases.len(), 2);
    assert!((phases[0].1 - 0.4 * 0.4 / 3.0).abs() < 1e-6, "{phases:?}");
}

#[test]
fn a_step_is_as_small_as_is_said() {
    // Durations spread as those of a healthy target: some are twice the others.
    let runs: Vec<_> = (0..60).map(|n| succeeded(0, 80 + n * n % 83)).collect();
    let long = bytes(&of(&runs)).len();
    assert!(long <= 50, "{long}");
    let short = bytes(&of(&runs[..6])).len();
    assert!(short <= 27, "{short}");
}

#[test]
fn the_order_of_the_phases_is_that_of_what_was_saved() {
    let phases = Phase::ALL.map(Phase::as_str).join(" ");
    let saved = "resolve connect tls auth processing transfer query_read query_write";
    assert_eq!(
        phases, saved,
        "another order takes another version of the files"
    );
}

proptest! {
    #[test]
    fn a_step_is_read_as_it_was_written(samples in vec(run(), 0..100)) {
        let step = of(&samples);
        let bytes = bytes(&step);
        let mut read = bytes.iter().copied();
        prop_assert_eq!(Step::take(&mut read), Some(step));
        prop_assert_eq!(read.next(), None);
    }

    #[test]
    fn merged_steps_are_the_step_of_all_runs(samples in vec(run(), 0..50), at in 0..50_usize) {
        let (one, two) = samples.split_at(at.min(samples.len()));
        let mut merged = of(one);
        merged.take_in(&of(two));
        prop_assert_eq!(merged, of(&samples));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..60)) {
        if let Some(step) = Step::take(&mut bytes.into_iter()) {
            step.end();
            step.phases().count();
        }
    }
}
