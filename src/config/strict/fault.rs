//! Errors of a pass, in words for the operator.

use std::fmt;

use ::config::{Value, ValueKind};
use serde::de::{self, Expected, Unexpected};

use super::super::place::{Path, Place};
use super::super::problem::{Problem, choices};
use super::{Reader, address};

/// An error of a pass. It has a cause where it arises, and a place from the first value that it
/// comes through.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) cause: Cause,
    pub(super) at: Option<usize>,
    pub(super) problem: Option<Box<Problem>>,
}

#[derive(Debug)]
pub(super) enum Cause {
    Message(String),
    Missing(&'static str),
    UnknownKey(String, &'static [&'static str]),
    UnknownName(String, &'static [&'static str]),
    /// Follows from what was noted already.
    Echo,
}

impl From<Cause> for Fault {
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            at: None,
            problem: None,
        }
    }
}

impl Fault {
    pub(super) fn message(text: impl Into<String>) -> Self {
        Cause::Message(text.into()).into()
    }

    pub(super) fn expected(what: &str, value: &Value) -> Self {
        Self::message(format!("expected {what}, found {}", found(&value.kind)))
    }

    pub(super) fn locate(mut self, value: &Value, reader: &Reader<'_>) -> Self {
        if self.at.is_some() {
            return self;
        }
        if let Cause::UnknownKey(key, valid) = &self.cause
            && let ValueKind::Table(table) = &value.kind
            && let Some(culprit) = table.get(key)
        {
            return reader.unknown_key(key, culprit, valid);
        }
        self.at = Some(address(value));
        let place = match &value.kind {
            ValueKind::Nil => reader.places.of_key(value),
            _ => reader.places.of(value),
        };
        self.problem = self
            .cause
            .problem(value, place, &reader.path.borrow())
            .map(Box::new);
        self
    }
}

impl Cause {
    fn problem(&self, value: &Value, place: Place, path: &Path) -> Option<Problem> {
        let (message, help) = match self {
            Self::Echo => return None,
            Self::Missing(field) => {
                let written =
                    matches!(&value.kind, ValueKind::Table(table) if table.contains_key(*field));
                if written {
                    return None;
                }
                (format!("the key `{field}` is missing"), None)
            }
            Self::Message(text) => (text.clone(), None),
            Self::UnknownKey(name, valid) => (
                format!("unknown key `{name}`"),
                choices(name, valid.iter().copied()),
            ),
            // The text may be a secret in the wrong place; the line leads to it.
            Self::UnknownName(name, valid) => (
                "unknown value".to_owned(),
                choices(name, valid.iter().copied()),
            ),
        };
        let mut problem = Problem::new(place, path, message);
        problem.help = help;
        Some(problem)
    }
}

fn found(kind: &ValueKind) -> &'static str {
    match kind {
        ValueKind::Nil => "no value",
        ValueKind::Boolean(_) => "true or false",
        ValueKind::Float(_) => "a number with a fraction",
        ValueKind::String(_) => "text",
        ValueKind::Table(_) => "a mapping",
        ValueKind::Array(_) => "a list",
        _ => "a number",
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.cause)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::message(message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match unexpected {
            Unexpected::Bool(_) => "true or false",
            Unexpected::Float(_) => "a number with a fraction",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a number",
            Unexpected::Str(_) | Unexpected::Char(_) => "text",
            Unexpected::Seq => "a list",
            Unexpected::Map | Unexpected::StructVariant | Unexpected::NewtypeVariant => "a mapping",
            _ => "no value",
        };
        Self::message(format!("expected {expected}, found {found}"))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        match unexpected {
            Unexpected::Unsigned(n) => Self::message(format!("expected {expected}, found {n}")),
            Unexpected::Signed(n) => Self::message(format!("expected {expected}, found {n}")),
            Unexpected::Float(n) => Self::message(format!("expected {expected}, found {n}")),
            // The text may be a secret in the wrong place.
            other => Self::invalid_type(other, expected),
        }
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::message(format!("expected {expected}, found {length}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Cause::Missing(field).into()
    }

    fn unknown_field(field: &str, valid: &'static [&'static str]) -> Self {
        Cause::UnknownKey(field.to_owned(), valid).into()
    }

    fn unknown_variant(variant: &str, valid: &'static [&'static str]) -> Self {
        Cause::UnknownName(variant.to_owned(), valid).into()
    }
}
