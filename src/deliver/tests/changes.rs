//! Receivers that come, change and go while the daemon runs.

use super::fake::*;
use super::*;
use crate::metrics::{Format, Store as Series, encode};
use crate::notify::RefusalReason;

/// A receiver with these settings.
fn with(name: &str, settings: &str, fake: &Arc<Fake>) -> Receiver {
    Receiver {
        same: Digest::of(&[settings.as_bytes()]),
        ..receiver(name, fake)
    }
}

fn audience(receivers: Vec<Receiver>) -> Audience {
    Audience {
        receivers,
        settings: settings(),
    }
}

fn dropped(outbox: &Outbox, place: usize) -> u64 {
    let figures = outbox.figures();
    let (_, count) = figures[place].dropped[1];
    count
}

fn names(outbox: &Outbox) -> Vec<String> {
    let receivers = outbox.receivers().into_iter();
    receivers.map(|of| of.receiver.to_string()).collect()
}

fn beats(outbox: &Outbox) -> Vec<String> {
    outbox.beats().into_iter().map(|(name, _)| name).collect()
}

fn page(own: &Own) -> String {
    let page = encode(&Series::new(), own, Format::Text, false, Vec::new()).expect("encoded");
    String::from_utf8(page.concat()).expect("UTF-8")
}

fn refuses(_: usize) -> Does {
    Does::Refuse(RefusalReason::Auth, None)
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_stays_goes_on_as_if_nothing_had_changed() {
    let times = async |changes: bool| {
        let (store, book) = book();
        let hours = Fake::new(|before| match before {
            1 => Does::Refuse(RefusalReason::RateLimited, Some(2 * MINUTE)),
            // So long that there is no chance in it.
            n if n % 3 == 0 => Does::Refuse(RefusalReason::Server, Some(20 * SECOND)),
            _ => Does::Take,
        });
        let deliver = deliver(&book, &store, vec![with("ops", "a", &hours)]);
        let (handle, outbox) = (deliver.handle(), deliver.outbox());
        let hours = during(deliver, async {
            for n in 0..120 {
                if n % 10 == 0 {
                    book.put(fires(&format!("group {}", n % 4), n));
                }
                if changes {
                    // Whatever the form that is handed over: it is the same.
                    let (same, other) = (Fake::new(refuses), Fake::new(taken));
                    let mut all = vec![with("ops", "a", &same)];
                    if n % 2 == 0 {
                        all.insert(0, with("other", "b", &other));
                    }
                    handle.change(audience(all)).await;
                    assert_eq!(same.got().len(), 0);
                }
                sleep(10 * SECOND).await;
            }
            hours
        })
        .await;
        let figures = outbox
            .figures()
            .into_iter()
            .find(|of| &*of.receiver == "ops");
        let mut figures = figures.expect("it stays");
        figures.oldest_timestamp_seconds = None;
        (hours.got().len(), figures)
    };
    let (attempts, figures) = times(false).await;
    assert!(attempts > 10, "{attempts}");
    assert_eq!(times(true).await, (attempts, figures));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_with_other_settings_is_told_at_once_what_the_former_refused() {
    let (store, book) = book();
    let (former, now) = (Fake::new(refuses), Fake::new(taken));
    let deliver = deliver(&book, &store, vec![with("ops", "a", &former)]);
    let (handle, outbox) = (deliver.handle(), deliver.outbox());
    book.put(fires("a", 0));
    during(deliver, async {
        sleep(MINUTE).await;
        assert_eq!(former.got().len(), 1);
        assert!(outbox.figures()[0].rejecting);
        handle.change(audience(vec![with("ops", "b", &now)])).await;
        sleep(SECOND).await;
        assert_eq!(now.got().len(), 1);
        sleep(10 * MINUTE).await;
    })
    .await;
    assert_eq!((former.got().len(), now.got().len()), (1, 1));
    assert_eq!(former.got()[0].1, now.got()[0].1, "under the same id");
    let figures = &outbox.figures()[0];
    assert_eq!((figures.attempts, figures.rejecting), (2, false));
    assert!(figures.failures.contains(&("auth", 1)));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_under_way_comes_to_its_end_as_it_began() {
    let (store, book) = book();
    let (hangs, now) = (Fake::new(|_| Does::Hang), Fake::new(taken));
    let deliver = deliver(&book, &store, vec![with("ops", "a", &hangs)]);
    let (handle, outbox) = (deliver.handle(), deliver.outbox());
    book.put(fires("a", 0));
    during(deliver, async {
        while hangs.got().is_empty() {
            sleep(SECOND / 10).await;
        }
        let begun = Instant::now();
        handle.change(audience(vec![with("ops", "b", &now)])).await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "nobody waits for it");
        // What is of another group does not wait for it either.
        book.put(fires("b", 1));
        sleep(9 * SECOND).await;
        assert_eq!(now.got().len(), 0);
        sleep(2 * SECOND).await;
        // Neither waits: not for the pause after a failure, nor for the receiver that was.
        assert_eq!(now.got().len(), 2);
        sleep(10 * MINUTE).await;
    })
    .await;
    assert_eq!((hangs.got().len(), now.got().len()), (1, 2));
    let again = now
        .got()
        .into_iter()
        .find(|(_, told)| told.id == hangs.got()[0].1.id);
    assert_eq!(again.map(|(_, told)| told), Some(hangs.got()[0].1.clone()));
    let status = &outbox.receivers()[0];
    assert_eq!((status.deliveries, status.last_error.as_ref()), (0, None));
    let figures = &outbox.figures()[0];
    assert_eq!(figures.attempts, 3);
    assert!(figures.failures.contains(&("timeout", 1)));
}

#[tokio::test(start_paused = true)]
async fn what_a_former_form_answers_does_not_hold_up_the_one_that_is_there() {
    let (store, book) = book();
    let slow =
        Fake::new(|_| Does::RefuseLate(5 * SECOND, RefusalReason::RateLimited, Some(5 * MINUTE)));
    let now = Fake::new(taken);
    let deliver = deliver(&book, &store, vec![with("ops", "a", &slow)]);
    let (handle, outbox) = (deliver.handle(), deliver.outbox());
    book.put(fires("a", 0));
    during(deliver, async {
        while slow.got().is_empty() {
            sleep(SECOND / 10).await;
        }
        handle.change(audience(vec![with("ops", "b", &now)])).await;
        sleep(6 * SECOND).await;
        assert_eq!(now.got().len(), 1);
    })
    .await;
    assert_eq!(outbox.receivers()[0].last_error, None);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_new_is_told_of_what_fires_and_one_that_is_gone_of_nothing() {
    let (store, book) = book();
    let (gone, stays, new) = (Fake::new(taken), Fake::new(taken), Fake::new(taken));
    let own = own();
    let first = audience(vec![with("gone", "a", &gone), with("stays", "a", &stays)]);
    let deliver = Deliver::new(&book, &store, first, &own);
    let (handle, outbox) = (deliver.handle(), deliver.outbox());
    book.put(fires("a", 0));
    during(deliver, async {
        sleep(MINUTE).await;
        let next = vec![with("new", "a", &new), with("stays", "a", &stays)];
        handle.change(audience(next)).await;
        assert_eq!(names(&outbox), ["new", "stays"], "nothing was on its way");
        let told = ["delivery", "delivery to new", "delivery to stays"];
        assert_eq!(beats(&outbox), told);
        sleep(11 * SECOND).await;
        assert_eq!(new.got().len(), 1);
        book.put(fires("b", 1));
        for _ in 0..60 {
            sleep(SECOND).await;
            for (name, beat) in outbox.beats() {
                let silence = beat.silence(Instant::now().into_std());
                assert!(silence < 2 * SECOND, "{name}: {silence:?}");
            }
        }
    })
    .await;
    let told = [gone, stays, new].map(|fake| fake.got().len());
    assert_eq!(told, [1, 2, 2]);
    let of_gone = store.entries::<Kept>().entries;
    assert!(of_gone.iter().all(|kept| &*kept.receiver != "gone"));
    let page = page(&own);
    assert!(!page.contains(r#"receiver="gone""#), "{page}");
    assert!(page.contains(r#"notification_duration_seconds_count{receiver="new"}"#));
}

#[tokio::test(start_paused = true)]
async fn what_was_on_its_way_to_one_that_goes_is_counted_and_shown_until_the_next_change() {
    let (store, book) = book();
    let (dead, again) = (Fake::new(|_| Does::Hang), Fake::new(taken));
    let deliver = deliver(&book, &store, vec![with("dead", "a", &dead)]);
    let (handle, outbox) = (deliver.handle(), deliver.outbox());
    book.put(fires("a", 0));
    book.put(fires("b", 1));
    during(deliver, async {
        sleep(20 * MINUTE).await;
        handle.change(audience(Vec::new())).await;
        assert_eq!(
            (names(&outbox), beats(&outbox).len()),
            (vec!["dead".to_owned()], 1)
        );
        assert_eq!(dropped(&outbox, 0), 2);
        let status = &outbox.receivers()[0];
        assert_eq!((status.deliveries, status.undelivered.len()), (0, 0));
        assert!(store.entries::<Kept>().entries.is_empty());
        let attempts = dead.got().len();
        sleep(10 * MINUTE).await;
        assert_eq!(dead.got().len(), attempts, "nobody tells it");
        // It begins anew, as one that never was.
        handle
            .change(audience(vec![with("dead", "a", &again)]))
            .await;
        assert_eq!((names(&outbox).len(), dropped(&outbox, 0)), (1, 0));
        sleep(MINUTE).await;
        assert_eq!(again.got().len(), 2);
        handle.change(audience(Vec::new())).await;
        assert_eq!(names(&outbox), [""; 0]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn settings_of_all_change_for_what_waits_already() {
    let (store, book) = book();
    let fake = Fake::new(taken);
    let deliver = deliver(&book, &store, vec![with("ops", "a", &fake)]);
    let handle = deliver.handle();
    let mut changed = audience(vec![with("ops", "a", &fake)]);
    changed.settings.group_wait = 30 * SECOND;
    changed.settings.group_interval = 2 * MINUTE;
    changed.settings.external_url = Some("http://here".into());
    during(deliver, async {
        sleep(SECOND).await;
        book.put(fires("a", 0));
        sleep(5 * SECOND).await;
        handle.change(changed).await;
        sleep(MINUTE).await;
        book.put(fires("a", 1));
        sleep(2 * MINUTE).await;
    })
    .await;
    let got = fake.got();
    let at: Vec<_> = got.iter().map(|(at, _)| at.as_secs()).collect();
    assert_eq!(at, [31, 151]);
    assert!(got.iter().all(|(_, told)| told.external_url.is_some()));
}

#[tokio::test(start_paused = true)]
async fn what_is_over_waits_for_a_receiver_that_is_new() {
    let (store, book) = book();
    let (ops, late) = (Fake::new(taken), Fake::new(refuses));
    let deliver = deliver(&book, &store, vec![with("ops", "a", &ops)]);
    let handle = deliver.handle();
    let both = || vec![with("ops", "a", &ops), with("late", "a", &late)];
    during(deliver, async {
        book.put(alert("a", 0, AlertState::Resolved, wall()));
        sleep(10 * MINUTE).await;
        handle.change(audience(both())).await;
        sleep(10 * MINUTE).await;
        assert_eq!(book.all().len(), 1, "it is owed to one");
        handle.change(audience(vec![with("ops", "a", &ops)])).await;
        sleep(MINUTE).await;
        assert_eq!(book.all(), [], "and now to nobody");
    })
    .await;
    assert_eq!(ops.got().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_changes_leave_nothing_behind() {
    let (store, book) = book();
    let (stays, dead) = (Fake::new(taken), Fake::new(|_| Does::Hang));
    let own = own();
    let first = audience(vec![with("stays", "a", &stays)]);
    let deliver = Deliver::new(&book, &store, first, &own);
    let (handle, outbox) = (deliver.handle(), deliver.outbox());
    book.put(fires("a", 0));
    let lines = page(&own).lines().count();
    during(deliver, async {
        sleep(MINUTE).await;
        for n in 0..1_000 {
            let all = [format!("one {n}"), format!("other {n}")];
            let mut all: Vec<_> = all.iter().map(|name| with(name, "a", &dead)).collect();
            all.push(with("stays", "a", &stays));
            handle.change(audience(all)).await;
            sleep(15 * SECOND).await;
            // Those of now, and those of whom something was given up.
            assert_eq!(
                (names(&outbox).len(), beats(&outbox).len()),
                (if n == 0 { 3 } else { 5 }, 4)
            );
        }
        let first = || audience(vec![with("stays", "a", &stays)]);
        handle.change(first()).await;
        handle.change(first()).await;
    })
    .await;
    assert_eq!(names(&outbox), ["stays"]);
    assert_eq!(store.entries::<Kept>().entries.len(), 1);
    assert_eq!(Arc::strong_count(&dead), 1, "no task of them is left");
    assert_eq!(page(&own).lines().count(), lines);
}

#[tokio::test(start_paused = true)]
async fn a_change_at_the_end_keeps_nobody_waiting() {
    let (store, book) = book();
    let fake = Fake::new(|_| Does::Hang);
    let deliver = deliver(&book, &store, vec![with("ops", "a", &fake)]);
    let handle = deliver.handle();
    book.put(fires("a", 0));
    let ending = deliver.run(sleep(MINUTE));
    let change = async {
        sleep(MINUTE + SECOND).await;
        let begun = Instant::now();
        handle.change(audience(Vec::new())).await;
        begun.elapsed()
    };
    let ((), waited) = tokio::join!(ending, change);
    assert_eq!(waited, Duration::ZERO);
    assert_eq!(
        store.entries::<Kept>().entries.len(),
        1,
        "it is for the next run"
    );
}
