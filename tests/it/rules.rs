//! The shipped Prometheus rules: right by `promtool`, of series that exist, with a firing and a silent
//! case for every alert. Beside them, what belongs to them: runbooks, examples for Alertmanager and for
//! scraping.

mod alertmanager;
mod runbooks;
mod scrape;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use yaml_rust2::{Yaml, YamlLoader};

const METRICS: &str = include_str!("../../docs/metrics.md");

/// The alert that the daemons themselves always send. The rules have none of this name.
const OF_THE_DAEMON: &str = "HotspareWatchdog";

/// The alert that always fires.
const WATCHDOG: &str = "HotspareRulesWatchdog";

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

pub(crate) fn yaml(path: &Path) -> Yaml {
    let documents = YamlLoader::load_from_str(&read(path));
    documents.expect("YAML").swap_remove(0)
}

pub(crate) fn list(yaml: &Yaml) -> &[Yaml] {
    yaml.as_vec().map_or(&[], Vec::as_slice)
}

/// One rule as it is in its file.
struct Rule {
    /// The name of the file without what all have in common: `alerts`, `recording`, `regional`.
    file: String,
    yaml: Yaml,
}

impl Rule {
    fn text(&self, key: &str) -> Option<&str> {
        self.yaml[key].as_str()
    }

    fn annotation(&self, key: &str) -> &str {
        self.yaml["annotations"][key].as_str().unwrap_or_default()
    }

    /// What it asks for: its query, and those of its description.
    fn everything(&self) -> String {
        let query = self.text("expr").expect("a query");
        format!("{query}\n{}", self.annotation("description"))
    }
}

fn rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    for path in files("prometheus/rules", "yaml") {
        let name = path.file_stem().expect("a name").to_string_lossy();
        let file = name.trim_start_matches("hotspare-").to_owned();
        for group in list(&yaml(&path)["groups"]) {
            rules.extend(list(&group["rules"]).iter().map(|yaml| Rule {
                file: file.clone(),
                yaml: yaml.clone(),
            }));
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

/// The series of hotspare that are named in a text, recorded ones among them.
fn series(text: &str) -> BTreeSet<String> {
    // The names of labels that service discovery hands over are none.
    let name = Regex::new(r"\b[a-z_:]*hotspare_[a-z0-9_:]+").expect("an expression");
    let found = name.find_iter(text).map(|found| found.as_str());
    found
        .filter(|name| !name.starts_with("__meta_"))
        .map(|name| name.trim_end_matches(':').to_owned())
        .collect()
}

/// What a program says that has to succeed.
pub(crate) fn succeeds(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

/// What the rules, their tests and their documentation say, each with its file.
fn texts() -> Vec<(PathBuf, String)> {
    let mut paths = files("prometheus/rules", "yaml");
    paths.extend(files("prometheus/tests", "yaml"));
    paths.extend(files("prometheus/scrape", "yaml"));
    paths.extend(files("alertmanager", "yaml"));
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

/// What a case of the rules' tests finds firing at one moment, of all alerts: the labels of each.
type Moment = Vec<BTreeMap<String, String>>;

/// The labels in `ALERTS{a="1",b="2"}`.
fn labels(series: &str) -> BTreeMap<String, String> {
    let label = Regex::new(r#"(\w+)="([^"]*)""#).expect("an expression");
    let found = label.captures_iter(series);
    found
        .map(|found| (found[1].to_owned(), found[2].to_owned()))
        .collect()
}

/// The moments of each case at which all alerts are looked at.
fn cases() -> Vec<Vec<Moment>> {
    let all = [
        r#"ALERTS{alertstate="firing",severity!="none"}"#,
        r#"ALERTS{alertstate="firing"}"#,
        "ALERTS",
    ];
    let mut cases = Vec::new();
    for path in files("prometheus/tests", "yaml") {
        for case in list(&yaml(&path)["tests"]) {
            let looks = list(&case["promql_expr_test"]).iter();
            let looks =
                looks.filter(|look| look["expr"].as_str().is_some_and(|e| all.contains(&e)));
            let moment = |look: &Yaml| {
                let found = list(&look["exp_samples"]).iter();
                found
                    .map(|sample| labels(sample["labels"].as_str().expect("labels")))
                    .collect()
            };
            cases.push(looks.map(moment).collect());
        }
    }
    cases
}

fn fires(alert: &str, moment: &Moment) -> bool {
    moment.iter().any(|labels| labels["alertname"] == alert)
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_is_silent_at_another_moment() {
    let cases = cases();
    let mut missing = names("alert");
    missing.retain(|alert| {
        !cases.iter().any(|case| {
            let fires = |moment| fires(alert, moment);
            case.iter().any(fires) && (alert == WATCHDOG || !case.iter().all(fires))
        })
    });
    assert!(missing.is_empty(), "no such case of {missing:?}");
}

#[test]
fn every_record_has_a_case() {
    let tests: String = files("prometheus/tests", "yaml")
        .iter()
        .map(|file| read(file))
        .collect();
    let mut missing = names("record");
    missing.retain(|record| {
        let asked = Regex::new(&format!(r"expr: .*\b{record}\b")).expect("an expression");
        !asked.is_match(&tests)
    });
    assert!(missing.is_empty(), "no case of {missing:?}");
}

/// Where there are thousands of targets, it takes seconds to read their histograms. It is done once, in
/// a group in which no alert waits for it.
#[test]
fn histograms_are_read_once_a_minute_and_beside_the_alerts() {
    let mut read = 0;
    for path in files("prometheus/rules", "yaml") {
        for group in list(&yaml(&path)["groups"]) {
            let rules = list(&group["rules"]);
            let text = |rule: &Yaml| rule["expr"].as_str().expect("a query").to_owned();
            let reading = rules.iter().map(text);
            let reading = reading.filter(|text| text.contains("_bucket[")).count();
            if reading > 0 {
                assert_eq!(group["interval"].as_str(), Some("1m"));
                assert!(rules.iter().all(|rule| rule["alert"].is_badvalue()));
            }
            read += reading;
        }
    }
    assert_eq!(read, 1);
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
    let is_known = |series: &String| {
        let parts = ["_bucket", "_sum", "_count"];
        let mut families = parts.iter().filter_map(|part| series.strip_suffix(part));
        records.contains(series)
            || documented.contains(series.as_str())
            || families.any(|family| documented.contains(family))
    };
    series(text)
        .into_iter()
        .filter(|series| !is_known(series))
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
fn every_alert_says_what_it_is() {
    for rule in rules() {
        let Some(alert) = rule.text("alert") else {
            continue;
        };
        let severity = rule.yaml["labels"]["severity"].as_str();
        let right = match severity {
            Some("critical" | "warning" | "info") => alert != WATCHDOG,
            Some("none") => alert == WATCHDOG,
            _ => false,
        };
        assert!(right, "{alert}: severity {severity:?}");
        for key in ["summary", "description"] {
            assert!(!rule.annotation(key).is_empty(), "{alert} has no {key}");
        }
        let url = format!(
            "{}/blob/main/docs/runbooks/{alert}.md",
            env!("CARGO_PKG_REPOSITORY")
        );
        assert_eq!(rule.annotation("runbook_url"), url, "{alert}");
    }
}

#[test]
fn every_alert_that_is_named_exists() {
    let alerts = names("alert");
    let name = Regex::new(r"\bHotspare[A-Z][A-Za-z]+").expect("an expression");
    for (path, text) in texts() {
        for found in name.find_iter(&text) {
            let found = found.as_str();
            let known = found == OF_THE_DAEMON || alerts.contains(found);
            assert!(known, "{}: {found}", path.display());
        }
    }
}

/// Either set is loaded where the other is not, and both are loaded by one Prometheus.
#[test]
fn neither_set_needs_or_repeats_the_other() {
    let (regional, global): (Vec<_>, Vec<_>) = rules()
        .into_iter()
        .partition(|rule| rule.file == "regional");
    let records = |rules: &[Rule]| -> BTreeSet<String> {
        let names = rules.iter().filter_map(|rule| rule.text("record"));
        names.map(str::to_owned).collect()
    };
    for (set, other) in [(&regional, &global), (&global, &regional)] {
        let foreign = records(other);
        for rule in set {
            let name = rule.text("record").or(rule.text("alert")).expect("a name");
            assert!(!foreign.contains(name), "{name} is in both");
            let needed = series(&rule.everything());
            let needed: Vec<_> = needed.intersection(&foreign).collect();
            assert!(needed.is_empty(), "{name} needs {needed:?}");
        }
    }
    let alerts = |rules: &[Rule]| -> BTreeSet<String> {
        let names = rules.iter().filter_map(|rule| rule.text("alert"));
        names.map(str::to_owned).collect()
    };
    let both: Vec<_> = alerts(&regional)
        .intersection(&alerts(&global))
        .cloned()
        .collect();
    assert_eq!(both, [WATCHDOG]);
}
