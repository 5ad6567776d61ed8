#![expect(clippy::disallowed_methods, reason = "any instant will do")]

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn measured(seconds: u32) -> Time {
    Time::Takes(SECOND * seconds, Basis::Measured)
}

fn assumed(seconds: u32) -> Time {
    Time::Takes(SECOND * seconds, Basis::Assumed)
}

fn rto() -> Rto {
    Rto {
        detect: measured(33),
        decide: measured(300),
        promote: measured(20),
        apply: measured(5),
        pull: measured(10),
        start: measured(8),
        dns: measured(60),
        warm: measured(2),
    }
}

#[test]
fn database_and_application_come_up_side_by_side() {
    assert_eq!(rto().total(), measured(33 + 300 + 25 + 60 + 2));
    let fat = Rto {
        pull: measured(90),
        ..rto()
    };
    assert_eq!(fat.total(), measured(33 + 300 + 98 + 60 + 2));
}

#[test]
fn one_assumption_makes_the_whole_one() {
    let one = Rto {
        start: assumed(8),
        ..rto()
    };
    assert_eq!(one.total(), assumed(420));
}

#[test]
fn a_stage_that_is_not_known_makes_the_total_unknown_and_one_that_is_not_there_does_not() {
    let unknown = Rto {
        pull: Time::Unknown,
        ..rto()
    };
    assert_eq!(unknown.total(), Time::Unknown);
    let none = Rto {
        promote: Time::NotApplicable,
        apply: Time::NotApplicable,
        ..rto()
    };
    assert_eq!(none.total(), measured(33 + 300 + 18 + 60 + 2));
}

#[test]
fn the_stages_are_told_under_their_names_and_the_total_last() {
    let stages = rto().stages();
    let names: Vec<_> = stages.iter().map(|(stage, _)| stage.as_str()).collect();
    let expected = [
        "detect", "decide", "promote", "apply", "pull", "start", "dns", "warm", "total",
    ];
    assert_eq!(names, expected);
    assert_eq!(stages[0].1, measured(33));
    assert_eq!(stages[8].1.known(), Some(SECOND * 420));
    assert_eq!(Time::Unknown.known(), None);
    assert_eq!(
        (Basis::Measured.as_str(), Basis::Assumed.as_str()),
        ("measured", "assumed")
    );
}

#[test]
fn a_loss_is_noticed_when_the_last_of_the_failed_runs_ends() {
    assert_eq!(Rto::detected(3, SECOND * 10, SECOND * 3), assumed(33));
    let never = Rto::detected(u32::MAX, Duration::MAX, SECOND);
    assert_eq!(never, Time::Takes(Duration::MAX, Basis::Assumed));
}

#[test]
fn a_promotion_takes_what_nine_in_ten_took() {
    assert_eq!(Rto::promoted(&[], SECOND * 30), assumed(30));
    assert_eq!(Rto::promoted(&[SECOND * 7], SECOND * 30), measured(7));
    let ten: Vec<_> = (1..=10).rev().map(|n| SECOND * n).collect();
    assert_eq!(Rto::promoted(&ten, SECOND * 30), measured(9));
}

#[test]
fn what_waits_is_applied_at_the_rate_that_was_seen() {
    let mib = 1024 * 1024;
    assert_eq!(Rto::applied(Some(32 * mib), None, APPLY), assumed(2));
    assert_eq!(Rto::applied(Some(3000), Some(1000.0), APPLY), measured(3));
    assert_eq!(Rto::applied(Some(0), None, APPLY), measured(0));
    assert_eq!(Rto::applied(None, Some(1000.0), APPLY), Time::Unknown);
    let never = Time::Takes(Duration::MAX, Basis::Measured);
    assert_eq!(Rto::applied(Some(1), Some(0.0), APPLY), never);
}

#[test]
fn only_a_standby_with_work_all_the_time_shows_its_rate() {
    let start = Instant::now();
    let mut rate = ApplyRate::default();
    let mut looks = 0;
    let mut look = |rate: &mut ApplyRate, applied, waiting| {
        rate.look(start + SECOND * 10 * looks, applied, waiting);
        looks += 1;
    };
    // It keeps up: nothing to learn, however long.
    for n in 0..20 {
        look(&mut rate, 1_000 * n, 500);
    }
    // It is stopped.
    for _ in 0..20 {
        look(&mut rate, 19_000, 900_000);
    }
    assert_eq!(rate.slow(), None);
    // It catches up, 5 kB a second, once only 1; the last look finds it done.
    for applied in [69_000, 119_000, 129_000, 179_000, 229_000] {
        assert_eq!(rate.slow(), None);
        look(&mut rate, applied, 919_000 - applied);
    }
    assert_eq!(rate.slow(), Some(1_000.0));
    look(&mut rate, 919_000, 0);
    // Another history begins at less.
    look(&mut rate, 10, 900_000);
    assert_eq!(rate.rates.len(), 5);
}

#[test]
fn the_rate_is_the_slow_tenth_of_the_last_64() {
    let start = Instant::now();
    let mut rate = ApplyRate::default();
    let mut applied = 0;
    for n in 0..200_u32 {
        rate.look(start + SECOND * n, applied, 1_000_000_000);
        applied += u64::from(n) + 1;
    }
    assert_eq!(rate.rates.len(), 64);
    // 136 to 199; the seventh.
    assert_eq!(rate.slow(), Some(142.0));
}
