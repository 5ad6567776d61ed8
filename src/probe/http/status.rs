//! Which statuses are good ones.

use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A list of statuses, ranges and classes: `[200, "300-307", "2xx"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

impl Statuses {
    /// Whether the status is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Default for Statuses {
    fn default() -> Self {
        Self(vec![200..=299])
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.0.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            match (range.start(), range.end()) {
                (low, high) if low == high => write!(f, "{comma}{low}")?,
                (low, high) => write!(f, "{comma}{low}-{high}")?,
            }
        }
        Ok(())
    }
}

fn parse(text: &str) -> Option<RangeInclusive<u16>> {
    let text = text.trim();
    if let Some(class) = text
        .strip_suffix("xx")
        .or_else(|| text.strip_suffix("XX"))
        .and_then(|digit| digit.parse::<u16>().ok())
    {
        return (1..=5)
            .contains(&class)
            .then(|| class * 100..=class * 100 + 99);
    }
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
    (100 <= low && low <= high && high <= 599).then_some(low..=high)
}

fn wrong(text: impl fmt::Display) -> String {
    format!(
        "`{text}` is not a status; write a number from 100 to 599, a range like 200-299, or 2xx"
    )
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Statuses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of statuses")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Statuses, A::Error> {
                let mut ranges = Vec::new();
                while let Some(One(range)) = list.next_element()? {
                    ranges.push(range);
                }
                Ok(Statuses(ranges))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

struct One(RangeInclusive<u16>);

impl<'de> Deserialize<'de> for One {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrText;
        impl Visitor<'_> for NumberOrText {
            type Value = One;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status, a range like 200-299, or 2xx")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<One, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<One, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<One, E> {
                parse(text).map(One).ok_or_else(|| E::custom(wrong(text)))
            }
        }
        deserializer.deserialize_any(NumberOrText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_ranges_and_classes() {
        let statuses: Statuses =
            serde_json::from_str(r#"[204, "300-307", "4xx", "503"]"#).expect("valid");
        for (status, good) in [
            (200, false),
            (204, true),
            (299, false),
            (300, true),
            (307, true),
            (308, false),
            (400, true),
            (499, true),
            (500, false),
            (503, true),
        ] {
            assert_eq!(statuses.contains(status), good, "{status}");
        }
        assert_eq!(statuses.to_string(), "204, 300-307, 400-499, 503");
    }

    #[test]
    fn refuses_what_is_no_status() {
        for text in [
            "[0]",
            "[600]",
            "[-1]",
            "[\"6xx\"]",
            "[\"2x\"]",
            "[\"299-200\"]",
            "[\"ok\"]",
            "[true]",
            "[2.5]",
            "200",
            "[\"xx\"]",
        ] {
            assert!(serde_json::from_str::<Statuses>(text).is_err(), "{text}");
        }
    }
}
