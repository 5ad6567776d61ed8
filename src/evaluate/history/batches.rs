//! Batches of runs, which rules compare with later ones, as bytes: some nine for each.
//!
//! Steps know durations to within a sixteenth only, and a rule that is sure of a difference needs them
//! as they were.

use std::time::Duration;

use super::varint;
use crate::readiness::rank::{Batch, PastBatch};

/// Batches of a target that wait to be saved, at most: an hour of the shortest. While the disk hangs,
/// the last ones stay.
const UNSAVED: usize = 12;

/// What the length of the batches stands behind in what names them.
const SEPARATOR: char = '\u{1f}';

/// The batches of one target.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Those that are not saved.
    unsaved: Vec<PastBatch>,
    /// The last one. Two rules on a target gather the same.
    last: Option<(Duration, u32)>,
    /// Those of earlier lives, until somebody takes them.
    restored: Vec<PastBatch>,
}

impl Gathered {
    /// Adds one that is over.
    pub(super) fn push(&mut self, past: PastBatch) {
        let this = Some((past.length, past.batch.slot));
        if self.last == this {
            return;
        }
        self.last = this;
        if self.unsaved.len() == UNSAVED {
            self.unsaved.remove(0);
        }
        self.unsaved.push(past);
    }

    /// What was not saved yet. From now on it is.
    pub(super) fn unsaved(&mut self) -> Vec<PastBatch> {
        std::mem::take(&mut self.unsaved)
    }

    /// Adds one of an earlier life.
    pub(super) fn restore(&mut self, past: PastBatch) {
        self.restored.push(past);
    }

    /// Those of earlier lives, once.
    pub(super) fn restored(&mut self) -> Vec<PastBatch> {
        std::mem::take(&mut self.restored)
    }
}

/// What names the batches of this length of what is so named.
pub(super) fn name(of: &str, length: Duration) -> String {
    format!("{of}{SEPARATOR}{}", length.as_nanos())
}

/// What is so named, and the length; `None`: it names no batches.
pub(super) fn named(name: &str) -> Option<(&str, Duration)> {
    let (of, length) = name.rsplit_once(SEPARATOR)?;
    Some((of, Duration::from_nanos(length.parse().ok()?)))
}

/// As bytes.
pub(super) fn put(batch: &Batch) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(10);
    for number in [batch.slot, batch.micros, batch.runs, batch.failed] {
        varint::put(&mut bytes, number.into());
    }
    bytes
}

/// From bytes; `None` if they are no batch.
pub(super) fn take(bytes: &[u8]) -> Option<Batch> {
    let mut bytes = bytes.iter().copied();
    let mut number = || u32::try_from(varint::take(&mut bytes)?).ok();
    let batch = Batch {
        slot: number()?,
        micros: number()?,
        runs: number()?,
        failed: number()?,
    };
    (bytes.next().is_none() && batch.failed <= batch.runs).then_some(batch)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const LENGTH: Duration = Duration::from_mins(5);

    fn batch(slot: u32) -> Batch {
        Batch {
            slot,
            micros: 80_123,
            runs: 30,
            failed: 1,
        }
    }

    fn past(slot: u32) -> PastBatch {
        PastBatch {
            length: LENGTH,
            batch: batch(slot),
        }
    }

    #[test]
    fn a_batch_of_today_takes_as_little_as_is_said() {
        assert_eq!(put(&batch(6_000_000)).len(), 9);
        let failed = Batch {
            micros: Batch::FAILED,
            ..batch(6_000_000)
        };
        assert_eq!(take(&put(&failed)), Some(failed));
    }

    #[test]
    fn a_name_has_the_length_to_the_nanosecond() {
        let length = Duration::new(302, 400_000_001);
        let named_so = name("ping\u{1f}net\u{1f}a\u{1f}b\u{1f}b", length);
        let of = "ping\u{1f}net\u{1f}a\u{1f}b\u{1f}b";
        assert_eq!(named(&named_so), Some((of, length)));
        for nonsense in [
            "",
            "ping",
            "ping\u{1f}b",
            "\u{1f}-1",
            "\u{1f}99999999999999999999",
        ] {
            assert_eq!(named(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn what_two_rules_gather_is_saved_once() {
        let mut gathered = Gathered::default();
        for slot in [7, 7, 8, 8] {
            gathered.push(past(slot));
        }
        // The clock was set back: it is another one.
        gathered.push(past(7));
        assert_eq!(gathered.unsaved(), [7, 8, 7].map(past));
        gathered.push(past(7));
        assert_eq!(gathered.unsaved(), []);
    }

    #[test]
    fn while_nobody_saves_the_last_ones_wait() {
        let mut gathered = Gathered::default();
        for slot in 0..1_000 {
            gathered.push(past(slot));
        }
        let unsaved = gathered.unsaved();
        assert_eq!(unsaved.len(), UNSAVED);
        assert_eq!(unsaved.last(), Some(&past(999)));
    }

    proptest! {
        #[test]
        fn a_batch_is_read_as_it_was_written(slot: u32, micros: u32, runs: u32, failed: u32) {
            let failed = failed.min(runs);
            let batch = Batch { slot, micros, runs, failed };
            let bytes = put(&batch);
            prop_assert_eq!(take(&bytes), Some(batch));
            for cut in 0..bytes.len() {
                prop_assert_eq!(take(&bytes[..cut]), None);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..40)) {
            take(&bytes);
        }
    }
}
