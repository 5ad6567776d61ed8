//! How often something may happen.

use std::time::Duration;

use tokio::time::Instant;

/// So many at once, and one more after each interval.
#[derive(Debug)]
pub(super) struct Bucket {
    interval: Duration,
    burst: u32,
    left: u32,
    /// Up to when the intervals were counted.
    since: Instant,
}

impl Bucket {
    /// A full one. The interval is not zero.
    pub(super) fn new(interval: Duration, burst: u32, now: Instant) -> Self {
        Self {
            interval,
            burst,
            left: burst,
            since: now,
        }
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let taken = self.left > 0;
        self.left -= u32::from(taken);
        taken
    }

    /// Puts one back that turned out not to count.
    pub(super) fn give_back(&mut self) {
        self.left = self.burst.min(self.left + 1);
    }

    /// Whether it is as if nothing had been taken.
    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.left == self.burst
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        let intervals = passed.as_nanos() / self.interval.as_nanos().max(1);
        let Some(more) = u32::try_from(intervals)
            .ok()
            .filter(|more| *more < self.burst - self.left)
        else {
            self.left = self.burst;
            self.since = now;
            return;
        };
        self.left += more;
        self.since += self.interval * more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_empties_at_once_and_fills_by_intervals_up_to_its_burst() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut bucket = Bucket::new(Duration::from_secs(1), 2, start);
        let taken: Vec<_> = [0, 0, 0, 999, 1_000, 1_001, 2_500, 3_000, 3_001, 60_000]
            .map(|millis| bucket.take(at(millis)))
            .into();
        assert_eq!(
            taken,
            [
                true, true, false, false, true, false, true, true, false, true
            ]
        );
        assert!(bucket.take(at(60_000)) && !bucket.take(at(60_000)));
        bucket.give_back();
        assert!(!bucket.is_full(at(60_001)) && bucket.is_full(at(61_001)));
    }
}
