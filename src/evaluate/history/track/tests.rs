use std::time::Duration;

use super::super::test_samples::{failed, succeeded};
use super::*;
use crate::model::{HistoryTerms, Reason};

const START: u64 = 1_795_262_400;

fn frame() -> Frame {
    Frame::of(&HistoryTerms::default(), 1).0
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(START + seconds)
}

fn run(track: &mut Track, seconds: u64) {
    track.observe(&succeeded((START + seconds) * 1_000, 100), &frame());
}

fn seen(track: &Track, seconds: u64) -> Seen {
    track.seen(at(seconds), &frame())()
}

fn runs(steps: &[Step]) -> Vec<(u64, u32)> {
    let steps = steps.iter();
    steps.map(|step| (step.start - START, step.runs)).collect()
}

#[test]
fn a_run_counts_in_its_short_and_its_long_step() {
    let mut track = Track::default();
    for seconds in [0, 30, 60, 599, 600] {
        run(&mut track, seconds);
    }
    let seen = seen(&track, 601);
    assert_eq!(runs(&seen.short), [(0, 2), (60, 1), (540, 1), (600, 1)]);
    // What goes on is told as the short step that it is.
    assert_eq!(runs(&seen.long), [(0, 4), (600, 1)]);
    assert_eq!(seen.runs.iter().count(), 5);
}

#[test]
fn what_is_over_is_saved_once_and_what_goes_on_at_the_end() {
    let mut track = Track::default();
    for seconds in (0..900).step_by(10) {
        run(&mut track, seconds);
    }
    track.close(START + 900, false, &frame());
    let saved = track.unsaved();
    assert_eq!((saved.steps.len(), saved.failures.len()), (1, 0));
    assert_eq!(track.unsaved(), Unsaved::default());
    track.close(START + 900, true, &frame());
    assert_eq!(track.unsaved().steps.len(), 1);
    // What comes after is a step of its own, with the same start.
    run(&mut track, 901);
    assert_eq!(
        runs(&seen(&track, 902).long),
        [(0, 60), (600, 30), (900, 1)]
    );
}

#[test]
fn a_target_that_is_seldom_run_is_saved_when_its_step_is_over() {
    let mut track = Track::default();
    run(&mut track, 0);
    track.close(START + 599, false, &frame());
    assert_eq!(track.unsaved().steps.len(), 0);
    track.close(START + 600, false, &frame());
    assert_eq!(track.unsaved().steps.len(), 1);
}

#[test]
fn what_was_saved_is_there_again_but_for_what_is_too_old_or_to_come() {
    let mut track = Track::default();
    for seconds in [0, 600, 1_200] {
        run(&mut track, seconds);
    }
    track.observe(
        &failed((START + 1_300) * 1_000, Reason::Refused, "why"),
        &frame(),
    );
    track.close(START, true, &frame());
    let saved = track.unsaved();
    assert_eq!((saved.steps.len(), saved.failures.len()), (3, 1));

    let mut again = Track::default();
    let keep = frame().keep;
    let restored = |again: &mut Track, now: u64| -> Vec<bool> {
        let steps = saved.steps.iter();
        steps
            .map(|bytes| again.restore_step(bytes, now, &frame()))
            .collect()
    };
    assert_eq!(restored(&mut again, START - 10_000), [false; 3]);
    assert_eq!(
        restored(&mut again, START + 1_200 + keep),
        [false, false, true]
    );
    let mut again = Track::default();
    assert_eq!(restored(&mut again, START + 2_000), [true; 3]);
    assert!(again.restore_failure(&saved.failures[0], &frame()));
    assert!(!again.restore_failure(b"nonsense", &frame()));
    assert_eq!(again.unsaved(), Unsaved::default(), "it is saved already");
    assert_eq!(
        runs(&seen(&again, 2_000).long),
        [(0, 1), (600, 1), (1_200, 2)]
    );
    assert_eq!(runs(&seen(&again, keep + 1_300).long), [(1_200, 2)]);
    assert_eq!(again.begins(), Some(START));
}

#[test]
fn a_step_at_the_end_of_time_is_none_of_the_time_that_is_kept() {
    let mut bytes = vec![0, 1];
    super::super::varint::put(&mut bytes, u64::MAX);
    bytes.push(1);
    let step = Step::take(&mut bytes.iter().copied()).expect("a step");
    assert_eq!(step.start, u64::MAX);
    let mut track = Track::default();
    assert!(!track.restore_step(&bytes, START, &frame()));
}

#[test]
fn a_clock_that_is_set_back_a_little_stays_in_the_step_and_otherwise_begins_another() {
    let mut track = Track::default();
    for seconds in [600, 590, 545] {
        run(&mut track, seconds);
    }
    assert_eq!(runs(&seen(&track, 605).short), [(600, 3)]);
    run(&mut track, 100);
    let seen = seen(&track, 105);
    assert_eq!(
        runs(&seen.short),
        [(60, 1)],
        "what is still to come is not told"
    );
}

#[test]
fn failures_are_kept_longer_than_runs_and_only_the_last_are_saved() {
    let mut track = Track::default();
    for n in 0..30 {
        let detail = format!("failure {n}");
        let failure = failed((START + n) * 1_000, Reason::Refused, &detail);
        track.observe(&failure, &frame());
    }
    for n in 0..100 {
        run(&mut track, 30 + n);
    }
    let seen = seen(&track, 140);
    assert_eq!(seen.runs.iter().count(), 60);
    let failures: Vec<_> = seen.failures.iter().filter_map(run::take_failure).collect();
    assert_eq!(failures.len(), 20);
    assert_eq!(&*failures[19].detail, "failure 29");
    assert_eq!(track.unsaved().failures.len(), SAVED_FAILURES);
}

#[test]
fn where_nothing_is_kept_the_last_run_is_known() {
    let nothing = frame().nothing();
    let mut track = Track::default();
    run(&mut track, 0);
    track.limit(&nothing);
    assert_eq!(track.bytes(), 0);
    track.observe(&succeeded((START + 5) * 1_000, 200), &nothing);
    assert_eq!(track.bytes(), 0);
    let last = track.last().expect("a run").shown();
    assert!((last.duration_seconds - 0.2).abs() < 1e-9);
}

/// The worst: durations everywhere, long details, all the time.
#[test]
fn a_target_never_takes_more_than_its_part() {
    for targets in [1_000, 10_000, 20_000, 32_768] {
        let terms = HistoryTerms::default();
        let (frame, _) = Frame::of(&terms, targets);
        let mut track = Track::default();
        let detail = "x".repeat(400);
        for n in 0..20_000_u64 {
            let millis = (START + n * 10) * 1_000;
            match n % 7 {
                0 => track.observe(&failed(millis, Reason::TlsCertificate, &detail), &frame),
                _ => track.observe(&succeeded(millis, 1 + n * n % 60_000), &frame),
            }
        }
        let (bytes, most) = (track.bytes(), terms.size / targets as u64);
        assert!(bytes as u64 <= most, "{targets} targets: {bytes} of {most}");
        let seen = track.seen(at(200_000), &frame)();
        assert!(seen.failures.iter().count() > 0, "{targets} targets");
        let steps = seen.long.iter();
        let steps: u32 = steps.map(|step| step.runs).sum();
        assert!(steps > 100, "{targets} targets: {steps} runs");
    }
}
