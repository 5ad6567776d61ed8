//! A sign of life, for whoever watches.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When something last made progress. Written by it, read by others; never by a clock of its own.
#[derive(Debug)]
pub struct Beat {
    origin: Instant,
    /// Milliseconds from `origin` to the last beat, and one; 0 before the first.
    last: AtomicU64,
}

impl Beat {
    /// No beat yet; the silence begins now.
    pub fn new(now: Instant) -> Self {
        Self {
            origin: now,
            last: AtomicU64::new(0),
        }
    }

    /// Beats.
    pub fn beat(&self, now: Instant) {
        let millis = now.saturating_duration_since(self.origin).as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        self.last.store(millis.saturating_add(1), Ordering::Relaxed);
    }

    /// Whether there was a beat.
    pub fn began(&self) -> bool {
        self.last.load(Ordering::Relaxed) > 0
    }

    /// The time since the last beat, or since there could be one, to the millisecond.
    pub fn silence(&self, now: Instant) -> Duration {
        let last = self.last.load(Ordering::Relaxed).saturating_sub(1);
        let last = Duration::from_millis(last);
        now.saturating_duration_since(self.origin)
            .saturating_sub(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn silence_is_the_time_since_the_last_beat() {
        let start = Instant::now();
        let beat = Beat::new(start);
        assert_eq!(
            beat.silence(start + Duration::from_secs(3)),
            Duration::from_secs(3)
        );
        assert!(!beat.began());
        beat.beat(start);
        assert!(beat.began());
        beat.beat(start + Duration::from_millis(2_500));
        assert_eq!(
            beat.silence(start + Duration::from_secs(3)),
            Duration::from_millis(500)
        );
        assert_eq!(beat.silence(start), Duration::ZERO);
    }
}
