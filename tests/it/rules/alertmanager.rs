//! The example for Alertmanager: who is told of what, and what inhibits what.

use std::path::PathBuf;
use std::process::Command;

use regex::Regex;
use yaml_rust2::Yaml;

use super::{OF_THE_DAEMON, WATCHDOG, list, names, root, succeeds, yaml};

fn example() -> PathBuf {
    root().join("alertmanager/alertmanager.yaml")
}

/// The alerts that the matchers of an inhibition can be about.
fn alerts(inhibition: &Yaml, key: &str) -> Vec<String> {
    let matcher = Regex::new(r#"^alertname (=~?) "?([A-Za-z|]+)"?$"#).expect("an expression");
    let matchers = list(&inhibition[key]).iter();
    let texts = matchers.map(|text| text.as_str().expect("a matcher"));
    let mut found = texts.filter_map(|text| matcher.captures(text));
    let found = found.next().expect("a matcher by name");
    let alerts: Vec<_> = found[2].split('|').map(str::to_owned).collect();
    assert!(alerts.len() == 1 || &found[1] == "=~", "{alerts:?}");
    alerts
}

#[test]
fn amtool_takes_it() {
    succeeds(Command::new("amtool").arg("check-config").arg(example()));
}

#[test]
fn pages_tickets_and_records_are_told_to_different_people() {
    for (labels, receiver) in [
        (
            vec!["alertname=HotspareSplitBrain", "severity=critical"],
            "pages",
        ),
        (
            vec!["alertname=HotspareDown", "severity=warning"],
            "tickets",
        ),
        (vec!["alertname=HotspareTilt", "severity=info"], "records"),
        (vec!["alertname=HotspareTilt"], "tickets"),
        (
            vec!["alertname=HotspareRulesWatchdog", "severity=none"],
            "dead-mans-switch",
        ),
        (
            vec!["alertname=HotspareWatchdog", "severity=info"],
            "dead-mans-switch",
        ),
    ] {
        succeeds(
            Command::new("amtool")
                .args(["config", "routes", "test", "--config.file"])
                .arg(example())
                .arg(format!("--verify.receivers={receiver}"))
                .args(labels),
        );
    }
}

#[test]
fn every_alert_that_inhibits_or_is_inhibited_exists() {
    let known = names("alert");
    for inhibition in list(&yaml(&example())["inhibit_rules"]) {
        for key in ["source_matchers", "target_matchers"] {
            for alert in alerts(inhibition, key) {
                assert!(known.contains(&alert), "{alert}");
            }
        }
    }
}

#[test]
fn nothing_inhibits_a_split_brain_or_a_watchdog() {
    let inhibitions = yaml(&example());
    let inhibitions = list(&inhibitions["inhibit_rules"]);
    assert!(inhibitions.len() > 5);
    for inhibition in inhibitions {
        for alert in alerts(inhibition, "target_matchers") {
            assert!(
                !["HotspareSplitBrain", WATCHDOG, OF_THE_DAEMON].contains(&alert.as_str()),
                "{alert} is inhibited"
            );
        }
    }
}

/// Otherwise an inhibition compares what is not there on both sides, and matches always.
#[test]
fn an_inhibition_compares_labels_that_its_source_has() {
    let cases = super::cases();
    for inhibition in list(&yaml(&example())["inhibit_rules"]) {
        for source in alerts(inhibition, "source_matchers") {
            let mut seen = cases.iter().flatten().flatten();
            let seen = seen.find(|labels| labels["alertname"] == source);
            let seen = seen.unwrap_or_else(|| panic!("{source} never fires"));
            for label in list(&inhibition["equal"]) {
                let label = label.as_str().expect("a label");
                // A target of no group has none, and then both sides have none.
                let optional = source == "HotspareErrorBudgetBurn" && label == "group";
                assert!(
                    optional || seen.contains_key(label),
                    "{source} has no {label}"
                );
            }
        }
    }
}
