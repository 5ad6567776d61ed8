//! What is shown of a database beside its runs.

use crate::model::{DatabaseFacts, Link, Role, Withheld};

/// What a database told: of the last run, but for what is kept while it is silent.
#[derive(Debug, Default)]
pub(super) struct Database {
    /// Its engine and version, as last seen.
    pub(super) product: Option<(&'static str, Box<str>)>,
    /// What the last run told; none if it brought no facts.
    pub(super) told: Option<Told>,
    /// The last role that it named.
    role: Role,
    /// Changes from one named role to another.
    pub(super) role_changes: u64,
}

/// What one run told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) role: Role,
    pub(super) writable: Option<bool>,
    pub(super) timeline: Option<u64>,
    pub(super) keys: Option<u64>,
    pub(super) link: Option<Link>,
    pub(super) replay_paused: Option<bool>,
    pub(super) withheld: Option<Withheld>,
}

impl Told {
    fn new(facts: &DatabaseFacts) -> Self {
        let withheld = facts.withheld;
        facts.replication.as_ref().map_or_else(
            || Self {
                withheld,
                ..Self::default()
            },
            |replication| Self {
                role: replication.role,
                writable: replication.writable,
                timeline: replication.timeline,
                keys: replication.keys,
                link: replication.link,
                replay_paused: replication.replay_paused,
                withheld,
            },
        )
    }
}

impl Database {
    /// Takes in what a run told.
    pub(super) fn observe(&mut self, facts: Option<&DatabaseFacts>) {
        self.told = facts.map(Told::new);
        if let Some(facts) = facts {
            self.is(facts.engine, &facts.version);
        }
        self.plays(self.role());
    }

    /// The role that the last run told.
    pub(super) fn role(&self) -> Role {
        self.told.map_or(Role::Unknown, |told| told.role)
    }

    /// The link that the last run told of.
    pub(super) fn link(&self) -> Option<Link> {
        self.told.and_then(|told| told.link)
    }

    /// A version seldom changes: it is copied only then. One that was not told changes nothing.
    fn is(&mut self, engine: &'static str, version: &str) {
        let known = self.product.as_ref();
        let differs = |(e, v): &(&str, Box<str>)| *e != engine || **v != *version;
        if known.is_none_or(|known| !version.is_empty() && differs(known)) {
            self.product = Some((engine, version.into()));
        }
    }

    fn plays(&mut self, role: Role) {
        if role == Role::Unknown {
            return;
        }
        self.role_changes += u64::from(self.role != Role::Unknown && self.role != role);
        self.role = role;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_not_told_leaves_the_one_that_was() {
        let told = |engine, version: &str| DatabaseFacts {
            engine,
            version: version.into(),
            ..DatabaseFacts::default()
        };
        let mut database = Database::default();
        for (engine, version, known) in [
            ("redis", "", ("redis", "")),
            ("valkey", "8.0.1", ("valkey", "8.0.1")),
            ("redis", "", ("valkey", "8.0.1")),
            ("valkey", "8.1.0", ("valkey", "8.1.0")),
        ] {
            database.observe(Some(&told(engine, version)));
            let (engine, version) = database.product.as_ref().expect("seen");
            assert_eq!((*engine, &**version), known);
        }
    }
}
