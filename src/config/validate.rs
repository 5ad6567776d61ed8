//! What must hold between values, beyond the type of each.

mod checks;
mod daemon;
mod groups;
mod history;
mod maintenance;
mod names;
mod probes;
mod promises;
mod ranking;
mod receivers;
mod rules;
mod sources;
mod targets;
mod tuning;

use std::collections::HashMap;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::config::{Map, Value, ValueKind};

pub(super) use self::groups::names;
use self::names::valid_name;
pub(super) use self::rules::Known;
pub(super) use self::sources::discovered;
use super::load::Element;
use super::place::{Path, Place, Places};
use super::problem::{Problem, Problems, choices};
use super::{Heartbeat, Limits, Peers, Region, buckets, schema, strict};
use crate::notify::{PeerSettings, may_have_login};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

const DEFAULT_IN_FLIGHT: i64 = 2048;
const MAX_IN_FLIGHT: i64 = 65_536;
const MAX_THREADS: i64 = 64;
const AUTO_THREADS: usize = 4;
const DEFAULT_TARGETS: i64 = 20_000;
const MAX_TARGETS: i64 = 200_000;

/// The settings of `defaults`, with what they are when they are not set.
pub(super) struct Defaults {
    interval: Duration,
    timeout: Option<Duration>,
    objective: Option<f64>,
    buckets: Arc<[f64]>,
    phase_buckets: Arc<[f64]>,
}

/// The checks, and what they find.
pub(super) struct Check<'a> {
    pub(super) places: &'a Places,
    pub(super) problems: &'a mut Problems,
    pub(super) warnings: Problems,
    pub(super) now: SystemTime,
}

impl Check<'_> {
    fn add(&mut self, element: &Element, below: &Path, message: impl Into<String>) {
        self.problems
            .push(element.problem(self.places, below, message));
    }

    fn warn(&mut self, element: &Element, below: &Path, message: impl Into<String>) {
        self.warnings
            .push(element.problem(self.places, below, message));
    }

    /// The elements of a list within an element.
    fn elements(&mut self, element: &Element, key: &str) -> Vec<Element> {
        let Some(list) = element.inner(key) else {
            return Vec::new();
        };
        let ValueKind::Array(items) = &list.value.kind else {
            let message = "expected a list: each element begins with `- `";
            self.add(&list, &Path::default(), message);
            return Vec::new();
        };
        let elements = items.iter().enumerate().map(|(i, value)| Element {
            value: value.clone(),
            path: list.path.index(i),
            folder: list.folder.clone(),
        });
        elements.collect()
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
            let daemon = region.daemon;
            let daemon = daemon.and_then(|text| self.daemon(element, &text, &regions));
            if let Some(name) = self.name(element, region.name.as_deref(), &mut taken) {
                let jurisdiction = region.jurisdiction.map(Into::into);
                regions.push(Region {
                    name,
                    jurisdiction,
                    daemon,
                });
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
        if read.timeout == Some(interval) {
            self.no_room(&element, "timeout");
        }
        Defaults {
            interval,
            timeout: read.timeout,
            objective: self.objective(&element, read.objective.as_deref()),
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
            probe_threads: if threads == 0 {
                auto_threads()
            } else {
                threads
            },
            max_targets: limit(
                "max_targets",
                read.max_targets,
                1,
                MAX_TARGETS,
                DEFAULT_TARGETS,
            ),
        }
    }

    /// The folder of the state. It is not looked at: the host that checks need not have it.
    pub(super) fn state_dir(&mut self, settings: &Map<String, Value>) -> Option<PathBuf> {
        let value = settings.get("state_dir")?;
        let path = Path::root("state_dir");
        let folder: String = strict::read(value, &path, self.places, self.problems)?;
        let folder = PathBuf::from(folder);
        if folder.is_absolute() {
            return Some(folder);
        }
        let message = "expected an absolute path, like /var/lib/hotspare";
        let place = self.places.of(value);
        self.problems.push(Problem::new(place, &path, message));
        None
    }

    /// Where this daemon says that it goes on. Files that it names are relative to `folder`.
    pub(super) fn heartbeat(
        &mut self,
        settings: &Map<String, Value>,
        folder: &FilePath,
    ) -> Option<Heartbeat> {
        let element = Element {
            value: settings.get("heartbeat")?.clone(),
            path: Path::root("heartbeat"),
            folder: folder.to_owned(),
        };
        let read = strict::read(&element.value, &element.path, self.places, self.problems);
        read.map(|settings| Heartbeat { settings, element })
    }

    /// How the daemons of other regions are asked. Files that it names are relative to `folder`.
    pub(super) fn peers(
        &mut self,
        settings: &Map<String, Value>,
        folder: &FilePath,
        regions: &[Region],
    ) -> Peers {
        let (element, settings): (_, PeerSettings) = self.section(settings, "peers");
        let element = Element {
            folder: folder.to_owned(),
            ..element
        };
        let daemons = regions.iter().filter(|_| settings.has_login());
        for region in
            daemons.filter(|of| of.daemon.as_ref().is_some_and(|url| !may_have_login(url)))
        {
            let message = format!(
                "the daemon of `{}` is asked without a login, which goes to other hosts over https only",
                region.name
            );
            self.warn(&element, &Path::default(), message);
        }
        Peers { settings, element }
    }

    /// A section of settings; an absent one is one without settings.
    fn section<T: serde::de::DeserializeOwned + Default>(
        &mut self,
        settings: &Map<String, Value>,
        key: &str,
    ) -> (Element, T) {
        let value = settings.get(key);
        let element = Element {
            value: value.cloned().unwrap_or_default(),
            path: Path::root(key),
            folder: PathBuf::new(),
        };
        let read = value
            .and_then(|_| strict::read(&element.value, &element.path, self.places, self.problems));
        (element, read.unwrap_or_default())
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

/// A thread for every two cores, up to a few: probes wait more than they work, and each thread more
/// is a wake-up more for the same runs (a tenth of their CPU at 1,000 a second on two cores).
fn auto_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, AUTO_THREADS))
}
