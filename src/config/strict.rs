//! From values to the schema's types: strict, and with every error at once.
//!
//! The `config` crate's own conversions are loose (`"5432"` and `true` become numbers, 1.5 becomes
//! 2) and stop at the first error without a line. Here a value has its type or is refused. Text is
//! the one exception: a number or truth value without quotes is taken as it is written, as other
//! programs that read YAML do.
//!
//! Unknown keys are noted in passing. Other errors end a pass: the value at fault is noted and left
//! out, and the next pass finds the next one, until a pass goes through.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use ::config::{Map, Value, ValueKind};
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};

use super::place::{Path, Place, Places, Step};
use super::problem::{Problem, Problems, choices, nearest};

/// Errors within one value after which the rest of it is not looked at.
const MAX_FAULTS: usize = 100;

/// Reads a value at `path`. Without the parts that are wrong, if the type can do without them;
/// `None` if it cannot. What is wrong is added to `problems`.
pub(super) fn read<T: de::DeserializeOwned>(
    value: &Value,
    path: &Path,
    places: &Places,
    problems: &mut Problems,
) -> Option<T> {
    let reader = Reader {
        places,
        path: RefCell::new(path.clone()),
        skipped: RefCell::default(),
        found: RefCell::default(),
    };
    let mut result = None;
    for _ in 0..MAX_FAULTS {
        let strict = Strict {
            value,
            reader: &reader,
        };
        let Err(fault) = T::deserialize(strict).map(|read| result = Some(read)) else {
            break;
        };
        let fault = fault.locate(value, &reader);
        let root = fault.at == Some(address(value));
        reader.note(fault);
        if root {
            break;
        }
    }
    reader
        .found
        .into_inner()
        .into_iter()
        .for_each(|problem| problems.push(problem));
    result
}

/// What one reading has in common over its passes.
struct Reader<'a> {
    places: &'a Places,
    path: RefCell<Path>,
    /// Addresses of the values that are left out from now on.
    skipped: RefCell<HashSet<usize>>,
    found: RefCell<Vec<Problem>>,
}

impl Reader<'_> {
    fn skips(&self, value: &Value) -> bool {
        self.skipped.borrow().contains(&address(value))
    }

    /// Notes a fault and leaves its value out from now on.
    fn note(&self, fault: Fault) {
        if let Some(at) = fault.at
            && self.skipped.borrow_mut().insert(at)
            && let Some(problem) = fault.problem
        {
            self.found.borrow_mut().push(problem);
        }
    }

    /// Goes one step down and back up; a fault from below gets its place.
    fn step<T>(
        &self,
        step: Step,
        value: &Value,
        read: impl FnOnce() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.path.borrow_mut().push(step);
        let result = read().map_err(|fault| fault.locate(value, self));
        self.path.borrow_mut().pop();
        result
    }

    fn unknown_key(&self, key: &str, value: &Value, valid: &[&'static str]) -> Fault {
        let path = self.path.borrow().key(key);
        let mut problem = Problem::new(self.places.of_key(value), &path, "unknown key");
        problem.help = match key {
            "<<" => Some("merge keys are not supported: write the keys out".to_owned()),
            _ => choices(key, valid.iter().copied()),
        };
        Fault {
            cause: Cause::Echo,
            at: Some(address(value)),
            problem: Some(problem),
        }
    }
}

fn address(value: &Value) -> usize {
    std::ptr::from_ref(value).addr()
}

/// An error of a pass. It has a cause where it arises, and a place from the first value that it
/// comes through.
#[derive(Debug)]
struct Fault {
    cause: Cause,
    at: Option<usize>,
    problem: Option<Problem>,
}

#[derive(Debug)]
enum Cause {
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
    fn message(text: impl Into<String>) -> Self {
        Cause::Message(text.into()).into()
    }

    fn expected(what: &str, value: &Value) -> Self {
        Self::message(format!("expected {what}, found {}", found(&value.kind)))
    }

    fn locate(mut self, value: &Value, reader: &Reader<'_>) -> Self {
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
        self.problem = self.cause.problem(value, place, &reader.path.borrow());
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
            Self::UnknownName(name, valid) => (
                format!("unknown value `{name}`"),
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

/// One value to read.
#[derive(Clone, Copy)]
struct Strict<'a> {
    value: &'a Value,
    reader: &'a Reader<'a>,
}

impl<'a> Strict<'a> {
    /// Text: as quoted, or as a plain number or truth value was written.
    fn text(self) -> Result<&'a str, Fault> {
        match &self.value.kind {
            ValueKind::String(text) => Ok(text),
            _ => self
                .reader
                .places
                .text(self.value)
                .ok_or_else(|| Fault::expected("text", self.value)),
        }
    }

    fn integer<N: TryFrom<i64>>(
        self,
        low: impl fmt::Display,
        high: impl fmt::Display,
    ) -> Result<N, Fault> {
        match &self.value.kind {
            ValueKind::I64(number) => N::try_from(*number)
                .map_err(|_| Fault::message(format!("must be from {low} to {high}"))),
            _ => Err(Fault::expected("a whole number", self.value)),
        }
    }

    fn float(self) -> Result<f64, Fault> {
        match &self.value.kind {
            ValueKind::Float(number) if number.is_finite() => Ok(*number),
            #[expect(
                clippy::cast_precision_loss,
                reason = "a whole number where a fraction is expected; those beyond 2^53 are rounded"
            )]
            ValueKind::I64(number) => Ok(*number as f64),
            ValueKind::Float(_) => Err(Fault::message("expected a finite number")),
            _ => Err(Fault::expected("a number", self.value)),
        }
    }

    fn list(self) -> Result<Items<'a>, Fault> {
        let items: &[Value] = match &self.value.kind {
            ValueKind::Array(list) => list,
            ValueKind::Nil => &[],
            _ => return Err(Fault::expected("a list", self.value)),
        };
        Ok(Items {
            items: items.iter().enumerate(),
            reader: self.reader,
        })
    }

    /// The entries of a mapping; only those in `valid`, if given, and the others are noted.
    fn entries(self, valid: Option<&'static [&'static str]>) -> Result<Entries<'a>, Fault> {
        let entries = match &self.value.kind {
            ValueKind::Table(table) => self.known(table, valid),
            ValueKind::Nil => Vec::new(),
            _ => return Err(Fault::expected("a mapping", self.value)),
        };
        Ok(Entries {
            entries: entries.into_iter(),
            current: None,
            reader: self.reader,
        })
    }

    fn known(
        self,
        table: &'a Map<String, Value>,
        valid: Option<&'static [&'static str]>,
    ) -> Vec<(&'a str, &'a Value)> {
        let mut entries = Vec::with_capacity(table.len());
        for (key, value) in table {
            match valid {
                _ if self.reader.skips(value) => {}
                Some(valid) if !valid.contains(&key.as_str()) => {
                    self.reader.note(self.reader.unknown_key(key, value, valid));
                }
                _ => entries.push((key.as_str(), value)),
            }
        }
        entries
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ident,)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.$visit(self.integer::<$type>($type::MIN, $type::MAX)?)
        })*
    };
}

impl<'de> Deserializer<'de> for Strict<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value.kind {
            ValueKind::Nil => visitor.visit_unit(),
            ValueKind::Boolean(truth) => visitor.visit_bool(*truth),
            ValueKind::I64(number) => match u64::try_from(*number) {
                Ok(number) => visitor.visit_u64(number),
                Err(_) => visitor.visit_i64(*number),
            },
            ValueKind::Float(_) => visitor.visit_f64(self.float()?),
            ValueKind::String(text) => visitor.visit_str(text),
            ValueKind::Array(_) => visitor.visit_seq(self.list()?),
            ValueKind::Table(_) => visitor.visit_map(self.entries(None)?),
            _ => Err(Fault::message("the number is too large")),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value.kind {
            ValueKind::Boolean(truth) => visitor.visit_bool(*truth),
            _ => Err(Fault::expected("true or false", self.value)),
        }
    }

    integers! {
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_i64(self.integer(i64::MIN, i64::MAX)?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_u64(self.integer(0, i64::MAX)?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_f64(self.float()?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_f64(self.float()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str(self.text()?)
    }

    /// A key without a value is no way to ask for the default.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(self.list()?)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_seq(self.list()?)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_map(self.entries(None)?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_map(self.entries(Some(fields))?)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(Choice::new(self, variants)?)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        i128 u128 bytes byte_buf unit unit_struct tuple_struct identifier
    }
}

struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Value>>,
    reader: &'a Reader<'a>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let reader = self.reader;
        let Some((index, value)) = self.items.by_ref().find(|(_, value)| !reader.skips(value))
        else {
            return Ok(None);
        };
        reader
            .step(Step::Index(index), value, || {
                seed.deserialize(Strict { value, reader })
            })
            .map(Some)
    }
}

struct Entries<'a> {
    entries: std::vec::IntoIter<(&'a str, &'a Value)>,
    current: Option<(&'a str, &'a Value)>,
    reader: &'a Reader<'a>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.current = self.entries.next();
        let Some((key, value)) = self.current else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, Fault> = key.into_deserializer();
        match seed.deserialize(key).map(Some) {
            Err(Fault {
                cause: Cause::UnknownKey(key, valid),
                ..
            }) => Err(self.reader.unknown_key(&key, value, valid)),
            result => result,
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let reader = self.reader;
        let Some((key, value)) = self.current.take() else {
            return Err(Fault::message("a value without a key"));
        };
        reader.step(Step::Key(key.into()), value, || {
            seed.deserialize(Strict { value, reader })
        })
    }
}

/// One of several names, alone or with settings: `{ http: … }`.
struct Choice<'a> {
    name: &'a str,
    settings: Option<&'a Value>,
    reader: &'a Reader<'a>,
}

impl<'a> Choice<'a> {
    fn new(strict: Strict<'a>, variants: &'static [&'static str]) -> Result<Self, Fault> {
        let (name, settings) = match &strict.value.kind {
            ValueKind::Table(table) => match table.iter().next() {
                Some((name, value)) if table.len() == 1 => (name.as_str(), Some(value)),
                _ => {
                    let names = variants.join(", ");
                    return Err(Fault::message(format!("expected exactly one of: {names}")));
                }
            },
            _ => (strict.text()?, None),
        };
        if variants.contains(&name) {
            return Ok(Self {
                name,
                settings,
                reader: strict.reader,
            });
        }
        let Some(value) = settings else {
            return Err(Cause::UnknownName(name.to_owned(), variants).into());
        };
        let mut fault = strict.reader.unknown_key(name, value, variants);
        // Without its one name, there is nothing left of the whole.
        fault.at = Some(address(strict.value));
        if let Some(problem) = &mut fault.problem {
            let names = format!("valid here: {}", variants.join(", "));
            "unknown kind".clone_into(&mut problem.message);
            problem.help = Some(match nearest(name, variants.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`? {names}"),
                None => names,
            });
        }
        Err(fault)
    }
}

impl<'de> EnumAccess<'de> for Choice<'_> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let name: StrDeserializer<'_, Fault> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl Choice<'_> {
    fn within<T>(self, read: impl FnOnce(Strict<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        let Some(value) = self.settings else {
            return Err(Fault::message(format!(
                "`{0}` has settings: write {{ {0}: {{}} }}",
                self.name
            )));
        };
        if self.reader.skips(value) {
            return Err(Cause::Echo.into());
        }
        let reader = self.reader;
        reader.step(Step::Key(self.name.into()), value, || {
            read(Strict { value, reader })
        })
    }
}

impl<'de> VariantAccess<'de> for Choice<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.settings {
            None => Ok(()),
            Some(_) => Err(Fault::message(format!("`{}` has no settings", self.name))),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        self.within(|strict| seed.deserialize(strict))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Fault> {
        self.within(|strict| strict.deserialize_seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.within(|strict| strict.deserialize_struct("", fields, visitor))
    }
}
