//! What names the parts of readiness: closed sets, because they become labels.

use serde::{Deserialize, Serialize};

use super::{Reason, Withheld};

/// What a check says, as the value of the label `state`: exactly one is true at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// It was seen to be good, often enough and lately.
    Pass,
    /// It was seen to be bad, often enough and lately.
    Fail,
    /// It could not be told.
    Unknown,
    /// It was told once, and not lately.
    Stale,
    /// The configuration says that the question does not arise here.
    NotApplicable,
}

impl CheckState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Pass,
        Self::Fail,
        Self::Unknown,
        Self::Stale,
        Self::NotApplicable,
    ];

    /// Those of a check that is asked at all.
    pub const ASKED: [Self; 4] = [Self::Pass, Self::Fail, Self::Unknown, Self::Stale];

    /// The value of the label `state`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
            Self::Stale => "stale",
            Self::NotApplicable => "not_applicable",
        }
    }
}

/// Whether a standby can take over, as the value of the label `state`: exactly one is true at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadyState {
    /// Every gate passes, on what was seen lately.
    Ready,
    /// A gate fails.
    NotReady,
    /// No gate fails, and at least one could not be told.
    Unknown,
    /// The primary is gone: whether the standby could take over from it is no question any more.
    PrimaryLost,
}

impl ReadyState {
    /// Every state.
    pub const ALL: [Self; 4] = [
        Self::Ready,
        Self::NotReady,
        Self::Unknown,
        Self::PrimaryLost,
    ];

    /// The value of the label `state`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotReady => "not_ready",
            Self::Unknown => "unknown",
            Self::PrimaryLost => "primary_lost",
        }
    }

    /// The state in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotReady => "not ready",
            Self::Unknown => "unknown",
            Self::PrimaryLost => "primary lost",
        }
    }
}

/// What a check counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GateKind {
    /// It has to pass for the standby to be ready.
    Hard,
    /// It orders standbys and shows trends; it never makes one ready or not ready.
    Scored,
    /// For nothing.
    Off,
}

impl GateKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Hard, Self::Scored, Self::Off];

    /// The value of the label `gate`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Scored => "scored",
            Self::Off => "off",
        }
    }
}

/// Whether a standby may be promoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Promotability {
    /// The primary is there: nobody asks.
    NotAsked,
    /// Everything that can still be seen is good, and the loss was within the objective.
    Viable,
    /// Something is not.
    NotViable,
    /// It cannot be told; also whether the primary is lost at all.
    Unknown,
}

/// How a group's primary is seen from this vantage, with the standbys for witnesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    /// It is reached.
    Seen,
    /// It cannot be told whether it is reached.
    Unclear,
    /// It is not reached, and a standby hears it: this vantage is cut off.
    OneSided,
    /// It is not reached, and whether a standby hears it is not known.
    Unwitnessed,
    /// It is not reached, and no standby hears it either.
    Lost,
}

/// What made this daemon distrust its own clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TiltCause {
    /// The wall clock was set.
    ClockStep,
    /// This process did not run for a while.
    Stall,
    /// This host slept.
    Suspend,
}

impl TiltCause {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::ClockStep, Self::Stall, Self::Suspend];

    /// The value of the label `cause`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClockStep => "clock_step",
            Self::Stall => "stall",
            Self::Suspend => "suspend",
        }
    }
}

/// Declares the reasons with their label values, once.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)*) => {
        /// Why a check does not pass. The set is closed: what a person needs beyond it (the value,
        /// the threshold, the target's own words) goes to the API, never into a label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum CheckReason { $($(#[$doc])* #[serde(rename = $label)] $name,)* }

        impl CheckReason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The value of the label `reason`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }
        }
    };
}

reasons! {
    // What a run against the target ended with.
    /// The name could not be resolved.
    Dns = "dns",
    /// No answer in time.
    Timeout = "timeout",
    /// The target refused the connection.
    Refused = "refused",
    /// The network says that the target cannot be reached.
    Unreachable = "unreachable",
    /// The target closed or reset the connection.
    Closed = "closed",
    /// The certificate is not valid, or not for much longer.
    Certificate = "certificate",
    /// No TLS session, for another reason than the certificate.
    Tls = "tls",
    /// The target refused the credentials.
    Auth = "auth",
    /// The target is there but takes no session now.
    NotAccepting = "not_accepting",
    /// The answer broke the rules of its protocol.
    Protocol = "protocol",
    /// The answer was not the expected one.
    Answer = "answer",

    // What was measured is out of bounds.
    /// A number is beyond its threshold.
    Threshold = "threshold",
    /// Primary and standby differ in what should be the same.
    Mismatch = "mismatch",
    /// Something that has to be there is not: an image, a slot, a key.
    Missing = "missing",
    /// The server plays another part than it should.
    Role = "role",
    /// It is another cluster.
    Identity = "identity",
    /// More than one server is writable.
    SplitBrain = "split_brain",
    /// The standby has what the primary has not.
    Diverged = "diverged",
    /// The standby calls its link to the primary down.
    LinkDown = "link_down",
    /// Nothing came over the link for too long, whatever the standby calls it.
    Silent = "silent",
    /// Someone, or an error, stopped applying what arrives.
    Paused = "paused",
    /// The first copy of the data is not finished.
    InitialSync = "initial_sync",
    /// The position moves on and the canary does not come: a filter drops it.
    Filtered = "filtered",
    /// What the law or the contract allows does not include this region.
    Jurisdiction = "jurisdiction",
    /// Someone holds the standby back.
    Hold = "hold",
    /// Another system (an HA manager) says no.
    Vetoed = "vetoed",
    /// The check fails and changed too often to be believed yet.
    Flapping = "flapping",

    // Nothing can be said.
    /// No result yet.
    NotSeen = "not_seen",
    /// Not enough results in a row yet to say one thing or the other.
    Undecided = "undecided",
    /// There was an answer once; nothing came for too long.
    Stale = "stale",
    /// A check that this one builds on does not pass.
    Dependency = "dependency",
    /// This daemon's clocks jumped, or it slept, just now.
    Tilt = "tilt",
    /// This daemon may not look: a grant or a capability is missing.
    Permission = "permission",
    /// The target does not know the question: another version or product.
    Unsupported = "unsupported",
    /// The target answered the question with an error of its own.
    Error = "error",
    /// The canary's writer does not get its writes acknowledged, so that nothing can be looked for.
    Writer = "writer",
    /// The primary was not seen lately, so that there is nothing to compare with.
    NoPrimary = "no_primary",
    /// There is no figure: an empty answer, or one that is no number.
    NoValue = "no_value",
    /// The figure is older than it may be.
    Old = "old",
    /// This host ran short of something, or this daemon's own code failed.
    Local = "local",
    /// This vantage cannot reach the primary, and the standby hears it.
    OneSided = "one_sided",
    /// This vantage cannot reach the primary, and there is no witness to ask.
    Unwitnessed = "unwitnessed",
}

impl From<Reason> for CheckReason {
    /// Of a run that failed. Whether it is the check's failure or the observer's is for
    /// [`Reason::is_own`] to say.
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::DnsNotFound | Reason::DnsFailed => Self::Dns,
            Reason::TimeoutResolve
            | Reason::TimeoutConnect
            | Reason::TimeoutTls
            | Reason::TimeoutAuth
            | Reason::TimeoutProcessing
            | Reason::TimeoutTransfer
            | Reason::TimeoutQuery
            | Reason::Lost => Self::Timeout,
            Reason::Refused => Self::Refused,
            Reason::Unreachable | Reason::TtlExceeded => Self::Unreachable,
            Reason::Reset | Reason::Eof => Self::Closed,
            Reason::TlsCertificate => Self::Certificate,
            Reason::TlsHandshake | Reason::TlsRefused => Self::Tls,
            Reason::Auth => Self::Auth,
            Reason::NotAccepting => Self::NotAccepting,
            Reason::Protocol | Reason::TooLarge => Self::Protocol,
            Reason::Status
            | Reason::Header
            | Reason::Body
            | Reason::Redirect
            | Reason::Query
            | Reason::Answer => Self::Answer,
            Reason::NoPermission => Self::Permission,
            Reason::LocalResources | Reason::LocalAddress | Reason::Stalled | Reason::Panic => {
                Self::Local
            }
        }
    }
}

impl From<Withheld> for CheckReason {
    fn from(withheld: Withheld) -> Self {
        match withheld {
            Withheld::Permission => Self::Permission,
            Withheld::Unsupported => Self::Unsupported,
            Withheld::Error => Self::Error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unique() {
        let labels: std::collections::HashSet<_> =
            CheckReason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(labels.len(), CheckReason::ALL.len());
    }

    #[test]
    fn faults_of_ours_and_faults_of_the_target_share_no_reason() {
        for theirs in Reason::ALL.iter().filter(|reason| !reason.is_own()) {
            for ours in Reason::own() {
                assert_ne!(CheckReason::from(*theirs), CheckReason::from(ours));
            }
        }
    }
}
