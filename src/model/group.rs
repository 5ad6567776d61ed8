//! What a group promises, and what is held against its standbys by people.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{PlannedCheck, PlannedRanking};

/// What a group promises for the loss of its primary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Objectives {
    /// How much may be lost at most, in time: the recovery point objective.
    pub rpo: Option<Duration>,
    /// How long it may take at most: the recovery time objective.
    pub rto: Option<Duration>,
}

/// A standby of a group, seen from this daemon's region: what names its series, and what is known of
/// it without looking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandbyPlace {
    /// The group's name.
    pub group: Arc<str>,
    /// The standby's region.
    pub standby: Arc<str>,
    /// The region in which this daemon runs.
    pub source_region: Arc<str>,
    /// How many regions judge it.
    pub vantages: u64,
    /// What the group promises.
    pub objectives: Objectives,
}

/// How long the parts of a failover take that nothing measures, for the estimate of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assumed {
    /// From the first alert to the decision.
    pub decide: Duration,
    /// The promotion itself, until a failover was observed.
    pub promote: Duration,
    /// Until a promoted standby is as fast as it has to be.
    pub warm: Duration,
}

impl Default for Assumed {
    /// Five minutes for a person to decide, half a minute to promote, and none to get warm.
    fn default() -> Self {
        Self {
            decide: Duration::from_mins(5),
            promote: Duration::from_secs(30),
            warm: Duration::ZERO,
        }
    }
}

/// Somebody's word that a standby is not to take over for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The standby's region; `None`: every standby of the group.
    pub standby: Option<Arc<str>>,
    /// Why, in one line.
    pub reason: Arc<str>,
    /// When it ends by itself.
    pub until: SystemTime,
}

impl Hold {
    /// Whether it holds the standby in `region` back at `now`.
    pub fn holds(&self, region: &str, now: SystemTime) -> bool {
        now < self.until && self.standby.as_deref().is_none_or(|held| held == region)
    }
}

/// A group as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedGroup {
    /// The probes that run from here and whose targets are discovered: they are to have some in each of
    /// its regions, and what they would answer is unknown while they have none.
    pub discovered: Vec<Arc<str>>,
    /// Its name.
    pub name: Arc<str>,
    /// The region that serves.
    pub primary: Arc<str>,
    /// The regions that can take over.
    pub standbys: Vec<Arc<str>>,
    /// How many regions judge it: those from which any of its probes run.
    pub vantages: u64,
    /// Its database probes.
    pub databases: Vec<PlannedDatabase>,
    /// What it promises.
    pub objectives: Objectives,
    /// Its standbys in the order in which they are preferred where nothing else tells them apart;
    /// those that are not named come last, and none before another.
    pub preference: Vec<Arc<str>>,
    /// Which latency ranks its standbys, as far as it is measured from this region.
    pub ranking: PlannedRanking,
    /// What holds its standbys back, also what has expired.
    pub holds: Vec<Hold>,
    /// What is taken for granted in the estimate of how long a failover takes.
    pub assumed: Assumed,
    /// For how long after a failover every other one is held back.
    pub block: Duration,
    /// The probe of the path that users take, which may not run from this region.
    pub user_path: Option<Arc<str>>,
    /// The questions that are asked about each standby, each after those that it builds on. They are
    /// the same at every vantage: also those of probes that do not run from this region.
    pub checks: Vec<PlannedCheck>,
}

/// A database probe of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedDatabase {
    /// The probe's name.
    pub probe: Arc<str>,
    /// Its kind.
    pub kind: &'static str,
    /// Whether it has a canary.
    pub canary: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_for_one_standby_or_all_and_ends() {
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let before = end - Duration::from_nanos(1);
        let mut hold = Hold {
            standby: Some("b".into()),
            reason: "disk swap".into(),
            until: end,
        };
        assert!(hold.holds("b", before));
        assert!(!hold.holds("c", before));
        assert!(!hold.holds("b", end));
        hold.standby = None;
        assert!(hold.holds("c", before));
    }
}
