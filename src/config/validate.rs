//! What must hold between values, beyond the type of each.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use ::config::{Map, Value, ValueKind};

use super::load::Element;
use super::place::{Path, Place, Places};
use super::problem::{Problem, Problems, choices};
use super::{Limits, Probe, Region, Target, buckets, schema, strict};
use crate::model::duration::display;

const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);
const MIN_INTERVAL: Duration = Duration::from_millis(100);
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 3600);
const MIN_TIMEOUT: Duration = Duration::from_millis(1);

const DEFAULT_IN_FLIGHT: i64 = 2048;
const MAX_IN_FLIGHT: i64 = 65_536;
const MAX_THREADS: i64 = 64;
const AUTO_THREADS: usize = 4;
const DEFAULT_TARGETS: i64 = 20_000;
const MAX_TARGETS: i64 = 200_000;

const MAX_NAME: usize = 64;
const MAX_ADDRESS: usize = 2048;
const MAX_LABELS: usize = 16;
const MAX_LABEL_VALUE: usize = 256;

/// Labels that are hotspare's, or that Prometheus makes of a histogram or summary.
const OUR_LABELS: [&str; 12] = [
    "probe",
    "kind",
    "source_region",
    "target_region",
    "target",
    "address",
    "variant",
    "phase",
    "reason",
    "cause",
    "le",
    "quantile",
];

/// The settings of `defaults`, with what they are when they are not set.
pub(super) struct Defaults {
    interval: Duration,
    timeout: Option<Duration>,
    buckets: Arc<[f64]>,
    phase_buckets: Arc<[f64]>,
}

/// The checks, and what they find.
pub(super) struct Check<'a> {
    pub(super) places: &'a Places,
    pub(super) problems: &'a mut Problems,
    pub(super) warnings: Problems,
}

impl Check<'_> {
    fn add(&mut self, element: &Element, below: &Path, message: impl Into<String>) {
        self.problems
            .push(element.problem(self.places, below, message));
    }

    /// A key that is needed; one that is there but bad was reported when it was read.
    fn missing(&mut self, element: &Element, key: &str) {
        if !element.has(key) {
            let message = format!("the key `{key}` is missing");
            self.add(element, &Path::default(), message);
        }
    }

    /// A name that is needed, well-formed and not in `taken`.
    fn name(
        &mut self,
        element: &Element,
        name: Option<&str>,
        taken: &mut HashMap<String, Place>,
    ) -> Option<Arc<str>> {
        let Some(name) = name else {
            self.missing(element, "name");
            return None;
        };
        let path = Path::root("name");
        if let Err(why) = valid_name(name) {
            self.add(element, &path, why);
            return None;
        }
        let place = self.places.of(path.deepest(&element.value));
        if let Some(first) = taken.get(name) {
            let message = format!("the name `{name}` is taken, at {first}");
            self.add(element, &path, message);
            return None;
        }
        taken.insert(name.to_owned(), place);
        Some(name.into())
    }

    pub(super) fn regions(&mut self, elements: &[Element]) -> Vec<Region> {
        let mut taken = HashMap::new();
        let mut regions = Vec::new();
        for element in elements {
            let read: Option<schema::Region> =
                strict::read(&element.value, &element.path, self.places, self.problems);
            let Some(region) = read else { continue };
            if let Some(Err(why)) = region.jurisdiction.as_deref().map(valid_name) {
                self.add(element, &Path::root("jurisdiction"), why);
            }
            if let Some(name) = self.name(element, region.name.as_deref(), &mut taken) {
                let jurisdiction = region.jurisdiction.map(Into::into);
                regions.push(Region { name, jurisdiction });
            }
        }
        regions
    }

    /// The region of this daemon. Without regions, there is nothing to say about it.
    pub(super) fn region(
        &mut self,
        settings: &Map<String, Value>,
        regions: &[Region],
        main: Place,
    ) -> Option<Arc<str>> {
        let path = Path::root("region");
        let Some(value) = settings.get("region") else {
            if !regions.is_empty() {
                let names: Vec<_> = regions.iter().map(|region| &*region.name).collect();
                let names = names.join(", ");
                let help = format!("set `region:`, HOTSPARE_REGION or --region to one of: {names}");
                let message = "this daemon's region is not set";
                self.problems
                    .push(Problem::new(main, &path, message).help(help));
            }
            return None;
        };
        let name: String = strict::read(value, &path, self.places, self.problems)?;
        let region = find(regions, &name);
        if region.is_none() && !regions.is_empty() {
            let place = self.places.of(value);
            self.problems.push(no_region(place, &path, &name, regions));
        }
        region
    }

    pub(super) fn defaults(&mut self, settings: &Map<String, Value>) -> Defaults {
        let (element, read): (_, schema::Defaults) = self.section(settings, "defaults");
        self.durations(&element, read.interval, read.timeout);
        let interval = read.interval.unwrap_or(DEFAULT_INTERVAL);
        if let Some(timeout) = read.timeout.filter(|timeout| *timeout > interval) {
            self.too_long(&element, "timeout", timeout, interval);
        }
        Defaults {
            interval,
            timeout: read.timeout,
            buckets: self.bounds(&element, "buckets", read.buckets, &buckets::DURATION.into()),
            phase_buckets: self.bounds(
                &element,
                "phase_buckets",
                read.phase_buckets,
                &buckets::PHASE.into(),
            ),
        }
    }

    pub(super) fn limits(&mut self, settings: &Map<String, Value>) -> Limits {
        let (element, read): (_, schema::Limits) = self.section(settings, "limits");
        let mut limit = |key: &str, value: Option<i64>, low, high, default| {
            let value = value.unwrap_or(default);
            if !(low..=high).contains(&value) {
                let message = format!("must be from {low} to {high}");
                self.add(&element, &Path::root(key), message);
            }
            usize::try_from(value).unwrap_or_default()
        };
        let threads = limit("probe_threads", read.probe_threads, 0, MAX_THREADS, 0);
        Limits {
            max_in_flight: limit(
                "max_in_flight",
                read.max_in_flight,
                1,
                MAX_IN_FLIGHT,
                DEFAULT_IN_FLIGHT,
            ),
            probe_threads: if threads == 0 { cores() } else { threads },
            max_targets: limit(
                "max_targets",
                read.max_targets,
                1,
                MAX_TARGETS,
                DEFAULT_TARGETS,
            ),
        }
    }

    /// A section of settings; an absent one is one without settings.
    fn section<T: serde::de::DeserializeOwned + Default>(
        &mut self,
        settings: &Map<String, Value>,
        key: &str,
    ) -> (Element, T) {
        let element = Element {
            value: settings.get(key).cloned().unwrap_or_default(),
            path: Path::root(key),
            folder: std::path::PathBuf::new(),
        };
        let read = strict::read(&element.value, &element.path, self.places, self.problems);
        (element, read.unwrap_or_default())
    }

    pub(super) fn probes(
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
        let checked = self.problems.names(before, &element.path.key("check"));
        let name = self.name(&element, read.name.as_deref(), taken);
        if read.check.is_none() {
            self.missing(&element, "check");
        }
        let (interval, timeout) = self.schedule(&element, &read, defaults);
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
        Some(Probe {
            // A probe without a good name is still prepared, for what else is wrong with it.
            name: name.unwrap_or_default(),
            check: read.check.filter(|_| !checked)?,
            interval,
            timeout,
            from,
            buckets,
            phase_buckets,
            targets,
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
            .unwrap_or(DEFAULT_TIMEOUT.min(interval));
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
        (interval, timeout)
    }

    fn too_long(&mut self, element: &Element, key: &str, timeout: Duration, interval: Duration) {
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

    fn durations(
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

    fn bounds(
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
        let unread = matches!(&path.deepest(&element.value).kind, ValueKind::Array(list) if list.len() != from.len());
        if from.is_empty() && !unread {
            let message = "no region: leave `from` out for every region";
            self.add(element, &path, message);
        }
        let mut known: Vec<Arc<str>> = Vec::new();
        for (i, name) in from.iter().enumerate() {
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

    fn unknown_region(&mut self, element: &Element, path: &Path, name: &str, regions: &[Region]) {
        let place = match path.deepest(&element.value) {
            value if matches!(value.kind, ValueKind::String(_)) => self.places.of(value),
            value => self.places.of_key(value),
        };
        let path = element.path.join(path);
        self.problems.push(no_region(place, &path, name, regions));
    }

    fn labels(
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

    fn probe_targets(
        &mut self,
        element: &Element,
        read: Map<String, schema::Targets>,
        labels: &BTreeMap<String, String>,
        regions: &[Region],
    ) -> Vec<Target> {
        let path = Path::root("targets");
        match &path.deepest(&element.value).kind {
            _ if !element.has("targets") => self.missing(element, "targets"),
            ValueKind::Nil => self.add(element, &path, "the probe has no target"),
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
        let mut labels = labels.clone();
        labels.extend(self.labels(element, &path.key("labels"), entry.labels));
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

    /// Holds the number of targets to its limit, from wherever they are probed.
    pub(super) fn targets(&mut self, probes: &[Probe], regions: &[Region], limits: &Limits) {
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

fn find(regions: &[Region], name: &str) -> Option<Arc<str>> {
    let found = regions.iter().find(|region| &*region.name == name)?;
    Some(Arc::clone(&found.name))
}

fn no_region(place: Place, path: &Path, name: &str, regions: &[Region]) -> Problem {
    let mut problem = Problem::new(place, path, format!("`regions` has no region `{name}`"));
    problem.help = choices(name, regions.iter().map(|region| &*region.name));
    problem
}

fn is_empty(value: &Value) -> bool {
    match &value.kind {
        ValueKind::Array(list) => list.is_empty(),
        ValueKind::Nil => true,
        _ => false,
    }
}

/// As many threads as cores, up to a few: probes wait more than they work.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(AUTO_THREADS))
}

fn valid_name(text: &str) -> Result<(), String> {
    let good = text.len() <= MAX_NAME
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if good {
        return Ok(());
    }
    Err(format!(
        "not a name: 1 to {MAX_NAME} letters, digits, `_`, `.` and `-`, the first a letter or digit"
    ))
}

fn label_fault(name: &str, value: &str) -> Option<String> {
    let good = name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !good {
        return Some("not a label name: letters, digits and `_`, the first not a digit".to_owned());
    }
    if name.starts_with("__") {
        return Some("label names that begin with `__` are Prometheus' own".to_owned());
    }
    if OUR_LABELS.contains(&name) {
        return Some(format!("the label `{name}` is hotspare's own"));
    }
    if value.len() > MAX_LABEL_VALUE || value.chars().any(char::is_control) {
        return Some(format!(
            "a label's value is one line of at most {MAX_LABEL_VALUE} bytes"
        ));
    }
    None
}

/// What is wrong with an address of any kind. Does not repeat it: it may hold a password.
fn address_fault(address: &str) -> Option<String> {
    if address.is_empty() {
        return Some("the address is empty".to_owned());
    }
    if address.len() > MAX_ADDRESS {
        return Some(format!("the address is longer than {MAX_ADDRESS} bytes"));
    }
    if address.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Some("the address has a space or a control character in it".to_owned());
    }
    let (_, rest) = address.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    authority.contains('@').then(|| {
        "an address must not hold a user or password: they are settings of the check".to_owned()
    })
}
