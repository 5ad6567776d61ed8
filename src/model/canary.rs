//! The row that is written on the primary and looked for on the standbys.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::{Incarnation, ReplicationFacts, Role, Withheld};

/// One life of this daemon: it tells its own canaries from those of the life before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epoch(pub u128);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl std::str::FromStr for Epoch {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

/// A canary as it is found in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The life of the daemon that wrote it.
    pub epoch: Epoch,
    /// Its number within that life, from 1.
    pub seq: u64,
}

impl Mark {
    /// Reads the two values of a row; none where one is missing or cannot be understood.
    pub fn read(epoch: Option<&str>, seq: Option<&str>) -> Option<Self> {
        Some(Self {
            epoch: epoch?.parse().ok()?,
            seq: seq?.parse().ok()?,
        })
    }
}

/// What a run did about the canary.
#[derive(Clone, Debug, PartialEq)]
pub struct CanaryFacts {
    /// What was there when the run read it, before it wrote anything.
    pub seen: Sighting,
    /// How the write went; `None` if none was ordered.
    pub write: Option<Write>,
}

/// What a look for the canary found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sighting {
    /// Before the question was sent.
    pub asked: Instant,
    /// When the answer was complete.
    pub answered: Instant,
    /// The canary; no error and `None`: there is none.
    pub mark: Result<Option<Mark>, Withheld>,
}

/// How the write of a canary went.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Its number.
    pub seq: u64,
    /// When it was sent, or would have been.
    pub sent: Instant,
    /// When the server acknowledged it, or why it did not.
    pub outcome: Result<Instant, NotWritten>,
}

/// Why a canary was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotWritten {
    /// The server was not writable any more, or not the one that the order was for: nothing was
    /// sent, or the server refused it as what it is.
    Changed,
    /// The server refused it for want of a grant.
    Permission,
    /// The table is not there.
    NoTable,
    /// The server refused it with another error.
    Error,
}

impl NotWritten {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Changed, Self::Permission, Self::NoTable, Self::Error];

    /// The value of the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Permission => "permission",
            Self::NoTable => "no_table",
            Self::Error => "error",
        }
    }
}

/// The permission to write one canary to one server. Who judges gives it; the run that finds the
/// server still as described uses it up, whatever becomes of the write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The canary's number.
    pub seq: u64,
    /// The server that was found to be the primary.
    pub to: Incarnation,
}

impl Order {
    /// Whether a server is, by its own words, the writable primary that the order is for. Nothing is
    /// written to one that is not.
    pub fn is_for(&self, told: &ReplicationFacts) -> bool {
        told.role == Role::Primary && told.writable == Some(true) && told.incarnation() == self.to
    }
}

/// Where the order for one target lies. Without one, nothing is written.
#[derive(Debug, Default)]
pub struct Pen(Mutex<Desk>);

#[derive(Debug, Default)]
struct Desk {
    order: Option<Order>,
    taken: Option<u64>,
}

impl Pen {
    /// Replaces the order, or takes it back. None is given while it is open what became of the last
    /// one that was taken: its number may be on its way to the server.
    pub fn order(&self, order: Option<Order>) {
        let mut desk = self.desk();
        desk.order = order.filter(|_| desk.taken.is_none());
    }

    /// Takes the order, right before the write: it is used up.
    pub fn take(&self) -> Option<Order> {
        let mut desk = self.desk();
        let order = desk.order.take()?;
        desk.taken = Some(order.seq);
        Some(order)
    }

    /// The number of the order that was taken since the last call, if one was: the run that took it
    /// has ended.
    pub fn settle(&self) -> Option<u64> {
        self.desk().taken.take()
    }

    /// Takes over from the pen that the target had before. That one has no order any more; what
    /// became of the last one that was taken is open here as it was there.
    pub fn succeed(&self, former: &Self) {
        if std::ptr::eq(self, former) {
            return;
        }
        let Desk { taken, .. } = std::mem::take(&mut *former.desk());
        let mut desk = self.desk();
        desk.taken = desk.taken.or(taken);
    }

    /// Nothing can panic while it holds the lock.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Identity;

    #[test]
    fn an_epoch_reads_back_as_it_was_written() {
        let epoch = Epoch(0xdead_beef);
        assert_eq!(epoch.to_string().len(), 32);
        assert_eq!(epoch.to_string().parse(), Ok(epoch));
        assert!("not hexadecimal".parse::<Epoch>().is_err());
    }

    /// What a writable primary tells.
    fn primary() -> ReplicationFacts {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let now = Instant::now();
        ReplicationFacts {
            role: Role::Primary,
            writable: Some(true),
            identity: Some(Identity::System(1)),
            timeline: Some(2),
            ..ReplicationFacts::new(now, now)
        }
    }

    fn order_to(told: &ReplicationFacts) -> Order {
        let to = told.incarnation();
        Order { seq: 7, to }
    }

    #[test]
    fn an_order_is_for_the_server_as_it_was_seen() {
        let (order, mut told) = (order_to(&primary()), primary());
        assert!(order.is_for(&told));
        // How far it has come meanwhile is no matter.
        told.position = Some(crate::model::Position::Lsn(1));
        assert!(order.is_for(&told));
    }

    #[test]
    fn an_order_is_for_a_primary_only() {
        for role in [Role::Standby, Role::Unknown] {
            let told = ReplicationFacts { role, ..primary() };
            assert!(!order_to(&told).is_for(&told), "{role:?}");
        }
    }

    #[test]
    fn an_order_is_for_a_server_that_says_it_takes_writes() {
        for writable in [Some(false), None] {
            let told = ReplicationFacts {
                writable,
                ..primary()
            };
            assert!(!order_to(&told).is_for(&told), "{writable:?}");
        }
    }

    #[test]
    fn an_order_is_for_no_other_server_nor_for_the_same_after_a_promotion() {
        let order = order_to(&primary());
        for (identity, timeline) in [
            (Some(Identity::System(2)), Some(2)),
            (None, Some(2)),
            (Some(Identity::System(1)), Some(3)),
            (Some(Identity::System(1)), None),
        ] {
            let told = ReplicationFacts {
                identity,
                timeline,
                ..primary()
            };
            assert!(!order.is_for(&told), "{told:?}");
            assert!(!order_to(&told).is_for(&primary()), "{told:?}");
        }
    }

    #[test]
    fn an_order_is_good_for_one_write() {
        let order = order_to(&primary());
        let pen = Pen::default();
        assert_eq!(pen.take(), None);
        pen.order(Some(order.clone()));
        assert_eq!(pen.settle(), None);
        assert_eq!(pen.take(), Some(order.clone()));
        assert_eq!(pen.take(), None);
        assert_eq!((pen.settle(), pen.settle()), (Some(7), None));
        pen.order(Some(order));
        pen.order(None);
        assert_eq!(pen.take(), None);
    }

    #[test]
    fn no_order_is_given_while_it_is_open_what_became_of_the_last() {
        let order = |seq| {
            let to = Incarnation::default();
            Some(Order { seq, to })
        };
        let pen = Pen::default();
        pen.order(order(7));
        assert_eq!(pen.take(), order(7));
        pen.order(order(7));
        assert_eq!(pen.take(), None, "it may be on its way to the server");
        assert_eq!(pen.settle(), Some(7));
        assert_eq!(pen.take(), None);
        pen.order(order(8));
        assert_eq!(pen.take(), order(8));
    }
}
