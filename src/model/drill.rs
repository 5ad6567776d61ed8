//! A failover that is rehearsed: announced, observed, and over when everything is as it should be
//! again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// An announced drill of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drill {
    /// What names it, the same at every vantage that it was announced to.
    pub id: String,
    /// The group.
    pub group: Arc<str>,
    /// What is rehearsed.
    pub kind: DrillKind,
    /// What whoever announced it says of it, in one line.
    #[serde(default)]
    pub note: Option<String>,
    /// When it was announced, in seconds since 1970.
    pub start_timestamp_seconds: f64,
    /// When it is to be over at the latest. After that it counts as unfinished, and failovers are
    /// not part of it any more.
    pub deadline_timestamp_seconds: f64,
    /// How much the group may lose at most, by the configuration when it was announced.
    #[serde(default)]
    pub rpo_objective_seconds: Option<f64>,
    /// How long a failover may take at most, by the same.
    #[serde(default)]
    pub rto_objective_seconds: Option<f64>,
    /// When it ended.
    #[serde(default)]
    pub end_timestamp_seconds: Option<f64>,
    /// How it stands, or ended.
    pub state: DrillState,
}

impl Drill {
    /// The longest id, in bytes.
    pub const MAX_ID: usize = 64;
    /// The longest note, in bytes.
    pub const MAX_NOTE: usize = 256;
    /// How long a drill may take at most, in seconds: a week.
    pub const MAX_SECONDS: f64 = 7.0 * 24.0 * 3600.0;

    /// Whether it is under way.
    pub fn is_open(&self) -> bool {
        self.state == DrillState::Open
    }

    /// Whether what happened at a moment, in seconds since 1970, is part of it.
    pub fn has(&self, moment: f64) -> bool {
        let end = self.end_timestamp_seconds;
        let end = end.map_or(self.deadline_timestamp_seconds, |end| {
            end.min(self.deadline_timestamp_seconds)
        });
        (self.start_timestamp_seconds..=end).contains(&moment)
    }
}

/// What a drill rehearses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillKind {
    /// Reads are sent to a standby.
    ReadRoute,
    /// The roles are exchanged in order.
    Switchover,
    /// The primary is taken away.
    Failover,
}

impl DrillKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::ReadRoute, Self::Switchover, Self::Failover];

    /// The value of the label `kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadRoute => "read_route",
            Self::Switchover => "switchover",
            Self::Failover => "failover",
        }
    }
}

impl std::str::FromStr for DrillKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        kind.ok_or_else(|| "expected read_route, switchover or failover".to_owned())
    }
}

/// How a drill stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillState {
    /// It is under way, or was never finished.
    Open,
    /// It was finished with every standby ready.
    Succeeded,
    /// It was given up.
    Aborted,
}

/// The announcement of a drill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillStart {
    /// What names it: 1 to [`Drill::MAX_ID`] letters, digits, `.`, `_` or `-`.
    pub id: String,
    /// The group.
    pub group: String,
    /// What is rehearsed.
    pub kind: DrillKind,
    /// One line of at most [`Drill::MAX_NOTE`] bytes.
    #[serde(default)]
    pub note: Option<String>,
    /// How long it may take, in seconds: above 0, at most [`Drill::MAX_SECONDS`].
    pub for_seconds: f64,
}

/// What an operator orders.
#[derive(Clone, Debug, PartialEq)]
pub enum DrillOrder {
    /// A drill begins.
    Start(DrillStart),
    /// The drill of this group is over, if everything is as it should be.
    Finish(String),
    /// The drill of this group is given up.
    Abort(String),
}

/// Why an order is not carried out. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DrillRefusal {
    /// There is no such group here.
    #[error("there is no such group")]
    NoGroup,
    /// Something of the announcement cannot be.
    #[error("{0}")]
    Bad(&'static str),
    /// Another drill of the group has this id.
    #[error("a drill of this group had that id")]
    Taken,
    /// Only one at a time.
    #[error("the drill {0} of this group is still open: finish or abort it")]
    Open(String),
    /// There is none.
    #[error("no drill of this group is open")]
    None,
    /// Something has to be done before it counts.
    #[error("the drill cannot succeed yet: {}", .0.join("; "))]
    NotYet(Vec<String>),
}

/// What happened to a group, for its metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PastFigures {
    /// Failovers seen by this run of the daemon: first the unplanned ones, then the planned ones, of
    /// each first those outside of drills.
    pub failovers: [[u64; 2]; 2],
    /// The last failover that is known.
    pub last: Option<super::Failover>,
    /// When a drill of each kind last succeeded, in seconds since 1970.
    pub succeeded: [Option<f64>; DrillKind::ALL.len()],
    /// The drill under way, and when it is to be over.
    pub open: Option<(DrillKind, f64)>,
}
