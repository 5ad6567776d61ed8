//! Series that take the place of others, as at a reload.
#![expect(
    clippy::float_cmp,
    reason = "what is written must read back as exactly the same"
)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use hotspare::metrics::{Buckets, Exposition, Format, Own, Refresh, Store, Terms, encode};
use hotspare::model::{Facts, ReceiverFigures, TargetKey};
use proptest::prelude::*;

use crate::page::{FULL, Parsed, filled, member, parse, reply, run, set, standby, target};

fn own() -> Own {
    filled().1
}

fn page(store: &Store) -> Parsed {
    let parts = encode(store, &own(), Format::OpenMetrics, false, Vec::new());
    let text = String::from_utf8(parts.expect("encoded").concat()).expect("UTF-8");
    parse(&text, Format::OpenMetrics)
}

/// Adds a target under a key.
fn add(store: &Store, key: TargetKey, name: &str) -> Result<(), String> {
    let buckets = Arc::new(Buckets::new(&[1.0]).expect("valid"));
    let terms = Terms {
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        objective: None,
    };
    let target = target("p", "tcp", name);
    store.insert(key, &target, &FULL, Arc::clone(&buckets), buckets, terms)
}

/// A store of these targets: their keys and names.
fn store(targets: &[(TargetKey, &str)]) -> Store {
    let store = Store::new();
    for (key, name) in targets {
        add(&store, *key, name).expect("inserted");
    }
    store
}

fn answers(store: &Store, key: TargetKey) -> bool {
    store.observe_sample(&run(key, 1, reply(&[1], Facts::default())))
}

/// The targets on the page, in its order, and how often each was attempted.
fn attempts(page: &Parsed) -> Vec<(String, f64)> {
    let samples = &page.0["hotspare_probe_attempts"].samples;
    let samples = samples.iter();
    samples
        .map(|(_, labels, value)| (labels["target"].clone(), *value))
        .collect()
}

#[test]
fn who_stays_goes_on_who_changed_begins_anew_and_who_is_gone_vanishes() {
    let [stays, gone, former, other, new] = [3, 9, 4, 17, 20].map(TargetKey);
    let store = store(&[(stays, "stays"), (gone, "gone"), (former, "changes")]);
    for key in [stays, gone, former] {
        assert!(answers(&store, key) && answers(&store, key));
    }
    let fresh = [(new, "new"), (other, "changes"), (stays, "stays")];
    store.change().succeed(self::store(&fresh));
    assert_eq!(store.targets(), 3);
    assert!(answers(&store, stays) && answers(&store, other));
    // Of runs that were under way.
    assert!(!answers(&store, gone) && !answers(&store, former));
    let page = page(&store);
    let expected = [("new", 0.0), ("changes", 1.0), ("stays", 3.0)];
    let expected = expected.map(|(name, attempts)| (name.to_owned(), attempts));
    assert_eq!(attempts(&page), expected);
    let up = |name| page.one("hotspare_probe_up", &[("target", name)]);
    assert_eq!((up("stays"), up("changes")), (1.0, 1.0));
    assert!(up("new").is_nan());
}

#[test]
fn labels_and_keys_of_those_that_are_gone_are_free_and_the_others_are_not() {
    let [a, b, c] = [0, 1, 2].map(TargetKey);
    let store = store(&[(a, "a"), (b, "b")]);
    store.change().succeed(self::store(&[(a, "a")]));
    let twice = add(&store, c, "a").expect_err("twice");
    assert!(twice.contains("p/a is there twice"), "{twice}");
    let twice = add(&store, a, "c").expect_err("twice");
    assert_eq!(twice, "p/c has the key of another target");
    // What was refused took no place.
    assert_eq!(add(&store, b, "c"), Ok(()));
    assert_eq!(add(&store, c, "b"), Ok(()));
    assert_eq!(store.targets(), 3);
}

#[test]
fn a_pair_goes_on_counting_canaries_at_its_new_place_if_it_is_of_the_same_engine() {
    let sets = |kinds: &[&'static str]| {
        let store = Store::new();
        let keys = kinds.iter().map(|kind| {
            let mut set = set(kind, true);
            set.probe = if kinds.len() > 1 { *kind } else { "redis" }.into();
            let key = store.insert_set(&set).expect("inserted");
            (key, store.insert_pair(key, "us-east").expect("inserted"))
        });
        let keys: Vec<_> = keys.collect();
        (store, keys)
    };
    let count = "hotspare_canary_visibility_seconds_count";
    let (store, keys) = sets(&["redis", "mysql"]);
    for (_, pair) in &keys {
        assert!(store.visible(*pair, Duration::from_millis(4)));
    }
    let (fresh, keys) = sets(&["postgres", "redis"]);
    store.change().succeed(fresh);
    assert!(store.visible(keys[1].1, Duration::from_millis(4)));
    let of = |probe| page(&store).one(count, &[("probe", probe)]);
    assert_eq!((of("postgres"), of("redis")), (0.0, 2.0));
    assert_eq!(page(&store).find(count, &[]).len(), 2);
    // Another database under the old name.
    store.change().succeed(sets(&["mysql"]).0);
    assert_eq!(of("redis"), 0.0);
}

#[test]
fn members_standbys_and_groups_are_those_of_the_new_configuration() {
    let of = |group: &str| {
        let store = Store::new();
        let (mut member, mut standby) = (member(), standby());
        member.group = group.into();
        standby.group = group.into();
        store.insert_member(&member).expect("inserted");
        store.insert_standby(&standby).expect("inserted");
        store.insert_group(group, "eu-west").expect("inserted");
        store
    };
    let store = of("old");
    store.change().succeed(of("new"));
    let page = page(&store);
    for family in [
        "hotspare_group_member",
        "hotspare_failover_ready",
        "hotspare_failover_last_timestamp_seconds",
    ] {
        let groups = page.0[family].samples.iter();
        let groups: Vec<_> = groups.map(|(_, labels, _)| &*labels["group"]).collect();
        assert_eq!(groups, ["new"], "{family}");
    }
}

#[test]
fn alertmanagers_that_stay_keep_their_figures_and_a_succession_is_nothing_to_them() {
    let store = Store::new();
    let set = |all: &[(&str, &str)]| store.change().set_alertmanagers(all);
    let former = set(&[("am", "http://a"), ("am", "http://b")]).expect("set");
    former[0].sent(1);
    former[1].sent(2);
    let twice = set(&[("am", "http://c"), ("am", "http://c")]).expect_err("twice");
    assert_eq!(twice, "am has http://c twice");
    let now = set(&[("ops", "http://a"), ("am", "http://b")]).expect("set");
    assert!(Arc::ptr_eq(&now[1], &former[1]));
    store.change().succeed(Store::new());
    let page = page(&store);
    let found = |labels| page.find("hotspare_alertmanager_alerts_sent_total", labels);
    assert_eq!(found(&[("receiver", "am")]), [2.0]);
    assert_eq!(found(&[("receiver", "ops")]), [0.0]);
}

#[test]
fn receivers_are_those_that_were_set_last() {
    let store = Store::new();
    let of = |names: &[(&str, u64)]| {
        let figures = names.iter().map(|(name, attempts)| ReceiverFigures {
            receiver: (*name).into(),
            attempts: *attempts,
            ..ReceiverFigures::default()
        });
        figures.collect::<Vec<_>>()
    };
    let set = |names| store.change().set_receivers(of(names));
    set(&[("a", 1), ("b", 2)]).expect("set");
    let twice = set(&[("c", 1), ("c", 1)]).expect_err("twice");
    assert_eq!(twice, r#"the receiver {receiver="c"} is there twice"#);
    // One that has no series yet, and another order.
    store.notified(of(&[("c", 7), ("b", 3)]));
    let attempts = |name| page(&store).find("hotspare_notifications_total", &[("receiver", name)]);
    assert_eq!(
        ["a", "b", "c"].map(attempts),
        [vec![1.0], vec![3.0], vec![]]
    );
    set(&[("c", 7), ("a", 1)]).expect("set");
    assert_eq!(
        ["a", "b", "c"].map(attempts),
        [vec![1.0], vec![], vec![7.0]]
    );
}

fn exposition(store: &Arc<Store>, refresh: Refresh) -> Arc<Exposition> {
    let (store, own) = (Arc::clone(store), Arc::new(own()));
    Arc::new(Exposition::new(
        store,
        own,
        refresh,
        Duration::from_hours(1),
    ))
}

async fn names(exposition: &Arc<Exposition>) -> Vec<String> {
    let page = exposition.page(Format::OpenMetrics, false).await;
    let text = String::from_utf8(page.expect("made").parts.concat()).expect("UTF-8");
    let attempts = attempts(&parse(&text, Format::OpenMetrics));
    attempts.into_iter().map(|(name, _)| name).collect()
}

#[tokio::test]
async fn a_page_of_targets_that_changed_since_is_not_handed_out() {
    let store = Arc::new(store(&[(TargetKey(0), "old")]));
    let exposition = exposition(&store, Box::new(|_| ()));
    assert_eq!(names(&exposition).await, ["old"]);
    let fresh = self::store(&[(TargetKey(1), "new")]);
    store.change().succeed(fresh);
    assert_eq!(names(&exposition).await, ["new"]);
}

#[tokio::test]
async fn a_succession_waits_for_the_page_that_is_being_made() {
    let store = Arc::new(store(&[(TargetKey(0), "old")]));
    let (tell, told) = mpsc::channel();
    let (changed, told) = (Arc::clone(&store), std::sync::Mutex::new(told));
    let first = AtomicBool::new(true);
    let refresh = Box::new(move |_: &Own| {
        if !first.swap(false, Ordering::SeqCst) {
            return;
        }
        let (store, tell) = (Arc::clone(&changed), tell.clone());
        std::thread::spawn(move || {
            let fresh = self::store(&[(TargetKey(1), "new")]);
            store.change().succeed(fresh);
            tell.send(()).expect("the test waits");
        });
        // It cannot have been now, however long this takes.
        let told = told.lock().expect("no panic");
        let early = told.recv_timeout(Duration::from_millis(200));
        assert!(early.is_err(), "changed in the middle of a page");
    });
    let exposition = exposition(&store, refresh);
    assert_eq!(names(&exposition).await, ["old"]);
    drop(store.page());
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    while store.generation() == 0 {
        assert!(tokio::time::Instant::now() < deadline, "never changed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(names(&exposition).await, ["new"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_configurations_come_every_key_has_what_was_counted_since_it_came(
        // Which of eight targets there are, which have changed, and which are observed.
        generations in prop::collection::vec(any::<[[bool; 8]; 3]>(), 1..12),
    ) {
        let store = Store::new();
        let mut keys = (0..).map(TargetKey);
        let mut now: [Option<TargetKey>; 8] = [None; 8];
        let mut all = Vec::new();
        let mut expected: HashMap<TargetKey, f64> = HashMap::new();
        for [there, changed, observed] in generations {
            for at in 0..8 {
                now[at] = now[at].filter(|_| there[at] && !changed[at]);
                if there[at] && now[at].is_none() {
                    now[at] = keys.next();
                    all.extend(now[at]);
                }
            }
            let fresh = Store::new();
            // In another order each time.
            for at in (0..8).rev().filter(|at| observed[*at]).chain((0..8).filter(|at| !observed[*at])) {
                if let Some(key) = now[at] {
                    add(&fresh, key, &format!("t{at}")).expect("once");
                }
            }
            store.change().succeed(fresh);
            for key in &all {
                let at = now.iter().position(|of| of == &Some(*key));
                if at.is_none_or(|at| observed[at]) {
                    prop_assert_eq!(answers(&store, *key), at.is_some());
                    *expected.entry(*key).or_default() += 1.0;
                }
            }
            prop_assert_eq!(store.targets(), now.iter().flatten().count());
        }
        if store.targets() > 0 {
            let mut found = attempts(&page(&store));
            found.sort_by(|a, b| a.0.cmp(&b.0));
            let expected: Vec<_> = (0..8)
                .filter_map(|at| {
                    let key = now[at]?;
                    Some((format!("t{at}"), expected.get(&key).copied().unwrap_or_default()))
                })
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
