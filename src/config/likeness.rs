//! What is the same in two configurations, though it was read twice.

use ::config::{Value, ValueKind};

use crate::model::Digest;

/// The digest of a value. Where it was written makes no difference, nor in which order the keys of
/// a table are.
pub(super) fn digest(value: &Value) -> Digest {
    match &value.kind {
        ValueKind::Table(table) => {
            let mut entries: Vec<_> = table.iter().map(|(key, of)| (key, digest(of))).collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            entries
                .iter()
                .fold(Digest::of(&[b"table"]), |all, (key, of)| {
                    all.and(&[key.as_bytes()]).with(of)
                })
        }
        ValueKind::Array(list) => list
            .iter()
            .fold(Digest::of(&[b"list"]), |all, of| all.with(&digest(of))),
        // Two values that are written alike may be of two types: `1` and `"1"`.
        scalar => Digest::of(&[b"scalar", format!("{scalar:?}").as_bytes()]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::parse;
    use super::super::place::{Lines, Places};
    use super::*;
    use crate::config::Problems;

    fn of(text: &str) -> Digest {
        let (mut places, mut problems) = (Places::default(), Problems::default());
        let source = places.add_source("file", Lines::Shown);
        let value = parse(text, source, &mut places, &mut problems).expect("a document");
        assert!(problems.iter().next().is_none());
        digest(&value)
    }

    #[test]
    fn what_says_the_same_is_the_same_wherever_it_is() {
        let here = of("http: { valid_status: [200, 204], body: { max: 1 } }\n");
        let there = "# moved\n\nhttp:\n  body:\n    max: 1\n  valid_status: [200, 204] # as ever\n";
        assert_eq!(of(there), here);
    }

    #[test]
    fn what_says_something_else_is_not() {
        let all = [
            "{}",
            "[]",
            "[{}]",
            "a: 1",
            "a: '1'",
            "a: 1.0",
            "a: true",
            "a: [1]",
            "a: [1, 2]",
            "a: [2, 1]",
            "a: [[1], 2]",
            "a: { b: 1 }",
            "a: {}\nb: 1",
            "a: 1\nb: 1",
            "a:",
        ];
        let digests: Vec<_> = all.iter().map(|text| of(text)).collect();
        for (at, one) in digests.iter().enumerate() {
            assert!(!digests[..at].contains(one), "{}", all[at]);
        }
    }
}
