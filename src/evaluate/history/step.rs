//! What was seen of a target in a part of the past.
//!
//! As bytes, a step of a minute takes about 20, and one of ten minutes 30 to 50.

use std::time::Duration;

use super::durations::{Durations, MAX_CELLS};
use super::{cells, varint};
use crate::model::{Phase, PhaseSet, Sample};

/// What the first byte of a step tells: which of the parts that may be missing are there.
const FAILURES: u8 = 1;
const PACKETS: u8 = 2;
const DURATIONS: u8 = 4;
const PHASES: u8 = 8;

/// The counts of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// When it began, in seconds since 1970: a multiple of its length.
    pub(super) start: u64,
    /// In seconds.
    pub(super) length: u32,
    pub(super) runs: u32,
    pub(super) failures: u32,
    pub(super) unknown: u32,
    pub(super) packets: u32,
    pub(super) lost: u32,
    pub(super) durations: Durations,
    reached: PhaseSet,
    /// Microseconds that the successful runs spent in each phase.
    spent: [u64; Phase::ALL.len()],
}

impl Step {
    /// A step in which nothing was seen yet.
    pub(super) fn begin(&mut self, start: u64, length: u32) {
        self.durations.clear();
        let durations = std::mem::take(&mut self.durations);
        *self = Self {
            start,
            length,
            durations,
            ..Self::default()
        };
    }

    /// Counts a run.
    pub(super) fn count(&mut self, sample: &Sample) {
        self.runs = self.runs.saturating_add(1);
        match &sample.outcome {
            Err(failure) if failure.reason.is_own() => {
                self.unknown = self.unknown.saturating_add(1);
                return;
            }
            Err(_) => self.failures = self.failures.saturating_add(1),
            Ok(reply) => {
                for latency in &reply.latencies {
                    self.durations.count(cells::of(*latency));
                }
                for (phase, spent) in sample.laps.iter() {
                    self.spend(phase, micros(spent));
                }
            }
        }
        if let Some(packets) = sample.facts().and_then(|facts| facts.ping) {
            let sent = packets.sent.saturating_sub(packets.errors);
            self.packets = self.packets.saturating_add(sent);
            let lost = packets.lost.saturating_add(packets.late);
            self.lost = self.lost.saturating_add(lost);
        }
    }

    /// Adds what was seen in another; in at most so many cells.
    pub(super) fn merge(&mut self, other: &Self, cells: usize) {
        let counts = [
            (&mut self.runs, other.runs),
            (&mut self.failures, other.failures),
            (&mut self.unknown, other.unknown),
            (&mut self.packets, other.packets),
            (&mut self.lost, other.lost),
        ];
        for (count, more) in counts {
            *count = count.saturating_add(more);
        }
        self.durations.merge(&other.durations, cells);
        for phase in other.reached.iter() {
            self.spend(phase, other.spent[phase as usize]);
        }
    }

    /// Adds another to one that goes on.
    pub(super) fn take_in(&mut self, other: &Self) {
        self.merge(other, MAX_CELLS);
    }

    fn spend(&mut self, phase: Phase, micros: u64) {
        self.reached = self.reached.with_if(true, phase);
        let spent = &mut self.spent[phase as usize];
        *spent = spent.saturating_add(micros);
    }

    /// When it is over, in seconds since 1970.
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.length.into())
    }

    /// Runs that told something of the target.
    pub(super) fn attempts(&self) -> u32 {
        self.runs.saturating_sub(self.unknown)
    }

    /// The mean seconds that a successful run spent in each phase.
    pub(super) fn phases(&self) -> impl Iterator<Item = (Phase, f64)> + '_ {
        let successes = self.attempts().saturating_sub(self.failures).max(1);
        self.reached.iter().map(move |phase| {
            let spent = Duration::from_micros(self.spent[phase as usize]);
            (phase, spent.as_secs_f64() / f64::from(successes))
        })
    }

    /// As bytes.
    pub(super) fn put(&self, bytes: &mut Vec<u8>) {
        let flag = |there: bool, flag: u8| if there { flag } else { 0 };
        let failed = self.failures > 0 || self.unknown > 0;
        let flags = flag(failed, FAILURES)
            | flag(self.packets > 0, PACKETS)
            | flag(!self.durations.is_empty(), DURATIONS)
            | flag(!self.reached.is_empty(), PHASES);
        bytes.push(flags);
        let length = u64::from(self.length.max(1));
        for number in [length, self.start / length, self.runs.into()] {
            varint::put(bytes, number);
        }
        if flags & FAILURES > 0 {
            varint::put(bytes, self.failures.into());
            varint::put(bytes, self.unknown.into());
        }
        if flags & PACKETS > 0 {
            varint::put(bytes, self.packets.into());
            varint::put(bytes, self.lost.into());
        }
        if flags & DURATIONS > 0 {
            self.durations.put(bytes);
        }
        if flags & PHASES > 0 {
            bytes.push(self.reached.bits());
            for phase in self.reached.iter() {
                varint::put(bytes, self.spent[phase as usize]);
            }
        }
    }

    /// From bytes; `None` if they are no step.
    pub(super) fn take(bytes: &mut impl Iterator<Item = u8>) -> Option<Self> {
        let flags = bytes.next()?;
        let length = varint::take(bytes).filter(|length| *length > 0)?;
        let mut step = Self {
            start: varint::take(bytes)?.checked_mul(length)?,
            length: u32::try_from(length).ok()?,
            runs: number(bytes)?,
            ..Self::default()
        };
        if flags & FAILURES > 0 {
            step.failures = number(bytes)?;
            step.unknown = number(bytes)?;
        }
        if flags & PACKETS > 0 {
            step.packets = number(bytes)?;
            step.lost = number(bytes)?;
        }
        if flags & DURATIONS > 0 {
            step.durations = Durations::take(bytes)?;
        }
        if flags & PHASES > 0 {
            step.reached = PhaseSet::from_bits(bytes.next()?);
            for phase in step.reached.iter() {
                step.spent[phase as usize] = varint::take(bytes)?;
            }
        }
        Some(step)
    }
}

fn number(bytes: &mut impl Iterator<Item = u8>) -> Option<u32> {
    u32::try_from(varint::take(bytes)?).ok()
}

/// Whole microseconds.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
