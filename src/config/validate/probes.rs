//! The probes: their schedule, their origins and their bounds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ::config::ValueKind;

use super::super::load::Element;
use super::super::place::{Path, Place};
use super::super::{Limits, Probe, Region, buckets, schema, strict};
use super::targets::is_empty;
use super::{Check, Defaults, find, no_region};
use crate::model::Unit;
use crate::model::duration::display;

/// Shortened where the interval leaves no room for it.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);
const MIN_INTERVAL: Duration = Duration::from_millis(100);
const MAX_INTERVAL: Duration = Duration::from_hours(24);
const MIN_TIMEOUT: Duration = Duration::from_millis(1);

impl Check<'_> {
    pub(in super::super) fn probes(
        &mut self,
        elements: Vec<Element>,
        regions: &[Region],
        defaults: &Defaults,
    ) -> Vec<Probe> {
        let mut taken = HashMap::new();
        elements
            .into_iter()
            .filter_map(|element| self.probe(element, regions, defaults, &mut taken))
            .collect()
    }

    fn probe(
        &mut self,
        element: Element,
        regions: &[Region],
        defaults: &Defaults,
        taken: &mut HashMap<String, Place>,
    ) -> Option<Probe> {
        let before = self.problems.len();
        let read: schema::Probe =
            strict::read(&element.value, &element.path, self.places, self.problems)?;
        let faulty = self.problems.names(before, &element.path.key("check"));
        let name = self.name(&element, read.name.as_deref(), taken);
        if read.check.is_none() {
            self.missing(&element, "check");
        }
        let (interval, timeout) = self.schedule(&element, &read, defaults);
        let objective = self.objective(&element, read.objective.as_deref());
        let from = self.from(&element, read.from.as_deref(), regions);
        let labels = self.labels(&element, &Path::root("labels"), read.labels);
        let buckets = self.bounds(&element, "buckets", read.buckets, &defaults.buckets);
        let phase_buckets = self.bounds(
            &element,
            "phase_buckets",
            read.phase_buckets,
            &defaults.phase_buckets,
        );
        let targets = self.probe_targets(&element, read.targets, &labels, regions);
        let sources = self.sources(&element, regions);
        Some(Probe {
            // A probe without a good name is still prepared, for what else is wrong with it.
            name: name.unwrap_or_default(),
            check: read.check?,
            complete: !faulty,
            interval,
            timeout,
            objective: objective.or(defaults.objective),
            from,
            buckets,
            phase_buckets,
            labels,
            targets,
            sources,
            asks: false,
            element,
        })
    }

    fn schedule(
        &mut self,
        element: &Element,
        read: &schema::Probe,
        defaults: &Defaults,
    ) -> (Duration, Duration) {
        self.durations(element, read.interval, read.timeout);
        let interval = read.interval.unwrap_or(defaults.interval);
        let timeout = read
            .timeout
            .or(defaults.timeout)
            .unwrap_or_else(|| DEFAULT_TIMEOUT.min(interval * 9 / 10));
        let unread = |key, value: Option<Duration>| value.is_none() && element.has(key);
        let known = !unread("interval", read.interval) && !unread("timeout", read.timeout);
        // With both from `defaults`, it is said there.
        if timeout > interval && known {
            if read.timeout.is_some() {
                self.too_long(element, "timeout", timeout, interval);
            } else if read.interval.is_some() {
                self.too_long(element, "interval", timeout, interval);
            }
        }
        if timeout == interval && known {
            if read.timeout.is_some() {
                self.no_room(element, "timeout");
            } else if read.interval.is_some() {
                self.no_room(element, "interval");
            }
        }
        (interval, timeout)
    }

    /// Warns of a timeout as long as the interval.
    pub(super) fn no_room(&mut self, element: &Element, key: &str) {
        let message = "the timeout is as long as the interval: a run that hangs takes the next \
                       run's slot";
        let problem = element.problem(self.places, &Path::root(key), message);
        self.warnings
            .push(problem.help("leave some room between them"));
    }

    pub(super) fn too_long(
        &mut self,
        element: &Element,
        key: &str,
        timeout: Duration,
        interval: Duration,
    ) {
        let message = format!(
            "the timeout {} is longer than the interval {}",
            display(timeout),
            display(interval)
        );
        let problem = element.problem(self.places, &Path::root(key), message);
        self.problems.push(match key {
            "interval" => problem.help("the timeout is that of `defaults`: give the probe its own"),
            _ => problem,
        });
    }

    pub(super) fn durations(
        &mut self,
        element: &Element,
        interval: Option<Duration>,
        timeout: Option<Duration>,
    ) {
        let range = MIN_INTERVAL..=MAX_INTERVAL;
        if interval.is_some_and(|interval| !range.contains(&interval)) {
            let message = format!(
                "must be from {} to {}",
                display(MIN_INTERVAL),
                display(MAX_INTERVAL)
            );
            self.add(element, &Path::root("interval"), message);
        }
        if timeout.is_some_and(|timeout| timeout < MIN_TIMEOUT) {
            let message = format!("must be at least {}", display(MIN_TIMEOUT));
            self.add(element, &Path::root("timeout"), message);
        }
    }

    /// Which part of the attempts is to succeed.
    pub(super) fn objective(&mut self, element: &Element, text: Option<&str>) -> Option<f64> {
        let objective = self.value(element, "objective", text, Unit::Ratio)?;
        if objective <= 0.0 || objective >= 1.0 {
            let message = "must be above 0% and below 100%";
            self.add(element, &Path::root("objective"), message);
        }
        Some(objective)
    }

    pub(super) fn bounds(
        &mut self,
        element: &Element,
        key: &str,
        bounds: Option<Vec<f64>>,
        default: &Arc<[f64]>,
    ) -> Arc<[f64]> {
        let Some(bounds) = bounds else {
            return Arc::clone(default);
        };
        if let Some((index, message)) = buckets::fault(&bounds) {
            let path = Path::root(key);
            let path = index.map_or_else(|| path.clone(), |i| path.index(i));
            // A bound that could not be read was reported, and left a gap.
            if !matches!(Path::root(key).deepest(&element.value).kind,
                ValueKind::Array(ref list) if list.len() != bounds.len())
            {
                self.add(element, &path, message);
            }
        }
        bounds.into()
    }

    fn from(
        &mut self,
        element: &Element,
        from: Option<&[String]>,
        regions: &[Region],
    ) -> Vec<Arc<str>> {
        let Some(from) = from else {
            return regions.iter().map(|r| Arc::clone(&r.name)).collect();
        };
        let path = Path::root("from");
        if from.is_empty() && is_empty(path.deepest(&element.value)) {
            let message = "no region: leave `from` out for every region";
            self.add(element, &path, message);
        }
        self.regions_once(element, &path, from, regions)
    }

    /// The regions that a list names, each once.
    pub(super) fn regions_once(
        &mut self,
        element: &Element,
        path: &Path,
        names: &[String],
        regions: &[Region],
    ) -> Vec<Arc<str>> {
        let mut known: Vec<Arc<str>> = Vec::new();
        for (i, name) in names.iter().enumerate() {
            let path = path.index(i);
            match find(regions, name) {
                None => self.unknown_region(element, &path, name, regions),
                Some(region) if known.contains(&region) => {
                    self.add(
                        element,
                        &path,
                        format!("the region `{name}` is listed twice"),
                    );
                }
                Some(region) => known.push(region),
            }
        }
        known
    }

    pub(super) fn unknown_region(
        &mut self,
        element: &Element,
        path: &Path,
        name: &str,
        regions: &[Region],
    ) {
        let place = match path.deepest(&element.value) {
            value if matches!(value.kind, ValueKind::String(_)) => self.places.of(value),
            value => self.places.of_key(value),
        };
        let path = element.path.join(path);
        self.problems.push(no_region(place, &path, name, regions));
    }

    /// Holds the number of targets to its limit, from wherever they are probed.
    pub(in super::super) fn targets(
        &mut self,
        probes: &[Probe],
        regions: &[Region],
        limits: &Limits,
    ) {
        for region in regions {
            let mut count = 0;
            for probe in probes.iter().filter(|p| p.from.contains(&region.name)) {
                let before = count;
                count += probe.targets.len();
                if before <= limits.max_targets && count > limits.max_targets {
                    let message = format!(
                        "with this probe, more than {} targets are probed from {}",
                        limits.max_targets, region.name
                    );
                    let problem =
                        probe
                            .element
                            .problem(self.places, &Path::root("targets"), message);
                    self.problems.push(problem.help("see `limits.max_targets`"));
                }
            }
        }
    }
}
