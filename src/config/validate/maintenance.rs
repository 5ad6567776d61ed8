//! The times in which nobody is to be told of alerts.

use std::collections::HashMap;

use super::super::load::Element;
use super::super::place::Path;
use super::super::{schema, strict};
use super::Check;
use crate::rule::Maintenance;

impl Check<'_> {
    pub(in super::super) fn maintenance(&mut self, elements: &[Element]) -> Vec<Maintenance> {
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
}
