//! One value, as serde reads it.

use std::fmt;

use ::config::{Map, Value, ValueKind};
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::super::place::Step;
use super::Reader;
use super::choice::Choice;
use super::fault::{Cause, Fault};

/// One value to read.
#[derive(Clone, Copy)]
pub(super) struct Strict<'a> {
    pub(super) value: &'a Value,
    pub(super) reader: &'a Reader<'a>,
    /// Whether no value stands for a mapping without entries: `{ tcp: }`.
    pub(super) bare: bool,
}

impl<'a> Strict<'a> {
    pub(super) fn new(value: &'a Value, reader: &'a Reader<'a>) -> Self {
        Self {
            value,
            reader,
            bare: false,
        }
    }

    /// Text: as quoted, or as a plain number or truth value was written.
    pub(super) fn text(self) -> Result<&'a str, Fault> {
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
            ValueKind::Nil if self.bare => Vec::new(),
            _ => return Err(Fault::expected("a mapping", self.value)),
        };
        Ok(Entries {
            rest: entries.into_iter(),
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
                seed.deserialize(Strict::new(value, reader))
            })
            .map(Some)
    }
}

struct Entries<'a> {
    rest: std::vec::IntoIter<(&'a str, &'a Value)>,
    current: Option<(&'a str, &'a Value)>,
    reader: &'a Reader<'a>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.current = self.rest.next();
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
            seed.deserialize(Strict::new(value, reader))
        })
    }
}
