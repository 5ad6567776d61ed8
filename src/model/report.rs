//! What is said of a group at one moment: the same for the metrics, the API and the command line.

use std::sync::Arc;

use serde::Serialize;

use super::{
    Cause, CheckReason, CheckState, GateKind, Promotability, RankingReport, ReadyState, Sight, Unit,
};

/// A group, judged from this vantage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupReport {
    /// Its name.
    pub group: Arc<str>,
    /// The region of this daemon.
    pub source_region: Arc<str>,
    /// When it was judged, in seconds since 1970.
    pub timestamp_seconds: f64,
    /// The region that the configuration names as the primary.
    pub primary: Arc<str>,
    /// Its standbys, as the configuration lists them.
    pub standbys: Vec<StandbyReport>,
    /// How they are ranked; `None` until an order was found three times in a row.
    pub ranking: Option<RankingReport>,
}

/// A standby, judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StandbyReport {
    /// Its region.
    pub standby: Arc<str>,
    /// Whether it could take over if the primary died now.
    pub state: ReadyState,
    /// How the primary is seen, with the standby for a witness.
    pub primary_sight: Sight,
    /// Whether it may be promoted, the primary being lost.
    pub promotion: Promotability,
    /// The gates that do not pass: the most telling first, five at most.
    pub reasons: Vec<CheckReport>,
    /// How many more gates do not pass.
    pub more_reasons: usize,
    /// What its scored checks add up to, 0 to 1; `None` if it has none.
    pub score_ratio: Option<f64>,
    /// The part of the score that is known, 0 to 1.
    pub score_coverage_ratio: Option<f64>,
    /// How long ago the primary was first seen beyond what the standby has applied: of the database
    /// that is furthest behind.
    pub lag_seconds: Option<f64>,
    /// Whether it may be more: of one of the databases it is not known, or only the least of it.
    pub lag_at_least: bool,
    /// Seconds of writes that would be lost, at most.
    pub rpo_seconds: Option<f64>,
    /// Bytes that would be lost, at most.
    pub rpo_bytes: Option<u64>,
    /// How long a failover to it would take, at an estimate; `None` if a part of it is not known.
    pub rto_seconds: Option<f64>,
    /// The parts of that estimate, for those that the group has; the total last.
    pub rto_stages: Vec<StageReport>,
    /// Its rank among the standbys, from 1; `None` before enough was measured.
    pub rank: Option<u32>,
    /// What holds it back.
    pub holds: Vec<HoldReport>,
    /// The last time that the primary and the standby were both seen.
    pub last_sight: Option<SightReport>,
    /// Every check, each after those that it builds on.
    pub checks: Vec<CheckReport>,
}

/// A check's answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckReport {
    /// Its name.
    pub check: Arc<str>,
    /// The probe that answers it; empty for a question about the group itself.
    pub probe: Arc<str>,
    /// What it counts for.
    pub gate: GateKind,
    /// What it says.
    pub state: CheckState,
    /// Why it does not pass.
    pub reason: Option<CheckReason>,
    /// The figure of its last result.
    pub value: Option<f64>,
    /// The bound that the figure was held against.
    pub threshold: Option<f64>,
    /// What both are measured in; `None`: the check has no bound.
    pub unit: Option<Unit>,
    /// How long ago its last result was.
    pub age_seconds: Option<f64>,
    /// When its last result was, in seconds since 1970.
    pub last_conclusive_timestamp_seconds: Option<f64>,
    /// How often it changed to each state, in the order of [`CheckState::ALL`].
    #[serde(skip)]
    pub transitions: [u64; CheckState::ALL.len()],
}

impl GroupReport {
    /// The standby in that region.
    pub fn standby(&self, region: &str) -> Option<&StandbyReport> {
        let mut standbys = self.standbys.iter();
        standbys.find(|standby| *standby.standby == *region)
    }
}

impl StandbyReport {
    /// Its state and the most telling reason, in one line for people.
    pub fn line(&self) -> String {
        let state = self.state.words();
        match self.reasons.first() {
            Some(reason) => format!("{state}: {}", reason.cause()),
            None => state.to_owned(),
        }
    }
}

impl CheckReport {
    /// Why it does not pass, for people.
    pub fn cause(&self) -> Cause<'_> {
        Cause {
            probe: &self.probe,
            check: &self.check,
            why: self.reason.map_or(self.state.as_str(), CheckReason::as_str),
            value: self.value,
            threshold: self.threshold,
            unit: self.unit,
            age_seconds: self.age_seconds,
        }
    }
}

/// A part of the estimate of how long a failover takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StageReport {
    /// Which part: `detect`, `decide`, `promote`, `apply`, `pull`, `start`, `dns`, `warm`, `total`.
    pub stage: &'static str,
    /// What it takes; `None`: it was to be measured and is not.
    pub seconds: Option<f64>,
    /// `measured` or `assumed`.
    pub basis: Option<&'static str>,
}

/// What holds a standby back for a while.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HoldReport {
    /// What kind of hold it is: `maintenance` or `recent_failover`.
    pub kind: &'static str,
    /// Why, in the words of whoever set it.
    pub reason: Arc<str>,
    /// When it ends by itself, in seconds since 1970.
    pub expiry_timestamp_seconds: f64,
}

/// What was known when the primary and the standby were last both seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SightReport {
    /// When that was, in seconds since 1970.
    pub timestamp_seconds: f64,
    /// Seconds of writes that would have been lost then, at most.
    pub rpo_seconds: Option<f64>,
    /// Bytes that would have been lost then, at most.
    pub loss_bytes: Option<u64>,
}
