//! The shipped Prometheus rules: right by `promtool` and `amtool`, of series that exist, and with a
//! runbook for every alert.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use yaml_rust2::{Yaml, YamlLoader};

const METRICS: &str = include_str!("../../docs/metrics.md");

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder of the repository with an ending, in order.
pub(crate) fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let folder = root().join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    files
}

/// One rule as it is in its file.
struct Rule {
    yaml: Yaml,
}

impl Rule {
    fn text(&self, key: &str) -> Option<&str> {
        self.yaml[key].as_str()
    }

    fn annotation(&self, key: &str) -> &str {
        self.yaml["annotations"][key].as_str().unwrap_or_default()
    }
}

fn rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    for file in files("prometheus/rules", "yaml") {
        let documents = YamlLoader::load_from_str(&read(&file)).expect("YAML");
        for group in documents[0]["groups"].as_vec().expect("groups") {
            let of_group = group["rules"].as_vec().expect("rules");
            rules.extend(of_group.iter().cloned().map(|yaml| Rule { yaml }));
        }
    }
    rules
}

/// The values of `record` or of `alert`.
pub(crate) fn names(key: &str) -> BTreeSet<String> {
    let names: BTreeSet<_> = rules()
        .iter()
        .filter_map(|rule| rule.text(key).map(str::to_owned))
        .collect();
    assert!(!names.is_empty(), "no {key}");
    names
}

pub(crate) fn succeeds(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// What the rules, their tests and their documentation say, each with its file.
fn texts() -> Vec<(PathBuf, String)> {
    let mut paths = files("prometheus/rules", "yaml");
    paths.extend(files("prometheus/tests", "yaml"));
    paths.extend(files("prometheus", "yaml"));
    paths.extend(files("prometheus", "md"));
    paths.extend(files("docs/runbooks", "md"));
    let text = |path: PathBuf| {
        let text = read(&path);
        (path, text)
    };
    paths.into_iter().map(text).collect()
}

#[test]
fn promtool_finds_nothing_wrong_with_the_rules() {
    succeeds(
        Command::new("promtool")
            .args(["check", "rules", "--lint=all", "--lint-fatal"])
            .args(files("prometheus/rules", "yaml")),
    );
}

#[test]
fn the_rules_do_what_their_tests_say() {
    succeeds(
        Command::new("promtool")
            .args(["test", "rules"])
            .args(files("prometheus/tests", "yaml")),
    );
}

#[test]
fn every_alert_and_every_record_has_a_case() {
    let tests: String = files("prometheus/tests", "yaml")
        .iter()
        .map(|file| read(file))
        .collect();
    let missing: Vec<_> = names("alert")
        .into_iter()
        .filter(|alert| {
            let fires = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"");
            !tests.contains(&fires)
        })
        .chain(
            names("record")
                .into_iter()
                .filter(|record| !tests.contains(&format!("{record}{{"))),
        )
        .collect();
    assert!(missing.is_empty(), "no case of {missing:?}");
}

/// The series that a text names and that neither a daemon shows nor a rule records.
pub(crate) fn unknown_series(text: &str) -> BTreeSet<String> {
    let documented: BTreeSet<&str> = METRICS
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| name.starts_with("hotspare_"))
        .collect();
    assert!(documented.contains("hotspare_probe_up"));
    let records = names("record");
    let is_known = |series: &str| {
        let parts = ["_bucket", "_sum", "_count"];
        let mut families = parts.iter().filter_map(|part| series.strip_suffix(part));
        records.contains(series)
            || documented.contains(series)
            || families.any(|family| documented.contains(family))
    };
    let name = Regex::new(r"[a-z_:]*hotspare_[a-z0-9_:]+").expect("an expression");
    name.find_iter(text)
        .map(|found| found.as_str().trim_end_matches(':'))
        .filter(|series| !is_known(series))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_series_that_is_named_exists() {
    let mut unknown = BTreeSet::new();
    for (path, text) in texts() {
        for series in unknown_series(&text) {
            unknown.insert(format!("{}: {series}", path.display()));
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn every_alert_says_what_it_is_and_has_a_runbook() {
    let mut runbooks: BTreeSet<_> = files("docs/runbooks", "md").into_iter().collect();
    let mut wanted = BTreeSet::new();
    for rule in rules() {
        let Some(alert) = rule.text("alert") else {
            continue;
        };
        let severity = rule.yaml["labels"]["severity"].as_str();
        assert!(
            matches!(severity, Some("critical" | "warning" | "info")),
            "{alert}: severity {severity:?}"
        );
        for key in ["summary", "description"] {
            assert!(!rule.annotation(key).is_empty(), "{alert} has no {key}");
        }
        let url = format!(
            "{}/blob/main/docs/runbooks/{alert}.md",
            env!("CARGO_PKG_REPOSITORY")
        );
        assert_eq!(rule.annotation("runbook_url"), url, "{alert}");
        let path = root().join(format!("docs/runbooks/{alert}.md"));
        assert!(
            read(&path).starts_with(&format!("# {alert}\n")),
            "{alert}: the runbook's title"
        );
        wanted.insert(path);
    }
    runbooks.retain(|path| !wanted.contains(path));
    assert!(runbooks.is_empty(), "of no alert: {runbooks:?}");
}

#[test]
fn every_alert_that_is_named_exists() {
    let alerts = names("alert");
    let name = Regex::new(r"\bHotspare[A-Z][A-Za-z]+").expect("an expression");
    for (path, text) in texts() {
        for found in name.find_iter(&text) {
            let found = found.as_str();
            assert!(alerts.contains(found), "{}: {found}", path.display());
        }
    }
}

#[test]
fn the_queries_of_the_runbooks_can_be_asked() {
    let mut records = Vec::new();
    for file in files("docs/runbooks", "md") {
        let text = read(&file);
        let before = records.len();
        for query in text.split("```promql\n").skip(1) {
            let (query, _) = query.split_once("```").expect("the end of the block");
            let query = query.trim().replace('\'', "''");
            let number = records.len();
            records.push(format!(
                "  - {{ record: 'query:number_{number}', expr: '{query}' }}\n"
            ));
        }
        assert!(records.len() > before, "{} asks nothing", file.display());
    }
    let wrapped = format!("groups:\n- name: runbooks\n  rules:\n{}", records.concat());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("queries.yaml");
    std::fs::write(&file, wrapped).expect("writable");
    succeeds(Command::new("promtool").args(["check", "rules"]).arg(&file));
}

#[test]
fn alertmanager_takes_the_inhibitions() {
    let inhibit = read(&root().join("prometheus/alertmanager-inhibit.yaml"));
    let config = format!("route: {{ receiver: none }}\nreceivers: [{{ name: none }}]\n{inhibit}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("alertmanager.yml");
    std::fs::write(&file, config).expect("writable");
    succeeds(Command::new("amtool").arg("check-config").arg(&file));
}
