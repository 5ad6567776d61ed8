//! Values that are one of several.

use ::config::{Value, ValueKind};
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, VariantAccess, Visitor,
};

use super::super::place::Step;
use super::super::problem::nearest;
use super::fault::{Cause, Fault};
use super::values::Strict;
use super::{Reader, address};

/// One of several names, alone or with settings: `{ http: … }`.
pub(super) struct Choice<'a> {
    name: &'a str,
    settings: Option<&'a Value>,
    reader: &'a Reader<'a>,
}

impl<'a> Choice<'a> {
    pub(super) fn new(
        strict: Strict<'a>,
        variants: &'static [&'static str],
    ) -> Result<Self, Fault> {
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
            let bare = true;
            read(Strict {
                value,
                reader,
                bare,
            })
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
