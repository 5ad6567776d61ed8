//! The runbooks: a page for each alert, that can be followed.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use regex::Regex;

use super::{Moment, cases, files, names, read, root, rules, succeeds};

/// The sections of a page in their order; the second is on some pages only.
const SECTIONS: [&str; 5] = [
    "What it means",
    "What hotspare saw",
    "What to look at",
    "What to do",
    "How to silence",
];

/// The text of each page by its alert.
fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    for path in files("docs/runbooks", "md") {
        let name = path.file_stem().expect("a name").to_string_lossy();
        if name != "README" {
            pages.insert(name.into_owned(), read(&path));
        }
    }
    pages
}

/// What the alerts of the rules have in common: the severities, and the sets that they are in.
fn severities_and_sets() -> BTreeMap<String, [Vec<String>; 2]> {
    let mut found: BTreeMap<String, [Vec<String>; 2]> = BTreeMap::new();
    for rule in rules() {
        let Some(alert) = rule.text("alert") else {
            continue;
        };
        let severity = rule.yaml["labels"]["severity"]
            .as_str()
            .expect("a severity");
        let set = if rule.file == "regional" {
            "regional"
        } else {
            "global"
        };
        let entry = found.entry(alert.to_owned()).or_default();
        for (values, value) in entry.iter_mut().zip([severity, set]) {
            if !values.iter().any(|known| known == value) {
                values.push(value.to_owned());
            }
        }
    }
    found
}

#[test]
fn every_alert_has_a_page_and_every_page_an_alert() {
    let pages = pages();
    assert!(pages.keys().eq(&names("alert")));
    for (alert, [severities, _]) in severities_and_sets() {
        let page = &pages[&alert];
        assert!(page.starts_with(&format!("# {alert}\n")), "{alert}: title");
        let line = page.lines().nth(2).expect("a third line");
        assert!(line.starts_with("Severity: "), "{alert}: {line}");
        for severity in ["critical", "warning", "info", "none"] {
            let has = severities.iter().any(|known| known == severity);
            assert_eq!(line.contains(severity), has, "{alert}: {line}");
        }
    }
}

#[test]
fn every_page_has_its_sections_in_order() {
    for (alert, page) in pages() {
        let found: Vec<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .collect();
        let wanted = SECTIONS
            .iter()
            .filter(|section| **section != "What hotspare saw" || found.contains(section));
        assert!(wanted.eq(&found), "{alert}: {found:?}");
    }
}

/// The words of a command, those in quotes as one.
fn words(command: &str) -> Vec<String> {
    let word = Regex::new(r#"(?:[^\s"]|"[^"]*")+"#).expect("an expression");
    let words = word.find_iter(command);
    words.map(|word| word.as_str().to_owned()).collect()
}

/// The labels that an alert had in any case of the rules' tests.
fn labels_of(alert: &str, cases: &[Vec<Moment>]) -> BTreeSet<String> {
    let fired = cases.iter().flatten().flatten();
    let fired = fired.filter(|labels| labels["alertname"] == alert);
    fired
        .flat_map(|labels| labels.keys().cloned())
        .filter(|label| label != "alertstate")
        .collect()
}

#[test]
fn every_page_silences_its_alert_by_labels_that_it_has() {
    let cases = cases();
    for (alert, page) in pages() {
        let (_, section) = page.split_once("## How to silence\n").expect("a section");
        assert!(section.contains("\n**Not** "), "{alert}: when not to");
        let command = section
            .lines()
            .find(|line| line.starts_with("amtool silence add "))
            .unwrap_or_else(|| panic!("{alert}: no command"));
        let words = words(command);
        let (options, matchers): (Vec<_>, Vec<_>) =
            words[3..].iter().partition(|word| word.starts_with("--"));
        assert!(options.iter().any(|word| word.starts_with("--duration=")));
        assert!(options.iter().any(|word| word.starts_with("--comment=\"")));
        assert_eq!(*matchers[0], format!("alertname={alert}"), "{command}");
        let labels = labels_of(&alert, &cases);
        for matcher in matchers {
            let (label, _) = matcher.split_once('=').expect("a matcher");
            assert!(labels.contains(label), "{alert} has no {label}: {labels:?}");
        }
    }
}

/// Labels that alerts of the daemons' own rules have: see docs/alerting.md.
#[test]
fn what_is_silenced_in_the_daemons_has_labels_that_their_alerts_have() {
    let known = [
        "group",
        "standby",
        "probe",
        "target_region",
        "target",
        "source_region",
    ];
    let mut some = false;
    for (alert, page) in pages() {
        let commands = page
            .lines()
            .filter(|line| line.starts_with("hotspare silence start "));
        for command in commands {
            let words = words(command);
            for pair in words.windows(2).filter(|pair| pair[0] == "--match") {
                let (label, _) = pair[1].split_once('=').expect("a matcher");
                assert!(known.contains(&label), "{alert}: {label}");
                some = true;
            }
        }
    }
    assert!(some);
}

#[test]
fn the_index_has_every_alert_with_its_severities_and_its_set() {
    let index = read(&root().join("docs/runbooks/README.md"));
    let mut listed = BTreeMap::new();
    for line in index.lines().filter(|line| line.starts_with("| [")) {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [link, severities, sets, what] = cells[..] else {
            panic!("{line}");
        };
        let (alert, page) = link
            .trim_matches(['[', ')'])
            .split_once("](")
            .expect("a link");
        assert_eq!(page, format!("{alert}.md"));
        assert!(what.ends_with('.'), "{line}");
        let split = |cell: &str| cell.split(", ").map(str::to_owned).collect::<Vec<_>>();
        let before = listed.insert(alert.to_owned(), [split(severities), split(sets)]);
        assert_eq!(before, None, "{alert} twice");
    }
    let mut wanted = severities_and_sets();
    for values in listed.values_mut().chain(wanted.values_mut()).flatten() {
        values.sort();
    }
    assert_eq!(listed, wanted);
}

#[test]
fn the_queries_of_the_runbooks_can_be_asked() {
    let mut records = Vec::new();
    for (alert, text) in pages() {
        let before = records.len();
        for query in text.split("```promql\n").skip(1) {
            let (query, _) = query.split_once("```").expect("the end of the block");
            let query = query.trim().replace('\'', "''");
            let number = records.len();
            records.push(format!(
                "  - {{ record: 'query:number_{number}', expr: '{query}' }}\n"
            ));
        }
        assert!(records.len() > before, "{alert} asks nothing");
    }
    let wrapped = format!("groups:\n- name: runbooks\n  rules:\n{}", records.concat());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("queries.yaml");
    std::fs::write(&file, wrapped).expect("writable");
    succeeds(Command::new("promtool").args(["check", "rules"]).arg(&file));
}
