//! How fast the primary writes.

use std::collections::VecDeque;
use std::time::Instant;

use crate::model::Position;

/// Looks whose rates are kept: ten minutes at the default interval.
const KEPT: usize = 60;

/// Rates without which none is told.
const FEWEST: usize = 5;

/// Bytes a second between one look at the primary and the next.
#[derive(Debug, Default)]
pub(super) struct WriteRate {
    last: Option<(Instant, Position)>,
    rates: VecDeque<f64>,
}

impl WriteRate {
    /// Notes where the primary was at `at`.
    pub(super) fn note(&mut self, at: Instant, position: &Position) {
        let last = self.last.replace((at, position.clone()));
        let Some((then, before)) = last else { return };
        // Another history has nothing to do with the one before.
        if position.covers(&before) != Some(true) {
            self.rates.clear();
            return;
        }
        let seconds = at.saturating_duration_since(then).as_secs_f64();
        let Some(bytes) = position.bytes_beyond(&before).filter(|_| seconds > 0.0) else {
            return;
        };
        if self.rates.len() == KEPT {
            self.rates.pop_front();
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        self.rates.push_back(bytes as f64 / seconds);
    }

    /// Bytes a second that 19 in 20 of the last looks do not exceed. `None`: too few looks.
    pub(super) fn high(&self) -> Option<f64> {
        let mut rates: Vec<f64> = self.rates.iter().copied().collect();
        rates.sort_unstable_by(f64::total_cmp);
        let place = (rates.len() * 95).div_ceil(100).saturating_sub(1);
        rates.get(place).copied().filter(|_| rates.len() >= FEWEST)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_rate_is_one_that_is_seldom_exceeded_and_another_history_begins_anew() {
        let start = tokio::time::Instant::now().into_std();
        let at = |look: u64| start + Duration::from_secs(10 * look);
        let mut rate = WriteRate::default();
        let mut position = 0;
        for look in 0..20 {
            position += if look == 7 { 100_000 } else { 1000 };
            rate.note(at(look), &Position::Lsn(position));
            assert_eq!(rate.high().is_some(), look >= 5, "{look}");
        }
        assert_eq!(rate.high(), Some(10_000.0), "1 in 19 is not seldom enough");
        for look in 20..41 {
            position += 1000;
            rate.note(at(look), &Position::Lsn(position));
        }
        assert_eq!(rate.high(), Some(100.0));
        rate.note(at(41), &Position::Lsn(5));
        assert_eq!(rate.high(), None);
    }
}
