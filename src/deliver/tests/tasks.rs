//! What becomes of alerts and receivers, by a clock that stands still.

use std::collections::BTreeSet;

use super::fake::*;
use super::*;
use crate::notify::RefusalReason;
use crate::store::test_disk::TestDisk;

#[tokio::test(start_paused = true)]
async fn a_receiver_that_hangs_delays_no_other_and_no_sign_of_life() {
    let (store, book) = book();
    let (dead, alive) = (Fake::new(|_| Does::Hang), Fake::new(taken));
    let receivers = vec![receiver("dead", &dead), receiver("alive", &alive)];
    let deliver = deliver(&book, &store, receivers);
    let outbox = deliver.outbox();
    let beats = outbox.beats();
    assert_eq!(beats.len(), 3);
    during(deliver, async {
        sleep(3 * SECOND).await;
        for n in 0..6 {
            book.put(fires(&format!("group {n}"), n));
        }
        for _ in 0..60 {
            sleep(SECOND).await;
            for (name, beat) in &beats {
                let silence = beat.silence(Instant::now().into_std());
                assert!(silence < 2 * SECOND, "{name}: {silence:?}");
            }
        }
    })
    .await;
    let times = alive.times();
    assert_eq!(times.len(), 6);
    assert!(
        times.iter().all(|at| *at < 13 * SECOND + SECOND / 2),
        "{times:?}"
    );
    let times = dead.times();
    // Four at once, for ten seconds each.
    assert!(
        times[3] < 14 * SECOND && times[4] > 22 * SECOND,
        "{times:?}"
    );
    let groups: BTreeSet<_> = dead.got().iter().map(|(_, n)| n.group_key()).collect();
    assert_eq!(groups.len(), 6, "all of them have their turn");
    let status = outbox.receivers();
    assert_eq!((status[0].deliveries, status[0].undelivered.len()), (6, 6));
    assert_eq!((status[1].deliveries, status[1].undelivered.len()), (0, 0));
    let error = status[0].last_error.as_deref();
    assert_eq!(error, Some("timeout: no answer within 10 s"));
    let figures = outbox.figures();
    assert_eq!(
        (figures[1].attempts, figures[1].oldest_timestamp_seconds),
        (6, None)
    );
    assert!(
        figures[0]
            .failures
            .iter()
            .any(|(reason, n)| *reason == "timeout" && *n > 4)
    );
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_asks_to_wait_is_left_alone_for_so_long_and_gets_the_same_again() {
    let (store, book) = book();
    let fake = Fake::new(|before| match before {
        0 => Does::Refuse(RefusalReason::RateLimited, Some(2 * MINUTE)),
        _ => Does::Take,
    });
    book.put(fires("a", 0));
    let deliver = deliver(&book, &store, vec![receiver("busy", &fake)]);
    during(deliver, async {
        sleep(30 * SECOND).await;
        // Another lane does not come either.
        book.put(fires("b", 1));
        sleep(10 * MINUTE).await;
    })
    .await;
    let got = fake.got();
    assert_eq!(got.len(), 3);
    assert!(got[1].0 >= got[0].0 + 2 * MINUTE && got[1].0 < got[0].0 + 2 * MINUTE + SECOND);
    let told = |id: usize| got.iter().filter(|(_, n)| n.id == got[id].1.id).count();
    assert_eq!(told(0), 2, "{got:?}");
    let again: Vec<_> = got.iter().filter(|(_, n)| n.id == got[0].1.id).collect();
    assert_eq!(again[0].1, again[1].1);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_rejects_is_asked_every_five_minutes_and_said_to_reject() {
    let (store, book) = book();
    let fake = Fake::new(|before| match before {
        0..3 => Does::Refuse(RefusalReason::Auth, None),
        _ => Does::Take,
    });
    book.put(fires("a", 0));
    let deliver = deliver(&book, &store, vec![receiver("closed", &fake)]);
    let outbox = deliver.outbox();
    during(deliver, async {
        sleep(14 * MINUTE).await;
        assert!(outbox.figures()[0].rejecting);
        sleep(2 * MINUTE).await;
    })
    .await;
    assert!(!outbox.figures()[0].rejecting);
    assert_eq!(outbox.receivers()[0].last_error, None);
    let times = fake.times();
    assert_eq!(times.len(), 4);
    for pair in times.windows(2) {
        let pause = pair[1].checked_sub(pair[0]).expect("in order");
        assert!(
            pause >= 5 * MINUTE && pause < 5 * MINUTE + SECOND,
            "{pause:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_is_given_up_counted_and_tried_ever_more_seldom() {
    let (store, book) = book();
    let fake = Fake::new(|_| Does::Refuse(RefusalReason::Server, None));
    book.put(fires("a", 0));
    let receivers = vec![receiver("broken", &fake)];
    let settings = Settings {
        max_age: 60 * MINUTE,
        ..settings()
    };
    let audience = Audience {
        receivers,
        settings,
    };
    let deliver = Deliver::new(&book, &store, audience, &own());
    let outbox = deliver.outbox();
    during(deliver, async {
        sleep(30 * MINUTE).await;
        let status = &outbox.receivers()[0];
        assert!(status.oldest_timestamp_seconds.is_some() && status.deliveries == 1);
        sleep(35 * MINUTE).await;
        let status = &outbox.receivers()[0];
        assert_eq!((status.deliveries, status.undelivered.len()), (0, 0));
    })
    .await;
    let figures = &outbox.figures()[0];
    assert_eq!(
        figures.dropped,
        [("age", 1), ("operator", 0), ("size", 0), ("lost", 0)]
    );
    let attempts = fake.got().len();
    assert!((60..=130).contains(&attempts), "{attempts}");
    let ids: BTreeSet<_> = fake.got().into_iter().map(|(_, n)| n.id).collect();
    assert_eq!(ids.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_storm_is_one_message_for_each_receiver_and_group() {
    let (store, book) = book();
    let fakes = [Fake::new(taken), Fake::new(taken)];
    let receivers = vec![receiver("one", &fakes[0]), receiver("other", &fakes[1])];
    let deliver = deliver(&book, &store, receivers);
    let outbox = deliver.outbox();
    let start = wall();
    let of = |n: usize, state| alert(["a", "b"][n % 2], n, state, start);
    during(deliver, async {
        sleep(3 * SECOND).await;
        for n in 0..10_000 {
            book.put(of(n, AlertState::Firing));
            if n % 500 == 0 {
                sleep(SECOND / 4).await;
            }
        }
        sleep(MINUTE).await;
        for n in 0..10_000 {
            book.put(of(n, AlertState::Resolved));
        }
        sleep(6 * MINUTE).await;
    })
    .await;
    for fake in fakes {
        let got = fake.got();
        assert_eq!(
            got.len(),
            4,
            "both groups: that they fire, and that they are over"
        );
        for (at, told) in got {
            assert_eq!((told.alerts.len(), told.truncated), (100, 4_900), "{at:?}");
            let fires = told.firing().count();
            assert_eq!(fires, if at < MINUTE { 100 } else { 0 });
            assert_eq!(told.firing, at < MINUTE);
        }
    }
    assert_eq!(outbox.receivers()[0].undelivered, []);
    assert_eq!(outbox.figures()[0].not_kept, 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_one_attempt_that_failed() {
    let (store, book) = book();
    let fake = Fake::new(|before| if before == 0 { Does::Panic } else { Does::Take });
    book.put(fires("a", 0));
    let deliver = deliver(&book, &store, vec![receiver("bad", &fake)]);
    let outbox = deliver.outbox();
    during(deliver, sleep(MINUTE)).await;
    assert_eq!(fake.got().len(), 2);
    let failures = &outbox.figures()[0].failures;
    assert!(failures.contains(&("local", 1)), "{failures:?}");
}

#[tokio::test(start_paused = true)]
async fn at_the_end_what_waits_for_its_group_is_told_and_nobody_is_waited_for_long() {
    let (store, book) = book();
    let (dead, alive) = (Fake::new(|_| Does::Hang), Fake::new(taken));
    let receivers = vec![receiver("dead", &dead), receiver("alive", &alive)];
    let first = deliver(&book, &store, receivers);
    let begun = Instant::now();
    first
        .run(async {
            sleep(3 * SECOND).await;
            book.put(fires("a", 0));
            sleep(SECOND).await;
        })
        .await;
    assert_eq!((dead.got().len(), alive.got().len()), (1, 1));
    assert!(alive.times()[0] < 5 * SECOND);
    let took = begun.elapsed();
    assert!(took >= 9 * SECOND && took < 10 * SECOND, "{took:?}");
    // The next run tells the one that did not hear it, and not the other.
    let (again, other) = (Fake::new(taken), Fake::new(taken));
    let receivers = vec![receiver("dead", &again), receiver("alive", &other)];
    let next = deliver(&Alerts::kept_in(&store), &store, receivers);
    during(next, sleep(MINUTE)).await;
    assert_eq!(again.got()[0].1, dead.got()[0].1);
    assert_eq!((again.got().len(), other.got().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_forgotten_once_everybody_knows_and_not_at_once() {
    let (store, book) = book();
    let fake = Fake::new(|before| match before {
        0..40 => Does::Refuse(RefusalReason::Server, None),
        _ => Does::Take,
    });
    let told = deliver(&book, &store, vec![receiver("slow", &fake)]);
    let over = |n| alert("a", n, AlertState::Resolved, wall());
    during(told, async {
        book.put(over(0));
        sleep(20 * MINUTE).await;
        assert_eq!(book.all().len(), 1, "it is owed");
        sleep(60 * MINUTE).await;
        assert_eq!(book.all(), []);
    })
    .await;
    assert!(store.entries::<Kept>().entries.is_empty());
    let alone = deliver(&book, &store, Vec::new());
    during(alone, async {
        book.put(over(1));
        sleep(14 * MINUTE).await;
        assert_eq!(book.all().len(), 1);
        sleep(2 * MINUTE).await;
        assert_eq!(book.all(), []);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_on_its_way_to_a_receiver_that_is_gone_is_counted() {
    let (store, book) = book();
    book.put(fires("a", 0));
    let fake = Fake::new(|_| Does::Hang);
    let first = deliver(&book, &store, vec![receiver("gone", &fake)]);
    during(first, sleep(MINUTE)).await;
    assert_eq!(store.entries::<Kept>().entries.len(), 1);
    let next = deliver(&book, &store, Vec::new());
    let figures = next.outbox().figures();
    assert_eq!(&*figures[0].receiver, "gone");
    assert!(figures[0].dropped.contains(&("operator", 1)));
    assert!(store.entries::<Kept>().entries.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_does_not_answer_holds_nothing_up_for_long() {
    let disk = TestDisk::new();
    let book = Alerts::kept_in(&disk.store);
    book.put(fires("a", 0));
    let fake = Fake::new(taken);
    let deliver = deliver(&book, &disk.store, vec![receiver("ops", &fake)]);
    during(deliver, sleep(MINUTE)).await;
    let times = fake.times();
    assert_eq!(times.len(), 1);
    assert!(
        times[0] > 11 * SECOND && times[0] < 13 * SECOND,
        "{times:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn news_wait_for_each_other_and_what_lasts_is_repeated() {
    let (store, book) = book();
    let fake = Fake::new(taken);
    let deliver = deliver(&book, &store, vec![receiver("ops", &fake)]);
    let first = fires("a", 0);
    during(deliver, async {
        sleep(10 * SECOND).await;
        book.put(first.clone());
        sleep(MINUTE).await;
        book.put(fires("a", 1));
        sleep(MINUTE).await;
        let start = first.start_timestamp_seconds.expect("it fires");
        book.put(alert("a", 0, AlertState::Resolved, start));
        sleep(5 * 60 * MINUTE).await;
    })
    .await;
    let got = fake.got();
    let said = |n: usize| {
        let told = &got[n].1;
        (
            got[n].0.as_secs(),
            told.firing().count(),
            told.resolved().count(),
        )
    };
    assert_eq!([said(0), said(1)], [(20, 1, 0), (320, 1, 1)]);
    assert_eq!(said(2), (320 + 4 * 3_600, 1, 0));
    assert_eq!(got.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_worse_than_all_that_is_known_does_not_wait_for_the_interval() {
    let (store, book) = book();
    let fake = Fake::new(taken);
    let severe = |n: usize, severity: &str| {
        let mut alert = fires("shop", n);
        alert.labels.insert("severity".into(), severity.into());
        book.put(alert);
    };
    let told = |count: usize| {
        let got = fake.got();
        assert_eq!(got.len(), count, "{got:#?}");
        got.last().map_or(0, |(_, told)| told.alerts.len())
    };
    during(
        deliver(&book, &store, vec![receiver("ops", &fake)]),
        async {
            severe(0, "warning");
            sleep(15 * SECOND).await;
            assert_eq!(told(1), 1);
            severe(1, "critical");
            sleep(9 * SECOND).await;
            told(1);
            // The wait for what comes with it, and not five minutes.
            sleep(2 * SECOND).await;
            assert_eq!(told(2), 2);
            // As bad as what they know: it waits its turn.
            severe(2, "critical");
            sleep(4 * MINUTE).await;
            told(2);
            sleep(MINUTE).await;
            assert_eq!(told(3), 3);
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_muted_while_its_group_was_told_to_be_well_is_told_again_after_the_mute() {
    let (store, book) = book();
    let fake = Fake::new(taken);
    let (lasts, ends) = (fires("shop", 0), fires("shop", 1));
    let mute = |is: bool| {
        let mute = is.then(|| crate::model::Mute::Silence("s".into()));
        book.mute(lasts.fingerprint(), mute);
    };
    let told = |count: usize| {
        let got = fake.got();
        assert_eq!(got.len(), count, "{got:#?}");
        got[count - 1].1.clone()
    };
    during(
        deliver(&book, &store, vec![receiver("ops", &fake)]),
        async {
            book.put(lasts.clone());
            book.put(ends.clone());
            sleep(MINUTE).await;
            assert_eq!(told(1).firing().count(), 2);
            mute(true);
            let start = ends.start_timestamp_seconds.expect("it fires");
            book.put(alert("shop", 1, AlertState::Resolved, start));
            sleep(6 * MINUTE).await;
            // To who has one incident for the group, that is the end of it.
            assert!(!told(2).firing);
            mute(false);
            sleep(6 * MINUTE).await;
            assert_eq!(told(3).firing().count(), 1);
            sleep(MINUTE).await;
            told(3);
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_muted_while_it_is_on_its_way_is_told_no_more_but_for_its_end() {
    let (store, book) = book();
    let fake = Fake::new(|before| match before {
        0..3 => Does::Refuse(RefusalReason::Server, None),
        _ => Does::Take,
    });
    let deliver = deliver(&book, &store, vec![receiver("ops", &fake)]);
    let outbox = deliver.outbox();
    let fires = fires("shop", 0);
    during(deliver, async {
        book.put(fires.clone());
        while fake.got().len() < 2 {
            sleep(SECOND / 10).await;
        }
        let mute = Some(crate::model::Mute::Silence("s".into()));
        book.mute(fires.fingerprint(), mute.clone());
        sleep(10 * MINUTE).await;
        assert_eq!(fake.got().len(), 2, "nobody is told that it fires");
        assert_eq!(outbox.receivers()[0].deliveries, 0);
        // An answer may have been lost: perhaps they know.
        let start = fires.start_timestamp_seconds.expect("it fires");
        let mut over = alert("shop", 0, AlertState::Resolved, start);
        over.muted = mute;
        book.put(over);
        sleep(10 * MINUTE).await;
    })
    .await;
    let got = fake.got();
    let last = &got.last().expect("told").1;
    assert_eq!((last.firing().count(), last.resolved().count()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_message_has_room_for_what_is_new_first() {
    let (store, book) = book();
    let fake = Fake::new(taken);
    let deliver = deliver(&book, &store, vec![receiver("ops", &fake)]);
    let outbox = deliver.outbox();
    let start = wall();
    let long = |n: usize, length: usize| {
        let mut alert = alert("a", n, AlertState::Firing, start);
        let text = "x".repeat(length);
        alert.annotations.insert("text".into(), text.into());
        alert
    };
    during(deliver, async {
        book.put(long(0, message::MAX_BYTES));
        for n in 1..=30 {
            book.put(long(n, 20_000));
        }
        sleep(MINUTE).await;
        book.put(alert("a", 1, AlertState::Resolved, start));
        sleep(10 * MINUTE).await;
    })
    .await;
    let got = fake.got();
    assert_eq!(got.len(), 2);
    assert_eq!((got[0].1.alerts.len(), got[0].1.truncated), (12, 19));
    assert_eq!(got[1].1.resolved().count(), 1);
    assert_eq!(got[1].1.alerts.len() + got[1].1.truncated, 31);
    assert!(
        outbox.figures()[0].dropped.contains(&("size", 2)),
        "once a message"
    );
}
