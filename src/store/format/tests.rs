use proptest::prelude::*;

use super::*;

const PAYLOADS: [&str; 5] = [
    "{\"put\":{\"table\":\"a\",\"id\":\"x\",\"value\":1}}\n",
    "{}\n",
    "{\"remove\":{\"table\":\"a\",\"id\":\"x\"}}\n",
    "\n",
    "{\"put\":{\"table\":\"b\",\"id\":\"ü\",\"value\":[null,true]}}\n",
];

/// The first number of a journal is any: it goes on from the one that it replaced.
const FIRST: u64 = 7;

/// A journal of these payloads, and where each of its records ends, the header first.
fn journal() -> (Vec<u8>, Vec<usize>) {
    let mut bytes = header();
    let mut ends = vec![bytes.len()];
    for (number, payload) in (FIRST..).zip(PAYLOADS) {
        push(&mut bytes, number, payload.as_bytes());
        ends.push(bytes.len());
    }
    (bytes, ends)
}

fn texts<'a>(contents: &Contents<'a>) -> Vec<&'a str> {
    let payloads = contents.payloads.iter();
    payloads.map(|p| str::from_utf8(p).expect("text")).collect()
}

#[test]
fn what_is_written_is_read() {
    let (bytes, _) = journal();
    let contents = read(&bytes).expect("known");
    assert_eq!(texts(&contents), PAYLOADS);
    assert_eq!(contents.sequence, FIRST + 4);
    assert_eq!(
        (contents.torn, contents.damaged, contents.lost),
        (0, false, 0)
    );
    let empty = header();
    assert_eq!(read(&empty), Ok(Contents::default()));
}

#[test]
fn a_journal_that_ends_at_any_byte_keeps_its_whole_records_and_is_told_to_be_torn() {
    let (bytes, ends) = journal();
    for length in 0..bytes.len() {
        let contents = read(&bytes[..length]).expect("known");
        let whole = ends.iter().filter(|end| **end <= length).count();
        assert_eq!(
            texts(&contents),
            PAYLOADS[..whole.saturating_sub(1)],
            "{length}"
        );
        if whole == 0 {
            assert_eq!((contents.damaged, contents.lost), (true, length));
        } else {
            let rest = length - ends[whole - 1];
            assert_eq!((contents.torn, contents.damaged), (rest, false), "{length}");
        }
    }
}

#[test]
fn a_byte_that_changed_costs_its_record_and_no_other_and_is_never_silent() {
    let (bytes, ends) = journal();
    for at in 0..bytes.len() {
        let hit = ends.iter().filter(|end| **end <= at).count();
        let mut expected = PAYLOADS.to_vec();
        if hit > 0 {
            expected.remove(hit - 1);
        }
        for change in 1..=u8::MAX {
            let mut bytes = bytes.clone();
            bytes[at] ^= change;
            let contents = read(&bytes).expect("no later version is made up");
            assert_eq!(texts(&contents), expected, "byte {at} ^ {change}");
            assert!(
                contents.damaged || contents.torn > 0,
                "byte {at} ^ {change}"
            );
            // Only what stands last may look like a write that was cut short.
            assert!(
                contents.damaged || hit == PAYLOADS.len(),
                "byte {at} ^ {change}"
            );
        }
    }
}

#[test]
fn a_record_that_is_missing_is_told() {
    let (mut bytes, ends) = journal();
    bytes.drain(ends[1]..ends[2]);
    let contents = read(&bytes).expect("known");
    assert_eq!(texts(&contents).len(), PAYLOADS.len() - 1);
    assert_eq!((contents.damaged, contents.lost), (true, 0));
}

#[test]
fn a_record_that_is_there_again_is_not_taken_twice() {
    let (mut bytes, ends) = journal();
    let again = bytes[ends[0]..ends[1]].to_vec();
    bytes.extend(&again);
    let contents = read(&bytes).expect("known");
    assert_eq!(texts(&contents), PAYLOADS);
    assert_eq!((contents.damaged, contents.lost), (true, again.len()));
}

#[test]
fn zeros_at_the_end_are_a_write_that_was_cut_short() {
    let (mut bytes, _) = journal();
    bytes.resize(bytes.len() + 4096, 0);
    let contents = read(&bytes).expect("known");
    assert_eq!(texts(&contents), PAYLOADS);
    assert_eq!((contents.torn, contents.damaged), (4096, false));
}

#[test]
fn a_later_version_is_refused_and_an_earlier_one_was_never_written() {
    let (bytes, ends) = journal();
    for version in [2, 10, u32::MAX] {
        let mut later = header_of(version);
        later.extend(&bytes[ends[0]..]);
        assert_eq!(read(&later), Err(Newer(version)));
        assert_eq!(read(&header_of(version)), Err(Newer(version)));
    }
    assert!(read(&header_of(0)).expect("no version").damaged);
}

#[test]
fn the_longest_payload_is_read_and_a_longer_one_is_not() {
    for (length, good) in [(MAX_PAYLOAD, true), (MAX_PAYLOAD + 1, false)] {
        let mut bytes = header();
        push(&mut bytes, 1, &vec![b'x'; length]);
        let contents = read(&bytes).expect("known");
        assert_eq!(contents.payloads.len(), usize::from(good));
        assert_eq!(contents.damaged, !good);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_made_up_whatever_stands_there(
        at in 0_usize..300, cut in 0_usize..120, put in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let (mut bytes, ends) = journal();
        let at = at.min(bytes.len());
        let end = (at + cut).min(bytes.len());
        let changed = bytes[at..end] != put[..];
        bytes.splice(at..end, put);
        let contents = read(&bytes).expect("no later version is made up");
        let found = texts(&contents);
        // In order, each at most once, all those before the change, and all those after it.
        let mut rest = PAYLOADS.iter();
        for text in &found {
            prop_assert!(rest.any(|payload| payload == text), "{text}");
        }
        let before = ends.iter().filter(|e| **e <= at).count().saturating_sub(1);
        prop_assert_eq!(&found[..before], &PAYLOADS[..before]);
        if !changed {
            prop_assert_eq!(found.len(), PAYLOADS.len());
        }
    }

    #[test]
    fn bytes_that_were_never_a_journal_hold_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let contents = read(&bytes).expect("no later version is made up");
        prop_assert!(contents.payloads.is_empty() && contents.damaged);
    }
}

#[test]
fn garbage_that_looks_like_records_everywhere_is_not_searched_for_hours() {
    // Each of these is a length, and two of them are a number: terabytes to compute checksums of.
    let (journal, ends) = journal();
    let garbage = 0x000f_ffff_u32.to_le_bytes().repeat(2 << 20);
    let good = &journal[ends[0]..];
    let bytes = [&header()[..], &garbage, good].concat();
    let contents = read(&bytes).expect("known");
    assert_eq!(texts(&contents), [""; 0]);
    assert_eq!(
        (contents.damaged, contents.lost),
        (true, garbage.len() + good.len())
    );
    // Where there is less of it, what comes after it is found.
    let garbage = &garbage[..400];
    let bytes = [&header()[..], garbage, good].concat();
    let contents = read(&bytes).expect("known");
    assert_eq!(texts(&contents), PAYLOADS);
    assert_eq!((contents.damaged, contents.lost), (true, garbage.len()));
}
