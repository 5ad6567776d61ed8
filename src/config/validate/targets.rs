//! The targets of a probe.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ::config::{Map, Value, ValueKind};

use super::super::load::Element;
use super::super::place::Path;
use super::super::problem::Problem;
use super::super::{Region, Target, schema};
use super::names::{MAX_LABELS, address_fault, label_fault, valid_name};
use super::{Check, find, no_region};

impl Check<'_> {
    pub(super) fn labels(
        &mut self,
        element: &Element,
        path: &Path,
        labels: BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        if labels.len() > MAX_LABELS {
            let message = format!("more than {MAX_LABELS} labels");
            self.add(element, path, message);
        }
        for (name, value) in &labels {
            if let Some(why) = label_fault(name, value) {
                let path = path.key(name);
                let place = self.places.of_key(path.deepest(&element.value));
                self.problems
                    .push(Problem::new(place, &element.path.join(&path), why));
            }
        }
        labels
    }

    pub(super) fn probe_targets(
        &mut self,
        element: &Element,
        read: Map<String, schema::Targets>,
        labels: &BTreeMap<String, String>,
        regions: &[Region],
    ) -> Vec<Target> {
        let path = Path::root("targets");
        let has_source = schema::SOURCES.iter().any(|key| element.has(key));
        match &path.deepest(&element.value).kind {
            _ if !element.has("targets") && has_source => {}
            _ if !element.has("targets") => self.missing(element, "targets"),
            ValueKind::Table(table) if table.is_empty() => {
                self.add(element, &path, "the probe has no target");
            }
            _ => {}
        }
        let mut targets = Vec::new();
        for (name, list) in read {
            let path = path.key(&name);
            let region = find(regions, &name);
            if region.is_none() {
                let place = self.places.of_key(path.deepest(&element.value));
                self.problems
                    .push(no_region(place, &element.path.join(&path), &name, regions));
            }
            let region = region.unwrap_or_else(|| name.as_str().into());
            self.region_targets(element, &path, &region, list, labels, &mut targets);
        }
        self.distinct(element, &targets);
        targets
    }

    fn region_targets(
        &mut self,
        element: &Element,
        path: &Path,
        region: &Arc<str>,
        list: schema::Targets,
        labels: &BTreeMap<String, String>,
        targets: &mut Vec<Target>,
    ) {
        let entries = match list {
            schema::Targets::One(address) => vec![(
                path.clone(),
                schema::Target {
                    plain: true,
                    entry: schema::Entry {
                        address: Some(address),
                        ..schema::Entry::default()
                    },
                },
            )],
            schema::Targets::Many(list) => {
                let entries = list.into_iter().enumerate();
                entries.map(|(i, entry)| (path.index(i), entry)).collect()
            }
        };
        if entries.is_empty() && is_empty(path.deepest(&element.value)) {
            self.add(element, path, "the region's list of targets is empty");
        }
        let only = matches!(entries.as_slice(), [_]);
        for (i, (path, target)) in entries.into_iter().enumerate() {
            let name = if only {
                Arc::clone(region)
            } else {
                format!("{region}/{}", i + 1).into()
            };
            targets.extend(self.target(element, path, region, name, target, labels));
        }
    }

    fn target(
        &mut self,
        element: &Element,
        path: Path,
        region: &Arc<str>,
        default_name: Arc<str>,
        target: schema::Target,
        labels: &BTreeMap<String, String>,
    ) -> Option<Target> {
        let entry = target.entry;
        for (key, text) in [("name", &entry.name), ("variant", &entry.variant)] {
            if let Some(Err(why)) = text.as_deref().map(valid_name) {
                self.add(element, &path.key(key), why);
            }
        }
        let at_labels = path.key("labels");
        let own = self.labels(element, &at_labels, entry.labels);
        let most = own.len().max(labels.len());
        let mut labels = labels.clone();
        labels.extend(own);
        if labels.len() > MAX_LABELS && most <= MAX_LABELS {
            let message = format!("more than {MAX_LABELS} labels with those of the probe");
            self.add(element, &at_labels, message);
        }
        labels.extend(entry.variant.map(|variant| ("variant".to_owned(), variant)));
        let at = if target.plain {
            path.clone()
        } else {
            path.key("address")
        };
        let Some(address) = entry.address else {
            if let ValueKind::Table(table) = &path.deepest(&element.value).kind
                && !table.contains_key("address")
            {
                self.add(element, &path, "the key `address` is missing");
            }
            return None;
        };
        if let Some(why) = address_fault(&address) {
            self.add(element, &at, why);
            return None;
        }
        Some(Target {
            region: Arc::clone(region),
            name: entry.name.map_or(default_name, Into::into),
            address: address.into(),
            labels,
            path: at,
            entry: path,
            source: None,
        })
    }

    /// No two targets of a probe have one name, and hardly ever one address.
    fn distinct(&mut self, element: &Element, targets: &[Target]) {
        let mut names: HashMap<&str, &Target> = HashMap::new();
        let mut addresses: HashMap<&str, &Target> = HashMap::new();
        for target in targets {
            if let Some(first) = names.insert(&target.name, target) {
                let first = first.entry.key("name");
                let message = format!(
                    "the probe has a target `{}` already, at {}",
                    target.name,
                    self.places.of(first.deepest(&element.value))
                );
                // Where the name is not written, that leads to the target.
                let path = target.entry.key("name");
                let place = self.places.of(path.deepest(&element.value));
                let path = element.path.join(&target.entry);
                self.problems.push(Problem::new(place, &path, message));
            }
            if let Some(first) = addresses.insert(&target.address, target) {
                let message = format!("the same address as of the target `{}`", first.name);
                self.warnings
                    .push(element.problem(self.places, &target.path, message));
            }
        }
    }
}

/// Whether a list has nothing in it, good or bad.
pub(super) fn is_empty(value: &Value) -> bool {
    match &value.kind {
        ValueKind::Array(list) => list.is_empty(),
        ValueKind::Nil => true,
        _ => false,
    }
}
