//! The outcome of one run of a probe against one target.

use std::time::{Duration, Instant, SystemTime};

use smallvec::SmallVec;

use super::{FactSet, Facts, Laps, PhaseSet, Reason, ReasonSet, Secret, TargetKey};

/// The measured times of a successful run: one for most kinds, one per answered packet for a ping.
pub type Latencies = SmallVec<[Duration; 1]>;

/// A run that found its target as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The times for the histogram of durations.
    pub latencies: Latencies,
    /// What else was learned.
    pub facts: Facts,
}

/// Bytes of a secret that tell something of it.
const SHORTEST: usize = 3;

/// A run that did not.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}: {detail}", reason.as_str())]
pub struct Failure {
    /// The bounded reason: the only part that becomes a label.
    pub reason: Reason,
    /// The whole story for logs and the API, at most [`Failure::MAX_DETAIL`] bytes, one line.
    pub detail: Box<str>,
    /// What was learned before it failed.
    pub facts: Option<Box<Facts>>,
}

impl Failure {
    /// Bytes of detail that are kept. A hostile target chooses the text, so it is cut.
    pub const MAX_DETAIL: usize = 256;

    /// A failure; control characters of the detail become spaces, and it is cut to its limit.
    pub fn new(reason: Reason, detail: impl std::fmt::Display) -> Self {
        Self {
            reason,
            detail: one_line(&detail.to_string()),
            facts: None,
        }
    }

    /// This failure; its detail is left out if it has the secret in it, which a peer that was told it
    /// may say back. Where the detail was cut, so may be the secret.
    #[must_use]
    pub fn without(mut self, secret: Option<&Secret>) -> Self {
        let text = secret.map_or("", Secret::expose);
        let is_cut = self.detail.len() + char::MAX.len_utf8() > Self::MAX_DETAIL;
        let mut parts = text.char_indices().map(|(at, _)| &text[..at]);
        let is_whole = !text.is_empty() && self.detail.contains(text);
        let is_part = |part: &str| part.len() >= SHORTEST && self.detail.ends_with(part);
        if is_whole || (is_cut && parts.any(is_part)) {
            self.detail = "what the peer said is not shown: it repeats the password".into();
        }
        self
    }

    /// This failure with what was learned before it.
    #[must_use]
    pub fn with_facts(mut self, facts: Facts) -> Self {
        self.facts = Some(Box::new(facts));
        self
    }
}

/// The text on one line: control characters become spaces, and it is cut to
/// [`Failure::MAX_DETAIL`] bytes.
pub fn one_line(text: &str) -> Box<str> {
    let mut line = String::with_capacity(text.len().min(Failure::MAX_DETAIL));
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if line.len() + c.len_utf8() > Failure::MAX_DETAIL {
            break;
        }
        line.push(c);
    }
    line.into()
}

/// The outcome of one run, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Whose it is.
    pub target: TargetKey,
    /// When the run was due.
    pub due: Instant,
    /// When it started.
    pub started: Instant,
    /// When it ended.
    pub ended: Instant,
    /// The wall clock when it ended: for people, never for arithmetic.
    pub at: SystemTime,
    /// The time spent in each phase that was finished.
    pub laps: Laps,
    /// What came out.
    pub outcome: Result<Reply, Failure>,
}

impl Sample {
    /// What the run learned, whether it succeeded or not.
    pub fn facts(&self) -> Option<&Facts> {
        match &self.outcome {
            Ok(reply) => Some(&reply.facts),
            Err(failure) => failure.facts.as_deref(),
        }
    }
}

/// What the schedule tells of a target.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// A run ended.
    Sample(Box<Sample>),
    /// Slots passed without a run.
    Missed {
        /// Whose they were.
        target: TargetKey,
        /// How many.
        slots: u64,
        /// Why.
        cause: Missed,
    },
}

impl Observation {
    /// The target that it tells of.
    pub const fn target(&self) -> TargetKey {
        match self {
            Self::Sample(sample) => sample.target,
            Self::Missed { target, .. } => *target,
        }
    }
}

/// Why a slot passed without a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// The run before it was still under way.
    Busy,
    /// As many runs were under way as the daemon allows.
    Full,
    /// The schedule itself came too late for it: the host was asleep or overloaded.
    Late,
}

impl Missed {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::Busy, Self::Full, Self::Late];

    /// The value of the label `cause`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Full => "full",
            Self::Late => "late",
        }
    }
}

/// What a target's runs can bring: its series exist from the start, at zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// The phases that a run can go through.
    pub phases: PhaseSet,
    /// The reasons with which it can fail; our own faults need not be listed.
    pub reasons: ReasonSet,
    /// The facts that it can bring.
    pub facts: FactSet,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_says_back_of_a_secret_is_not_shown() {
        let secret = Secret::new("correct horse".into());
        let shown = |detail: String| {
            let failure = Failure::new(Reason::Auth, detail).without(Some(&secret));
            failure.detail.into_string()
        };
        assert_eq!(shown("no such user".into()), "no such user");
        assert!(!shown("no user with correct horse".into()).contains("horse"));
        // Nine bytes of it are left where the detail was cut.
        let cut = "x".repeat(Failure::MAX_DETAIL - 9) + "correct horse";
        assert!(!shown(cut).contains("cor"));
        let other = "x".repeat(300);
        assert_eq!(shown(other.clone()), other[..Failure::MAX_DETAIL]);
        let failure = Failure::new(Reason::Auth, "no password");
        let none = Secret::new(String::new());
        assert_eq!(failure.clone().without(Some(&none)), failure);
    }

    #[test]
    fn hostile_detail_is_one_short_line() {
        let failure = Failure::new(
            Reason::Protocol,
            "a\r\nb\u{1b}[31m".to_owned() + &"ü".repeat(400),
        );
        assert!(failure.detail.starts_with("a  b [31m"));
        assert!(failure.detail.len() <= Failure::MAX_DETAIL);
        assert!(!failure.detail.chars().any(char::is_control));
    }
}
