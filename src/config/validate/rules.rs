//! The rules: when something is an alert, and who is told.

mod conditions;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::super::load::Element;
use super::super::place::{Path, Place};
use super::super::problem::{Problem, choices};
use super::super::{Group, Probe, Region, schema, strict};
use super::Check;
use super::groups::names;
use super::names::rule_label_fault;
use super::targets::is_empty;
use crate::model::duration::display;
use crate::model::{Labels, Severity};
use crate::rule::{Annotations, PlannedRule, Timing, WATCHDOG};

/// Labels that a rule may have of its own.
const MAX_LABELS: usize = 16;

/// The longest time for a condition to hold, or to be over.
const MAX_TIME: Duration = Duration::from_hours(7 * 24);

/// What rules can name.
#[derive(Clone, Copy)]
pub(in super::super) struct Known<'a> {
    pub(in super::super) regions: &'a [Region],
    /// All probes, also those that could not be read.
    pub(in super::super) probe_names: &'a [String],
    pub(in super::super) probes: &'a [Probe],
    /// All groups, also those that could not be read.
    pub(in super::super) group_names: &'a [String],
    pub(in super::super) groups: &'a [Group],
    /// All receivers; `None`: nobody knows.
    pub(in super::super) receivers: Option<&'a [String]>,
}

impl Check<'_> {
    pub(in super::super) fn rules(
        &mut self,
        elements: &[Element],
        known: &Known<'_>,
    ) -> Vec<PlannedRule> {
        let mut taken = HashMap::new();
        let all = names(elements);
        let rules = elements.iter();
        let rules = rules.map(|element| (element, self.rule(element, known, &all, &mut taken)));
        let rules: Vec<_> = rules.collect();
        self.cycles(&rules);
        rules.into_iter().filter_map(|(_, rule)| rule).collect()
    }

    /// `all` are the names of all rules.
    fn rule(
        &mut self,
        element: &Element,
        known: &Known<'_>,
        all: &[String],
        taken: &mut HashMap<String, Place>,
    ) -> Option<PlannedRule> {
        let before = self.problems.len();
        let read: schema::Rule =
            strict::read(&element.value, &element.path, self.places, self.problems)?;
        let name = self.name(element, read.name.as_deref(), taken);
        if name.as_deref() == Some(WATCHDOG) {
            let message = "this is the name of the alert that always fires: take another";
            self.add(element, &Path::root("name"), message);
        }
        for (key, given) in [
            ("when", read.when.is_some()),
            ("severity", read.severity.is_some()),
        ] {
            if !given {
                self.missing(element, key);
            }
        }
        if let Some(when) = &read.when {
            self.condition(element, when, known, before);
        }
        for (key, time) in [
            ("for", read.pending),
            ("keep_firing_for", read.keep_firing_for),
        ] {
            if time.is_some_and(|time| time > MAX_TIME) {
                let message = format!("must be at most {}", display(MAX_TIME));
                self.add(element, &Path::root(key), message);
            }
        }
        let longest = read.when.as_ref().and_then(|when| when.kind().longest());
        if let Some(longest) = longest.filter(|longest| read.pending >= Some(*longest)) {
            let longest = display(longest);
            let message = format!("would never fire: the condition holds for {longest} at most");
            self.add(element, &Path::root("for"), message);
        }
        let labels = self.rule_labels(element, &read.labels);
        let depends_on = self.depends_on(element, &read, all);
        let annotations = self.annotations(element, read.annotations);
        let receivers = self.told(element, read.receivers.as_deref(), known.receivers);
        let when = read.when?;
        Some(PlannedRule {
            // One without a good name was reported, and so was one without a severity.
            name: name.unwrap_or_default(),
            severity: read.severity.unwrap_or(Severity::Info),
            labels,
            annotations: annotations?,
            timing: Timing {
                pending: read.pending.unwrap_or_default(),
                keep_firing: read.keep_firing_for.unwrap_or_default(),
            },
            depends_on,
            receivers,
            when,
        })
    }

    fn rule_labels(&mut self, element: &Element, labels: &BTreeMap<String, String>) -> Labels {
        let path = Path::root("labels");
        if labels.len() > MAX_LABELS {
            let message = format!("more than {MAX_LABELS} labels");
            self.add(element, &path, message);
        }
        for (name, value) in labels {
            if let Some(why) = rule_label_fault(name, value) {
                self.at_key(element, &path.key(name), why);
            }
        }
        let labels = labels.iter();
        labels
            .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
            .collect()
    }

    fn annotations(
        &mut self,
        element: &Element,
        templates: BTreeMap<String, String>,
    ) -> Option<Annotations> {
        let templates = templates.into_iter();
        let templates = templates.map(|(name, template)| (name.into(), template));
        match Annotations::new(templates.collect()) {
            Ok(annotations) => Some(annotations),
            Err(faults) => {
                for (name, why) in faults {
                    self.at_key(element, &Path::root("annotations").key(&name), why);
                }
                None
            }
        }
    }

    /// A problem at the key, and not at its value.
    fn at_key(&mut self, element: &Element, path: &Path, message: impl Into<String>) {
        let place = self.places.of_key(path.deepest(&element.value));
        let path = element.path.join(path);
        self.problems.push(Problem::new(place, &path, message));
    }

    fn depends_on(
        &mut self,
        element: &Element,
        read: &schema::Rule,
        all: &[String],
    ) -> Vec<Arc<str>> {
        let names = read.depends_on.as_deref().unwrap_or_default();
        for (i, name) in names.iter().enumerate() {
            let path = Path::root("depends_on").index(i);
            if read.name.as_ref() == Some(name) {
                self.add(element, &path, "a rule cannot depend on itself");
            } else {
                self.listed(element, &path, "rule", names, i, all);
            }
        }
        names.iter().map(|name| name.as_str().into()).collect()
    }

    /// The receivers that are told. `known` are the names of all; `None`: nobody knows.
    fn told(
        &mut self,
        element: &Element,
        names: Option<&[String]>,
        known: Option<&[String]>,
    ) -> Option<Vec<Arc<str>>> {
        let names = names?;
        let path = Path::root("receivers");
        if names.is_empty() && is_empty(path.deepest(&element.value)) {
            let message = "nobody would be told: leave `receivers` out to tell everyone";
            self.add(element, &path, message);
        }
        for i in 0..names.len() {
            if let Some(known) = known {
                self.listed(element, &path.index(i), "receiver", names, i, known);
            }
        }
        Some(names.iter().map(|name| name.as_str().into()).collect())
    }

    /// That the `i`-th of the names in a list is one of those that there are, and there for the first
    /// time.
    fn listed(
        &mut self,
        element: &Element,
        path: &Path,
        what: &str,
        names: &[String],
        i: usize,
        known: &[String],
    ) {
        let name = &names[i];
        if !known.contains(name) {
            let message = format!("there is no {what} `{name}`");
            let mut problem = element.problem(self.places, path, message);
            problem.help = choices(name, known.iter().map(String::as_str));
            self.problems.push(problem);
        } else if names[..i].contains(name) {
            let message = format!("the {what} `{name}` is listed twice");
            self.add(element, path, message);
        }
    }

    /// Rules that depend on each other in a circle would all be silent.
    fn cycles(&mut self, rules: &[(&Element, Option<PlannedRule>)]) {
        let read = rules.iter().filter_map(|(_, rule)| rule.as_ref());
        let read: HashMap<_, _> = read.map(|rule| (&*rule.name, rule)).collect();
        let mut told: Vec<&str> = Vec::new();
        for (element, rule) in rules {
            let Some(rule) = rule else { continue };
            if told.contains(&&*rule.name) {
                continue;
            }
            let Some(circle) = circle(rule, &read) else {
                continue;
            };
            let path = circle.join(", which depends on ");
            let message = format!("the rule depends on {path}: a circle, in which all are silent");
            self.add(element, &Path::root("depends_on"), message);
            told.extend(circle);
        }
    }
}

/// The rules from one of those that a rule depends on back to itself, by the shortest way.
fn circle<'a>(
    rule: &'a PlannedRule,
    rules: &HashMap<&'a str, &'a PlannedRule>,
) -> Option<Vec<&'a str>> {
    let start = &*rule.name;
    let mut ways: Vec<Vec<&str>> = vec![vec![start]];
    let mut seen = 0;
    while seen < ways.len() {
        let way = ways[seen].clone();
        seen += 1;
        let last = way.last().and_then(|last| rules.get(last));
        for next in last.iter().flat_map(|last| &last.depends_on) {
            // That a rule depends on itself was said.
            if **next == *start && way.len() > 1 {
                return Some([&way[1..], &[start]].concat());
            }
            if !ways.iter().any(|way| way.last() == Some(&&**next)) {
                ways.push([&way[..], &[&**next]].concat());
            }
        }
    }
    None
}
