//! The list of targets, some at a time: there may be many thousands.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use super::super::State;
use super::super::configured::TargetReport;
use super::words::{self, segment};
use crate::model::{LastRun, Outcome};

/// Targets on one page.
const PAGE: usize = 100;

/// Which targets are wanted: those that have all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Wanted {
    pub(super) probe: Option<String>,
    pub(super) region: Option<String>,
    pub(super) group: Option<String>,
    /// Only those whose last run did not succeed.
    pub(super) failing: bool,
    /// The page, from 1.
    pub(super) page: usize,
}

/// A part of the list.
#[derive(Serialize)]
pub(super) struct Targets {
    wanted: Wanted,
    all: usize,
    found: usize,
    failing: usize,
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
    pub(super) fn of(state: &State, wanted: &Wanted) -> Self {
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
        let last = |of: &TargetReport| state.history.last(&of.probe, &of.target);
        let fails = |last: &Option<LastRun>| {
            last.as_ref()
                .is_some_and(|last| last.outcome != Outcome::Success)
        };
        let found = configured
            .targets
            .iter()
            .filter(fits)
            .map(|of| (of, last(of)));
        let mut found: Vec<_> = found.collect();
        let failing = found.iter().filter(|(_, last)| fails(last)).count();
        if wanted.failing {
            found.retain(|(_, last)| fails(last));
        }
        let pages = found.len().div_ceil(PAGE).max(1);
        let page = wanted.page.clamp(1, pages);
        let rows = found.iter().skip((page - 1) * PAGE).take(PAGE);
        let rows = rows.map(|(of, last)| Row::of(of, last.as_ref()));
        let to = |page: usize| wanted.query(page);
        Self {
            all: configured.targets.len(),
            found: found.len(),
            failing,
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
        match self.failing {
            0 => format!("{} targets", self.found),
            failing => format!("{} targets, {failing} not up", self.found),
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
    fn of(of: &TargetReport, last: Option<&LastRun>) -> Self {
        let (class, says) = words::state(last.map(|last| last.outcome));
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
