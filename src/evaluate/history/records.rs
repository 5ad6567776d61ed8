//! The last records of a kind, as bytes: a new one pushes out the oldest where there is no room.

use std::collections::VecDeque;

use super::varint;

/// How many records there may be, and how many bytes they may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) bytes: usize,
    pub(super) records: usize,
}

/// What room is added at once is this part of what there is, and this much at least.
const GROWTH: usize = 8;
const LEAST: usize = 32;

/// Records, oldest first, each after its length.
#[derive(Debug, Default)]
pub(super) struct Records {
    bytes: VecDeque<u8>,
    count: usize,
}

impl Records {
    /// Adds a record. One that is longer than the room for all is not kept.
    pub(super) fn push(&mut self, record: &[u8], room: Room) {
        let mut length = Vec::with_capacity(3);
        varint::put(&mut length, record.len() as u64);
        let more = length.len() + record.len();
        if more > room.bytes || room.records == 0 {
            return;
        }
        while self.count >= room.records || self.bytes.len() + more > room.bytes {
            self.forget_first();
        }
        let all = self.bytes.len() + more;
        if all > self.bytes.capacity() {
            let growth = (self.bytes.capacity() / GROWTH).max(LEAST);
            let wanted = (self.bytes.capacity() + growth).min(room.bytes).max(all);
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend(length);
        self.bytes.extend(record);
        self.count += 1;
    }

    /// From now on there is room for so many.
    pub(super) fn limit(&mut self, room: Room) {
        while self.count > room.records || self.bytes.len() > room.bytes {
            self.forget_first();
        }
        if self.bytes.capacity() > room.bytes {
            self.bytes.shrink_to(self.bytes.len());
        }
    }

    fn forget_first(&mut self) {
        let mut bytes = self.bytes.iter().copied();
        let Some(length) = varint::take(&mut bytes) else {
            self.bytes.clear();
            self.count = 0;
            return;
        };
        let head = self.bytes.len() - bytes.len();
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.bytes.drain(..(head + length).min(self.bytes.len()));
        self.count -= 1;
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Bytes of memory beside itself.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// A copy of the oldest.
    pub(super) fn first(&self) -> Option<Vec<u8>> {
        let mut bytes = self.bytes.iter().copied();
        let length = usize::try_from(varint::take(&mut bytes)?).ok()?;
        Some(bytes.take(length).collect())
    }

    /// A copy of them, to be read at leisure.
    pub(super) fn copy(&self) -> Copied {
        let (one, two) = self.bytes.as_slices();
        Copied([one, two].concat())
    }
}

/// Records as they were at a moment.
#[derive(Debug, Default)]
pub(super) struct Copied(Vec<u8>);

impl Copied {
    /// Each of them, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let mut bytes = rest.iter().copied();
            let length = usize::try_from(varint::take(&mut bytes)?).ok()?;
            let head = rest.len() - bytes.len();
            let record = rest.get(head..head.checked_add(length)?)?;
            rest = &rest[head + length..];
            Some(record)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn all(records: &Records) -> Vec<Vec<u8>> {
        records.copy().iter().map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn a_record_that_does_not_fit_is_not_kept_and_pushes_nothing_out() {
        let room = Room {
            bytes: 20,
            records: 5,
        };
        let mut records = Records::default();
        records.push(&[1; 10], room);
        records.push(&[2; 20], room);
        assert_eq!(all(&records), [vec![1; 10]]);
        records.push(&[3; 19], room);
        assert_eq!(all(&records), [vec![3; 19]]);
        records.push(
            &[4],
            Room {
                bytes: 20,
                records: 0,
            },
        );
        assert_eq!(records.count(), 1);
    }

    #[test]
    fn less_room_leaves_the_last_ones() {
        let room = Room {
            bytes: 1000,
            records: 100,
        };
        let mut records = Records::default();
        for n in 0..100 {
            records.push(&[n; 5], room);
        }
        let less = Room {
            bytes: 50,
            records: 4,
        };
        records.limit(less);
        assert_eq!(
            all(&records),
            (96..100).map(|n| vec![n; 5]).collect::<Vec<_>>()
        );
        assert!(records.bytes() <= 50, "{}", records.bytes());
    }

    proptest! {
        #[test]
        fn the_last_ones_that_fit_are_there(
            lengths in vec(0..200_usize, 0..60),
            bytes in 0..600_usize,
            records in 0..20_usize,
        ) {
            let room = Room { bytes, records };
            let mut kept = Records::default();
            let mut model: VecDeque<Vec<u8>> = VecDeque::new();
            for (n, length) in (0_u8..).zip(lengths) {
                let record = vec![n; length];
                kept.push(&record, room);
                let size = |record: &Vec<u8>| record.len() + if record.len() > 127 { 2 } else { 1 };
                if size(&record) <= bytes && records > 0 {
                    model.push_back(record);
                }
                while model.len() > records || model.iter().map(size).sum::<usize>() > bytes {
                    model.pop_front();
                }
                prop_assert_eq!(all(&kept), Vec::from(model.clone()));
                prop_assert_eq!(kept.count(), model.len());
                prop_assert!(kept.bytes() <= bytes);
            }
        }
    }
}
