//! A failover that was observed, and what it cost.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Another member of a group became the primary of one of its databases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failover {
    /// What names it: the same at every vantage, since it is made of what the new primary is and not
    /// of when that was seen. 16 hexadecimal digits.
    pub id: String,
    /// The group.
    pub group: Arc<str>,
    /// The database probe that saw it.
    pub probe: Arc<str>,
    /// The region of the daemon that saw it.
    pub source_region: Arc<str>,
    /// The region of the primary before.
    pub from: Arc<str>,
    /// The region of the primary since.
    pub to: Arc<str>,
    /// When the new primary was first seen writable, by the wall clock of the daemon, in seconds
    /// since 1970; where both were writable for a while, when the old one was last seen so.
    pub timestamp_seconds: f64,
    /// Whether the old primary was seen not to be writable before the new one was, and no canary is
    /// known to be lost.
    pub planned: bool,
    /// How long nothing could be written. It can be too long by two intervals of the probe and a
    /// run's time.
    pub rto_write_seconds: f64,
    /// How that is known.
    pub rto_write_basis: RtoBasis,
    /// Canaries that the old primary had acknowledged and the new one does not have.
    pub rpo_writes: Option<u64>,
    /// From the acknowledgement of the newest canary that the new primary has to that of the newest
    /// one that the old one had. It can be off by an interval of the probe and a run's time, either
    /// way.
    pub rpo_seconds: Option<f64>,
    /// Why it is not known what was lost.
    pub rpo_unknown: Option<LossUnknown>,
    /// The longest time for which the path of the users failed from here around the failover: 0 if it
    /// never did. `None`: the group names no such path, or it is not known yet.
    #[serde(default)]
    pub rto_user_seconds: Option<f64>,
    /// The drill that it was part of.
    #[serde(default)]
    pub drill: Option<String>,
}

/// How the time without writes is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RtoBasis {
    /// From the last canary that the old primary acknowledged to the first one of the new primary.
    Canary,
    /// From when the old primary was last seen writable to when the new one was first.
    Roles,
}

impl RtoBasis {
    /// The basis in a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Roles => "roles",
        }
    }
}

/// Why it is not known what a failover lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossUnknown {
    /// The probe has no canary.
    NoCanary,
    /// No canary was acknowledged while the old primary was last seen writable.
    Writer,
    /// The canary could not be read on the new primary before one was written there.
    NotRead,
    /// The new primary has none of this life of the daemon, so that nobody knows how many it lacks.
    OtherLife,
    /// Both were writable for a while: then no canary is written, and others' writes are not known.
    SplitBrain,
}

impl LossUnknown {
    /// The reason in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoCanary => "the probe has no canary",
            Self::Writer => "no canary was acknowledged at the end",
            Self::NotRead => "the canary could not be read on the new primary",
            Self::OtherLife => "the new primary has no canary of this run of the daemon",
            Self::SplitBrain => "both were writable for a while",
        }
    }
}
