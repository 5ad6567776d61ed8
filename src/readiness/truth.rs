//! Three-valued logic.

/// Yes, no, or not known: Kleene's strong logic, in which AND is the smaller of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    /// It is not so.
    No,
    /// It is not known.
    Unknown,
    /// It is so.
    Yes,
}

impl Truth {
    /// Whether both are so: not if one is not, and else not known if one is not known.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.min(other)
    }

    /// Whether all are so. Of nothing at all this is not known: where nothing was asked, nothing was
    /// found to be good.
    pub fn all(truths: impl IntoIterator<Item = Self>) -> Self {
        truths.into_iter().min().unwrap_or(Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::Truth::{self, No, Unknown, Yes};

    const ALL: [Truth; 3] = [No, Unknown, Yes];

    #[test]
    fn and_is_kleenes() {
        for (a, b, both) in [
            (Yes, Yes, Yes),
            (Yes, Unknown, Unknown),
            (Yes, No, No),
            (Unknown, Unknown, Unknown),
            (Unknown, No, No),
            (No, No, No),
        ] {
            assert_eq!((a.and(b), b.and(a)), (both, both));
        }
    }

    #[test]
    fn and_is_associative_idempotent_and_monotone() {
        for a in ALL {
            assert_eq!(a.and(a), a);
            assert_eq!((a.and(Yes), a.and(No)), (a, No));
            for b in ALL {
                assert!(a.and(b) <= a);
                for c in ALL {
                    assert_eq!(a.and(b).and(c), a.and(b.and(c)));
                    assert!(b > c || a.and(b) <= a.and(c));
                    assert_eq!(Truth::all([a, b, c]), a.and(b).and(c));
                }
            }
        }
    }

    #[test]
    fn all_of_nothing_is_not_known() {
        assert_eq!(Truth::all([]), Unknown);
    }
}
