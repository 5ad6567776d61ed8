//! `docs/metrics.md` names every family with its type, labels and help, and no other; and `check`
//! counts a target's series as they are.

use std::collections::{BTreeMap, BTreeSet};

use hotspare::config::summary;
use hotspare::deliver::DROPPED;
use hotspare::metrics::{Format, Store, encode};
use hotspare::model::{
    CheckReason, NoValue, Observation, Phase, PhaseSet, Reason, Suppressed, Withheld, WriteFailure,
};
use hotspare::notify::RefusalReason;

use crate::page::{FULL, Family, facts, filled, insert_with, parse, reply, run, set, target};

const DOCS: &str = include_str!("../../docs/metrics.md");

/// The labels that every series of a target, a set or a pair has; the reference tells of them
/// once.
const COMMON: [&str; 7] = [
    "group",
    "kind",
    "probe",
    "source_region",
    "standby",
    "target",
    "target_region",
];

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

/// The lines from a heading to the next.
fn section(heading: &str) -> &'static str {
    let (_, rest) = DOCS
        .split_once(&format!("## {heading}\n"))
        .unwrap_or_else(|| panic!("docs/metrics.md lacks the section {heading}"));
    rest.split("\n## ").next().unwrap_or(rest)
}

#[test]
fn the_reference_has_every_reason() {
    let failures: Vec<_> = Reason::ALL.iter().map(|r| r.as_str()).collect();
    let withheld = Withheld::ALL.map(Withheld::as_str);
    let missing = NoValue::ALL.map(NoValue::as_str);
    let writes = WriteFailure::ALL.map(WriteFailure::as_str);
    let suppressed = Suppressed::ALL.map(Suppressed::as_str);
    let checks: Vec<_> = CheckReason::ALL.iter().map(|r| r.as_str()).collect();
    let refusals = RefusalReason::ALL.map(RefusalReason::as_str);
    for (heading, reasons) in [
        ("Reasons of failures", &failures[..]),
        ("Reasons of withheld facts", &withheld),
        ("Reasons of missing values", &missing),
        ("Reasons of canaries that were not written", &writes),
        ("Reasons of canaries that were suppressed", &suppressed),
        ("Reasons of checks", &checks),
        ("Reasons of failed notifications", &refusals),
        ("Reasons of dropped notifications", &DROPPED),
    ] {
        assert!(!reasons.is_empty());
        for reason in reasons {
            let row = format!("| `{reason}` | ");
            assert!(section(heading).contains(&row), "{heading} lacks {reason}");
        }
    }
}

#[test]
fn check_counts_the_series_of_a_target_as_they_are() {
    for (kind, objective) in [
        ("http", Some(0.999)),
        ("http", None),
        ("postgres", None),
        ("mysql", None),
        ("redis", None),
    ] {
        let store = Store::new();
        let shape = hotspare::model::Shape {
            phases: PhaseSet::of(&[Phase::Connect]),
            ..FULL
        };
        let key = insert_with(&store, &target("all", kind, "us-east"), &shape, objective);
        let sample = run(key, 1_000, reply(&[3], facts()));
        assert!(store.observe(&Observation::Sample(Box::new(sample))));
        // The bounds that `insert_with` sets.
        let counted = summary::series(kind, &shape, 4, 2, objective.is_some()) as u64;
        assert_eq!(store.series(), counted, "{kind}");
    }
}

#[test]
fn check_counts_the_series_of_sets_and_pairs_as_they_are() {
    for kind in ["postgres", "mysql", "redis", "other"] {
        for canary in [false, true] {
            let store = Store::new();
            let set = set(kind, canary);
            let key = store.insert_set(&set).expect("inserted");
            let of_set = store.series();
            assert_eq!(of_set, summary::set_series(&set) as u64, "{kind} {canary}");
            store.insert_pair(key, "us-east").expect("inserted");
            let of_pair = store.series() - of_set;
            let counted = summary::pair_series(&set) as u64;
            assert_eq!(of_pair, counted, "{kind} {canary}");
        }
    }
}
