//! Reads the files and the layers over them, and hands every part to its checks.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use ::config::{Map, Source as _, Value, ValueKind};

use super::environment::{Layer, Overrides, variables};
use super::place::{Lines, Path, Place, Places, Source, Spot};
use super::problem::{Problem, Problems, choices};
use super::{Config, Discovered, Region, document, include, schema, strict, validate};
use crate::model::Digest;

/// An element of one of the lists that the files have in common, and where it is from.
#[derive(Clone, Debug)]
pub(super) struct Element {
    pub(super) value: Value,
    pub(super) path: Path,
    /// The folder of its file: files that it names are relative to it.
    pub(super) folder: PathBuf,
}

impl Element {
    /// A problem at what is below this element.
    pub(super) fn problem(
        &self,
        places: &Places,
        below: &Path,
        message: impl Into<String>,
    ) -> Problem {
        let place = places.of(below.deepest(&self.value));
        Problem::new(place, &self.path.join(below), message)
    }

    /// Whether a key is there, be its value good or bad.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// What is under a key, as an element of its own.
    pub(super) fn inner(&self, key: &str) -> Option<Self> {
        self.get(key).map(|value| Self {
            value: value.clone(),
            path: self.path.key(key),
            folder: self.folder.clone(),
        })
    }

    fn get(&self, key: &str) -> Option<&Value> {
        match &self.value.kind {
            ValueKind::Table(table) => table.get(key),
            _ => None,
        }
    }
}

/// The parts of the files.
#[derive(Debug, Default)]
struct Parts {
    main: Map<String, Value>,
    regions: Vec<Element>,
    probes: Vec<Element>,
    groups: Vec<Element>,
    maintenance: Vec<Element>,
    rules: Vec<Element>,
    receivers: Vec<Element>,
    files: Vec<PathBuf>,
    hash: Digest,
}

/// What the files, the environment and the flags say, as it was when they were read.
#[derive(Debug)]
pub struct Document {
    places: Arc<Places>,
    /// What is wrong with the files as such.
    problems: Problems,
    warnings: Problems,
    parts: Parts,
    settings: Map<String, Value>,
    readable: bool,
}

impl Document {
    /// Reads the main file, those that it includes, and what lies over them. What is wrong is told with
    /// everything else, when it is planned.
    pub fn read(path: &FilePath, overrides: &Overrides) -> Self {
        let mut reader = Reader::default();
        let readable = reader.main_file(path).is_some();
        let settings = reader.layers(overrides);
        Self {
            places: Arc::new(reader.places),
            problems: reader.problems,
            warnings: reader.warnings,
            parts: reader.parts,
            settings,
            readable,
        }
    }

    /// The elements of a list, of all files.
    pub(super) fn list(&self, key: &str) -> impl Iterator<Item = &Value> {
        let parts = &self.parts;
        let list: &[Element] = match key {
            "regions" => &parts.regions,
            "probes" => &parts.probes,
            "groups" => &parts.groups,
            "rules" => &parts.rules,
            "maintenance" => &parts.maintenance,
            "receivers" => &parts.receivers,
            _ => &[],
        };
        list.iter().map(|element| &element.value)
    }

    /// What is set under a key that is no list.
    pub(super) fn setting(&self, key: &str) -> Option<&Value> {
        self.settings.get(key)
    }

    /// The folder of the main file.
    fn folder(&self) -> &FilePath {
        let folder = self.parts.files.first().and_then(|file| file.parent());
        folder.unwrap_or(FilePath::new(""))
    }

    /// What is wrong with the files, and which of the lists that are needed are empty.
    fn lacking(&self, main: &Place) -> Problems {
        let (mut problems, parts) = (self.problems.clone(), &self.parts);
        for (key, list) in [("regions", &parts.regions), ("probes", &parts.probes)] {
            // A file that cannot be read says nothing about what it lacks.
            if self.readable && list.is_empty() && !problems.names(0, &Path::root(key)) {
                let message = format!("there are no {key}");
                problems.push(Problem::new(main.clone(), &Path::root(key), message));
            }
        }
        problems
    }

    /// Checks everything. The configuration is good only if there are no problems; otherwise it holds
    /// what could be read, so that more can be said about it.
    pub(super) fn config(&self, discovered: &Discovered) -> (Config, Problems) {
        let main = self.places.place(Source::MAIN, Spot::default());
        let (settings, parts) = (&self.settings, &self.parts);
        let mut problems = self.lacking(&main);
        let mut check = validate::Check {
            places: &self.places,
            problems: &mut problems,
            warnings: Problems::default(),
            now: SystemTime::now(),
        };
        let regions = check.regions(&parts.regions);
        let region = check.region(settings, &regions, main);
        let defaults = check.defaults(settings);
        let limits = check.limits(settings);
        let state_dir = check.state_dir(settings);
        let history = check.history(settings);
        let heartbeat = check.heartbeat(settings, self.folder());
        let peers = check.peers(settings, self.folder(), &regions);
        let named = validate::names(&parts.probes);
        let mut probes = check.probes(parts.probes.clone(), &regions, &defaults);
        check.targets(&probes, &regions, &limits);
        let room = (&*regions, &limits);
        let discovered = validate::discovered(&mut probes, discovered, room, region.as_ref());
        let groups = check.groups(&parts.groups, &regions, &named, &probes);
        let receiver_names = validate::names(&parts.receivers);
        let known = validate::Known {
            regions: &regions,
            probe_names: &named,
            probes: &probes,
            group_names: &validate::names(&parts.groups),
            groups: &groups,
            receivers: Some(&receiver_names),
        };
        let rules = check.rules(&parts.rules, &known);
        let maintenance = check.maintenance(&parts.maintenance, &known, (&parts.rules, &rules));
        let receivers = check.receivers(&parts.receivers);
        let alerting = check.alerting(settings, &receiver_names);
        let mut warnings = check.warnings;
        warnings.extend(self.warnings.clone());
        warnings.sort();
        let config = Config {
            region: region.unwrap_or_default(),
            regions,
            limits,
            state_dir,
            history,
            heartbeat,
            peers,
            probes,
            groups,
            maintenance,
            rules,
            receivers,
            alerting,
            discovered,
            files: parts.files.clone(),
            hash: parts.hash,
            warnings,
            places: Arc::clone(&self.places),
        };
        (config, problems)
    }
}

/// Reads the regions, whatever else the files say.
pub(super) fn regions(path: &FilePath) -> (Vec<Region>, Problems) {
    let mut reader = Reader::default();
    reader.main_file(path);
    let parts = std::mem::take(&mut reader.parts);
    let regions = reader.check().regions(&parts.regions);
    (regions, reader.problems)
}

#[derive(Default)]
struct Reader {
    places: Places,
    problems: Problems,
    warnings: Problems,
    parts: Parts,
}

impl Reader {
    /// `None` if the file's lists are not known, for reasons that are noted.
    fn main_file(&mut self, path: &FilePath) -> Option<()> {
        let text = match include::read_main(path) {
            Ok(text) => text,
            Err(why) => {
                let name = path.to_string_lossy();
                let source = self.places.add_source(&name, Lines::Shown);
                let place = self.places.place(source, Spot::default());
                self.problems
                    .push(Problem::new(place, &Path::default(), why));
                return None;
            }
        };
        self.parts.main = self.file(path, &text, &schema::MAIN, "unknown key")?;
        if let Some(value) = self.parts.main.get("include").cloned() {
            let path_to = Path::root("include");
            let patterns: Option<Vec<String>> =
                strict::read(&value, &path_to, &self.places, &mut self.problems);
            self.includes(path, &value, &patterns.unwrap_or_default());
        }
        Some(())
    }

    fn includes(&mut self, main: &FilePath, value: &Value, patterns: &[String]) {
        let mut seen = Vec::new();
        for (i, pattern) in patterns.iter().enumerate() {
            match include::expand(main, pattern, &mut seen) {
                Ok(files) => {
                    for file in files {
                        match file.text {
                            Ok(text) => {
                                let unknown = "only the main file can have this key";
                                self.file(&file.path, &text, &schema::INCLUDED, unknown);
                            }
                            Err(why) => {
                                let why = format!("{}: {why}", file.path.display());
                                self.bad_include(value, i, why);
                            }
                        }
                    }
                }
                Err(why) => self.bad_include(value, i, why),
            }
        }
    }

    fn bad_include(&mut self, value: &Value, index: usize, why: String) {
        let below = Path::default().index(index);
        let place = self.places.of(below.deepest(value));
        let path = Path::root("include").index(index);
        self.problems.push(Problem::new(place, &path, why));
    }

    /// Reads one file: its lists are added to the parts, and what it has is returned.
    fn file(
        &mut self,
        path: &FilePath,
        text: &str,
        keys: &[&'static str],
        elsewhere: &str,
    ) -> Option<Map<String, Value>> {
        let source = self
            .places
            .add_source(&path.to_string_lossy(), Lines::Shown);
        self.parts.files.push(path.to_owned());
        self.parts.hash = self.parts.hash.and(&[text.as_bytes()]);
        let root = document::parse(text, source, &mut self.places, &mut self.problems)?;
        let table = match root.kind {
            ValueKind::Table(table) => table,
            ValueKind::Nil => Map::new(),
            _ => {
                let message = "expected keys with values, like `region: eu-west`";
                let place = self.places.of(&root);
                self.problems
                    .push(Problem::new(place, &Path::default(), message));
                return None;
            }
        };
        let table = self.known(table, keys, elsewhere);
        let folder = path.parent().unwrap_or(FilePath::new("")).to_owned();
        let regions = self.list(&table, "regions", &folder);
        self.parts.regions.extend(regions);
        let probes = self.list(&table, "probes", &folder);
        self.parts.probes.extend(probes);
        let groups = self.list(&table, "groups", &folder);
        self.parts.groups.extend(groups);
        let maintenance = self.list(&table, "maintenance", &folder);
        self.parts.maintenance.extend(maintenance);
        let rules = self.list(&table, "rules", &folder);
        self.parts.rules.extend(rules);
        let receivers = self.list(&table, "receivers", &folder);
        self.parts.receivers.extend(receivers);
        Some(table)
    }

    /// The table without the keys that a file cannot have.
    fn known(
        &mut self,
        table: Map<String, Value>,
        keys: &[&'static str],
        elsewhere: &str,
    ) -> Map<String, Value> {
        let (known, unknown): (Map<_, _>, Map<_, _>) = table
            .into_iter()
            .partition(|(key, _)| keys.contains(&key.as_str()));
        for (key, value) in &unknown {
            let place = self.places.of_key(value);
            let problem = if schema::MAIN.contains(&key.as_str()) {
                Problem::new(place, &Path::root(key), elsewhere)
            } else {
                let mut problem = Problem::new(place, &Path::root(key), "unknown key");
                problem.help = choices(key, keys.iter().copied());
                problem
            };
            self.problems.push(problem);
        }
        known
    }

    fn list(&mut self, table: &Map<String, Value>, key: &str, folder: &FilePath) -> Vec<Element> {
        let path = Path::root(key);
        let items = match table.get(key).map(|value| (value, &value.kind)) {
            None | Some((_, ValueKind::Nil)) => return Vec::new(),
            Some((_, ValueKind::Array(items))) => items,
            Some((value, _)) => {
                let message = "expected a list: each element begins with `- `";
                let place = self.places.of(value);
                self.problems.push(Problem::new(place, &path, message));
                return Vec::new();
            }
        };
        let elements = items.iter().enumerate().map(|(i, value)| Element {
            value: value.clone(),
            path: path.index(i),
            folder: folder.to_owned(),
        });
        elements.collect()
    }

    /// The checks of what was read.
    fn check(&mut self) -> validate::Check<'_> {
        validate::Check {
            places: &self.places,
            problems: &mut self.problems,
            warnings: Problems::default(),
            now: SystemTime::now(),
        }
    }

    /// The main file's settings. A section that is none is told of now: a variable that sets a key
    /// of it would take its place.
    fn main_settings(&mut self) -> Layer {
        let mut main = self.parts.main.clone();
        for key in ["defaults", "limits"] {
            if let Some(value) = main.get(key)
                && !matches!(value.kind, ValueKind::Table(_))
            {
                let path = Path::root(key);
                let _: Option<schema::Limits> =
                    strict::read(value, &path, &self.places, &mut self.problems);
                main.shift_remove(key);
            }
        }
        Layer(main)
    }

    /// The main file's settings with the environment and the flags over them.
    fn layers(&mut self, overrides: &Overrides) -> Map<String, Value> {
        let mut named = Vec::new();
        for element in self.parts.probes.iter().chain(&self.parts.receivers) {
            named_variables(&element.value, &mut named);
        }
        for key in ["heartbeat", "peers"] {
            if let Some(value) = self.parts.main.get(key) {
                named_variables(value, &mut named);
            }
        }
        let file = self.main_settings();
        let env = variables(
            &overrides.env,
            &named,
            &mut self.places,
            &mut self.problems,
            &mut self.warnings,
        );
        let mut flags = Layer::default();
        if let Some(region) = &overrides.region {
            let source = self.places.add_source("--region", Lines::Hidden);
            let value = self
                .places
                .value(source, Spot::default(), None, region.as_str());
            flags.0.insert("region".to_owned(), value);
        }
        let layered = ::config::Config::builder()
            .add_source(file)
            .add_source(env)
            .add_source(flags)
            .build()
            .and_then(|built| built.collect());
        layered.unwrap_or_else(|e| {
            let place = self.places.place(Source::MAIN, Spot::default());
            self.problems
                .push(Problem::new(place, &Path::default(), e.to_string()));
            Map::new()
        })
    }
}

/// The variables that settings named `env` or `…_env` ask for.
fn named_variables(value: &Value, names: &mut Vec<String>) {
    match &value.kind {
        ValueKind::Table(table) => {
            for (key, value) in table {
                match &value.kind {
                    ValueKind::String(name) if key == "env" || key.ends_with("_env") => {
                        names.push(name.clone());
                    }
                    _ => named_variables(value, names),
                }
            }
        }
        ValueKind::Array(list) => list.iter().for_each(|value| named_variables(value, names)),
        _ => {}
    }
}
