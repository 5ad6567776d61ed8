//! How many runs may be under way, over all lanes.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The places for runs. A run holds a descriptor or more, so their number is bounded; and suspects
/// (targets that may be black holes) take at most half of them, so that they cannot use up what
/// the healthy need.
#[derive(Debug)]
pub struct Places {
    max: usize,
    taken: AtomicUsize,
    by_suspects: AtomicUsize,
}

impl Places {
    /// So many places, at least one.
    pub fn new(max: usize) -> Self {
        Self {
            max: max.max(1),
            taken: AtomicUsize::new(0),
            by_suspects: AtomicUsize::new(0),
        }
    }

    /// Takes a place if there is one.
    pub(super) fn take(&self, suspect: bool) -> bool {
        if suspect && !below(&self.by_suspects, self.max.div_ceil(2)) {
            return false;
        }
        if below(&self.taken, self.max) {
            return true;
        }
        if suspect {
            self.by_suspects.fetch_sub(1, Ordering::Relaxed);
        }
        false
    }

    /// How many are taken, and how many of these by suspects.
    #[cfg(test)]
    pub(super) fn taken(&self) -> (usize, usize) {
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        (count(&self.taken), count(&self.by_suspects))
    }

    /// Gives a place back that was taken with the same `suspect`.
    pub(super) fn give_back(&self, suspect: bool) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
        if suspect {
            self.by_suspects.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Adds one if the count is below `max`.
fn below(count: &AtomicUsize, max: usize) -> bool {
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
            (n < max).then_some(n + 1)
        })
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspects_get_half_and_no_count_is_lost() {
        let places = Places::new(4);
        assert!(places.take(true) && places.take(true));
        assert!(!places.take(true), "half is taken");
        assert!(places.take(false) && places.take(false));
        assert!(!places.take(false), "all are taken");
        places.give_back(true);
        assert!(places.take(false));
        assert!(!places.take(true), "all are taken");
        for suspect in [true, false, false, false] {
            places.give_back(suspect);
        }
        assert_eq!(places.taken(), (0, 0));
    }
}
