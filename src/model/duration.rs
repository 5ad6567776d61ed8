//! Durations as users of Prometheus write them: `150ms`, `5s`, `1m30s`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

const UNITS: [(&str, u64); 7] = [
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
    ("d", 86_400 * 1_000_000_000),
];

/// Reads a duration: whole numbers with a unit each (`us`, `ms`, `s`, `m`, `h`, `d`), or `0`.
///
/// The error says what was wrong, without the text itself.
pub fn parse(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a duration like 150ms, 5s or 1m30s";
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanos: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().map_err(|_| EXPECTED.to_owned())?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (_, unit) = UNITS
            .iter()
            .find(|(name, _)| *name == &rest[..letters])
            .ok_or_else(|| EXPECTED.to_owned())?;
        rest = &rest[letters..];
        nanos = number
            .checked_mul(*unit)
            .and_then(|n| nanos.checked_add(n))
            .ok_or_else(|| "the duration is too long".to_owned())?;
    }
    if text.is_empty() {
        return Err(EXPECTED.to_owned());
    }
    Ok(Duration::from_nanos(nanos))
}

/// For `#[serde(deserialize_with = …)]`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map_err(|why| de::Error::custom(format!("`{text}`: {why}")))
}

/// For `#[serde(default, deserialize_with = …)]` on an `Option`.
pub fn deserialize_option<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    deserialize(deserializer).map(Some)
}

/// The duration as a person would write it: the largest units that hold it exactly.
pub fn display(duration: Duration) -> String {
    let mut nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    if nanos == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, unit) in UNITS.iter().rev().filter(|(name, _)| *name != "µs") {
        let count = nanos / unit;
        if count > 0 {
            text += &count.to_string();
            text += name;
            nanos -= count * unit;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_users_write() {
        for (text, millis) in [
            ("0", 0),
            ("150ms", 150),
            ("5s", 5_000),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse("250us"), Ok(Duration::from_micros(250)));
    }

    #[test]
    fn refuses_what_could_be_misread() {
        for text in [
            "",
            "5",
            "s",
            "5 s",
            "-5s",
            "1.5s",
            "5sec",
            "99999999999d",
            "5s5",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn display_reads_back_as_the_same() {
        for text in ["150ms", "5s", "1m30s", "2h", "1d1h", "250us"] {
            assert_eq!(display(parse(text).expect("valid")), text);
        }
    }
}
