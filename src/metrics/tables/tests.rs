//! What is left of former tables.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::buckets::Buckets;
use super::super::series::Terms;
use super::*;
use crate::model::{DatabaseSet, Shape, Target};

/// The tables of targets with these keys, each with a name that is its place, and of a pair.
fn tables(keys: impl Iterator<Item = TargetKey>, buckets: &Arc<Buckets>) -> Tables {
    let mut tables = Tables::default();
    for (place, key) in keys.enumerate() {
        let target = Target {
            probe: "p".into(),
            kind: "tcp",
            source_region: "eu-west".into(),
            target_region: "us-east".into(),
            name: format!("t{place}").into(),
            address: "10.3.0.10".into(),
            labels: BTreeMap::new(),
        };
        let terms = Terms {
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            objective: None,
        };
        let (durations, phases) = (Arc::clone(buckets), Arc::clone(buckets));
        let series = Series::new(&target, &Shape::default(), durations, phases, terms);
        assert!(tables.claim(&series.labels));
        tables.add(key, series);
    }
    let set = SetSeries::new(&DatabaseSet {
        group: "orders".into(),
        probe: "redis".into(),
        kind: "redis",
        source_region: "eu-west".into(),
        canary: true,
    });
    let set = set.expect("good bounds");
    let pair = PairSeries::new(&set, "us-east");
    assert!(tables.claim(&set.labels) && tables.claim(&pair.labels));
    tables.sets.push(set);
    tables.pairs.push(pair);
    tables
}

fn buckets() -> Arc<Buckets> {
    Arc::new(Buckets::new(&[0.1, 1.0]).expect("good bounds"))
}

/// How much room is taken, and how much is there.
fn sizes(tables: &Tables) -> [usize; 7] {
    [
        tables.series.len(),
        tables.series.capacity(),
        tables.places.len(),
        tables.places.capacity(),
        tables.labels.len(),
        tables.labels.capacity(),
        tables.pairs.capacity(),
    ]
}

#[test]
fn nothing_is_left_of_a_thousand_former_tables() {
    let mut keys: Vec<_> = (0..100).map(TargetKey).collect();
    let of_first = buckets();
    let mut now = tables(keys.iter().copied(), &of_first);
    for series in &mut now.series {
        series.missed = 1;
    }
    let before = sizes(&now);
    let mut new = (100..).map(TargetKey);
    let mut shared = Arc::clone(&of_first);
    for round in 0..1_000 {
        // Every fifth, and another fifth in every round.
        let changed = keys.iter_mut().skip(round % 5).step_by(5);
        changed.zip(&mut new).for_each(|(key, new)| *key = new);
        shared = buckets();
        let mut fresh = tables(keys.iter().copied(), &shared);
        fresh.succeed(now);
        now = fresh;
        let kept = now.series.iter().filter(|series| series.missed == 1);
        assert_eq!(kept.count(), 80_usize.saturating_sub(20 * round));
    }
    assert_eq!(sizes(&now), before);
    for series in &now.series {
        // Their own, and one in the table of labels.
        assert_eq!(Arc::strong_count(&series.labels), 2);
    }
    assert_eq!(Arc::strong_count(&shared), 2 * 100 + 1);
    assert_eq!(Arc::strong_count(&of_first), 1);
}

#[test]
fn nothing_is_left_of_large_tables() {
    let few = || tables((0..10).map(TargetKey), &buckets());
    let mut fresh = few();
    fresh.succeed(tables((0..10_000).map(TargetKey), &buckets()));
    assert_eq!(sizes(&fresh), sizes(&few()));
}

#[test]
fn a_target_goes_on_under_the_labels_that_it_has_now() {
    let mut former = tables((0..3).map(TargetKey), &buckets());
    former.series[2].missed = 7;
    let mut fresh = tables((2..4).map(TargetKey), &buckets());
    fresh.succeed(former);
    let missed: Vec<_> = fresh.series.iter().map(|series| series.missed).collect();
    assert_eq!(missed, [7, 0]);
    let name = r#"target="t0""#;
    assert!(fresh.series[0].labels.ends_with(name));
    assert!(fresh.target(TargetKey(2)).is_some_and(|of| of.missed == 7));
    assert!(fresh.target(TargetKey(0)).is_none());
}

#[test]
fn other_bounds_do_not_come_to_counts_between_others() {
    let one = || std::iter::once(TargetKey(0));
    let mut former = tables(one(), &buckets());
    let second = Duration::from_secs(1);
    let series = &mut former.series[0];
    series.durations.observe(&series.buckets, second);
    let other = Arc::new(Buckets::new(&[0.5]).expect("good bounds"));
    let mut fresh = tables(one(), &other);
    fresh.succeed(former);
    let series = &mut fresh.series[0];
    series.durations.observe(&series.buckets, second);
    assert_eq!(series.durations.counts(), [0, 2, 0]);
    assert_eq!(series.buckets, buckets());
}
