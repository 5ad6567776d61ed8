//! The times in which nobody is to be told of alerts.

use std::collections::HashMap;

use super::super::load::Element;
use super::super::place::Path;
use super::super::problem::{Problem, choices};
use super::super::{schema, strict};
use super::groups::names;
use super::{Check, Known};
use crate::model::Severity;
use crate::rule::{Maintenance, PlannedRule};

/// The labels that hotspare sets on alerts.
const LABELS: [&str; 9] = [
    "alertname",
    "severity",
    "group",
    "standby",
    "probe",
    "kind",
    "target_region",
    "target",
    "source_region",
];

impl Check<'_> {
    /// `all` are the rules, also those that could not be read.
    pub(in super::super) fn maintenance(
        &mut self,
        elements: &[Element],
        known: &Known<'_>,
        (all, rules): (&[Element], &[PlannedRule]),
    ) -> Vec<Maintenance> {
        let names = names(all);
        let mut taken = HashMap::new();
        let mut windows = Vec::new();
        for element in elements {
            let read: Option<schema::Maintenance> =
                strict::read(&element.value, &element.path, self.places, self.problems);
            let Some(read) = read else { continue };
            let name = self.name(element, read.name.as_deref(), &mut taken);
            for key in ["starts", "lasts", "match"] {
                self.missing(element, key);
            }
            for (label, value) in read.matches.iter().flatten() {
                self.matched(element, (label, value), known, (rules, &names));
            }
            let zone = read.time_zone.as_deref().unwrap_or("UTC");
            let labels = read.matches.iter().flatten();
            let labels = labels.map(|(k, v)| (k.as_str().into(), v.as_str().into()));
            let (Some(name), Some(starts), Some(lasts)) = (name, &read.starts, read.lasts) else {
                continue;
            };
            match Maintenance::new(name, starts, lasts, zone, labels.collect()) {
                Ok(window) => windows.push(window),
                Err((key, why)) => self.add(element, &Path::root(key), why),
            }
        }
        windows
    }

    /// A window for what no alert has would mute nothing.
    fn matched(
        &mut self,
        element: &Element,
        (label, value): (&str, &str),
        known: &Known<'_>,
        (rules, names): (&[PlannedRule], &[String]),
    ) {
        let path = Path::root("match").key(label);
        let own = || rules.iter().flat_map(|rule| rule.labels.keys());
        let all = LABELS.into_iter().chain(own().map(|name| &**name));
        if !all.clone().any(|known| known == label) {
            // It may be one of a rule that could not be read.
            if !self.problems.names(0, &Path::root("rules")) {
                let place = self.places.of_key(path.deepest(&element.value));
                let message = "no alert has this label";
                let mut problem = Problem::new(place, &element.path.join(&path), message);
                problem.help = choices(label, all);
                self.problems.push(problem);
            }
            return;
        }
        let regions = || known.regions.iter().map(|region| &*region.name);
        let there: Vec<&str> = match label {
            "alertname" => names.iter().map(String::as_str).collect(),
            "severity" => Severity::ALL.map(Severity::as_str).into(),
            "group" => known.group_names.iter().map(String::as_str).collect(),
            "probe" => known.probe_names.iter().map(String::as_str).collect(),
            "standby" | "target_region" | "source_region" => regions().collect(),
            _ => return,
        };
        if !there.contains(&value) {
            let message = format!("there is no `{value}`");
            let mut problem = element.problem(self.places, &path, message);
            problem.help = choices(value, there);
            self.problems.push(problem);
        }
    }
}
