//! Sizes in bytes as people write them: `64MiB`.

/// The units, the smallest first. Powers of 1024 only: between `MB` and `MiB`, people mean either.
const UNITS: [(&str, u64); 5] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Reads a size: a whole number and its unit (`B`, `KiB`, `MiB`, `GiB`, `TiB`), nothing between.
///
/// The error says what was expected.
pub fn parse(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "expected a size like 512KiB, 64MiB or 2GiB";
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| EXPECTED.to_owned())?;
    let unit = UNITS.iter().find(|(name, _)| *name == unit);
    let (_, unit) = unit.ok_or_else(|| EXPECTED.to_owned())?;
    number
        .checked_mul(*unit)
        .ok_or_else(|| "the size is too large".to_owned())
}

/// The size in the largest unit that holds it exactly.
pub fn display(bytes: u64) -> String {
    let fits = |(_, unit): &&(&str, u64)| bytes > 0 && bytes.is_multiple_of(*unit);
    let (name, unit) = UNITS.iter().rev().find(fits).unwrap_or(&UNITS[0]);
    format!("{}{name}", bytes / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_back_as_they_are_shown() {
        for (text, bytes) in [
            ("0B", 0),
            ("1B", 1),
            ("1023B", 1023),
            ("512KiB", 524_288),
            ("64MiB", 67_108_864),
            ("1536MiB", 1_610_612_736),
            ("2GiB", 2_147_483_648),
            ("3TiB", 3_298_534_883_328),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
            assert_eq!(display(bytes), text);
        }
    }

    #[test]
    fn what_could_be_misread_is_refused() {
        for text in [
            "",
            "64",
            "MiB",
            "64 MiB",
            "64MB",
            "64M",
            "64mib",
            "-1MiB",
            "1.5GiB",
            "+1B",
            "99999999999TiB",
            "99999999999999999999B",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
