use super::*;
use crate::model::{Facts, Failure, Laps, Objectives, Reason, Reply, RtoBasis};

const HOUR: Duration = Duration::from_hours(1);

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn around() -> Window {
    let now = std::time::Instant::now();
    Window { from: now, to: now }
}

fn past() -> Past {
    Past::new("shop".into(), &[])
}

fn failover(id: &str, seconds: u64) -> Failover {
    Failover {
        id: id.to_owned(),
        group: "shop".into(),
        probe: "orders".into(),
        source_region: "here".into(),
        from: "a".into(),
        to: "b".into(),
        timestamp_seconds: seconds_of(seconds),
        planned: false,
        rto_write_seconds: 10.0,
        rto_write_basis: RtoBasis::Roles,
        rpo_writes: Some(1),
        rpo_seconds: Some(5.0),
        rpo_unknown: None,
        rto_user_seconds: None,
        drill: None,
    }
}

fn seconds_of(since: u64) -> f64 {
    timestamp_seconds(at(since))
}

fn start(past: &mut Past, id: &str, since: u64) -> Result<Drill, DrillRefusal> {
    let order = DrillStart {
        id: id.to_owned(),
        group: "shop".to_owned(),
        kind: DrillKind::Failover,
        note: None,
        for_seconds: 3600.0,
    };
    past.start(&order, Objectives::default(), at(since))
}

#[test]
fn a_failover_holds_every_standby_back_but_the_new_primary_for_a_while() {
    let mut past = past();
    assert_eq!(past.hold("c", HOUR, at(0)), None);
    past.failed_over(&failover("1", 0), around());
    let held = past.hold("c", HOUR, at(3599)).expect("held");
    assert_eq!(held.kind, "recent_failover");
    assert!((held.expiry_timestamp_seconds - seconds_of(3600)).abs() < 1e-3);
    assert_eq!(past.hold("b", HOUR, at(10)), None, "the new primary");
    assert_eq!(past.hold("c", HOUR, at(3600)), None);
    assert_eq!(past.hold("c", Duration::ZERO, at(0)), None);
}

#[test]
fn what_more_is_known_of_a_failover_does_not_make_it_two() {
    let mut past = past();
    past.failed_over(&failover("1", 0), around());
    let more = Failover {
        rto_write_seconds: 12.0,
        rto_write_basis: RtoBasis::Canary,
        ..failover("1", 0)
    };
    past.failed_over(&more, around());
    assert_eq!(past.failovers(), [more]);
    assert_eq!(past.figures().failovers, [[1, 0], [0, 0]]);
    assert!(past.promotions().is_empty(), "it was not planned");
    let planned = Failover {
        planned: true,
        rto_write_seconds: 3.0,
        ..failover("2", 5000)
    };
    past.failed_over(&planned, around());
    assert_eq!(past.promotions(), [Duration::from_secs(3)]);
    // A server without GTIDs names itself alike every time.
    past.failed_over(&failover("1", 9000), around());
    assert_eq!(past.figures().failovers, [[2, 0], [1, 0]]);
}

#[test]
fn what_happens_in_a_drill_is_part_of_it_and_holds_nobody_back() {
    let mut past = past();
    past.failed_over(&failover("before", 0), around());
    assert!(start(&mut past, "d1", 100).is_ok());
    past.failed_over(&failover("in", 200), around());
    past.failed_over(&failover("late", 100 + 3601), around());
    let tags: Vec<_> = past
        .failovers()
        .iter()
        .map(|f| f.drill.as_deref())
        .collect();
    assert_eq!(tags, [None, Some("d1"), None]);
    assert_eq!(past.figures().failovers, [[2, 1], [0, 0]]);

    let mut past = self::past();
    assert!(start(&mut past, "d1", 100).is_ok());
    past.failed_over(&failover("in", 200), around());
    assert_eq!(past.hold("c", HOUR, at(201)), None);
    let drill = past.open().expect("open");
    assert!(past.failed_over_in(drill));
}

#[test]
fn only_a_success_moves_the_time_of_the_last_one() {
    let mut past = past();
    assert_eq!(past.drill_age(at(0)), None);
    assert_eq!(
        past.end(DrillState::Aborted, at(0)),
        Err(DrillRefusal::None)
    );
    assert!(start(&mut past, "d1", 0).is_ok());
    let open = past.figures().open;
    assert_eq!(open, Some((DrillKind::Failover, seconds_of(3600))));
    assert!(past.end(DrillState::Aborted, at(50)).is_ok());
    assert_eq!(past.drill_age(at(60)), None);
    assert_eq!(past.figures().succeeded, [None; 3]);
    assert!(start(&mut past, "d2", 100).is_ok());
    assert_eq!(past.drill_age(at(150)), None);
    assert!(past.end(DrillState::Succeeded, at(200)).is_ok());
    assert_eq!(past.drill_age(at(260)), Some(60.0));
    assert_eq!(past.figures().open, None);
    assert_eq!(past.figures().succeeded[2], Some(seconds_of(200)));
}

#[test]
fn there_is_one_drill_at_a_time_and_an_id_is_used_once() {
    let mut past = past();
    let first = start(&mut past, "d1", 0).expect("started");
    assert_eq!(
        start(&mut past, "d2", 10),
        Err(DrillRefusal::Open("d1".into()))
    );
    // The answer to the first order may have been lost.
    assert_eq!(start(&mut past, "d1", 10), Ok(first));
    assert!(past.end(DrillState::Aborted, at(20)).is_ok());
    assert_eq!(start(&mut past, "d1", 30), Err(DrillRefusal::Taken));
}

#[test]
fn an_announcement_that_cannot_be_is_refused() {
    let good = DrillStart {
        id: "d".to_owned(),
        group: "shop".to_owned(),
        kind: DrillKind::ReadRoute,
        note: Some("quarterly".to_owned()),
        for_seconds: 1.0,
    };
    let refused = |order: DrillStart| {
        let came = past().start(&order, Objectives::default(), at(0));
        assert!(matches!(came, Err(DrillRefusal::Bad(_))), "{order:?}");
    };
    for id in ["", "a b", "a/b", "\u{1f}", &"x".repeat(65)] {
        refused(DrillStart {
            id: id.to_owned(),
            ..good.clone()
        });
    }
    for note in ["two\nlines", &"x".repeat(257)] {
        refused(DrillStart {
            note: Some(note.to_owned()),
            ..good.clone()
        });
    }
    for for_seconds in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
        refused(DrillStart {
            for_seconds,
            ..good.clone()
        });
    }
    let came = past().start(&good, Objectives::default(), at(0));
    assert!(came.is_ok());
}

#[test]
fn what_happened_outlives_the_daemon_and_the_oldest_is_forgotten() {
    let store = Store::in_memory();
    let mut past = past();
    past.keep_in(&store);
    for nth in 0..KEPT as u64 + 5 {
        past.failed_over(&failover(&nth.to_string(), nth), around());
    }
    assert!(start(&mut past, "d1", 1_000).is_ok());
    assert!(past.end(DrillState::Succeeded, at(1_100)).is_ok());

    let mut later = self::past();
    later.keep_in(&store);
    assert_eq!(later.failovers(), past.failovers());
    assert_eq!(later.failovers().len(), KEPT);
    assert_eq!(later.failovers()[0].id, "5");
    assert_eq!(later.drill_age(at(1_160)), Some(60.0));
    assert!(later.hold("c", HOUR, at(200)).is_some());
    assert_eq!(later.figures().failovers, [[0, 0], [0, 0]], "of this run");
    let mut other = Past::new("other".into(), &[]);
    other.keep_in(&store);
    assert_eq!((other.failovers().len(), other.drills().len()), (0, 0));
}

#[test]
fn a_moment_is_the_same_after_it_was_written_and_read() {
    for nanos in (0..1_000_000_000).step_by(7_654_321) {
        let moment = moment(at(0) + Duration::from_nanos(nanos));
        let text = serde_json::to_string(&moment).expect("written");
        let read: f64 = serde_json::from_str(&text).expect("read");
        assert_eq!(read.to_bits(), moment.to_bits(), "{text}");
    }
}

/// More outages than are remembered may follow one: what was told of it stays.
#[test]
fn the_longest_outage_stays_told_however_many_short_ones_follow() {
    let path = TargetKey(0);
    let mut past = Past::new("shop".into(), &[path]);
    let around = around();
    past.failed_over(&failover("1", 0), around);
    let run = |second: u64, works: bool| {
        let ended = around.from + Duration::from_secs(second);
        let reply = Reply {
            latencies: smallvec::smallvec![],
            facts: Facts::default(),
        };
        let failure = || Failure::new(Reason::TimeoutConnect, "");
        Sample {
            target: path,
            due: ended,
            started: ended,
            ended,
            at: at(second),
            laps: Laps::default(),
            outcome: works.then_some(reply).ok_or_else(failure),
        }
    };
    past.observe(&run(1, false));
    past.observe(&run(100, true));
    assert_eq!(past.failovers()[0].rto_user_seconds, Some(99.0));
    for second in (200..500).step_by(2) {
        past.observe(&run(second, false));
        past.observe(&run(second + 1, true));
    }
    assert_eq!(past.failovers()[0].rto_user_seconds, Some(99.0));
}
