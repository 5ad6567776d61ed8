//! The reference names every key that there is and no other, and its examples load.

use std::path::Path;

use hotspare::config::Problems;
use hotspare::notify::Settings;
use hotspare::probe::Check;
use hotspare::rule::When;

use super::fixture::Folder;

const DOCS: &str = include_str!("../../../docs/configuration.md");
const ALERTING: &str = include_str!("../../../docs/alerting.md");
const DATABASES: &str = include_str!("../../../docs/databases.md");
const REST: [(&str, &str); 3] = [
    ("region", "region: eu-west\n"),
    (
        "regions",
        "regions:\n  - { name: eu-west, jurisdiction: EU }\n  - { name: eu-central, jurisdiction: EU }\n  - { name: us-east, jurisdiction: US }\n",
    ),
    (
        "probes",
        "probes: [{ name: p, check: { tcp: {} }, targets: { eu-west: \"10.0.0.1:80\" } }]\n",
    ),
];

/// The text with what a whole file needs beside it.
fn completed(text: &str) -> String {
    let has = |key: &str| {
        text.lines()
            .any(|line| line.starts_with(&format!("{key}:")))
    };
    let rest = REST.iter().filter(|(key, _)| !has(key));
    rest.map(|(_, more)| *more).collect::<String>() + text
}

/// The keys that are valid where an unknown key stands in `text`, and that key's path.
fn valid(text: &str, path: &str) -> Option<Vec<String>> {
    let problems: Problems = Folder::with(&completed(text)).plan().err()?;
    let problem = problems
        .iter()
        .filter(|problem| problem.message == "unknown key")
        .find(|problem| problem.path == format!("{path}zzz_unknown"))?;
    let help = problem.help.as_deref()?.strip_prefix("valid here: ")?;
    Some(help.split(", ").map(str::to_owned).collect())
}

/// The keys in the tables below a heading that are tables of keys.
fn documented(heading: &str) -> Vec<String> {
    let (_, rest) = DOCS
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("docs/configuration.md has no section `{heading}`"));
    let section = rest.split("\n#").next().unwrap_or(rest);
    let tables = section.split("\n\n").map(str::trim_start);
    let tables =
        tables.filter(|table| table.starts_with("| key |") || table.starts_with("| variable |"));
    let rows = tables
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix("| `"));
    let keys = rows.filter_map(|row| row.split_once('`'));
    keys.map(|(key, _)| key.to_owned()).collect()
}

fn assert_same(heading: &str, mut valid: Vec<String>, mut documented: Vec<String>) {
    valid.sort();
    documented.sort();
    assert_eq!(documented, valid, "left: documented below `{heading}`");
}

#[test]
fn every_key_is_documented_and_no_other() {
    let probe = |rest: &str| format!("probes: [{{ {rest} }}]\n");
    let target = "name: p, check: { tcp: {} }, targets: { eu-west: [{ zzz_unknown: 1 }] }";
    for (heading, text, path) in [
        ("## The main file", "zzz_unknown: 1\n".to_owned(), ""),
        (
            "## regions",
            "regions: [{ zzz_unknown: 1 }]\n".to_owned(),
            "regions[0].",
        ),
        (
            "## defaults",
            "defaults: { zzz_unknown: 1 }\n".to_owned(),
            "defaults.",
        ),
        (
            "## limits",
            "limits: { zzz_unknown: 1 }\n".to_owned(),
            "limits.",
        ),
        (
            "## history",
            "history: { zzz_unknown: 1 }\n".to_owned(),
            "history.",
        ),
        (
            "## heartbeat",
            "heartbeat: { zzz_unknown: 1 }\n".to_owned(),
            "heartbeat.",
        ),
        ("## probes", probe("zzz_unknown: 1"), "probes[0]."),
        ("## targets", probe(target), "probes[0].targets.eu-west[0]."),
        (
            "## groups",
            "groups: [{ zzz_unknown: 1 }]\n".to_owned(),
            "groups[0].",
        ),
        (
            "## rules",
            "rules: [{ zzz_unknown: 1 }]\n".to_owned(),
            "rules[0].",
        ),
        (
            "## maintenance",
            "maintenance: [{ zzz_unknown: 1 }]\n".to_owned(),
            "maintenance[0].",
        ),
        (
            "## alerting",
            "alerting: { zzz_unknown: 1 }\n".to_owned(),
            "alerting.",
        ),
        (
            "## receivers",
            "receivers: [{ zzz_unknown: 1 }]\n".to_owned(),
            "receivers[0].",
        ),
    ] {
        let valid = valid(&text, path).expect("an unknown key is refused with the valid ones");
        assert_same(heading, valid, documented(heading));
    }
}

#[test]
fn every_key_of_a_source_of_targets_is_documented_and_no_other() {
    for key in ["targets_file", "targets_http", "targets_dns"] {
        let text = format!("probes: [{{ {key}: [{{ zzz_unknown: 1 }}] }}]\n");
        let valid = valid(&text, &format!("probes[0].{key}[0]."));
        let valid = valid.expect("an unknown key is refused with the valid ones");
        let heading = format!("### {key}");
        assert_same(&heading, valid, documented(&heading));
    }
}

#[test]
fn every_key_within_a_group_is_documented_and_no_other() {
    const UNKNOWN: &str = "{ zzz_unknown: 1 }";
    for (heading, within, path) in [
        (
            "### probes of a group",
            format!("probes: [{UNKNOWN}]"),
            "probes[0].",
        ),
        (
            "### objectives",
            format!("objectives: {UNKNOWN}"),
            "objectives.",
        ),
        ("### ranking", format!("ranking: {UNKNOWN}"), "ranking."),
        ("### holds", format!("holds: [{UNKNOWN}]"), "holds[0]."),
        ("### assume", format!("assume: {UNKNOWN}"), "assume."),
        (
            "### checks of a group",
            format!("checks: [{UNKNOWN}]"),
            "checks[0].",
        ),
    ] {
        let text = format!("groups: [{{ {within} }}]\n");
        let valid = valid(&text, &format!("groups[0].{path}"));
        let valid = valid.expect("an unknown key is refused with the valid ones");
        assert_same(heading, valid, documented(heading));
    }
}

#[test]
fn every_kind_is_documented_with_every_setting_and_no_other() {
    for kind in Check::KINDS {
        let check = |settings: &str| {
            format!("probes: [{{ name: p, check: {{ {kind}: {{ {settings} }} }} }}]\n")
        };
        assert_kind(kind, check, &format!("probes[0].check.{kind}."));
    }
}

#[test]
fn every_setting_of_the_way_to_other_daemons_is_documented_and_no_other() {
    let peers = |settings: &str| format!("peers: {{ {settings} }}\n");
    assert_same(
        "## peers",
        settings(peers, "peers."),
        documented("## peers"),
    );
}

/// The settings of a kind, and those within them: `within` is a file with the settings of one.
fn settings(within: impl Fn(&str) -> String, path: &str) -> Vec<String> {
    let keys = valid(&within("zzz_unknown: 1"), path).expect("the kind's settings");
    let mut all = keys.clone();
    for key in keys {
        let inner = valid(
            &within(&format!("{key}: {{ zzz_unknown: 1 }}")),
            &format!("{path}{key}."),
        );
        all.extend(inner.iter().flatten().map(|inner| format!("{key}.{inner}")));
    }
    all
}

#[test]
fn every_kind_of_condition_is_documented_with_every_setting_and_an_example() {
    for kind in When::KINDS {
        let when = |settings: &str| {
            format!("rules: [{{ name: R, when: {{ {kind}: {{ {settings} }} }} }}]\n")
        };
        let path = format!("rules[0].when.{kind}.");
        let heading = format!("#### {kind}");
        assert_same(&heading, settings(when, &path), documented(&heading));
        let has_example = |page: &str| page.contains(&format!("when: {{ {kind}: {{"));
        assert!(examples(ALERTING).any(has_example), "{kind}");
        assert!(ALERTING.contains(&format!("\n### {kind}\n")), "{kind}");
    }
    for kind in Settings::KINDS {
        let receiver =
            |settings: &str| format!("receivers: [{{ name: r, {kind}: {{ {settings} }} }}]\n");
        assert_kind(kind, receiver, &format!("receivers[0].{kind}."));
    }
}

/// The settings at `path` are those below the heading of the kind.
fn assert_kind(kind: &str, with: impl Fn(&str) -> String, path: &str) {
    let heading = format!("### {kind}");
    assert_same(&heading, settings(with, path), documented(&heading));
}

#[test]
fn every_section_can_be_set_by_the_variables_that_are_documented() {
    let variables = documented("## environment and flags");
    for section in ["defaults", "limits"] {
        for key in documented(&format!("## {section}")) {
            let name = format!("HOTSPARE_{section}__{key}").to_uppercase();
            assert!(variables.contains(&name), "{name}");
            // Refused for its value, so that it has been read.
            let problems = Folder::with(&completed("")).env(&name, "[]").problems();
            assert!(
                problems.starts_with(&format!("{name}: {section}.{key}: ")),
                "{problems}"
            );
        }
    }
    assert_eq!(variables.len(), 10);
}

/// The examples of a page.
fn examples(page: &str) -> impl Iterator<Item = &str> {
    page.split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
}

#[test]
fn every_example_loads() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap_or_default();
    let mut count = 0;
    let pages = [DOCS, ALERTING, DATABASES, &readme];
    for example in pages.into_iter().flat_map(examples) {
        count += 1;
        let folder = Folder::with(&completed(example)).add("teams/payments.yaml", "");
        let Err(problems) = folder.plan() else {
            continue;
        };
        // Secrets and certificates are not part of an example.
        let of_host = |path: &str| path.ends_with("file") || path.ends_with("env");
        let rest: Vec<_> = problems
            .iter()
            .filter(|p| !of_host(&p.path))
            .map(ToString::to_string)
            .collect();
        assert!(rest.is_empty(), "{example}\n{}", rest.join("\n"));
    }
    assert!(count >= 11, "{count} examples");
}
