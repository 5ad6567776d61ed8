//! How far a database has come.

use super::{Domains, GtidSet};

/// A place in a database's stream of changes. Only positions of the same kind can be compared, and
/// only within one cluster and, for `PostgreSQL` and Redis, one history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// `PostgreSQL`: bytes of the write-ahead log.
    Lsn(u64),
    /// Redis: bytes of the replication stream.
    Offset(u64),
    /// `MySQL`: the transactions themselves.
    Gtids(GtidSet),
    /// `MariaDB`: how far each domain is.
    Domains(Domains),
}

impl Position {
    /// Whether everything up to `other` is in this position. `None`: they cannot be compared.
    pub fn covers(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::Lsn(mine), Self::Lsn(theirs)) | (Self::Offset(mine), Self::Offset(theirs)) => {
                Some(mine >= theirs)
            }
            (Self::Gtids(mine), Self::Gtids(theirs)) => Some(mine.contains_all(theirs)),
            (Self::Domains(mine), Self::Domains(theirs)) => Some(mine.covers(theirs)),
            _ => None,
        }
    }

    /// The bytes before this position. `None`: no position in bytes.
    pub fn bytes(&self) -> Option<u64> {
        match self {
            Self::Lsn(bytes) | Self::Offset(bytes) => Some(*bytes),
            _ => None,
        }
    }

    /// Bytes from `other` to this position, none if it is not behind. `None`: no positions in bytes.
    pub fn bytes_beyond(&self, other: &Self) -> Option<u64> {
        match (self, other) {
            (Self::Lsn(mine), Self::Lsn(theirs)) | (Self::Offset(mine), Self::Offset(theirs)) => {
                Some(mine.saturating_sub(*theirs))
            }
            _ => None,
        }
    }

    /// Transactions that are in this position and not in `other`. `None`: no positions that count
    /// them.
    pub fn transactions_beyond(&self, other: &Self) -> Option<u64> {
        match (self, other) {
            (Self::Gtids(mine), Self::Gtids(theirs)) => Some(mine.difference(theirs).len()),
            (Self::Domains(mine), Self::Domains(theirs)) => Some(mine.missing_in(theirs)),
            _ => None,
        }
    }

    /// Of how many parts it is made: a measure of the memory that it takes.
    pub fn parts(&self) -> usize {
        match self {
            Self::Lsn(_) | Self::Offset(_) => 1,
            Self::Gtids(set) => set.parts(),
            Self::Domains(domains) => domains.parts(),
        }
    }

    /// What this position adds to an earlier one: enough to tell, together with it, who has both.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        match (self, earlier) {
            (Self::Gtids(mine), Self::Gtids(theirs)) => Self::Gtids(mine.difference(theirs)),
            _ => self.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_one_way_only() {
        let (far, near) = (Position::Lsn(1_000), Position::Lsn(400));
        assert_eq!(far.covers(&near), Some(true));
        assert_eq!(near.covers(&far), Some(false));
        assert_eq!(far.bytes_beyond(&near), Some(600));
        assert_eq!(near.bytes_beyond(&far), Some(0));
        assert_eq!(far.transactions_beyond(&near), None);
    }

    #[test]
    fn transactions_are_counted_one_way_only() {
        const SERVER: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        let gtids = |text: &str| GtidSet::parse(&format!("{SERVER}:{text}")).map(Position::Gtids);
        let domains = |text: &str| Domains::parse(text).map(Position::Domains);
        let pairs = [
            (gtids("1-9"), gtids("1-4")),
            (domains("0-1-9"), domains("0-1-4")),
        ];
        for pair in pairs {
            let (Ok(far), Ok(near)) = pair else {
                panic!("{pair:?}");
            };
            assert_eq!(far.covers(&near), Some(true));
            assert_eq!(near.covers(&far), Some(false));
            assert_eq!(far.transactions_beyond(&near), Some(5));
            assert_eq!(near.transactions_beyond(&far), Some(0));
            assert_eq!(far.bytes_beyond(&near), None);
            assert_eq!(far.since(&near).transactions_beyond(&near), Some(5));
        }
        assert_eq!(gtids("1-9").map(|far| far.since(&far)), gtids("7-5"));
    }

    #[test]
    fn kinds_are_not_compared() {
        let (lsn, offset) = (Position::Lsn(1), Position::Offset(1));
        assert_eq!(lsn.covers(&offset), None);
        assert_eq!(lsn.bytes_beyond(&offset), None);
    }
}
