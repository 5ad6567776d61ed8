//! What is committed for Grafana: the dashboards are those that the generator makes, and the files
//! around them name what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

use crate::generator;

const DEPLOYMENT: &str = include_str!("../../docs/deployment.md");
const README: &str = include_str!("../../grafana/README.md");

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/grafana"))
}

fn read(path: &str) -> String {
    let path = folder().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: &str) -> Yaml {
    let mut documents =
        YamlLoader::load_from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(documents.len(), 1, "{path}");
    documents.remove(0)
}

fn text<'a>(yaml: &'a Yaml, key: &str) -> &'a str {
    yaml[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} is not a text in {yaml:?}"))
}

/// Each dashboard's file by its name, as the generator makes it.
fn made() -> BTreeMap<String, String> {
    let all = generator::all();
    let count = all.len();
    let made: BTreeMap<_, _> = all.iter().map(|d| (d.file(), d.text())).collect();
    assert_eq!(made.len(), count, "two dashboards have one name");
    made
}

#[test]
fn every_committed_dashboard_is_what_the_generator_makes() {
    let made = made();
    let committed: BTreeSet<String> = std::fs::read_dir(folder().join("dashboards"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .map(|path| path.file_name().expect("a name").to_owned())
        .map(|name| name.into_string().expect("UTF-8"))
        .collect();
    let names: BTreeSet<String> = made.keys().cloned().collect();
    assert_eq!(
        committed, names,
        "committed, and made: cargo run --example dashboards"
    );
    for (name, text) in &made {
        // Not assert_eq!, which would print both.
        let is_same = read(&format!("dashboards/{name}")) == *text;
        assert!(is_same, "{name} is old: cargo run --example dashboards");
    }
}

#[test]
fn the_readme_leads_to_every_dashboard_and_to_no_other() {
    let linked: BTreeSet<String> = README
        .split("](dashboards/")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name != ".lint")
        .collect();
    let made: BTreeSet<String> = made().into_keys().collect();
    assert_eq!(linked, made);
}

#[test]
fn provisioning_reads_the_folder_that_the_documentation_names() {
    let file = yaml("provisioning/dashboards/hotspare.yaml");
    assert_eq!(file["apiVersion"].as_i64(), Some(1));
    let [provider] = file["providers"].as_vec().expect("providers").as_slice() else {
        panic!("one provider: {file:?}");
    };
    assert_eq!(text(provider, "type"), "file");
    assert_eq!(provider["allowUiUpdates"].as_bool(), Some(false));
    let path = text(&provider["options"], "path");
    for (name, document) in [("docs/deployment.md", DEPLOYMENT), ("README.md", README)] {
        let named = format!("grafana/dashboards/*.json` to `{path}`");
        let named = named.trim_start_matches("grafana/");
        assert!(document.contains(named), "{name} does not say: {named}");
    }
}

#[test]
fn the_example_of_a_data_source_has_the_scrape_interval_of_the_documentation() {
    let file = yaml("provisioning/datasources/hotspare.yaml");
    assert_eq!(file["apiVersion"].as_i64(), Some(1));
    let [source] = file["datasources"]
        .as_vec()
        .expect("data sources")
        .as_slice()
    else {
        panic!("one data source: {file:?}");
    };
    assert_eq!(text(source, "type"), "prometheus");
    let interval = text(&source["jsonData"], "timeInterval");
    let job = format!("scrape_interval: {interval}\n");
    assert!(
        DEPLOYMENT.contains(&job),
        "docs/deployment.md does not have: {job}"
    );
}

#[test]
fn what_the_linter_leaves_out_is_there_and_has_a_reason() {
    let panels = titles();
    let file = yaml("dashboards/.lint");
    let rules = file["exclusions"].as_hash().expect("exclusions");
    assert!(!rules.is_empty());
    for (rule, exclusion) in rules {
        assert!(text(exclusion, "reason").len() > 20, "{rule:?}");
        // Without entries, the linter leaves the rule out everywhere.
        let entries = exclusion["entries"].as_vec().expect("entries");
        assert!(!entries.is_empty(), "{rule:?}");
        for entry in entries {
            // Without a panel, it is of the dashboard itself.
            let (dashboard, panel) = (text(entry, "dashboard"), entry["panel"].as_str());
            let is_there = panels
                .iter()
                .any(|(of, title)| of == dashboard && panel.is_none_or(|panel| panel == title));
            assert!(is_there, "{rule:?}: no {dashboard:?} {panel:?}");
        }
    }
}

/// The titles of all panels, each with that of its dashboard.
fn titles() -> BTreeSet<(String, String)> {
    let mut titles = BTreeSet::new();
    for text in made().values() {
        let dashboard: Value = serde_json::from_str(text).expect("JSON");
        let title = |of: &Value| of["title"].as_str().expect("a title").to_owned();
        let panels = dashboard["panels"].as_array().expect("panels");
        titles.extend(panels.iter().map(|panel| (title(&dashboard), title(panel))));
    }
    titles
}
