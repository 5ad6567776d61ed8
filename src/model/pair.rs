//! What is known of a standby by looking at its primary too.

use std::sync::Arc;
use std::time::Duration;

use super::Role;

/// The place of a pair in the daemon's tables; valid for one configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PairKey(pub u32);

impl PairKey {
    /// The key as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The place of a set (a group's members under one database probe) in the daemon's tables; valid
/// for one configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetKey(pub u32);

impl SetKey {
    /// The key as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A group's members under one database probe, seen from this daemon's region: what names its
/// series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSet {
    /// The group's name.
    pub group: Arc<str>,
    /// The probe's name.
    pub probe: Arc<str>,
    /// The probe's kind: `postgres`, `mysql`, `redis`. It decides which series the set has.
    pub kind: &'static str,
    /// The region in which this daemon runs.
    pub source_region: Arc<str>,
    /// Whether the probe has a canary.
    pub canary: bool,
}

impl DatabaseSet {
    /// What tells this set from every other, and from every [`super::Target`], over restarts and
    /// reloads.
    pub fn identity(&self) -> String {
        [&*self.group, &*self.probe, &*self.source_region].join("\u{1f}")
    }
}

/// A target's part in a group, seen from this daemon's region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// The group's name.
    pub group: Arc<str>,
    /// The probe's name.
    pub probe: Arc<str>,
    /// The region in which this daemon runs.
    pub source_region: Arc<str>,
    /// The region in which the target is.
    pub target_region: Arc<str>,
    /// The target's name.
    pub target: Arc<str>,
    /// The part that the configuration gives its region.
    pub role: Role,
}

/// The figures of one standby, as of its last good look at both sides. `None`: not measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PairFigures {
    /// What the primary has and the standby has not received: bytes that would be lost. Never less
    /// than it was; up to as much more as the primary wrote between the two looks.
    pub loss_bytes: Option<u64>,
    /// What the standby has received and not applied: bytes that delay its promotion.
    pub apply_bytes: Option<u64>,
    /// Transactions that the primary has and the standby has not applied.
    pub missing_transactions: Option<u64>,
    /// Transactions that only the standby has: a promotion would diverge.
    pub errant_transactions: Option<u64>,
    /// Missing transactions that the standby has not received and the primary's logs do not have
    /// any more.
    pub unrecoverable_transactions: Option<u64>,
    /// How long ago the primary was first seen beyond what the standby has applied.
    pub lag_ring: Option<Duration>,
    /// Whether that is only the least that it can be: the standby lacks something that came while the
    /// primary was not seen.
    pub lag_ring_at_least: bool,
    /// How long ago the oldest canary was acknowledged that the standby does not show; zero if it
    /// shows them all.
    pub lag_canary: Option<Duration>,
    /// What the standby itself says.
    pub lag_native: Option<Duration>,
    /// Whether the two belong to different clusters.
    pub identity_mismatch: Option<bool>,
    /// Bytes of log that the primary keeps for the standby's slot.
    pub slot_retained_bytes: Option<u64>,
    /// Whether the standby's slot lost log that it needs, or is about to.
    pub slot_lost: Option<bool>,
    /// The parameters that the standby has smaller than its primary, so that it could not start or
    /// would stop replaying (`PostgreSQL`).
    pub lower_limits: Option<Vec<&'static str>>,
    /// The number of the newest canary that the standby shows.
    pub canary_seen_seq: Option<u64>,
    /// The standby's keys per key of the primary (Redis); none while the primary has no keys.
    pub keys_ratio: Option<f64>,
    /// The seconds of writes that would be lost if the primary died now, from the canary; at most.
    pub rpo_seconds: Option<Duration>,
}

/// The figures of a set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SetFigures {
    /// Members that their last run found writable.
    pub writable: u64,
    /// The number of the newest canary that a server acknowledged; `None` before the first.
    pub canary_acked_seq: Option<u64>,
    /// Canaries that a server acknowledged.
    pub canary_writes: u64,
    /// Canaries that were to be written and were not acknowledged, by [`WriteFailure`].
    pub canary_failures: [u64; WriteFailure::ALL.len()],
    /// Runs at which no canary was written to a member that might have had it, by [`Suppressed`].
    pub canary_suppressed: [u64; Suppressed::ALL.len()],
}

/// Why a canary was sent and not acknowledged, or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFailure {
    /// The run ended before the server's answer: the write may still have happened.
    NoAnswer,
    /// A grant is missing.
    Permission,
    /// The table is not there.
    NoTable,
    /// Another error.
    Error,
}

impl WriteFailure {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::NoAnswer, Self::Permission, Self::NoTable, Self::Error];

    /// The value of the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoAnswer => "no_answer",
            Self::Permission => "permission",
            Self::NoTable => "no_table",
            Self::Error => "error",
        }
    }
}

/// Why no canary was written, so that nothing is harmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suppressed {
    /// More than one member is writable.
    TwoWritable,
    /// The member is writable but is not the known primary, and not confirmed to be the new one yet.
    Unconfirmed,
    /// The member is of another cluster than the known primary.
    Identity,
    /// In the session that was to write, the server was not as it had been seen.
    Changed,
}

impl Suppressed {
    /// Every reason.
    pub const ALL: [Self; 4] = [
        Self::TwoWritable,
        Self::Unconfirmed,
        Self::Identity,
        Self::Changed,
    ];

    /// The value of the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TwoWritable => "two_writable",
            Self::Unconfirmed => "unconfirmed",
            Self::Identity => "identity",
            Self::Changed => "changed",
        }
    }
}
