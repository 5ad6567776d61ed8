//! What an alert says to people.

mod filters;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use minijinja::value::Value;
use minijinja::{Environment, Error, UndefinedBehavior};

use super::Beyond;
use crate::model::{Labels, Unit};

/// The names that a template knows.
const KNOWN: [&str; 10] = [
    "about",
    "detail",
    "labels",
    "rule",
    "severity",
    "since",
    "source_region",
    "threshold",
    "value",
    "what",
];

/// Annotations that a rule may have. Those that hotspare adds are not among them.
const MOST: usize = 32;

/// Bytes of an annotation that are kept.
const MAX_LENGTH: usize = 2048;

/// Steps of a template: some for each piece of it, and for each turn of a loop.
const FUEL: u64 = 20_000;

/// What is written where nothing is known.
const UNKNOWN: &str = "unknown";

/// The annotations of a rule: templates over its alerts' own values, in the language of Jinja.
///
/// Their steps and what they write are bounded; their memory is not, as whoever writes them may run any
/// probe anyway. What they are made of is text: an alert is never lost for a
/// template that fails.
#[derive(Clone, Debug)]
pub struct Annotations {
    templates: Arc<Environment<'static>>,
    names: Vec<Arc<str>>,
}

/// An alert's own values.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    /// The rule's name.
    pub rule: &'a str,
    /// How urgent the alert is.
    pub severity: &'a str,
    /// What is measured, in words.
    pub what: &'a str,
    /// What the alert is about, in words.
    pub about: String,
    /// The alert's labels.
    pub labels: &'a Labels,
    /// What was measured.
    pub value: Option<f64>,
    /// From which value on the condition holds.
    pub threshold: Option<f64>,
    /// How a value stands to the threshold where the condition holds.
    pub beyond: Beyond,
    /// What both are measured in.
    pub unit: Option<Unit>,
    /// The region of this daemon.
    pub source_region: &'a str,
    /// What else there is to say, in one line.
    pub detail: Option<String>,
    /// Since when the condition holds, in seconds since 1970.
    pub since: f64,
}

impl Annotations {
    /// The annotations with these names and templates.
    ///
    /// The errors are the names of those that are not good, and why: what is no template, what asks
    /// for a value that there is not, and what fails with the values of an example.
    pub fn new(templates: BTreeMap<Arc<str>, String>) -> Result<Self, Vec<(Arc<str>, String)>> {
        let mut environment = environment();
        let mut faults = Vec::new();
        for (place, (name, template)) in templates.iter().enumerate() {
            let added = if place >= MOST {
                Err(format!("a rule has at most {MOST} annotations"))
            } else {
                add(&mut environment, name, template)
            };
            if let Err(why) = added {
                faults.push((Arc::clone(name), why));
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            templates: Arc::new(environment),
            names: templates.into_keys().collect(),
        })
    }

    /// What an alert with these values says: also in a `summary` and a `description`, if the rule has
    /// none, its `source_region`, and the `value` if there is one.
    pub fn of(&self, values: &Values<'_>) -> BTreeMap<Arc<str>, Arc<str>> {
        let mut said = BTreeMap::new();
        if let Some(value) = known(values.value) {
            said.insert("value".into(), filters::shown(values.unit, value).into());
        }
        said.insert("source_region".into(), values.source_region.into());
        said.insert("summary".into(), cut(summary(values)).into());
        said.insert("description".into(), cut(description(values)).into());
        let context = context(values);
        for name in &self.names {
            let text = self.templates.get_template(name);
            let text = text.and_then(|template| render(&template, context.clone()));
            let text = text.unwrap_or_else(|error| cut(format!("cannot be written: {error}")));
            said.insert(Arc::clone(name), text.into());
        }
        said
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_formatter(|out, _, value| {
        let known = !value.is_undefined() && !value.is_none();
        let written = if known {
            write!(out, "{value}")
        } else {
            out.write_str(UNKNOWN)
        };
        written.map_err(Error::from)
    });
    filters::add(&mut environment);
    environment
}

/// The error says what is wrong with the name or the template.
fn add(
    environment: &mut Environment<'static>,
    name: &Arc<str>,
    template: &str,
) -> Result<(), String> {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let mut characters = name.chars();
    if !begins || !characters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err("not a name: letters, digits and `_`, the first not a digit".to_owned());
    }
    let added = environment.add_template_owned(name.to_string(), template.to_owned());
    added.map_err(|error| explain(&error))?;
    let template = environment.get_template(name);
    let template = template.map_err(|error| explain(&error))?;
    let mut asked: Vec<_> = template.undeclared_variables(false).into_iter().collect();
    asked.sort_unstable();
    let foreign = asked.iter().find(|asked| {
        let mut globals = environment.globals();
        !KNOWN.contains(&asked.as_str()) && !globals.any(|(global, _)| global == asked.as_str())
    });
    if let Some(foreign) = foreign {
        let known = KNOWN.join(", ");
        return Err(format!("there is no `{foreign}`: a template knows {known}"));
    }
    let labels = Labels::new();
    let tried = render(&template, context(&example(&labels)));
    tried.map(drop).map_err(|error| explain(&error))
}

/// The error without the name of the template, which stands before it.
fn explain(error: &Error) -> String {
    let mut text = error.kind().to_string();
    if let Some(detail) = error.detail() {
        text = format!("{text}: {detail}");
    }
    match error.line() {
        Some(line) if line > 1 => format!("{text} (in line {line})"),
        _ => text,
    }
}

fn example(labels: &Labels) -> Values<'_> {
    Values {
        rule: "Example",
        severity: "warning",
        what: "the latency",
        about: "web to north".to_owned(),
        labels,
        value: Some(2.0),
        threshold: Some(1.0),
        beyond: Beyond::Above,
        unit: Some(Unit::Seconds),
        source_region: "south",
        detail: Some("an example".to_owned()),
        since: 0.0,
    }
}

fn context(values: &Values<'_>) -> Value {
    minijinja::context! {
        about => &values.about,
        detail => values.detail.as_deref(),
        labels => values.labels.clone(),
        rule => values.rule,
        severity => values.severity,
        since => values.since,
        source_region => values.source_region,
        threshold => known(values.threshold),
        value => known(values.value),
        what => values.what,
    }
}

/// A number that is none says nothing.
fn known(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

fn render(template: &minijinja::Template<'_, '_>, context: Value) -> Result<String, Error> {
    let mut text = Capped(Vec::new());
    template.render_captured_to(context, &mut text)?;
    Ok(cut(String::from_utf8_lossy(&text.0).into_owned()))
}

/// Keeps one byte more than there may be, so that it is seen that there was more.
struct Capped(Vec<u8>);

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = (MAX_LENGTH + 1).saturating_sub(self.0.len());
        self.0.extend_from_slice(&bytes[..room.min(bytes.len())]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// At most as long as an annotation may be.
fn cut(mut text: String) -> String {
    const MORE: &str = "…";
    if text.len() > MAX_LENGTH {
        text.truncate(text.floor_char_boundary(MAX_LENGTH - MORE.len()));
        text.push_str(MORE);
    }
    text
}

/// `net to north: the p95 latency over 5m is 212ms (threshold: above 150ms)`.
fn summary(values: &Values<'_>) -> String {
    let Values { about, what, .. } = values;
    let Some(value) = known(values.value) else {
        return format!("{about}: {what}");
    };
    let value = filters::shown(values.unit, value);
    match known(values.threshold) {
        Some(threshold) => {
            let threshold = filters::shown(values.unit, threshold);
            let beyond = values.beyond.as_str();
            format!("{about}: {what} is {value} (threshold: {beyond} {threshold})")
        }
        None => format!("{about}: {what} is {value}"),
    }
}

/// The summary, and since when, from where it was seen, and what else there is to say.
fn description(values: &Values<'_>) -> String {
    let since = filters::timestamp(values.since);
    let mut text = format!(
        "{}. As seen from {}, this is so since {since}.",
        summary(values),
        values.source_region
    );
    if let Some(detail) = &values.detail {
        text.push(' ');
        text.push_str(detail);
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests;
