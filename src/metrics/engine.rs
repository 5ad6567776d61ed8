//! What the databases differ in.

/// A kind of database, by how it replicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Postgres,
    Mysql,
    Redis,
    /// None that is known here.
    Other,
}

/// Engines whose positions are bytes of a stream.
pub(super) const BYTES: &[Engine] = &[Engine::Postgres, Engine::Redis];
/// Engines whose positions are sets of transactions.
pub(super) const TRANSACTIONS: &[Engine] = &[Engine::Mysql];
/// Engines whose standbys can receive changes and not apply them, and tell how late they are.
pub(super) const REPLAY: &[Engine] = &[Engine::Postgres, Engine::Mysql];
/// Engines that count promotions.
pub(super) const TIMELINES: &[Engine] = &[Engine::Postgres];
/// Engines that keep their log for the standbys that they know.
pub(super) const SLOTS: &[Engine] = &[Engine::Postgres];
/// Engines that know how many keys they hold.
pub(super) const KEYS: &[Engine] = &[Engine::Redis];
/// Engines whose standbys answer while their first copy is not complete.
pub(super) const INITIAL_SYNC: &[Engine] = &[Engine::Redis];

impl Engine {
    /// The engine that a probe of this kind speaks to.
    pub(super) fn of(kind: &str) -> Self {
        match kind {
            "postgres" => Self::Postgres,
            "mysql" => Self::Mysql,
            "redis" => Self::Redis,
            _ => Self::Other,
        }
    }

    /// Whether it is one of these. An engine that is not known here may be like any, so that
    /// nothing that it tells is left out.
    pub(super) fn among(self, engines: &[Self]) -> bool {
        self == Self::Other || engines.contains(&self)
    }
}
