//! How many durations fell in which cell.

use super::{cells, varint};

/// Cells that a step that goes on may have; a duration beyond counts in the nearest. They are eight
/// doublings where all of them are next to each other.
pub(super) const MAX_CELLS: usize = 64;

/// The cells with something in them, rising.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Durations(Vec<(u8, u32)>);

impl Durations {
    /// Counts a duration, in at most [`MAX_CELLS`] cells.
    pub(super) fn count(&mut self, cell: u8) {
        self.add(cell, 1, MAX_CELLS);
    }

    /// Adds those of another, in at most so many cells.
    pub(super) fn merge(&mut self, other: &Self, most: usize) {
        for (cell, count) in &other.0 {
            self.add(*cell, *count, most);
        }
    }

    fn add(&mut self, cell: u8, count: u32, most: usize) {
        let place = match self.0.binary_search_by_key(&cell, |(cell, _)| *cell) {
            Ok(place) => place,
            Err(place) if self.0.len() < most => {
                self.0.insert(place, (cell, 0));
                place
            }
            Err(place) => self.nearest(place, cell),
        };
        let all = &mut self.0[place].1;
        *all = all.saturating_add(count);
    }

    /// The place of the cell that is nearest to one that would be inserted at `place`.
    fn nearest(&self, place: usize, cell: u8) -> usize {
        let below = place.checked_sub(1);
        let Some((above, _)) = self.0.get(place) else {
            return below.unwrap_or_default();
        };
        match below {
            Some(below) if cell - self.0[below].0 <= above - cell => below,
            _ => place,
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are in each cell that has any, rising.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u8, u32)> + '_ {
        self.0.iter().copied()
    }

    /// The duration that the given part of all does not exceed, in seconds; `None` without any.
    pub(super) fn quantile(&self, part: f64) -> Option<f64> {
        let all: u64 = self.iter().map(|(_, count)| u64::from(count)).sum();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of a number of runs"
        )]
        let rank = ((all as f64 * part).ceil() as u64).clamp(1, all.max(1));
        let mut below = 0;
        let mut cells = self.iter();
        let (cell, _) = cells.find(|(_, count)| {
            below += u64::from(*count);
            rank <= below
        })?;
        Some(cells::middle(cell))
    }

    /// Forgets all; the memory stays.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Bytes of memory beside itself.
    pub(super) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<(u8, u32)>()
    }

    /// Writes them: how many cells, and of each how far it is from the one before, and its count.
    pub(super) fn put(&self, bytes: &mut Vec<u8>) {
        varint::put(bytes, self.0.len() as u64);
        let mut last = 0;
        for (cell, count) in self.iter() {
            bytes.push(cell - last);
            varint::put(bytes, count.into());
            last = cell;
        }
    }

    /// Reads them; `None` if they are none.
    pub(super) fn take(bytes: &mut impl Iterator<Item = u8>) -> Option<Self> {
        let length = varint::take(bytes).filter(|length| *length <= 256)?;
        let mut cells = Vec::with_capacity(usize::try_from(length).ok()?);
        let mut last = 0_u8;
        for place in 0..length {
            let gap = bytes.next().filter(|gap| place == 0 || *gap > 0)?;
            last = last.checked_add(gap)?;
            cells.push((last, u32::try_from(varint::take(bytes)?).ok()?));
        }
        Some(Self(cells))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn of(cells: &[u8]) -> Durations {
        let mut durations = Durations::default();
        for cell in cells {
            durations.count(*cell);
        }
        durations
    }

    #[test]
    fn beyond_the_most_cells_the_nearest_counts() {
        let mut durations = of(&(0..64).map(|n| n * 3).collect::<Vec<_>>());
        for (cell, nearest) in [(1, 0), (2, 3), (190, 189), (255, 189), (6, 6)] {
            let before = durations.0.iter().find(|(of, _)| *of == nearest);
            let before = before.expect("a cell").1;
            durations.count(cell);
            let after = durations.0.iter().find(|(of, _)| *of == nearest);
            assert_eq!(after.expect("a cell").1, before + 1, "{cell}");
        }
        assert_eq!(durations.0.len(), MAX_CELLS);
    }

    #[test]
    fn without_durations_there_is_no_quantile() {
        assert_eq!(Durations::default().quantile(0.5), None);
    }

    #[test]
    fn what_is_damaged_is_none() {
        for bytes in [
            &[][..],
            &[1],
            &[2, 5, 1, 0, 1],
            &[2, 200, 1, 100, 1],
            &[1, 3],
        ] {
            let read = Durations::take(&mut bytes.iter().copied());
            assert_eq!(read, None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn they_are_read_as_they_were_written(cells in vec(any::<u8>(), 0..300)) {
            let durations = of(&cells);
            let mut bytes = Vec::new();
            durations.put(&mut bytes);
            let mut read = bytes.iter().copied();
            prop_assert_eq!(Durations::take(&mut read), Some(durations));
            prop_assert_eq!(read.next(), None);
        }

        #[test]
        fn merged_they_are_those_of_all(one in vec(any::<u8>(), 0..60), two in vec(any::<u8>(), 0..60)) {
            let mut merged = of(&one);
            merged.merge(&of(&two), 256);
            let mut all = Durations::default();
            for cell in one.iter().chain(&two) {
                all.add(*cell, 1, 256);
            }
            prop_assert_eq!(merged, all);
        }

        #[test]
        fn a_quantile_is_within_a_sixteenth(
            mut millis in vec(1_u64..100, 1..200),
            part in 0.0..1.0_f64,
        ) {
            let durations = millis.iter().map(|ms| cells::of(Duration::from_millis(*ms)));
            let quantile = of(&durations.collect::<Vec<_>>()).quantile(part);
            millis.sort_unstable();
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let below = |n: usize| n as f64 >= millis.len() as f64 * part;
            let rank = (1..=millis.len()).find(|n| below(*n)).expect("one");
            let exact = Duration::from_millis(millis[rank - 1]).as_secs_f64();
            let error = quantile.expect("durations") / exact - 1.0;
            prop_assert!(error.abs() <= 1.0 / 16.0 + 1e-9, "{error}");
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..40)) {
            Durations::take(&mut bytes.into_iter());
        }
    }
}
