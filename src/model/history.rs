//! The past of the targets, as it is told to whoever asks.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::Phase;

/// How much of the past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryTerms {
    /// For how long. Zero: nothing is kept but each target's last run.
    pub keep: Duration,
    /// What the past is divided into; longer steps are taken where these do not fit.
    pub step: Duration,
    /// Bytes that it may take in memory; on disk as many again.
    pub size: u64,
}

impl Default for HistoryTerms {
    fn default() -> Self {
        Self {
            keep: Duration::from_hours(48),
            step: Duration::from_mins(10),
            size: 64 << 20,
        }
    }
}

/// What came of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The target is as it should be.
    Success,
    /// It is not.
    Failure,
    /// A fault of our own: nothing is known of the target.
    Unknown,
}

/// A run, without its phases.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LastRun {
    /// When it ended.
    pub timestamp_seconds: f64,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it did not succeed.
    pub reason: Option<&'static str>,
    /// How long it took: the mean of the answered packets of a ping that succeeded.
    pub duration_seconds: f64,
}

/// Seconds by phase, in the order in which a run goes through them; those not reached are not there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PhaseSeconds(pub Vec<(Phase, f64)>);

impl Serialize for PhaseSeconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let phases = self.0.iter();
        serializer.collect_map(phases.map(|(phase, seconds)| (phase.as_str(), seconds)))
    }
}

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PastRun {
    /// What came of it.
    #[serde(flatten)]
    pub run: LastRun,
    /// The time spent in each phase that was finished.
    pub phases: PhaseSeconds,
}

/// A run that failed, in full.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PastFailure {
    /// When it ended.
    pub timestamp_seconds: f64,
    /// Why it failed.
    pub reason: &'static str,
    /// Where, as far as the reason tells.
    pub phase: Option<&'static str>,
    /// The whole story, one line of at most [`super::Failure::MAX_DETAIL`] bytes. A peer may have
    /// written parts of it.
    pub detail: Box<str>,
    /// How long the run took.
    pub duration_seconds: f64,
}

/// What was seen in a part of the past.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PastStep {
    /// When it began, a multiple of its length.
    pub start_timestamp_seconds: u64,
    /// Runs of every outcome.
    pub runs: u64,
    /// Of them those that failed.
    pub failures: u64,
    /// Of them those that a fault of our own ended.
    pub unknown: u64,
    /// Packets that were sent, and
    pub packets: u64,
    /// of them those not answered in time.
    pub packets_lost: u64,
    /// How many durations of successful runs (of a ping: of answered packets) fell between the
    /// bounds; one more than there are bounds.
    pub counts: Vec<u64>,
    /// The shortest duration, to within a sixteenth, as are the others.
    pub minimum_seconds: Option<f64>,
    /// The duration in the middle.
    pub median_seconds: Option<f64>,
    /// The longest duration.
    pub maximum_seconds: Option<f64>,
    /// The mean time that the successful runs spent in each phase.
    pub phases: PhaseSeconds,
}

/// What is known of a target's past.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SamplesReport {
    /// Its probe.
    pub probe: Arc<str>,
    /// The probe's kind.
    pub kind: &'static str,
    /// Its name.
    pub target: Arc<str>,
    /// The region that it was measured from.
    pub source_region: Arc<str>,
    /// The region that it is in.
    pub target_region: Arc<str>,
    /// When this was told.
    pub timestamp_seconds: f64,
    /// The length of a step.
    pub step_seconds: u64,
    /// The bounds between which durations are counted, rising; none if there are no durations.
    pub bounds_seconds: Vec<f64>,
    /// The steps in which there were runs, oldest first. The last one may go on.
    pub steps: Vec<PastStep>,
    /// The last runs, oldest first.
    pub recent: Vec<PastRun>,
    /// The last runs that failed, or that a fault of our own ended, oldest first.
    pub failures: Vec<PastFailure>,
}

/// Which part of the past is asked for, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// From when on; `None`: from the beginning.
    pub from: Option<u64>,
    /// Until when; `None`: until now.
    pub to: Option<u64>,
    /// The shortest step that is wanted; `None`: as the past is kept.
    pub step: Option<u64>,
}

/// What is asked for is not there; what is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoSuch {
    /// No such probe is run from here; these are.
    Probe(Vec<Arc<str>>),
    /// The probe has no such target; it has these.
    Target(Vec<Arc<str>>),
}

/// What a region is like to a probe.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegionCell {
    /// The region.
    pub region: Arc<str>,
    /// The probe's targets there.
    pub targets: usize,
    /// Of them those whose last run failed.
    pub down: usize,
    /// Of them those of which nothing is known: they were not run yet, or the last run ended by a
    /// fault of our own.
    pub unknown: usize,
    /// The duration in the middle, of all its targets in the last minutes.
    pub median_seconds: Option<f64>,
    /// The duration that one in a hundred exceeds.
    pub p99_seconds: Option<f64>,
    /// The part of the attempts that failed.
    pub failure_ratio: Option<f64>,
    /// The part of the packets that were lost.
    pub packet_loss_ratio: Option<f64>,
    /// The medians of the last hour, oldest first; `None` where no run succeeded.
    pub line: Vec<Option<f64>>,
}

/// What the regions are like to a probe.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeRow {
    /// The probe.
    pub probe: Arc<str>,
    /// Its kind.
    pub kind: &'static str,
    /// The regions that it has targets in, by name.
    pub regions: Vec<RegionCell>,
}

/// What all regions are like from this one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MatrixReport {
    /// The region that they were measured from.
    pub source_region: Arc<str>,
    /// When this was told.
    pub timestamp_seconds: f64,
    /// From one value of a line to the next.
    pub line_step_seconds: u64,
    /// By name.
    pub probes: Vec<ProbeRow>,
}
