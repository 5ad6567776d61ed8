//! A body that the operator wrote, over the same values as the default one.

use std::io;

use minijinja::value::{Serde, Value};
use minijinja::{Environment, Error, UndefinedBehavior};
use serde::Serialize;

/// Steps of a template: some for each piece of it, and for each turn of a loop.
const FUEL: u64 = 2_000_000;
const NAME: &str = "body";

/// The values that a template has.
const KNOWN: [&str; 10] = [
    "receiver",
    "status",
    "alerts",
    "groupLabels",
    "commonLabels",
    "commonAnnotations",
    "externalURL",
    "version",
    "groupKey",
    "truncatedAlerts",
];

/// A template that was found good.
#[derive(Debug)]
pub(super) struct Template(Environment<'static>);

impl Template {
    /// Reads a template in the language of Jinja. The error says what is wrong with it.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        // A label that an alert does not have is no reason not to tell of it.
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment
            .add_template_owned(NAME, text.to_owned())
            .map_err(|error| explain(&error))?;
        let mut asked: Vec<_> = environment
            .get_template(NAME)
            .map_err(|error| explain(&error))?
            .undeclared_variables(false)
            .into_iter()
            .filter(|asked| !environment.globals().any(|(global, _)| global == asked))
            .collect();
        asked.sort_unstable();
        match asked.iter().find(|asked| !KNOWN.contains(&asked.as_str())) {
            None => Ok(Self(environment)),
            Some(foreign) => {
                let known = KNOWN.join(", ");
                Err(format!("there is no `{foreign}`: a body knows {known}"))
            }
        }
    }

    /// The text with these values, cut one byte behind `max`.
    pub(super) fn render(&self, values: &impl Serialize, max: usize) -> Result<Vec<u8>, String> {
        let mut text = Capped {
            bytes: Vec::new(),
            max: max + 1,
        };
        let template = self.0.get_template(NAME).map_err(|error| explain(&error))?;
        template
            .render_captured_to(Value::from(Serde(values)), &mut text)
            .map_err(|error| explain(&error))?;
        Ok(text.bytes)
    }
}

/// Keeps the first bytes, and lets the rest go.
struct Capped {
    bytes: Vec<u8>,
    max: usize,
}

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.max - self.bytes.len();
        self.bytes
            .extend_from_slice(&bytes[..room.min(bytes.len())]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The error without the name of the template.
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
