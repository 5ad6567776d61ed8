//! Global transaction identifiers: the sets of `MySQL`, the domains of `MariaDB`.

/// A set of `MySQL` transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GtidSet {}

impl GtidSet {
    /// Reads `uuid[:tag]:a-b[:c-d]...`, as servers write it.
    pub fn parse(_text: &str) -> Result<Self, String> {
        Ok(Self {})
    }

    /// How many transactions there are.
    pub fn len(&self) -> u64 {
        0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        true
    }

    /// Whether every transaction of the other set is in this one.
    pub fn contains_all(&self, _other: &Self) -> bool {
        true
    }

    /// The transactions of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, _other: &Self) -> Self {
        Self {}
    }
}

/// How far a `MariaDB` server is, by domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domains {}

impl Domains {
    /// Whether every domain is as far as in the other position.
    pub fn covers(&self, _other: &Self) -> bool {
        true
    }

    /// How many transactions of this position the other one lacks, by their sequence numbers.
    pub fn missing_in(&self, _other: &Self) -> u64 {
        0
    }
}
