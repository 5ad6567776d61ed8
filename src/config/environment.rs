//! What the environment and the flags say over the file.

use std::collections::BTreeMap;

use ::config::{ConfigError, Map, Value, ValueKind};

use super::document;
use super::place::{Lines, Path, Place, Places, Spot};
use super::problem::{Problem, Problems, nearest};

const PREFIX: &str = "HOTSPARE_";

/// Every variable that sets something of the file.
pub(super) const VARIABLES: [&str; 8] = [
    "HOTSPARE_REGION",
    "HOTSPARE_DEFAULTS__INTERVAL",
    "HOTSPARE_DEFAULTS__TIMEOUT",
    "HOTSPARE_DEFAULTS__BUCKETS",
    "HOTSPARE_DEFAULTS__PHASE_BUCKETS",
    "HOTSPARE_LIMITS__MAX_IN_FLIGHT",
    "HOTSPARE_LIMITS__PROBE_THREADS",
    "HOTSPARE_LIMITS__MAX_TARGETS",
];

/// Variables with the prefix that are the command line's: its flags in upper case.
pub const RESERVED: [&str; 4] = [
    "HOTSPARE_CONFIG_FILE",
    "HOTSPARE_WEB_LISTEN_ADDRESS",
    "HOTSPARE_LOG_LEVEL",
    "HOTSPARE_LOG_FORMAT",
];

/// What stands over the main file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The value of `--region`.
    pub region: Option<String>,
    /// The process' environment. Only what begins with `HOTSPARE_` is looked at.
    pub env: BTreeMap<String, String>,
}

/// One layer of settings for the `config` crate: a file, the environment or the flags.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer(pub(super) Map<String, Value>);

impl ::config::Source for Layer {
    fn clone_into_box(&self) -> Box<dyn ::config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// The settings in the environment. Variables that `named` lists are secrets that the file asks
/// for by name; any other with our prefix that is not a setting is an error: it was meant to be one.
pub(super) fn variables(
    env: &BTreeMap<String, String>,
    named: &[String],
    places: &mut Places,
    problems: &mut Problems,
) -> Layer {
    let mut layer = Map::new();
    for (name, text) in env {
        let Some(setting) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if RESERVED.contains(&name.as_str()) || named.contains(name) {
            continue;
        }
        let source = places.add_source(name, Lines::Hidden);
        if !VARIABLES.contains(&name.as_str()) {
            problems.push(unknown(setting, places.place(source, Spot::default())));
            continue;
        }
        let value = if setting == "REGION" {
            Some(places.value(source, Spot::default(), None, text.as_str()))
        } else {
            // As in the file, so that `[0.1, 1]` is a list.
            document::parse(text, source, places, problems)
        };
        if let Some(value) = value {
            insert(&mut layer, &setting.to_ascii_lowercase(), value);
        }
    }
    Layer(layer)
}

fn insert(layer: &mut Map<String, Value>, setting: &str, value: Value) {
    match setting.split_once("__") {
        None => {
            layer.insert(setting.to_owned(), value);
        }
        Some((section, key)) => {
            let table = layer
                .entry(section.to_owned())
                .or_insert_with(|| Map::<String, Value>::new().into());
            if let ValueKind::Table(table) = &mut table.kind {
                table.insert(key.to_owned(), value);
            }
        }
    }
}

fn unknown(setting: &str, place: Place) -> Problem {
    let list = ["REGIONS", "PROBES", "INCLUDE"]
        .iter()
        .any(|key| setting == *key || setting.starts_with(&format!("{key}__")));
    if list {
        return Problem::new(
            place,
            &Path::default(),
            "lists are set in the file only, not by the environment",
        );
    }
    let known = VARIABLES.into_iter().chain(RESERVED);
    let settings = known.filter_map(|name| name.strip_prefix(PREFIX));
    Problem::new(place, &Path::default(), "no such setting").help(
        match nearest(setting, settings) {
            Some(meant) => format!("did you mean `{PREFIX}{meant}`?"),
            None => format!("variables that begin with {PREFIX} are settings: unset or rename it"),
        },
    )
}
