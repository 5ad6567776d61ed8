//! The list of targets, some at a time: there may be many thousands.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use super::super::State;
use super::super::configured::TargetReport;
use super::words::{self, segment};
use crate::model::LastRun;

/// Targets on one page.
const PAGE: usize = 100;

/// Which targets are wanted: those that have all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Wanted {
    pub(super) probe: Option<String>,
    pub(super) region: Option<String>,
    pub(super) group: Option<String>,
    /// Only those that are not up: their last run did not succeed, or there was none lately.
    pub(super) failing: bool,
    /// The page, from 1.
    pub(super) page: usize,
}

/// A part of the list.
#[derive(Serialize)]
pub(super) struct Targets {
    wanted: Wanted,
    all: usize,
    class: &'static str,
    says: String,
    probes: Vec<Arc<str>>,
    regions: Vec<Arc<str>>,
    groups: Vec<Arc<str>>,
    rows: Vec<Row>,
    pages: usize,
    before: Option<String>,
    after: Option<String>,
}

#[derive(Serialize)]
struct Row {
    probe: Arc<str>,
    kind: &'static str,
    target: Arc<str>,
    region: Arc<str>,
    address: Arc<str>,
    interval: f64,
    class: &'static str,
    says: &'static str,
    reason: Option<String>,
    at: Option<f64>,
    duration: Option<f64>,
}

impl Targets {
    /// Those that are wanted, at `now`, in seconds since 1970.
    pub(super) fn of(state: &State, wanted: &Wanted, now: f64) -> Self {
        let configured = Arc::clone(&state.configured.borrow());
        let is_wanted = |wanted: &Option<String>, is: &dyn Fn(&str) -> bool| {
            wanted
                .as_deref()
                .is_none_or(|wanted| wanted.is_empty() || is(wanted))
        };
        let fits = |of: &&TargetReport| {
            is_wanted(&wanted.probe, &|probe| *of.probe == *probe)
                && is_wanted(&wanted.region, &|region| *of.target_region == *region)
                && is_wanted(&wanted.group, &|group| {
                    of.groups.iter().any(|of| **of == *group)
                })
        };
        let found = configured.targets.iter().filter(fits).map(|of| {
            let last = state.history.last(&of.probe, &of.target);
            Row::of(of, last.as_ref(), now)
        });
        let mut found: Vec<_> = found.collect();
        let (class, says) = headline(&found);
        if wanted.failing {
            found.retain(|row| row.class != "ready");
        }
        let pages = found.len().div_ceil(PAGE).max(1);
        let page = wanted.page.clamp(1, pages);
        let rows = found.into_iter().skip((page - 1) * PAGE).take(PAGE);
        let to = |page: usize| wanted.query(page);
        Self {
            all: configured.targets.len(),
            class,
            says,
            probes: configured.probes.clone(),
            regions: configured
                .regions
                .iter()
                .map(|of| Arc::clone(&of.region))
                .collect(),
            groups: configured.groups.clone(),
            rows: rows.collect(),
            pages,
            before: (page > 1).then(|| to(page - 1)),
            after: (page < pages).then(|| to(page + 1)),
            wanted: Wanted {
                page,
                ..wanted.clone()
            },
        }
    }

    /// What the page's title says.
    pub(super) fn title(&self) -> String {
        self.says.clone()
    }
}

/// What is to be said of all of them: the class, and the words.
fn headline(found: &[Row]) -> (&'static str, String) {
    let count = |classes: &[&str]| {
        let those = found.iter().filter(|row| classes.contains(&row.class));
        those.count()
    };
    let (down, unknown) = (count(&["not-ready"]), count(&["unknown", "none"]));
    let of = match found.len() {
        1 => "1 target".to_owned(),
        all => format!("{all} targets"),
    };
    let be = |count: usize| if count == 1 { "is" } else { "are" };
    match (found.len(), down, unknown) {
        (0, ..) => ("none", "There is no such target here".to_owned()),
        (1, 0, 0) => ("ready", "The target is up".to_owned()),
        (all, 0, 0) => ("ready", format!("All {all} targets are up")),
        (_, 0, _) => {
            let says = format!("Not known whether {unknown} of {of} {} up", be(unknown));
            ("unknown", says)
        }
        (_, _, 0) => ("not-ready", format!("{down} of {of} {} down", be(down))),
        _ => {
            let says = format!(
                "{down} of {of} {} down; of {unknown} it is not known",
                be(down)
            );
            ("not-ready", says)
        }
    }
}

impl Wanted {
    /// What asks for the same on another page.
    fn query(&self, page: usize) -> String {
        let named = [
            ("probe", &self.probe),
            ("region", &self.region),
            ("group", &self.group),
        ];
        let mut query = format!("page={page}");
        for (name, value) in named {
            if let Some(value) = value {
                let _ = write!(query, "&{name}={}", segment(value));
            }
        }
        if self.failing {
            query += "&failing";
        }
        query
    }
}

impl Row {
    fn of(of: &TargetReport, last: Option<&LastRun>, now: f64) -> Self {
        let past = last.map(|last| (last.outcome, now - last.timestamp_seconds));
        let (class, says) = words::state_now(past, of.interval_seconds, of.timeout_seconds);
        let reason = last.and_then(|last| last.reason);
        Self {
            probe: Arc::clone(&of.probe),
            kind: of.kind,
            target: Arc::clone(&of.target),
            region: Arc::clone(&of.target_region),
            address: Arc::clone(&of.address),
            interval: of.interval_seconds,
            class,
            says,
            reason: reason.map(|reason| reason.replace('_', " ")),
            at: last.map(|last| last.timestamp_seconds),
            duration: last.map(|last| last.duration_seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(classes: &[&'static str]) -> (&'static str, String) {
        let row = |class: &&'static str| Row {
            probe: "web".into(),
            kind: "http",
            target: "there".into(),
            region: "there".into(),
            address: "192.0.2.1".into(),
            interval: 10.0,
            class,
            says: "",
            reason: None,
            at: None,
            duration: None,
        };
        headline(&classes.iter().map(row).collect::<Vec<_>>())
    }

    #[test]
    fn targets_are_all_up_where_that_is_known_of_every_one() {
        let (up, down, odd, new) = ("ready", "not-ready", "unknown", "none");
        for (classes, class, expected) in [
            (&[][..], "none", "There is no such target here"),
            (&[up], up, "The target is up"),
            (&[up, up], up, "All 2 targets are up"),
            (&[up, new], odd, "Not known whether 1 of 2 targets is up"),
            (&[odd, new], odd, "Not known whether 2 of 2 targets are up"),
            (&[up, down], down, "1 of 2 targets is down"),
            (
                &[down, down, odd],
                down,
                "2 of 3 targets are down; of 1 it is not known",
            ),
        ] {
            assert_eq!(says(classes), (class, expected.to_owned()), "{classes:?}");
        }
    }
}
