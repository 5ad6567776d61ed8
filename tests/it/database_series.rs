//! The series of databases: what one tells of itself, and what pairs and sets of them show.
#![expect(
    clippy::float_cmp,
    reason = "what is written must read back as exactly the same"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use hotspare::metrics::{Format, Store, VISIBILITY, encode};
use hotspare::model::{
    DatabaseFacts, FactSet, Facts, Failure, Link, PairKey, PhaseSet, Reason, ReasonSet,
    ReplicationFacts, Role, Sample, SetKey, Shape, TargetKey, Withheld,
};

use crate::page::{
    PAIR_FIGURES, Parsed, SET_FIGURES, filled, insert, parse, replication, reply, run, set, target,
};

fn page(store: &Store) -> Parsed {
    let own = filled().1;
    let pages = Format::ALL.map(|format| {
        let parts = encode(store, &own, format, false, Vec::new()).expect("encoded");
        let text = String::from_utf8(parts.concat()).expect("UTF-8");
        parse(&text, format)
    });
    let [text, _open] = pages;
    text
}

/// What the targets of a database probe have.
const DATABASE: Shape = Shape {
    phases: PhaseSet::of(&[]),
    reasons: ReasonSet::of(&[]),
    facts: FactSet {
        addresses: false,
        ping: false,
        http: false,
        version: false,
        tls: false,
        dns: false,
        database: true,
        replication: true,
        tls_unverified: false,
        value: false,
        manager: false,
    },
};

fn told(replication: Option<ReplicationFacts>, withheld: Option<Withheld>) -> Facts {
    Facts {
        database: Some(Box::new(DatabaseFacts {
            engine: "postgresql",
            version: "15.3".into(),
            replication: replication.map(Box::new),
            withheld,
            canary: None,
        })),
        ..Facts::default()
    }
}

fn answered(key: TargetKey, facts: Facts) -> Sample {
    run(key, 1, reply(&[1], facts))
}

fn refused(key: TargetKey) -> Sample {
    run(key, 2, Err(Failure::new(Reason::Refused, "nobody there")))
}

/// The families of databases that the page has rows of, without their prefix.
fn families(page: &Parsed) -> BTreeSet<&str> {
    let names = page.0.keys().filter_map(|n| n.strip_prefix("hotspare_"));
    let databases = ["db_", "replication_", "canary_", "rpo_", "writable_"];
    names
        .filter(|name| databases.iter().any(|of| name.starts_with(of)))
        .collect()
}

/// The role that is 1; there is always one.
fn role(page: &Parsed) -> Role {
    let is = |role: &Role| page.one("hotspare_db_role", &[("role", role.as_str())]) == 1.0;
    let roles: Vec<_> = Role::ALL.into_iter().filter(is).collect();
    assert_eq!(roles.len(), 1, "{roles:?}");
    roles[0]
}

#[test]
fn a_run_without_facts_takes_back_what_the_last_one_told_but_not_who_it_was() {
    let store = Store::new();
    let key = insert(&store, &target("p", "none", "t"), &DATABASE);
    assert_eq!(role(&page(&store)), Role::Unknown);
    let standby = replication(Role::Standby);
    assert!(store.observe_sample(&answered(key, told(Some(standby), None))));
    let before = page(&store);
    assert_eq!(role(&before), Role::Standby);
    assert_eq!(before.one("hotspare_db_writable", &[]), 0.0);
    let withheld = before.find("hotspare_db_facts_withheld", &[]);
    assert_eq!(withheld, [0.0, 0.0, 0.0]);

    assert!(store.observe_sample(&refused(key)));
    let after = page(&store);
    assert_eq!(role(&after), Role::Unknown);
    for name in [
        "hotspare_db_writable",
        "hotspare_db_timeline",
        "hotspare_db_keys",
        "hotspare_replication_link_up",
        "hotspare_replication_receiver_silence_seconds",
        "hotspare_replication_replay_paused",
        "hotspare_replication_initial_sync",
    ] {
        assert!(after.one(name, &[]).is_nan(), "{name}");
    }
    let withheld = after.find("hotspare_db_facts_withheld", &[]);
    assert_eq!(withheld.len(), 3);
    assert!(withheld.iter().all(|value| value.is_nan()));
    let known = [("engine", "postgresql"), ("version", "15.3")];
    assert_eq!(after.one("hotspare_db_info", &known), 1.0);
}

#[test]
fn what_a_database_does_not_tell_is_nan_and_why_is_told() {
    let store = Store::new();
    let key = insert(&store, &target("p", "none", "t"), &DATABASE);
    let mut facts = replication(Role::Standby);
    facts.writable = None;
    facts.link = Some(Link::default());
    let facts = told(Some(facts), Some(Withheld::Unsupported));
    assert!(store.observe_sample(&answered(key, facts)));
    let dumb = page(&store);
    for name in [
        "hotspare_db_writable",
        "hotspare_replication_link_up",
        "hotspare_replication_receiver_silence_seconds",
    ] {
        assert!(dumb.one(name, &[]).is_nan(), "{name}");
    }
    assert_eq!(dumb.one("hotspare_replication_initial_sync", &[]), 0.0);
    for (reason, value) in [("permission", 0.0), ("unsupported", 1.0), ("error", 0.0)] {
        let found = dumb.one("hotspare_db_facts_withheld", &[("reason", reason)]);
        assert_eq!(found, value, "{reason}");
    }

    // Not a word of replication: not even a role.
    let facts = told(None, Some(Withheld::Permission));
    assert!(store.observe_sample(&answered(key, facts)));
    let silent = page(&store);
    assert_eq!(role(&silent), Role::Unknown);
    assert!(silent.one("hotspare_db_timeline", &[]).is_nan());
    assert_eq!(
        silent.one("hotspare_db_facts_withheld", &[("reason", "permission")]),
        1.0
    );
}

#[test]
fn only_a_change_from_one_known_role_to_another_is_counted() {
    let store = Store::new();
    let key = insert(&store, &target("p", "postgres", "t"), &DATABASE);
    let plays = |role| answered(key, told(Some(replication(role)), None));
    for (sample, changes) in [
        (plays(Role::Unknown), 0.0),
        (plays(Role::Standby), 0.0),
        (refused(key), 0.0),
        (plays(Role::Standby), 0.0),
        (plays(Role::Unknown), 0.0),
        (plays(Role::Primary), 1.0),
        (refused(key), 1.0),
        (plays(Role::Standby), 2.0),
        (plays(Role::Standby), 2.0),
    ] {
        assert!(store.observe_sample(&sample));
        let counted = page(&store).one("hotspare_db_role_changes_total", &[]);
        assert_eq!(counted, changes, "{:?}", sample.facts());
    }
}

#[test]
fn a_failed_run_that_learned_something_shows_it() {
    let store = Store::new();
    let key = insert(&store, &target("p", "postgres", "t"), &DATABASE);
    let facts = told(Some(replication(Role::Primary)), None);
    let failure = Failure::new(Reason::Answer, "42 is not 43").with_facts(facts);
    assert!(store.observe_sample(&run(key, 1, Err(failure))));
    let page = page(&store);
    assert_eq!(page.one("hotspare_probe_up", &[]), 0.0);
    assert_eq!(role(&page), Role::Primary);
}

#[test]
fn a_target_has_the_series_of_its_engine_from_the_start_and_others_have_none() {
    const EVERY: [&str; 6] = [
        "db_role",
        "db_writable",
        "db_role_changes_total",
        "db_facts_withheld",
        "replication_link_up",
        "replication_receiver_silence_seconds",
    ];
    for (kind, own) in [
        (
            "postgres",
            &["db_timeline", "replication_replay_paused"][..],
        ),
        ("mysql", &["replication_replay_paused"]),
        ("redis", &["db_keys", "replication_initial_sync"]),
    ] {
        let store = Store::new();
        insert(&store, &target("p", kind, "t"), &DATABASE);
        let expected: BTreeSet<_> = EVERY.iter().chain(own).copied().collect();
        assert_eq!(families(&page(&store)), expected, "{kind}");
    }
    let store = Store::new();
    let mut shape = DATABASE;
    shape.facts = FactSet {
        database: true,
        ..FactSet::default()
    };
    let key = insert(&store, &target("p", "postgres", "t"), &shape);
    assert!(store.observe_sample(&answered(key, told(None, None))));
    assert_eq!(families(&page(&store)), BTreeSet::from(["db_info"]));
    // What was not announced gets its rows when it is seen.
    let facts = told(Some(replication(Role::Primary)), None);
    assert!(store.observe_sample(&answered(key, facts)));
    assert_eq!(role(&page(&store)), Role::Primary);
}

#[test]
fn a_pair_has_the_series_of_its_engine_and_those_of_the_canary_only_with_one() {
    const EVERY: [&str; 3] = [
        "writable_primaries",
        "replication_lag_seconds",
        "db_identity_mismatch",
    ];
    const BYTES: [&str; 3] = [
        "replication_loss_bytes",
        "replication_apply_bytes",
        "rpo_estimate_bytes",
    ];
    const CANARY: [&str; 7] = [
        "canary_acked_seq",
        "canary_writes_total",
        "canary_write_failures_total",
        "canary_suppressed_total",
        "canary_seen_seq",
        "canary_visibility_seconds",
        "rpo_estimate_seconds",
    ];
    for (kind, bytes, own) in [
        (
            "postgres",
            true,
            &[
                "db_parameter_too_low",
                "replication_slot_lost",
                "replication_slot_retained_bytes",
            ][..],
        ),
        (
            "mysql",
            false,
            &[
                "replication_missing_transactions",
                "replication_errant_transactions",
                "replication_unrecoverable_transactions",
            ],
        ),
        ("redis", true, &["db_keys_ratio"]),
    ] {
        for canary in [false, true] {
            let store = Store::new();
            let key = store.insert_set(&set(kind, canary)).expect("inserted");
            store.insert_pair(key, "us-east").expect("inserted");
            let mut expected: BTreeSet<_> = EVERY.iter().chain(own).copied().collect();
            if bytes {
                expected.extend(BYTES);
            }
            if canary {
                expected.extend(CANARY);
            }
            let page = page(&store);
            assert_eq!(families(&page), expected, "{kind} {canary}");
            let methods = 1 + usize::from(canary) + usize::from(kind != "redis");
            let lag = page.find("hotspare_replication_lag_seconds", &[]);
            assert_eq!(lag.len(), methods, "{kind} {canary}");
        }
    }
}

#[test]
fn before_anything_is_measured_gauges_are_nan_and_counters_zero() {
    let store = Store::new();
    for kind in ["postgres", "mysql", "redis"] {
        let key = store.insert_set(&set(kind, true)).expect("inserted");
        store.insert_pair(key, "us-east").expect("inserted");
    }
    let page = page(&store);
    for name in families(&page) {
        let family = &page.0[&format!("hotspare_{name}")];
        for (sample, labels, value) in &family.samples {
            assert_eq!(labels["group"], "orders");
            let nan = family.kind == "gauge";
            assert!(if nan { value.is_nan() } else { *value == 0.0 }, "{sample}");
        }
    }
}

#[test]
fn the_figures_of_a_pair_are_shown_as_told_and_only_on_that_pair() {
    let store = Store::new();
    for kind in ["postgres", "redis"] {
        let set = store.insert_set(&set(kind, true)).expect("inserted");
        store.insert_pair(set, "eu-central").expect("inserted");
        let pair = store.insert_pair(set, "us-east").expect("inserted");
        assert!(store.pair_figures(pair, PAIR_FIGURES));
    }
    let page = page(&store);
    for (name, expected) in [
        ("replication_loss_bytes", 1_000.0),
        ("replication_apply_bytes", 2_000.0),
        ("rpo_estimate_bytes", 1_000.0),
        ("rpo_estimate_seconds", 4.25),
        ("db_identity_mismatch", 0.0),
        ("replication_slot_retained_bytes", 5_000.0),
        ("replication_slot_lost", 1.0),
        ("canary_seen_seq", 68.0),
    ] {
        let name = format!("hotspare_{name}");
        let of = |standby| page.one(&name, &[("probe", "postgres"), ("standby", standby)]);
        assert_eq!(of("us-east"), expected, "{name}");
        assert!(of("eu-central").is_nan(), "{name}");
    }
    for (method, expected) in [("ring", 2.5), ("canary", 3.0), ("native", 0.0)] {
        let labels = [
            ("probe", "postgres"),
            ("standby", "us-east"),
            ("method", method),
        ];
        let found = page.one("hotspare_replication_lag_seconds", &labels);
        assert_eq!(found, expected, "{method}");
    }
    let redis = [("probe", "redis"), ("standby", "us-east")];
    assert_eq!(page.one("hotspare_db_keys_ratio", &redis), 0.75);
}

#[test]
fn the_figures_of_a_set_are_shown_as_told_and_only_on_that_set() {
    let store = Store::new();
    store.insert_set(&set("redis", true)).expect("inserted");
    let key = store.insert_set(&set("mysql", true)).expect("inserted");
    assert!(store.set_figures(key, SET_FIGURES));
    let page = page(&store);
    let mysql = ("probe", "mysql");
    for (name, expected) in [
        ("hotspare_writable_primaries", 1.0),
        ("hotspare_canary_acked_seq", 70.0),
        ("hotspare_canary_writes_total", 69.0),
    ] {
        assert_eq!(page.one(name, &[mysql]), expected, "{name}");
        let other = page.one(name, &[("probe", "redis")]);
        assert!(other.is_nan() || other == 0.0, "{name}: {other}");
    }
    for (what, reason, expected) in [
        ("write_failures", "no_answer", 1.0),
        ("write_failures", "error", 4.0),
        ("suppressed", "two_writable", 5.0),
        ("suppressed", "changed", 8.0),
    ] {
        let name = format!("hotspare_canary_{what}_total");
        let found = page.one(&name, &[mysql, ("reason", reason)]);
        assert_eq!(found, expected, "{name} {reason}");
    }
}

#[test]
fn transactions_are_shown_of_the_engine_that_has_them() {
    let store = Store::new();
    let set = store.insert_set(&set("mysql", false)).expect("inserted");
    let pair = store.insert_pair(set, "us-east").expect("inserted");
    assert!(store.pair_figures(pair, PAIR_FIGURES));
    let page = page(&store);
    for (name, expected) in [("missing", 11.0), ("errant", 12.0), ("unrecoverable", 13.0)] {
        let name = format!("hotspare_replication_{name}_transactions");
        assert_eq!(page.one(&name, &[]), expected, "{name}");
    }
}

#[test]
fn a_canary_that_was_seen_is_counted_for_its_standby() {
    let store = Store::new();
    let orders = store.insert_set(&set("redis", true)).expect("inserted");
    let near = store.insert_pair(orders, "eu-central").expect("inserted");
    let far = store.insert_pair(orders, "us-east").expect("inserted");
    assert!(store.visible(near, Duration::from_millis(4)));
    for millis in [300, 61_000] {
        assert!(store.visible(far, Duration::from_millis(millis)));
    }
    let page = page(&store);
    let far = ("standby", "us-east");
    for (le, expected) in [("0.25", 0.0), ("0.5", 1.0), ("60.0", 1.0), ("+Inf", 2.0)] {
        let labels = [far, ("le", le)];
        let found = page.one("hotspare_canary_visibility_seconds_bucket", &labels);
        assert_eq!(found, expected, "{le}");
    }
    assert_eq!(
        page.one("hotspare_canary_visibility_seconds_sum", &[far]),
        61.3
    );
    let buckets = page.find("hotspare_canary_visibility_seconds_bucket", &[far]);
    assert_eq!(buckets.len(), VISIBILITY.len() + 1);
}

#[test]
fn a_set_or_pair_that_is_there_twice_or_nowhere_is_told() {
    let store = Store::new();
    let orders = set("postgres", false);
    let key = store.insert_set(&orders).expect("inserted");
    assert_eq!(key, SetKey(0));
    let twice = store.insert_set(&orders).expect_err("twice");
    assert_eq!(twice, "the set orders/postgres is there twice");
    assert_eq!(store.insert_pair(key, "us-east"), Ok(PairKey(0)));
    let twice = store.insert_pair(key, "us-east").expect_err("twice");
    assert!(
        twice.contains(r#"standby="us-east"} is there twice"#),
        "{twice}"
    );
    let nowhere = store.insert_pair(SetKey(7), "us-east");
    assert_eq!(nowhere, Err("there is no set 7 for us-east".to_owned()));
    // What was refused took no place.
    assert_eq!(store.insert_set(&set("mysql", false)), Ok(SetKey(1)));
    assert_eq!(store.insert_pair(SetKey(1), "us-east"), Ok(PairKey(1)));

    assert!(!store.set_figures(SetKey(2), SET_FIGURES));
    assert!(!store.pair_figures(PairKey(2), PAIR_FIGURES));
    assert!(!store.visible(PairKey(2), Duration::ZERO));
    let no_canary = store.visible(PairKey(0), Duration::ZERO);
    assert!(!no_canary);
}
