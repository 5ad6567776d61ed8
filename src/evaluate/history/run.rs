//! One run, and one failure in full, as bytes.

use std::time::{Duration, SystemTime};

use super::step::micros;
use super::varint;
use crate::model::{
    Laps, LastRun, Outcome, PastFailure, PastRun, Phase, PhaseSeconds, PhaseSet, Reason, Sample,
};

/// A run that succeeded, in the place of a reason.
const SUCCESS: u8 = u8::MAX;

/// How long a run took: for a ping that succeeded, the mean of the answered packets.
fn duration(sample: &Sample) -> Duration {
    let latencies = sample.outcome.as_ref().map(|reply| &reply.latencies);
    let latencies = latencies.ok().filter(|latencies| !latencies.is_empty());
    match latencies {
        Some(latencies) => {
            let sum: Duration = latencies.iter().sum();
            sum / u32::try_from(latencies.len()).unwrap_or(u32::MAX)
        }
        None => sample.ended.saturating_duration_since(sample.started),
    }
}

fn outcome(reason: Option<Reason>) -> Outcome {
    match reason {
        None => Outcome::Success,
        Some(reason) if reason.is_own() => Outcome::Unknown,
        Some(_) => Outcome::Failure,
    }
}

/// A run, as far as it is shown without its phases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    /// Milliseconds since 1970.
    at: u64,
    reason: Option<Reason>,
    /// Microseconds.
    took: u64,
}

impl Run {
    pub(super) fn of(sample: &Sample) -> Self {
        Self {
            at: millis(sample.at),
            reason: sample.outcome.as_ref().err().map(|failure| failure.reason),
            took: micros(duration(sample)),
        }
    }

    pub(super) fn outcome(self) -> Outcome {
        outcome(self.reason)
    }

    pub(super) fn shown(self) -> LastRun {
        LastRun {
            timestamp_seconds: seconds(self.at),
            outcome: outcome(self.reason),
            reason: self.reason.map(Reason::as_str),
            duration_seconds: Duration::from_micros(self.took).as_secs_f64(),
        }
    }

    /// As bytes, with the phases. These stay in memory: a reason is its place among all.
    pub(super) fn put(self, laps: &Laps, bytes: &mut Vec<u8>) {
        varint::put(bytes, self.at);
        bytes.push(self.reason.map_or(SUCCESS, |reason| reason as u8));
        varint::put(bytes, self.took);
        let reached = laps.iter().fold(PhaseSet::default(), |set, (phase, _)| {
            set.with_if(true, phase)
        });
        bytes.push(reached.bits());
        for (_, spent) in laps.iter() {
            varint::put(bytes, micros(spent));
        }
    }

    /// From bytes, with the phases; `None` if they are no run.
    pub(super) fn take(bytes: &mut impl Iterator<Item = u8>) -> Option<PastRun> {
        let at = varint::take(bytes)?;
        let reason = match bytes.next()? {
            SUCCESS => None,
            place => Some(*Reason::ALL.get(usize::from(place))?),
        };
        let took = varint::take(bytes)?;
        let run = Self { at, reason, took };
        let reached = PhaseSet::from_bits(bytes.next()?);
        let phases = reached.iter().map(|phase| {
            let spent = Duration::from_micros(varint::take(bytes)?);
            Some((phase, spent.as_secs_f64()))
        });
        let phases: Option<Vec<_>> = phases.collect();
        Some(PastRun {
            run: run.shown(),
            phases: PhaseSeconds(phases?),
        })
    }
}

/// Writes the failure of a run, if it is one. The reason is its label, which later versions of the
/// daemon have too.
pub(super) fn put_failure(sample: &Sample, bytes: &mut Vec<u8>) -> bool {
    let Err(failure) = &sample.outcome else {
        return false;
    };
    varint::put(bytes, millis(sample.at));
    let reason = failure.reason.as_str();
    varint::put(bytes, reason.len() as u64);
    bytes.extend(reason.bytes());
    let phase = failure.reason.phase(&sample.laps);
    bytes.push(phase.map_or(u8::MAX, |phase| phase as u8));
    varint::put(bytes, micros(duration(sample)));
    bytes.extend(failure.detail.bytes());
    true
}

/// Reads a failure; `None` if it is none.
pub(super) fn take_failure(record: &[u8]) -> Option<PastFailure> {
    let mut bytes = record.iter().copied();
    let at = varint::take(&mut bytes)?;
    let length = usize::try_from(varint::take(&mut bytes)?).ok()?;
    let label: Vec<u8> = bytes.by_ref().take(length).collect();
    let mut reasons = Reason::ALL.iter().map(|reason| reason.as_str());
    let reason = reasons.find(|reason| reason.as_bytes() == label)?;
    let phase = bytes.next()?;
    let took = varint::take(&mut bytes)?;
    let detail = String::from_utf8(bytes.collect()).ok()?;
    Some(PastFailure {
        timestamp_seconds: seconds(at),
        reason,
        phase: Phase::ALL
            .get(usize::from(phase))
            .map(|phase| phase.as_str()),
        detail: detail.into(),
        duration_seconds: Duration::from_micros(took).as_secs_f64(),
    })
}

/// Milliseconds since 1970.
pub(super) fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact for 285,000 years of milliseconds"
)]
pub(super) fn seconds(millis: u64) -> f64 {
    millis as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::test_samples::{failed, ping, succeeded};
    use super::*;

    #[test]
    fn a_run_is_read_as_it_was_written() {
        let sample = succeeded(1_000_123, 250);
        let mut bytes = Vec::new();
        Run::of(&sample).put(&sample.laps, &mut bytes);
        assert!(bytes.len() <= 20, "{}", bytes.len());
        let read = Run::take(&mut bytes.into_iter()).expect("a run");
        let run = LastRun {
            timestamp_seconds: 1_000.123,
            outcome: Outcome::Success,
            reason: None,
            duration_seconds: 0.25,
        };
        assert_eq!(read.run, run);
        let phases = [(Phase::Connect, 0.1), (Phase::Processing, 0.15)];
        assert_eq!(read.phases, PhaseSeconds(phases.into()));
        let mean = Run::of(&ping(0, &[10, 30], 1)).shown().duration_seconds;
        assert!((mean - 0.02).abs() < 1e-9, "{mean}");
    }

    #[test]
    fn a_failure_is_read_in_full() {
        let mut bytes = Vec::new();
        assert!(!put_failure(&succeeded(0, 1), &mut bytes));
        let sample = failed(5_500, Reason::Refused, "10.0.0.1:80: Connection refused");
        assert!(put_failure(&sample, &mut bytes));
        let read = take_failure(&bytes).expect("a failure");
        let failure = PastFailure {
            timestamp_seconds: 5.5,
            reason: "refused",
            phase: Some("connect"),
            detail: "10.0.0.1:80: Connection refused".into(),
            duration_seconds: 1.0,
        };
        assert_eq!(read, failure);
        assert_eq!(Run::of(&sample).outcome(), Outcome::Failure);
        let ours = failed(0, Reason::Stalled, "late");
        assert_eq!(Run::of(&ours).outcome(), Outcome::Unknown);
    }

    proptest! {
        #[test]
        fn no_bytes_make_them_panic(bytes in vec(any::<u8>(), 0..60)) {
            take_failure(&bytes);
            Run::take(&mut bytes.into_iter());
        }
    }
}
