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

/// An alert with one of its severities.
type Level = (String, String);

/// What the matchers of an inhibition can be about, with its severity.
fn levels(inhibition: &Yaml, key: &str) -> Vec<Level> {
    let by_severity = |severity: &str| {
        let mut matchers = list(&inhibition[key]).iter();
        let severities = matchers.find_map(|text| text.as_str()?.strip_prefix("severity = "));
        severities.is_none_or(|only| only == severity)
    };
    let alerts = alerts(inhibition, key);
    let rules = super::rules();
    let levels = rules.iter().filter_map(|rule| {
        let alert = rule.text("alert")?;
        let severity = rule.yaml["labels"]["severity"].as_str()?;
        let matches = alerts.iter().any(|known| known == alert) && by_severity(severity);
        matches.then(|| (alert.to_owned(), severity.to_owned()))
    });
    levels.collect()
}

/// Every alert that inhibits, with one that it inhibits.
fn inhibitions() -> Vec<(Level, Level)> {
    let mut pairs = Vec::new();
    for inhibition in list(&yaml(&example())["inhibit_rules"]) {
        let targets = levels(inhibition, "target_matchers");
        for source in levels(inhibition, "source_matchers") {
            pairs.extend(
                targets
                    .iter()
                    .map(|target| (source.clone(), target.clone())),
            );
        }
    }
    assert!(pairs.len() > 50, "{pairs:?}");
    pairs
}

#[test]
fn no_ticket_inhibits_a_page() {
    for (source, target) in inhibitions() {
        let swallows = source.1 != "critical" && target.1 == "critical";
        assert!(!swallows, "{source:?} inhibits {target:?}");
    }
}

/// Two that inhibit each other would both be silent.
#[test]
fn nothing_is_inhibited_by_what_it_inhibits() {
    let mut pairs = inhibitions();
    loop {
        let before = pairs.len();
        let sources: Vec<_> = pairs.iter().map(|(source, _)| source.clone()).collect();
        pairs.retain(|(_, target)| sources.contains(target));
        if pairs.len() == before {
            break;
        }
    }
    assert!(pairs.is_empty(), "in a circle: {pairs:?}");
}

/// Seconds of a time of Alertmanager.
fn seconds(time: &str) -> u64 {
    let (number, unit) = time.split_at(time.len() - 1);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        other => panic!("{other}"),
    };
    number.parse::<u64>().expect("a number") * unit
}

/// Alertmanager repeats what was sent longer than that ago when it looks, which it does each
/// `group_interval`. It forgets after 120 hours what it has sent, if it is not told otherwise.
#[test]
fn a_dead_mans_switch_is_told_at_every_look_and_nothing_is_repeated_because_it_was_forgotten() {
    let routes = &yaml(&example())["route"]["routes"];
    for route in list(routes) {
        let time = |key: &str| seconds(route[key].as_str().expect("a time"));
        let receiver = route["receiver"].as_str().expect("a receiver");
        assert!(time("repeat_interval") < 120 * 3600, "{receiver}");
        if receiver == "dead-mans-switch" {
            assert!(time("repeat_interval") < time("group_interval"));
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
