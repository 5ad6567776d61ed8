//! What a group promises, which law holds for it, who is preferred, and who is held back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::load::Element;
use super::super::place::Path;
use super::super::problem::choices;
use super::super::{Region, schema, strict};
use super::Check;
use super::targets::is_empty;
use crate::model::{Assumed, Hold, Objectives};

/// The longest reason of a hold, in bytes.
const MAX_REASON: usize = 256;
/// A hold that ends later than this is probably meant to be for ever, or a slip in the date.
const LONG: Duration = Duration::from_hours(90 * 24);

/// The standbys of a group.
#[derive(Clone, Copy)]
pub(super) struct Standbys<'a> {
    pub(super) regions: &'a [Arc<str>],
    /// Whether these are all.
    pub(super) sound: bool,
}

impl Standbys<'_> {
    fn find(self, name: &str) -> Option<Arc<str>> {
        self.regions
            .iter()
            .find(|region| ***region == *name)
            .cloned()
    }
}

impl Check<'_> {
    pub(super) fn objectives(
        &mut self,
        element: &Element,
        read: &schema::Objectives,
    ) -> Objectives {
        let path = Path::root("objectives");
        for (key, value) in [("rpo", read.rpo), ("rto", read.rto)] {
            if value.is_some_and(|value| value.is_zero()) {
                self.add(element, &path.key(key), "must be above 0");
            }
        }
        Objectives {
            rpo: read.rpo,
            rto: read.rto,
        }
    }

    /// The standbys of which the law does not permit that they take over; `None` where every law
    /// does.
    pub(super) fn outside(
        &mut self,
        element: &Element,
        read: &schema::Group,
        standbys: &[Arc<str>],
        regions: &[Region],
    ) -> Option<Vec<Arc<str>>> {
        let names = read.jurisdictions.as_deref()?;
        self.jurisdictions(element, names, regions);
        let law = |standby: &Arc<str>| {
            let region = regions.iter().find(|region| region.name == *standby)?;
            region.jurisdiction.as_deref()
        };
        let mut outside = Vec::new();
        for standby in standbys {
            match law(standby) {
                Some(law) if names.iter().any(|name| name == law) => {}
                Some(_) => outside.push(Arc::clone(standby)),
                None => self.lawless(element, read, standby),
            }
        }
        Some(outside)
    }

    fn jurisdictions(&mut self, element: &Element, names: &[String], regions: &[Region]) {
        let path = Path::root("jurisdictions");
        if names.is_empty() && is_empty(path.deepest(&element.value)) {
            let message = "no jurisdiction: leave `jurisdictions` out to allow every one";
            self.add(element, &path, message);
        }
        let known = regions.iter().filter_map(|r| r.jurisdiction.as_deref());
        let known: BTreeSet<_> = known.collect();
        for (i, name) in names.iter().enumerate() {
            if !known.contains(&**name) {
                let message = format!("no region has the jurisdiction `{name}`");
                let mut problem = element.problem(self.places, &path.index(i), message);
                problem.help = choices(name, known.iter().copied());
                self.problems.push(problem);
            } else if names[..i].contains(name) {
                let message = format!("the jurisdiction `{name}` is listed twice");
                self.add(element, &path.index(i), message);
            }
        }
    }

    fn lawless(&mut self, element: &Element, read: &schema::Group, standby: &Arc<str>) {
        // It may be one of those that could not be read.
        if self.problems.names(0, &Path::root("regions")) {
            return;
        }
        let names = read.standbys.iter().flatten();
        let place = names.enumerate().find(|(_, name)| **name == **standby);
        let path = Path::root("standbys").index(place.map_or(0, |(i, _)| i));
        let message =
            format!("the group demands a jurisdiction, and the region `{standby}` has none");
        let problem = element.problem(self.places, &path, message);
        self.problems
            .push(problem.help("give it its `jurisdiction` in `regions`"));
    }

    pub(super) fn preference(
        &mut self,
        element: &Element,
        names: Option<&[String]>,
        standbys: Standbys<'_>,
    ) -> Vec<Arc<str>> {
        let mut preferred: Vec<Arc<str>> = Vec::new();
        for (i, name) in names.unwrap_or_default().iter().enumerate() {
            let path = Path::root("preference").index(i);
            match standbys.find(name) {
                None => self.no_standby(element, &path, name, standbys),
                Some(standby) if preferred.contains(&standby) => {
                    let message = format!("the standby `{name}` is listed twice");
                    self.add(element, &path, message);
                }
                Some(standby) => preferred.push(standby),
            }
        }
        preferred
    }

    fn no_standby(&mut self, element: &Element, path: &Path, name: &str, standbys: Standbys<'_>) {
        // It may be just the one that could not be read.
        if !standbys.sound {
            return;
        }
        let message = format!("the group has no standby `{name}`");
        let mut problem = element.problem(self.places, path, message);
        problem.help = choices(name, standbys.regions.iter().map(|standby| &**standby));
        self.problems.push(problem);
    }

    pub(super) fn holds(&mut self, element: &Element, standbys: Standbys<'_>) -> Vec<Hold> {
        let holds = self.elements(element, "holds");
        let holds = holds.iter().filter_map(|hold| self.hold(hold, standbys));
        holds.collect()
    }

    fn hold(&mut self, element: &Element, standbys: Standbys<'_>) -> Option<Hold> {
        let read: schema::Hold =
            strict::read(&element.value, &element.path, self.places, self.problems)?;
        for (key, given) in [
            ("reason", read.reason.is_some()),
            ("until", read.until.is_some()),
        ] {
            if !given {
                self.missing(element, key);
            }
        }
        if let Some(name) = &read.standby
            && standbys.find(name).is_none()
        {
            self.no_standby(element, &Path::root("standby"), name, standbys);
        }
        let reason = read.reason.as_deref().unwrap_or_default();
        let bad = reason.trim().is_empty()
            || reason.len() > MAX_REASON
            || reason.contains(char::is_control);
        if read.reason.is_some() && bad {
            let message = format!("a reason is one line of 1 to {MAX_REASON} bytes");
            self.add(element, &Path::root("reason"), message);
        }
        let until = read.until?;
        let left = until.duration_since(self.now);
        if left.is_err() {
            let message = "the hold has expired: remove it, or give it another end";
            self.warn(element, &Path::root("until"), message);
        } else if left.is_ok_and(|left| left > LONG) {
            let message = "the hold ends in more than 90 days: until then, the standby is not \
                           ready whatever is measured";
            self.warn(element, &Path::root("until"), message);
        }
        Some(Hold {
            standby: read.standby.map(Into::into),
            reason: reason.into(),
            until,
        })
    }
}

/// What is taken for granted, as far as nothing is said about it.
pub(super) fn assumed(read: &schema::Assume) -> Assumed {
    let default = Assumed::default();
    Assumed {
        decide: read.decide.unwrap_or(default.decide),
        promote: read.promote.unwrap_or(default.promote),
        warm: read.warm.unwrap_or(default.warm),
    }
}
