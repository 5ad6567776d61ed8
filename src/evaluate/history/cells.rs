//! The cells that durations are counted in: eight to each doubling, from a microsecond to hours.
//!
//! The middle of a cell is within a sixteenth of every duration in it. Below eight microseconds a cell
//! is a microsecond wide. There are 256 of them, so that a byte names one.

use std::time::Duration;

/// Durations above (4.7 hours) count as that many microseconds.
const LONGEST: u64 = (1 << 34) - 1;

/// The cell that a duration is counted in.
pub(super) fn of(duration: Duration) -> u8 {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(LONGEST);
    let micros = micros.min(LONGEST);
    // The highest bit tells the doubling, and the three bits after it the cell in it.
    let doubling = micros.max(8).ilog2();
    let cell = u64::from(doubling - 3) * 8 + (micros >> (doubling - 3));
    // The longest is in 255.
    u8::try_from(cell).unwrap_or(u8::MAX)
}

/// Where a cell begins, in seconds; 256 is where the last one ends.
#[expect(clippy::cast_precision_loss, reason = "at most 2 to the 34")]
pub(super) fn lower(cell: u16) -> f64 {
    let micros = if cell < 8 {
        u64::from(cell)
    } else {
        u64::from(8 + cell % 8) << (cell / 8 - 1)
    };
    micros as f64 / 1e6
}

/// What a duration in the cell is taken for, in seconds.
pub(super) fn middle(cell: u8) -> f64 {
    let cell = u16::from(cell);
    f64::midpoint(lower(cell), lower(cell + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cells_follow_each_other_without_gaps() {
        for cell in 0..=255_u16 {
            let first = of(Duration::from_secs_f64(lower(cell)));
            assert_eq!(u16::from(first), cell);
            let last = of(Duration::from_secs_f64(lower(cell + 1) - 1e-6));
            assert_eq!(u16::from(last), cell);
        }
        assert_eq!(of(Duration::MAX), 255);
    }

    proptest! {
        #[test]
        fn the_middle_is_near(nanos in 8_000..17_000_000_000_000_u64) {
            let seconds = Duration::from_nanos(nanos).as_secs_f64();
            let error = middle(of(Duration::from_nanos(nanos))) / seconds - 1.0;
            prop_assert!(error.abs() <= 1.0 / 16.0 + 1e-9, "{error}");
        }
    }
}
