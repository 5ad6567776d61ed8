//! How often a check's results changed lately.

/// Results that are looked back on: as many as Nagios keeps for the same purpose.
const KEPT: u32 = 21;

/// The last results of a check, the newest in the lowest bit; a set bit is a good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recent {
    bits: u32,
    len: u32,
}

impl Recent {
    /// No result yet.
    pub(super) const EMPTY: Self = Self { bits: 0, len: 0 };

    /// Takes in a result.
    pub(super) fn push(&mut self, good: bool) {
        self.bits = (self.bits << 1 | u32::from(good)) & ((1 << KEPT) - 1);
        self.len = (self.len + 1).min(KEPT);
    }

    /// How many of them differ from the one before: 0 to 20.
    pub(super) fn changes(self) -> u32 {
        let neighbours = (1 << self.len.saturating_sub(1)) - 1;
        ((self.bits ^ (self.bits >> 1)) & neighbours).count_ones()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_counted_among_the_last_21_results() {
        for (results, changes) in [
            ("", 0),
            ("o", 0),
            ("x", 0),
            ("oooo", 0),
            ("xo", 1),
            ("ooxoo", 2),
            ("oxoxox", 5),
            ("ooooooooooooooooooooo", 0),
            ("oxoxoxoxoxoxoxoxoxoxo", 20),
            ("xoxoxoxoxoxoxoxoxoxoxoxoxoxoxoxo", 20),
            ("xoooooooooooooooooooo", 1),
            ("xooooooooooooooooooooo", 0),
        ] {
            let mut recent = Recent::EMPTY;
            results
                .chars()
                .for_each(|result| recent.push(result == 'o'));
            assert_eq!(recent.changes(), changes, "{results}");
        }
    }
}
