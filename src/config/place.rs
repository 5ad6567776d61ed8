//! Where something of the configuration was written, and how a person finds it.

use std::fmt;
use std::sync::Arc;

use ::config::{Value, ValueKind};

/// A line of a file, an environment variable or a flag. Ordered as they are read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    rank: usize,
    line: usize,
    /// In characters, from 1; 0 where there are none.
    column: usize,
    source: Arc<str>,
}

impl Place {
    /// The line, from 1; 0 where there are none.
    pub const fn line(&self) -> usize {
        self.line
    }

    /// The column in characters, from 1; 0 where there are no lines.
    pub const fn column(&self) -> usize {
        self.column
    }

    /// The file, the variable or the flag.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        Ok(())
    }
}

/// A file, a variable or a flag, by the order in which it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source(usize);

impl Source {
    /// The main file: it is the first to be read.
    pub(super) const MAIN: Self = Self(0);
}

/// Whether a source has lines that a person could look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    Shown,
    Hidden,
}

/// A line and a column, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) line: usize,
    pub(super) column: usize,
}

#[derive(Debug)]
struct Mark {
    source: Source,
    value: Spot,
    key: Option<Spot>,
    text: Option<Box<str>>,
}

/// The places of all values.
///
/// The `config` crate carries one string with each value through its layers, the origin: ours is
/// the number of the value's mark.
#[derive(Debug, Default)]
pub(super) struct Places {
    sources: Vec<(Arc<str>, Lines)>,
    marks: Vec<Mark>,
}

impl Places {
    pub(super) fn add_source(&mut self, name: &str, lines: Lines) -> Source {
        self.sources.push((name.into(), lines));
        Source(self.sources.len() - 1)
    }

    /// A value with its place. `text` is how a number or truth value was written.
    pub(super) fn value(
        &mut self,
        source: Source,
        spot: Spot,
        text: Option<&str>,
        kind: impl Into<ValueKind>,
    ) -> Value {
        self.marks.push(Mark {
            source,
            value: spot,
            key: None,
            text: text.map(Into::into),
        });
        Value::new(Some(&(self.marks.len() - 1).to_string()), kind)
    }

    /// Notes where the key of a value is.
    pub(super) fn set_key(&mut self, value: &Value, spot: Spot) {
        if let Some(number) = number(value)
            && let Some(mark) = self.marks.get_mut(number)
        {
            mark.key = Some(spot);
        }
    }

    pub(super) fn place(&self, source: Source, spot: Spot) -> Place {
        let (name, lines) = match self.sources.get(source.0) {
            Some((name, lines)) => (Arc::clone(name), *lines),
            None => ("the configuration".into(), Lines::Hidden),
        };
        let spot = match lines {
            Lines::Shown => spot,
            Lines::Hidden => Spot::default(),
        };
        Place {
            rank: source.0,
            line: spot.line,
            column: spot.column,
            source: name,
        }
    }

    /// Where the value is; of a table that layers were merged into, where its first value is.
    pub(super) fn of(&self, value: &Value) -> Place {
        match self.mark(value) {
            Some(mark) => self.place(mark.source, mark.value),
            None => match children(value).next() {
                Some(child) => self.of_key(child),
                None => self.place(Source(0), Spot::default()),
            },
        }
    }

    /// Where the value's key is; the value itself when it has none.
    pub(super) fn of_key(&self, value: &Value) -> Place {
        match self.mark(value) {
            Some(Mark {
                source,
                key: Some(key),
                ..
            }) => self.place(*source, *key),
            _ => self.of(value),
        }
    }

    /// How a number or truth value was written.
    pub(super) fn text(&self, value: &Value) -> Option<&str> {
        self.mark(value)?.text.as_deref()
    }

    fn mark(&self, value: &Value) -> Option<&Mark> {
        self.marks.get(number(value)?)
    }
}

fn number(value: &Value) -> Option<usize> {
    value.origin()?.parse().ok()
}

fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match &value.kind {
        ValueKind::Table(table) => Box::new(table.values()),
        ValueKind::Array(list) => Box::new(list.iter()),
        _ => Box::new(std::iter::empty()),
    }
}

/// One step from a value to a value in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(Box<str>),
    Index(usize),
}

/// The way to a value: `probes[1].check.http`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

impl Path {
    /// The path of what a file has under `name`.
    pub(super) fn root(name: &str) -> Self {
        Self::default().key(name)
    }

    pub(super) fn key(&self, name: &str) -> Self {
        self.with(Step::Key(name.into()))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut path = self.clone();
        path.push(step);
        path
    }

    pub(super) fn push(&mut self, step: Step) {
        self.0.push(step);
    }

    pub(super) fn pop(&mut self) {
        self.0.pop();
    }

    pub(super) fn join(&self, below: &Self) -> Self {
        Self(self.0.iter().chain(&below.0).cloned().collect())
    }

    /// Reads a path as kinds name their settings: `tls.ca_file`, `headers[2].name`.
    pub(super) fn parse(text: &str) -> Self {
        let mut path = Self::default();
        for part in text.split('.').filter(|part| !part.is_empty()) {
            let (name, indices) = part.split_at(part.find('[').unwrap_or(part.len()));
            path.push(Step::Key(name.into()));
            let numbers = indices.split(['[', ']']).filter_map(|n| n.parse().ok());
            path.0.extend(numbers.map(Step::Index));
        }
        path
    }

    /// The value that the path leads to, or the last one on the way to it.
    pub(super) fn deepest<'a>(&self, from: &'a Value) -> &'a Value {
        self.0
            .iter()
            .try_fold(from, |value, step| step.of(value).ok_or(value))
            .unwrap_or_else(|last| last)
    }
}

impl Step {
    fn of<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        match (self, &value.kind) {
            (Self::Key(key), ValueKind::Table(table)) => table.get(&**key),
            (Self::Index(index), ValueKind::Array(list)) => list.get(*index),
            _ => None,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if i == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_back_as_they_are_shown() {
        for text in ["tls.ca_file", "headers[2].name", "a[1][0].b"] {
            assert_eq!(Path::parse(text).to_string(), text);
        }
        assert_eq!(Path::parse("").to_string(), "");
    }
}
