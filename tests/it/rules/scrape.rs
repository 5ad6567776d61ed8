//! The examples of how Prometheus comes to the daemons.

use std::collections::BTreeSet;
use std::process::Command;

use super::{files, list, names, read, root, rules, series, succeeds, yaml};

#[test]
fn prometheus_takes_every_example() {
    let rules = root().join("prometheus/rules");
    for example in files("prometheus/scrape", "yaml") {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // What is to be there on the host of Prometheus.
        let lists = folder.path().join("hotspare");
        std::fs::create_dir(&lists).expect("writable");
        let list = lists.join("daemons.json");
        std::fs::write(&list, r#"[{"targets":["10.1.0.5:9887"]}]"#).expect("writable");
        let config = read(&example)
            .replace("/etc/prometheus/rules", &rules.display().to_string())
            .replace("/etc/prometheus", &folder.path().display().to_string());
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).expect("writable");
        let said = succeeds(
            Command::new("promtool")
                .args(["check", "config"])
                .arg(&file),
        );
        assert!(!said.to_lowercase().contains("warn"), "{said}");
        let loaded = said.matches("rules found").count();
        assert!(loaded > 0, "{}: {said}", example.display());
    }
}

#[test]
fn federation_hands_on_what_the_global_rules_need_and_nothing_else() {
    let example = yaml(&root().join("prometheus/scrape/federation.yaml"));
    let job = &example["scrape_configs"][0];
    assert_eq!(job["honor_labels"].as_bool(), Some(true));
    let handed_on: BTreeSet<_> = list(&job["params"]["match[]"])
        .iter()
        .map(|selector| selector.as_str().expect("a selector").to_owned())
        .filter(|selector| !selector.starts_with('{'))
        .collect();
    let records = names("record");
    let mut needed = BTreeSet::new();
    for rule in rules().iter().filter(|rule| rule.file != "regional") {
        needed.extend(series(&rule.everything()));
    }
    needed.retain(|name| !records.contains(name));
    assert!(needed.contains("hotspare_probe_up"));
    assert_eq!(handed_on, needed);
}
