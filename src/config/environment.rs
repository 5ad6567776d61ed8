//! What the environment and the flags say over the file.

use std::collections::BTreeMap;
use std::ffi::OsString;

use ::config::{ConfigError, Map, Value, ValueKind};

use super::document;
use super::place::{Lines, Path, Place, Places, Spot};
use super::problem::{Problem, Problems, nearest};

const PREFIX: &str = "HOTSPARE_";

/// Every variable that sets something of the file.
pub(super) const VARIABLES: [&str; 10] = [
    "HOTSPARE_REGION",
    "HOTSPARE_DEFAULTS__INTERVAL",
    "HOTSPARE_DEFAULTS__TIMEOUT",
    "HOTSPARE_DEFAULTS__OBJECTIVE",
    "HOTSPARE_DEFAULTS__BUCKETS",
    "HOTSPARE_DEFAULTS__PHASE_BUCKETS",
    "HOTSPARE_LIMITS__MAX_IN_FLIGHT",
    "HOTSPARE_LIMITS__PROBE_THREADS",
    "HOTSPARE_LIMITS__MAX_TARGETS",
    "HOTSPARE_STATE_DIR",
];

/// Settings whose text is taken as it is.
const TEXTS: [&str; 2] = ["REGION", "STATE_DIR"];

/// Settings that are lists.
const LISTS: [&str; 7] = [
    "REGIONS",
    "INCLUDE",
    "PROBES",
    "GROUPS",
    "RULES",
    "MAINTENANCE",
    "RECEIVERS",
];

/// Variables with the prefix that are the command line's, its flags in upper case, or the build's.
pub const RESERVED: [&str; 10] = [
    "HOTSPARE_CONFIG_FILE",
    "HOTSPARE_WEB_LISTEN_ADDRESS",
    "HOTSPARE_WEB_SYSTEMD_SOCKET",
    "HOTSPARE_WEB_CONFIG_FILE",
    "HOTSPARE_LOG_LEVEL",
    "HOTSPARE_LOG_FORMAT",
    "HOTSPARE_URL",
    "HOTSPARE_PASSWORD_FILE",
    "HOTSPARE_CA_FILE",
    "HOTSPARE_REVISION",
];

/// What stands over the main file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The value of `--region`.
    pub region: Option<String>,
    /// What begins with `HOTSPARE_` in the process' environment.
    pub env: BTreeMap<String, String>,
}

impl Overrides {
    /// Takes what concerns the configuration out of an environment.
    ///
    /// The error names the variables whose text cannot be read.
    pub fn new(
        region: Option<String>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Problems> {
        let (mut places, mut problems) = (Places::default(), Problems::default());
        let mut env = BTreeMap::new();
        for (name, text) in environment {
            if !name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
                continue;
            }
            if let (Some(name), Some(text)) = (name.to_str(), text.to_str()) {
                env.insert(name.to_owned(), text.to_owned());
                continue;
            }
            let source = places.add_source(&name.to_string_lossy(), Lines::Hidden);
            let place = places.place(source, Spot::default());
            problems.push(Problem::new(place, &Path::default(), "it is not UTF-8"));
        }
        problems.or(Self { region, env })
    }
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
/// for by name; any other with our prefix that is nearly a setting was meant to be one, which is an
/// error. The rest is a warning: container platforms set variables named after their services.
pub(super) fn variables(
    env: &BTreeMap<String, String>,
    named: &[String],
    places: &mut Places,
    problems: &mut Problems,
    warnings: &mut Problems,
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
            let place = places.place(source, Spot::default());
            match mistaken(setting, place.clone()) {
                Some(problem) => problems.push(problem),
                None => warnings.push(
                    Problem::new(place, &Path::default(), "no such setting")
                        .help("unset it if it was meant for hotspare"),
                ),
            }
            continue;
        }
        if text.trim().is_empty() {
            let place = places.place(source, Spot::default());
            let problem = Problem::new(place, &Path::default(), "it is empty");
            problems.push(problem.help("unset it or give it a value"));
            continue;
        }
        let value = if TEXTS.contains(&setting) {
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

/// What is wrong with a variable that was meant to be a setting, if it was.
fn mistaken(setting: &str, place: Place) -> Option<Problem> {
    let mut lists = LISTS.iter();
    if lists.any(|key| setting == *key || setting.starts_with(&format!("{key}__"))) {
        let message = "lists are set in the file only, not by the environment";
        return Some(Problem::new(place, &Path::default(), message));
    }
    let known = VARIABLES.into_iter().chain(RESERVED);
    let meant = nearest(setting, known.filter_map(|name| name.strip_prefix(PREFIX)));
    // Two underscores are ours: no platform makes such a name.
    if meant.is_none() && !setting.contains("__") {
        return None;
    }
    let problem = Problem::new(place, &Path::default(), "no such setting");
    Some(match meant {
        Some(meant) => problem.help(format!("did you mean `{PREFIX}{meant}`?")),
        None => problem,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn only_our_variables_are_kept_and_those_that_are_no_text_are_told() {
        let bad = || OsString::from_vec(vec![0xff]);
        let variable = |name: &str, text: OsString| (name.into(), text);
        let kept = Overrides::new(
            None,
            [
                variable("HOTSPARE_REGION", "a".into()),
                variable("TOKEN", "secret".into()),
                variable("OTHER", bad()),
            ],
        );
        let kept = kept.expect("good");
        assert_eq!(
            kept.env.into_iter().collect::<Vec<_>>(),
            [("HOTSPARE_REGION".to_owned(), "a".to_owned())]
        );
        let problems = Overrides::new(None, [variable("HOTSPARE_REGION", bad())]);
        assert_eq!(
            problems.expect_err("refused").to_string(),
            "HOTSPARE_REGION: it is not UTF-8"
        );
    }
}
