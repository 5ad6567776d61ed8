use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
const B: &str = "2174b383-5441-11e8-b90a-c80aa9429562";

/// A set in which `A` and `B` stand for two servers.
fn set(text: &str) -> GtidSet {
    GtidSet::parse(&text.replace('A', A).replace('B', B)).unwrap()
}

#[test]
fn sets_read_as_the_server_normalises_them() {
    let cases = [
        // Nothing, also between commas: the manual unites two sets by writing a comma between.
        ("", ""),
        (" \n", ""),
        (",A:1,,", "A:1"),
        // One, several, out of order, overlapping, touching, the same twice.
        ("A:5", "A:5"),
        ("A:5-5", "A:5"),
        ("A:1-5", "A:1-5"),
        ("A:1-3:11:47-49", "A:1-3:11:47-49"),
        ("A:47-49:11:1-3", "A:1-3:11:47-49"),
        ("A:1-5:3-8", "A:1-8"),
        ("A:1-5:6-8", "A:1-8"),
        ("A:1-9:3-4", "A:1-9"),
        ("A:1:2:3:5", "A:1-3:5"),
        ("A:1,A:2", "A:1-2"),
        // Servers are sorted, each on its own line.
        ("A:1-3,B:1-19", "B:1-19,\nA:1-3"),
        ("A:1-3 ,\r\n B : 1 - 19 : 30", "B:1-19:30,\nA:1-3"),
        // An interval that ends before it starts holds nothing.
        ("A:7-5", ""),
        ("A:7-0:9", "A:9"),
        ("A:9223372036854775807", "A:9223372036854775807"),
        ("A:1-9223372036854775807", "A:1-9223372036854775807"),
        // Tags: after the untagged, sorted, in lower case, the UUID once.
        ("A:tag:1-5", "A:tag:1-5"),
        ("A:1-3:tag:5", "A:1-3:tag:5"),
        ("A:zeta:1:alpha:2:3", "A:alpha:2-3:zeta:1"),
        (
            "A:Domain_1:1-3:15-21, A:Domain_2:8-52",
            "A:domain_1:1-3:15-21:domain_2:8-52",
        ),
        ("A:tag:1,A:2", "A:2:tag:1"),
        ("A:tag:1:Tag:2", "A:tag:1-2"),
        ("A:_:1:_9:2", "A:_:1:_9:2"),
    ];
    for (text, canonical) in cases {
        let canonical = canonical.replace('A', A).replace('B', B);
        assert_eq!(set(text).to_string(), canonical, "{text:?}");
    }
}

#[test]
fn a_uuid_may_be_written_in_three_ways() {
    let lower = set("A:1");
    let upper = A.to_uppercase();
    let bare = A.replace('-', "");
    for uuid in [&upper, &bare] {
        assert_eq!(GtidSet::parse(&format!("{uuid}:1")), Ok(lower.clone()));
    }
}

#[test]
fn what_no_server_writes_is_refused() {
    let cases = [
        ("A", "no intervals"),
        ("A:tag", "no intervals"),
        ("A:1:tag", "no intervals"),
        ("A:one:two:3", "no intervals"),
        ("A:", "malformed"),
        ("A:1:", "malformed"),
        ("A::1", "malformed"),
        ("A:-5", "malformed"),
        ("A:tag-5:1", "malformed"),
        ("A:tag 5:1", "malformed"),
        ("A:étiquette:1", "malformed"),
        ("A:a23456789012345678901234567890123:1", "malformed"),
        ("A:0", "starts at 0"),
        ("A:0-5", "starts at 0"),
        ("A:1-", "missing"),
        ("A:1-+5", "no number"),
        ("A:1-2-3", "no number"),
        ("A:1a", "no number"),
        ("A:0x10", "no number"),
        ("A:9223372036854775808", "no number"),
        ("A:99999999999999999999999", "no number"),
        (":1", "UUID"),
        ("1-1-5", "UUID"),
        ("3e11fa47-71ca-11e1-9e33-c80aa942956:1", "UUID"),
        ("3e11fa4771ca-11e1-9e33-c80aa9429562-:1", "UUID"),
        ("3e11fa47-71ca-11e1-9e33-c80aa942956g:1", "UUID"),
    ];
    for (text, why) in cases {
        let refused = GtidSet::parse(&text.replace('A', A));
        assert!(
            refused.as_ref().is_err_and(|error| error.contains(why)),
            "{text:?}: {refused:?}"
        );
    }
}

#[test]
fn hostile_texts_are_refused_and_long_ones_are_no_trouble() {
    let tags = |count| {
        (0..count)
            .map(|tag| format!("{A}:t{tag}:1"))
            .collect::<Vec<_>>()
    };
    assert!(GtidSet::parse(&tags(MAX_SOURCES).join(",")).is_ok());
    assert!(GtidSet::parse(&tags(MAX_SOURCES + 1).join(",")).is_err());
    // The most intervals that fit, in the worst order.
    let numbers: Vec<_> = (1..90_000)
        .rev()
        .map(|number| (number * 2).to_string())
        .collect();
    let gaps = GtidSet::parse(&format!("{A}:{}", numbers.join(":"))).unwrap();
    assert_eq!(gaps.len(), 89_999);
    assert!(gaps.union(&gaps).contains_all(&gaps));
    let long = format!("{A}{}", ":1".repeat(super::super::MAX_TEXT_BYTES));
    assert!(GtidSet::parse(&long).is_err());
}

/// The examples of the manual for `GTID_SUBSET()` and others in its manner.
#[test]
fn a_subset_is_told() {
    let cases = [
        ("A:23", "A:21-57", true),
        ("A:23-25", "A:21-57", true),
        ("A:20-25", "A:21-57", false),
        ("A:21-57", "A:21-57", true),
        ("A:50-58", "A:21-57", false),
        ("B:23", "A:21-57", false),
        ("A:1:3", "A:1-3", true),
        ("A:1-3", "A:1:3", false),
        ("", "A:1", true),
        ("A:1", "", false),
        ("", "", true),
        ("A:1:tag:1", "A:1", false),
        ("A:tag:1", "A:1-5:tag:1-2", true),
        ("A:2", "A:tag:1-5", false),
    ];
    for (part, whole, expected) in cases {
        assert_eq!(
            set(whole).contains_all(&set(part)),
            expected,
            "{part:?} in {whole:?}"
        );
    }
}

/// The examples of the manual for `GTID_SUBTRACT()` and others in its manner.
#[test]
fn sets_are_subtracted() {
    let cases = [
        ("A:21-57", "A:21", "A:22-57"),
        ("A:21-57", "A:20-25", "A:26-57"),
        ("A:21-57", "A:23-24", "A:21-22:25-57"),
        ("A:21-57", "A:50-90", "A:21-49"),
        ("A:21-57", "A:1-100", ""),
        ("A:21-57", "B:1-100", "A:21-57"),
        ("A:1-9", "A:2:4:6", "A:1:3:5:7-9"),
        ("A:1-2:5-6:9", "A:2-5", "A:1:6:9"),
        ("A:1-5:tag:1-5", "A:1-5", "A:tag:1-5"),
        ("A:1-5:tag:1-5", "A:tag:2-9", "A:1-5:tag:1"),
        ("A:1-3,B:4-6", "B:5", "A:1-3,B:4:6"),
    ];
    for (from, what, rest) in cases {
        assert_eq!(
            set(from).difference(&set(what)),
            set(rest),
            "{from:?} \\ {what:?}"
        );
    }
}

#[test]
fn the_length_is_that_of_all_servers_and_never_overflows() {
    assert_eq!(set("").len(), 0);
    assert_eq!(set("A:1-5:7:tag:1-2,B:10").len(), 9);
    let all = format!("1-{MAX_NUMBER}");
    let three = format!("A:{all}:t:{all},B:{all}");
    assert_eq!(set(&three).len(), u64::MAX);
}

/// One transaction, as a model sees it.
type One = (u8, u8, u64);

fn ones() -> impl Strategy<Value = HashSet<One>> {
    proptest::collection::hash_set((0..3_u8, 0..3_u8, 1..25_u64), 0..60)
}

/// A set of the model's transactions, written one by one in no order.
fn written(ones: &HashSet<One>) -> GtidSet {
    let text: Vec<_> = ones
        .iter()
        .map(|(server, tag, number)| {
            let tag = ["", "a:", "b:"][usize::from(*tag)];
            format!("{server:032x}:{tag}{number}")
        })
        .collect();
    GtidSet::parse(&text.join(",")).unwrap()
}

proptest! {
    #[test]
    fn sets_do_as_a_naive_model_does(a in ones(), b in ones()) {
        let (x, y) = (written(&a), written(&b));
        prop_assert_eq!(x.len(), a.len() as u64);
        prop_assert_eq!(x.is_empty(), a.is_empty());
        prop_assert_eq!(x.difference(&y), written(&(&a - &b)));
        prop_assert_eq!(x.intersection(&y), written(&(&a & &b)));
        prop_assert_eq!(x.union(&y), written(&(&a | &b)));
        prop_assert_eq!(x.contains_all(&y), b.is_subset(&a));
        prop_assert_eq!(x.contains_all(&y), y.difference(&x).is_empty());
        prop_assert_eq!(GtidSet::parse(&x.to_string()), Ok(x));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "([0-9a-f]{32}|[-:,0-9a-z_ ]{0,12}|.{0,3}){0,9}") {
        if let Ok(set) = GtidSet::parse(&text) {
            prop_assert_eq!(GtidSet::parse(&set.to_string()), Ok(set));
        }
    }
}
