//! `docs/metrics.md` names every family with its type, labels and help, and no other; and `check`
//! counts a target's series as they are.

use std::collections::{BTreeMap, BTreeSet};

use hotspare::config::summary;
use hotspare::metrics::{Format, Store, encode};
use hotspare::model::{Observation, Phase, PhaseSet, Reason};

use crate::page::{FULL, Family, facts, filled, insert, parse, reply, run, target};

const DOCS: &str = include_str!("../../docs/metrics.md");

/// The labels that every series of a target has; the reference tells of them once.
const COMMON: [&str; 5] = ["kind", "probe", "source_region", "target", "target_region"];

/// A family's row as the reference must have it.
fn row(name: &str, family: &Family) -> String {
    let labels: BTreeSet<&str> = family
        .samples
        .iter()
        .flat_map(|(_, labels, _)| labels.keys().map(String::as_str))
        .filter(|label| !COMMON.contains(label) && *label != "le")
        .collect();
    let labels: Vec<_> = labels.into_iter().map(|l| format!("`{l}`")).collect();
    format!(
        "| `{name}` | {} | {} | {} |",
        family.kind,
        labels.join(", "),
        family.help
    )
}

#[test]
fn the_reference_has_every_family_and_no_other() {
    let (store, own) = filled();
    let page = encode(&store, &own, Format::Text, false, Vec::new()).expect("encoded");
    let page = String::from_utf8(page.concat()).expect("UTF-8");
    let expected: BTreeMap<String, String> = parse(&page, Format::Text)
        .0
        .iter()
        .map(|(name, family)| (name.clone(), row(name, family)))
        .collect();
    let documented: BTreeMap<String, String> = DOCS
        .lines()
        .filter(|line| line.starts_with("| `hotspare_") || line.starts_with("| `process_"))
        .filter_map(|line| Some((line.split('`').nth(1)?.to_owned(), line.to_owned())))
        .collect();
    let missing: Vec<_> = expected
        .iter()
        .filter(|(name, row)| documented.get(*name) != Some(row))
        .map(|(_, row)| row.as_str())
        .collect();
    assert!(
        missing.is_empty(),
        "docs/metrics.md lacks:\n{}",
        missing.join("\n")
    );
    let foreign: Vec<_> = documented
        .keys()
        .filter(|name| !expected.contains_key(*name))
        .collect();
    assert!(
        foreign.is_empty(),
        "docs/metrics.md has what is not there: {foreign:?}"
    );
}

#[test]
fn the_reference_has_every_reason() {
    for reason in Reason::ALL {
        let row = format!("| `{}` | ", reason.as_str());
        assert!(
            DOCS.contains(&row),
            "docs/metrics.md lacks the reason {}",
            reason.as_str()
        );
    }
}

#[test]
fn check_counts_the_series_of_a_target_as_they_are() {
    let store = Store::new();
    let shape = hotspare::model::Shape {
        phases: PhaseSet::of(&[Phase::Connect]),
        ..FULL
    };
    let key = insert(&store, &target("all", "http", "us-east"), &shape);
    let sample = run(key, 1_000, reply(&[3], facts()));
    assert!(store.observe(&Observation::Sample(Box::new(sample))));
    // The bounds that `insert` sets.
    assert_eq!(store.series(), summary::series(&shape, 4, 2) as u64);
}
