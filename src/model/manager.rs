//! What an HA manager tells of the server that it manages.

use std::time::Duration;

use super::Role;

/// What the manager of one server said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManagerFacts {
    /// The part that the server plays.
    pub role: Role,
    /// Whether the server runs and takes sessions.
    pub running: bool,
    /// The server's timeline.
    pub timeline: Option<u64>,
    /// Whether somebody has told the manager to leave its cluster alone.
    pub paused: bool,
    /// Whether the manager may make the server the primary, as it is configured.
    pub failover_allowed: bool,
    /// How long the manager had not reached the store that its cluster has in common, by its own
    /// clock, in whole seconds; `None` if it did not tell.
    pub store_silence: Option<Duration>,
}

/// Why a manager would not make its server the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objection {
    /// The server does not run.
    NotRunning,
    /// Somebody has told the manager to leave its cluster alone.
    Paused,
    /// The manager's configuration forbids it.
    NotAllowed,
    /// The manager does not reach the store that its cluster has in common.
    StoreLost,
}

impl Objection {
    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotRunning => "the server does not run",
            Self::Paused => "the manager is paused",
            Self::NotAllowed => "the manager is told never to promote the server",
            Self::StoreLost => "the manager does not reach the store of its cluster",
        }
    }
}

impl ManagerFacts {
    /// How long a manager may not have reached the store before it would not promote: twice as long
    /// as a leader's lock lasts in Patroni, unless it is set (`ttl`, 30 seconds).
    pub const STORE_LOST: Duration = Duration::from_mins(1);

    /// The first reason why the manager would not make the server the primary, if there is one.
    pub fn objection(&self) -> Option<Objection> {
        if !self.running {
            Some(Objection::NotRunning)
        } else if self.paused {
            Some(Objection::Paused)
        } else if !self.failover_allowed {
            Some(Objection::NotAllowed)
        } else {
            let lost = self
                .store_silence
                .is_some_and(|silence| silence > Self::STORE_LOST);
            lost.then_some(Objection::StoreLost)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_objects_for_each_reason_and_never_without_one() {
        let willing = ManagerFacts {
            role: Role::Standby,
            running: true,
            timeline: None,
            paused: false,
            failover_allowed: true,
            store_silence: None,
        };
        let silent = |silence| ManagerFacts {
            store_silence: Some(silence),
            ..willing
        };
        let longer = ManagerFacts::STORE_LOST + Duration::from_secs(1);
        for (facts, objection) in [
            (willing, None),
            (silent(ManagerFacts::STORE_LOST), None),
            (silent(longer), Some(Objection::StoreLost)),
            (
                ManagerFacts {
                    failover_allowed: false,
                    ..silent(longer)
                },
                Some(Objection::NotAllowed),
            ),
            (
                ManagerFacts {
                    paused: true,
                    failover_allowed: false,
                    ..willing
                },
                Some(Objection::Paused),
            ),
            (
                ManagerFacts {
                    running: false,
                    paused: true,
                    ..willing
                },
                Some(Objection::NotRunning),
            ),
        ] {
            assert_eq!(facts.objection(), objection, "{facts:?}");
        }
    }
}
