//! What room the past of a target has, so that that of all of them has no more than it may.
//!
//! Every target has the same part of the size. As the targets become more, first the steps become
//! longer, so that the past stays as long as it is to be kept; then it becomes shorter.

use super::durations::MAX_CELLS;
use super::records::Room;
use crate::model::HistoryTerms;

/// Bytes of the durations of the two steps that go on, at most.
const OPEN: usize = 2 * MAX_CELLS * size_of::<(u8, u32)>();

/// A target that cannot have so many bytes has no past. With less there is no step to be seen.
const LEAST: u64 = 2048;

/// What a failure takes at most.
const FAILURE: usize = 320;

/// What a long and a short step mostly take: of an HTTP probe with four phases. It only decides how
/// long the steps are; the room is what holds.
const LONG: u64 = 40;
const SHORT: usize = 22;

/// A step may be so many times as long as is asked for. Each is a multiple of the one before, so that
/// steps of both lengths can be told in the longer.
const LENGTHS: [u32; 5] = [1, 2, 6, 12, 24];

/// So many short steps are a long one.
const SHORT_STEPS: u32 = 10;

/// Short steps that are shown at a glance, and those that are kept where there is room.
pub(super) const LINE: usize = 60;
const KEPT_SHORT: usize = 120;

/// Runs and failures that are kept where there is room.
const RUNS: usize = 60;
const FAILURES: usize = 20;

/// The lengths of the steps in seconds, and the rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// What is older, in seconds, is not told.
    pub(super) keep: u64,
    pub(super) short: u32,
    pub(super) long: u32,
    pub(super) short_steps: Room,
    pub(super) long_steps: Room,
    pub(super) runs: Room,
    pub(super) failures: Room,
}

impl Frame {
    /// The frame of each of so many targets, and how many of them can have one.
    pub(super) fn of(terms: &HistoryTerms, targets: usize) -> (Self, usize) {
        let all = targets.max(1) as u64;
        let keep = terms.keep.as_secs();
        let fit = if keep == 0 { 0 } else { terms.size / LEAST };
        let each = usize::try_from(terms.size / all.min(fit.max(1))).unwrap_or(usize::MAX);
        let short = u32::try_from(terms.step.as_secs()).unwrap_or(u32::MAX) / SHORT_STEPS;
        let short = short.max(1);
        let rest = each.saturating_sub(OPEN);
        let failures = (rest / 8).max(FAILURE).min(rest);
        let seventh = (rest - failures) / 7;
        let (runs, short_room, long_room) = (seventh, 2 * seventh, 4 * seventh);
        let long = long(short * SHORT_STEPS, keep, long_room as u64);
        let fits = LINE * SHORT <= short_room;
        let room = |bytes, records| Room { bytes, records };
        let frame = Self {
            keep,
            short: if fits { short } else { 2 * short },
            long,
            short_steps: room(short_room, KEPT_SHORT),
            long_steps: room(long_room, steps(keep, long) + SPARE),
            runs: room(runs, RUNS),
            failures: room(failures, FAILURES),
        };
        let fit = usize::try_from(fit).unwrap_or(usize::MAX);
        (frame, fit.min(targets))
    }

    /// Nothing is kept.
    pub(super) fn nothing(&self) -> Self {
        let none = Room {
            bytes: 0,
            records: 0,
        };
        Self {
            short_steps: none,
            long_steps: none,
            runs: none,
            failures: none,
            ..self.clone()
        }
    }

    /// Whether nothing is.
    pub(super) fn is_nothing(&self) -> bool {
        self.long_steps.records == 0
    }
}

/// Steps beyond those of the whole past: one that an end of the daemon has cut is there in two parts.
const SPARE: usize = 16;

/// The shortest length that so much past fits into the room with.
fn long(step: u32, keep: u64, room: u64) -> u32 {
    let lengths = LENGTHS.map(|times| step.saturating_mul(times));
    let fits = |length: &u32| steps(keep, *length) as u64 * LONG <= room;
    lengths.into_iter().find(fits).unwrap_or(lengths[4])
}

fn steps(keep: u64, length: u32) -> usize {
    usize::try_from(keep.div_ceil(length.into())).unwrap_or(usize::MAX / 2)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn more_targets_have_longer_steps_and_then_a_shorter_past() {
        let terms = HistoryTerms::default();
        for (targets, short, long, past) in [
            (1, 60, 600, 48),
            (1_000, 60, 600, 48),
            (2_000, 60, 600, 48),
            (10_000, 60, 3_600, 48),
            (20_000, 120, 7_200, 48),
            (32_768, 120, 14_400, 40),
            (100_000, 120, 14_400, 40),
        ] {
            let (frame, fit) = Frame::of(&terms, targets);
            assert_eq!(
                (frame.short, frame.long),
                (short, long),
                "{targets} targets"
            );
            let steps = frame.long_steps.records.min(frame.long_steps.bytes / 40);
            let hours = (steps * frame.long as usize / 3_600).min(48);
            assert_eq!(hours, past, "{targets} targets");
            assert_eq!(fit, targets.min(32_768));
        }
    }

    #[test]
    fn a_past_of_no_time_is_none() {
        let terms = HistoryTerms {
            keep: Duration::ZERO,
            ..HistoryTerms::default()
        };
        let (frame, fit) = Frame::of(&terms, 5);
        assert_eq!(fit, 0);
        assert!(frame.nothing().is_nothing());
    }

    proptest! {
        #[test]
        fn all_rooms_together_are_no_more_than_the_size(
            targets in 1..200_000_usize,
            size in (1_u64 << 20)..(1 << 32),
            keep in 1..2_592_000_u64,
            step in 10..3_600_u64,
        ) {
            let terms = HistoryTerms {
                keep: Duration::from_secs(keep),
                step: Duration::from_secs(step),
                size,
            };
            let (frame, fit) = Frame::of(&terms, targets);
            let rooms = [frame.short_steps, frame.long_steps, frame.runs, frame.failures];
            let each = OPEN + rooms.iter().map(|room| room.bytes).sum::<usize>();
            prop_assert!((each * fit) as u64 <= size);
            prop_assert!(fit > 0 && frame.failures.bytes >= FAILURE);
            prop_assert_eq!(frame.long % frame.short, 0);
        }
    }
}
