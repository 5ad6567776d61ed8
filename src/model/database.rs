//! What a database tells of itself and of its replication.

use std::time::{Duration, Instant};

use super::{CanaryFacts, Position};

/// What a database said of itself in one session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DatabaseFacts {
    /// The engine: `postgresql`, `mysql`, `mariadb`, `redis`, `valkey`.
    pub engine: &'static str,
    /// The server's version, as it names it, cut to 64 characters.
    pub version: Box<str>,
    /// What it told of replication; `None`: it was not asked, or told nothing.
    pub replication: Option<Box<ReplicationFacts>>,
    /// Why something that was asked for is not known.
    pub withheld: Option<Withheld>,
    /// What became of the canary; `None` where none is asked for.
    pub canary: Option<CanaryFacts>,
}

/// Why a database does not tell something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// A grant is missing.
    Permission,
    /// The server does not know the question: another version or product, or there is no table for the
    /// canary.
    Unsupported,
    /// The server answered with another error, or with what could not be understood.
    Error,
}

impl Withheld {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Permission, Self::Unsupported, Self::Error];

    /// The value of the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permission => "permission",
            Self::Unsupported => "unsupported",
            Self::Error => "error",
        }
    }
}

/// The part that a server plays, by its own words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It takes changes from clients, or would if it were not read-only.
    Primary,
    /// It takes changes from another server.
    Standby,
    /// It did not say.
    #[default]
    Unknown,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Primary, Self::Standby, Self::Unknown];

    /// The value of the label `role`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::Unknown => "unknown",
        }
    }
}

/// Where a server stands in its cluster, read in one go. A value that the server did not tell is
/// `None`, never a guess.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplicationFacts {
    /// Before the question was sent: nothing here is older.
    pub asked: Instant,
    /// When the answer was complete: nothing here is newer.
    pub answered: Instant,
    /// The part it plays.
    pub role: Role,
    /// Whether a client can write there.
    pub writable: Option<bool>,
    /// Which cluster or server it is.
    pub identity: Option<Identity>,
    /// `PostgreSQL`'s timeline: it grows with every promotion.
    pub timeline: Option<u64>,
    /// Everything that is in this server: written by its clients or applied from another.
    pub position: Option<Position>,
    /// What a standby has received, applied or not; a primary has none.
    pub received: Option<Position>,
    /// What this server cannot send any more, because its logs are gone (`MySQL`).
    pub purged: Option<Position>,
    /// The link to the server that it takes changes from; `None` for one that takes none.
    pub link: Option<Link>,
    /// Whether received changes wait to be applied because someone stopped it, or an error did.
    pub replay_paused: Option<bool>,
    /// What the server itself calls its lag: for people. `PostgreSQL`'s is the age of what it replayed
    /// last, which grows while there is nothing to send; that of `MySQL` is 0 while nothing arrives.
    pub native_lag: Option<Duration>,
    /// The slot that a standby wants to use (`PostgreSQL`).
    pub slot: Option<Box<str>>,
    /// The slots that this server holds for others (`PostgreSQL`).
    pub slots: Vec<Slot>,
    /// What it must have as large as its primary, or its standbys as large as it (`PostgreSQL`).
    pub limits: Option<StandbyLimits>,
    /// How many keys there are (Redis).
    pub keys: Option<u64>,
}

/// The link over which a standby receives changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Whether the standby calls it established; `None`: it may not tell us.
    pub up: Option<bool>,
    /// How long nothing has come over it, by the standby's own clock at both ends.
    pub silence: Option<Duration>,
    /// Whether the first copy of the data is still under way.
    pub initial_sync: bool,
}

/// Which cluster a server belongs to, in the terms of its engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// `PostgreSQL`'s system identifier: every copy of one cluster has the same.
    System(u64),
    /// `MySQL`: the server's own UUID, which no other server has.
    Server(Box<str>),
    /// `MariaDB`: the server's own number, unique within its cluster.
    Number(u32),
    /// Redis: the history that the server follows, and the one before it up to an offset.
    History {
        /// The identifier of the current history, 40 hexadecimal digits.
        id: Box<str>,
        /// The history before the last change of primary, and where it was left.
        previous: Option<(Box<str>, u64)>,
    },
}

/// A promise of a primary to keep its log for a standby (`PostgreSQL`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its name, at most 63 bytes.
    pub name: Box<str>,
    /// Whether someone is connected to it.
    pub active: bool,
    /// Bytes of log that are kept for it.
    pub retained_bytes: Option<u64>,
    /// Whether log that it needs is gone (`wal_status` is `lost`) or about to go (`unreserved`).
    pub lost: bool,
}

impl Slot {
    /// How many slots of a server are looked at: of one with more, not all are known.
    pub const MOST: usize = 64;
}

/// The parameters that a standby must have as large as its primary (`PostgreSQL`): with less it does
/// not start, and stops replaying where its primary's were raised while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandbyLimits(pub [u32; 5]);

impl StandbyLimits {
    /// Their names, in the order of the values.
    pub const NAMES: [&str; 5] = [
        "max_connections",
        "max_worker_processes",
        "max_wal_senders",
        "max_prepared_transactions",
        "max_locks_per_transaction",
    ];

    /// The parameters that this standby has smaller than its primary, in the order of [`Self::NAMES`].
    pub fn lower_than(&self, primary: &Self) -> Vec<&'static str> {
        let values = self.0.iter().zip(primary.0);
        Self::NAMES
            .into_iter()
            .zip(values)
            .filter(|(_, (own, needed))| *own < needed)
            .map(|(name, _)| name)
            .collect()
    }
}

impl ReplicationFacts {
    /// Facts that tell nothing yet.
    pub fn new(asked: Instant, answered: Instant) -> Self {
        Self {
            asked,
            answered,
            role: Role::Unknown,
            writable: None,
            identity: None,
            timeline: None,
            position: None,
            received: None,
            purged: None,
            link: None,
            replay_paused: None,
            native_lag: None,
            slot: None,
            slots: Vec::new(),
            limits: None,
            keys: None,
        }
    }

    /// What tells this server, in the state that it is in, from another that might answer under the
    /// same name.
    pub fn incarnation(&self) -> Incarnation {
        Incarnation {
            identity: self.identity.clone(),
            timeline: self.timeline,
        }
    }
}

/// A server between two changes of its role: see [`ReplicationFacts::incarnation`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incarnation {
    /// Which cluster or server it is.
    pub identity: Option<Identity>,
    /// `PostgreSQL`'s timeline.
    pub timeline: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_needs_as_much_of_everything_and_may_have_more() {
        let primary = StandbyLimits([100, 8, 10, 1, 64]);
        let lower = |values| StandbyLimits(values).lower_than(&primary);
        assert_eq!(lower(primary.0), [""; 0]);
        assert_eq!(lower([200, 16, 20, 2, 128]), [""; 0]);
        assert_eq!(lower([99, 7, 9, 0, 63]), StandbyLimits::NAMES);
        let two = ["max_worker_processes", "max_prepared_transactions"];
        assert_eq!(lower([200, 7, 10, 0, 64]), two);
    }
}
