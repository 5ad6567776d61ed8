//! Moments of the wall clock as numbers.

use std::time::SystemTime;

/// The moment in seconds since 1970, as all that is called `…_timestamp_seconds` has it; 0 for one
/// before. Exact to some hundred nanoseconds in this century.
pub fn timestamp_seconds(at: SystemTime) -> f64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_moment_is_in_seconds_since_1970_and_one_before_is_0() {
        let (epoch, second) = (SystemTime::UNIX_EPOCH, Duration::from_secs(1));
        for (at, seconds) in [
            (epoch, 0.0_f64),
            (
                epoch + 1_800_000_000 * second + second / 4,
                1_800_000_000.25,
            ),
            (epoch - second, 0.0),
        ] {
            assert_eq!(timestamp_seconds(at).to_bits(), seconds.to_bits());
        }
    }
}
