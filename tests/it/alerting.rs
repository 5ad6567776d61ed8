//! Who is told what: a real Prometheus with the shipped rules and a real Alertmanager with the
//! shipped inhibitions, over daemons of the test.
//!
//! The shipped rules wait for minutes. Here a quarter of a minute is a second, in all of them alike:
//! in what Prometheus evaluates and scrapes by, in `for`, `keep_firing_for` and the ranges of
//! queries. Nothing else of the rules is touched; what is a number there (the 45 seconds of a link's
//! silence, the days of a certificate) stays.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use regex::{Captures, Regex};
use serde_json::Value;
use tokio::time::Instant;

use crate::daemon::get;
use crate::process::{Process, wait_for};
use crate::prometheus::{Prometheus, listening};

/// How many times faster the rules are: they are made for a scrape every 15 s, and here is one every
/// second.
const FASTER: u32 = 15;

/// For how long nothing else may fire: a minute and a quarter of the rules' time.
const A_WHILE: Duration = Duration::from_secs(5);

/// Only a guard against waiting for ever.
const PATIENCE: Duration = Duration::from_mins(2);

/// Alerts about the machine that the daemons run on, which is as busy as it is here; the one that
/// always fires; and the one about daemons whose files differ: here each has its own ways to the servers.
const NO_NEWS: [&str; 6] = [
    // Eight seconds of scrapes that took longer than one.
    "HotspareAllBlind",
    "HotspareConfigDiffers",
    "HotspareSlotsMissed",
    "HotspareOwnFaults",
    "HotspareTilt",
    "HotspareRulesWatchdog",
];

/// What Prometheus scrapes besides, and in vain: it is no daemon, so that nothing here is about it.
pub(crate) const OTHER: &str = "127.0.0.1:1";

/// A Prometheus that has seen nothing before, and its Alertmanager.
pub(crate) struct Watch {
    pub(crate) prometheus: Prometheus,
    alertmanager: Alertmanager,
}

/// What is to be heard, as [`Alert::name`] has it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Expected<'a> {
    /// What people get.
    pub(crate) told: &'a [&'a str],
    /// What fires, and is inhibited by something that is told.
    pub(crate) inhibited: &'a [&'a str],
    /// What follows later, and is pending at least.
    pub(crate) follows: &'a [&'a str],
    /// What may come and may not.
    pub(crate) may: &'a [&'a str],
}

/// An alert that is pending or fires.
#[derive(Debug, PartialEq)]
struct Alert {
    /// `page HotspareStandbyNotReady shop eu-central`: the name after its severity, and before the
    /// values of its other labels in the order of their names.
    name: String,
    fires: bool,
}

impl Watch {
    /// Watches the daemons.
    pub(crate) fn over(daemons: &[SocketAddr]) -> Self {
        Self::with(Alertmanager::start(), daemons)
    }

    /// The same with an Alertmanager that somebody knew before.
    pub(crate) fn with(alertmanager: Alertmanager, daemons: &[SocketAddr]) -> Self {
        let more = format!(
            "- {{ job_name: other, scrape_interval: 1s, scrape_timeout: 1s, static_configs: [{{ targets: [\"{OTHER}\"] }}] }}\n\
             global: {{ evaluation_interval: 1s }}\n\
             rule_files: [rules-*.yaml]\n\
             alerting: {{ alertmanagers: [{{ static_configs: [{{ targets: [\"{}\"] }}] }}] }}\n",
            alertmanager.address
        );
        Self {
            prometheus: Prometheus::start_with(daemons, &more, write_rules),
            alertmanager,
        }
    }

    /// Waits until so many standbys are ready by all daemons together, and nothing is wrong.
    pub(crate) fn wait_until_ready(&self, standbys: usize) {
        let verdict = "group_standby:hotspare_failover_ready:quorum";
        self.prometheus.wait_for(verdict, "standby", |found| {
            found.len() == standbys && found.iter().all(|(_, ready)| is_one(*ready))
        });
        wait_for(|| self.alerts(), Vec::is_empty);
    }

    /// What a query comes to, which must be one number.
    pub(crate) fn number(&self, query: &str) -> f64 {
        let found = self.prometheus.query(query, "");
        assert_eq!(found.len(), 1, "{query}: {found:?}");
        found[0].1
    }

    /// Waits for what is expected, and for a while in which nothing else may fire; at its end
    /// nothing else may be pending either.
    pub(crate) fn hears_only(&self, expected: Expected<'_>) {
        let mut since = Instant::now();
        let mut came = false;
        loop {
            let alerts = self.alerts();
            let others = expected.others(&alerts);
            let fire: Vec<_> = others.iter().filter(|alert| alert.fires).collect();
            assert!(fire.is_empty(), "not expected: {fire:#?}");
            let told = expected.told(&self.alertmanager.tells());
            let all = expected.are_all_in(&alerts) && told;
            let limit = if came { A_WHILE } else { PATIENCE };
            if all && !came {
                (came, since) = (true, Instant::now());
            } else if came && since.elapsed() >= limit && all && others.is_empty() {
                return;
            }
            assert!(
                since.elapsed() < limit + PATIENCE,
                "never so: {alerts:#?}, told {:#?}",
                self.alertmanager.tells()
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Waits until people get this and nothing else.
    pub(crate) fn tells_only(&self, names: &[&str]) {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        wait_for(|| self.alertmanager.tells(), |told| *told == names);
    }

    /// Waits until an alert describes itself like that.
    pub(crate) fn describes(&self, alert: &str, parts: &[&str]) {
        let description = || {
            let answer = self.prometheus.ask("/api/v1/alerts");
            let alerts = answer["data"]["alerts"].as_array().expect("a list").iter();
            let mut found = alerts.filter(|found| name(&found["labels"]) == alert);
            let found = found.next().expect("such an alert");
            found["annotations"]["description"].to_string()
        };
        wait_for(description, |text| {
            parts.iter().all(|part| text.contains(part))
        });
    }

    fn alerts(&self) -> Vec<Alert> {
        let answer = self.prometheus.ask("/api/v1/alerts");
        let alerts = answer["data"]["alerts"].as_array().expect("a list");
        let alerts = alerts.iter().map(|alert| {
            let text = alert["annotations"].to_string();
            assert!(!text.contains("error expanding"), "{text}");
            Alert {
                name: name(&alert["labels"]),
                fires: alert["state"] == "firing",
            }
        });
        alerts
            .filter(|alert| !NO_NEWS.iter().any(|other| alert.name.contains(other)))
            .collect()
    }
}

impl Expected<'_> {
    fn all(&self) -> impl Iterator<Item = &str> {
        let fire = self.told.iter().chain(self.inhibited);
        fire.chain(self.follows).chain(self.may).copied()
    }

    fn others<'a>(&self, alerts: &'a [Alert]) -> Vec<&'a Alert> {
        let others = alerts.iter();
        others
            .filter(|alert| !self.all().any(|known| alert.name == known))
            .collect()
    }

    fn are_all_in(&self, alerts: &[Alert]) -> bool {
        let is_there = |name: &str, fires: bool| {
            let mut alerts = alerts.iter();
            alerts.any(|alert| alert.name == name && (alert.fires || !fires))
        };
        let fire = self.told.iter().chain(self.inhibited);
        fire.into_iter().all(|name| is_there(name, true))
            && self.follows.iter().all(|name| is_there(name, false))
    }

    /// Whether people get what they should, and not what is inhibited.
    fn told(&self, tells: &BTreeSet<String>) -> bool {
        self.told.iter().all(|name| tells.contains(*name))
            && !self.inhibited.iter().any(|name| tells.contains(*name))
    }
}

pub(crate) struct Alertmanager {
    pub(crate) address: SocketAddr,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Alertmanager {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let shipped = include_str!("../../alertmanager/alertmanager.yaml");
        let (_, inhibit) = shipped
            .split_once("\ninhibit_rules:\n")
            .expect("its last section");
        let config = format!(
            "route: {{ receiver: none }}\nreceivers: [{{ name: none }}]\ninhibit_rules:\n{inhibit}"
        );
        let file = folder.path().join("alertmanager.yml");
        std::fs::write(&file, config).expect("writable");
        let mut command = Command::new("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", folder.path().display()))
            .args([
                "--web.listen-address=127.0.0.1:0",
                "--cluster.listen-address=",
            ]);
        let mut process = Process::start(command);
        let address = listening(&mut process);
        Self {
            address,
            _process: process,
            _folder: folder,
        }
    }

    /// What it has and does not inhibit.
    fn tells(&self) -> BTreeSet<String> {
        let response = get(self.address, "/api/v2/alerts?active=true&inhibited=false");
        let alerts: Value = serde_json::from_slice(&response.body).expect("JSON");
        let alerts = alerts.as_array().expect("a list").iter();
        alerts
            .map(|alert| name(&alert["labels"]))
            .filter(|name| !name.contains("HotspareRulesWatchdog"))
            .collect()
    }
}

/// The name of an alert: see [`Alert::name`].
fn name(labels: &Value) -> String {
    let urgency = match labels["severity"].as_str() {
        Some("critical") => "page",
        Some("warning") => "ticket",
        other => other.expect("a severity"),
    };
    let alert = labels["alertname"].as_str().expect("a name");
    let mut words = vec![urgency, alert];
    // In the order of their names.
    let labels = labels.as_object().expect("labels").iter();
    let others = labels.filter(|(label, _)| !["alertname", "severity"].contains(&label.as_str()));
    words.extend(others.map(|(_, value)| value.as_str().expect("text")));
    words.join(" ")
}

fn is_one(value: f64) -> bool {
    (value - 1.0).abs() < f64::EPSILON
}

/// The shipped rules, faster.
fn write_rules(folder: &Path) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("prometheus/rules");
    for entry in std::fs::read_dir(shipped).expect("a folder") {
        let path = entry.expect("an entry").path();
        let rules = faster(&std::fs::read_to_string(&path).expect("readable"));
        let name = path.file_name().expect("a file").to_string_lossy();
        std::fs::write(folder.join(format!("rules-{name}")), rules).expect("writable");
    }
}

fn faster(rules: &str) -> String {
    let times = r"((?:for|keep_firing_for|interval): |\[)([0-9]+)([smhd])\b";
    let times = Regex::new(times).expect("an expression");
    let scaled = times.replace_all(rules, |found: &Captures<'_>| {
        let unit = match &found[3] {
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => 86_400_000,
        };
        let millis = found[2].parse::<u32>().expect("a number") * unit;
        format!("{}{}ms", &found[1], millis / FASTER)
    });
    scaled.into_owned()
}

mod tests {
    use super::*;

    #[test]
    fn every_time_of_the_rules_is_shorter_and_nothing_else_is_changed() {
        let rules = "interval: 15s\nfor: 1m\nkeep_firing_for: 5m\nexpr: rate(x[2h]) > 45 * y[1d]\n";
        let expected = "interval: 1000ms\nfor: 4000ms\nkeep_firing_for: 20000ms\n\
                        expr: rate(x[480000ms]) > 45 * y[5760000ms]\n";
        assert_eq!(faster(rules), expected);
        let shipped = concat!(
            include_str!("../../prometheus/rules/hotspare-alerts.yaml"),
            include_str!("../../prometheus/rules/hotspare-regional.yaml")
        );
        let left = Regex::new(r"(for: |interval: |\[)[0-9]+[smhd]\b").expect("an expression");
        let left: Vec<_> = left
            .find_iter(shipped)
            .map(|found| found.as_str())
            .collect();
        assert!(left.len() > 20);
        let scaled = faster(shipped);
        for time in left {
            assert!(
                !scaled.contains(&format!("{time}\n")) && !scaled.contains(&format!("{time}]"))
            );
        }
    }
}
