//! Who is told of alerts, and when.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use ::config::{Map, Value};
use url::Url;

use super::super::load::Element;
use super::super::place::Path;
use super::super::problem::choices;
use super::super::{Alerting, Receiver, schema, strict};
use super::Check;
use crate::model::duration::display;
use crate::notify::Settings;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

impl Check<'_> {
    pub(in super::super) fn receivers(&mut self, elements: &[Element]) -> Vec<Receiver> {
        let mut taken = HashMap::new();
        let mut receivers = Vec::new();
        for element in elements {
            let before = self.problems.len();
            let read: Option<Settings> =
                strict::read(&element.value, &element.path, self.places, self.problems);
            let Some(settings) = read else { continue };
            let sound = self.problems.len() == before;
            let name = self.name(element, settings.name.as_deref(), &mut taken);
            let kind = self.kind(element, &settings, sound);
            let (Some(name), Some(kind)) = (name, kind) else {
                continue;
            };
            receivers.push(Receiver {
                name,
                kind,
                settings,
                complete: self.problems.len() == before,
                element: element.clone(),
            });
        }
        receivers
    }

    /// The one kind that a receiver has. One that is there but bad was reported when it was read, and
    /// in one that is not `sound` it may be what is written wrong.
    fn kind(
        &mut self,
        element: &Element,
        settings: &Settings,
        sound: bool,
    ) -> Option<&'static str> {
        let written = Settings::KINDS.iter().filter(|kind| element.has(kind));
        let message = match written.count() {
            0 if !sound => return None,
            0 => format!("name what it is: one of {}", Settings::KINDS.join(", ")),
            1 => return settings.kinds().first().copied(),
            _ => "a receiver is of one kind: make one for each".to_owned(),
        };
        self.add(element, &Path::default(), message);
        None
    }

    /// `named` are the names of all receivers.
    pub(in super::super) fn alerting(
        &mut self,
        settings: &Map<String, Value>,
        named: &[String],
    ) -> Alerting {
        let (element, read): (_, schema::Alerting) = self.section(settings, "alerting");
        let mut time = |key, value: Option<Duration>, range, default| {
            let value = value.unwrap_or(default);
            self.in_range(&element, key, value, &range);
            value
        };
        let alerting = Alerting::default();
        let group_wait = time(
            "group_wait",
            read.group_wait,
            Duration::ZERO..=HOUR,
            alerting.group_wait,
        );
        let group_interval = time(
            "group_interval",
            read.group_interval,
            SECOND..=DAY,
            alerting.group_interval,
        );
        let repeat_interval = time(
            "repeat_interval",
            read.repeat_interval,
            SECOND..=30 * DAY,
            alerting.repeat_interval,
        );
        let max_age = time(
            "max_age",
            read.max_age,
            60 * SECOND..=7 * DAY,
            alerting.max_age,
        );
        let external_url = read
            .external_url
            .and_then(|text| self.external_url(&element, &text));
        let watchdog = read
            .watchdog
            .map(|names| self.watchdog(&element, names, named));
        Alerting {
            group_wait,
            group_interval,
            repeat_interval,
            max_age,
            external_url,
            watchdog,
        }
    }

    fn in_range(
        &mut self,
        element: &Element,
        key: &str,
        value: Duration,
        range: &RangeInclusive<Duration>,
    ) {
        if !range.contains(&value) {
            let (low, high) = (display(*range.start()), display(*range.end()));
            let message = format!("must be from {low} to {high}");
            self.add(element, &Path::root(key), message);
        }
    }

    fn external_url(&mut self, element: &Element, text: &str) -> Option<Arc<str>> {
        let url = Url::parse(text).ok().filter(|url| {
            let plain = url.username().is_empty() && url.password().is_none();
            matches!(url.scheme(), "http" | "https") && url.has_host() && plain
        });
        if url.is_none() {
            let message = "expected a URL like https://hotspare.example.com";
            self.add(element, &Path::root("external_url"), message);
        }
        url.map(|url| url.as_str().trim_end_matches('/').into())
    }

    fn watchdog(
        &mut self,
        element: &Element,
        asked: Vec<String>,
        named: &[String],
    ) -> Vec<Arc<str>> {
        let mut receivers = Vec::new();
        for (i, name) in asked.into_iter().enumerate() {
            if named.contains(&name) {
                receivers.push(name.into());
                continue;
            }
            let path = Path::root("watchdog").index(i);
            let message = format!("`receivers` has no receiver `{name}`");
            let mut problem = element.problem(self.places, &path, message);
            problem.help = choices(&name, named.iter().map(String::as_str));
            self.problems.push(problem);
        }
        receivers
    }
}
