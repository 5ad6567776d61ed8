//! What the runs against a standby took, and how many packets were lost, over a while.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::model::Sample;

/// Runs, or packets, that are enough in any case: as many as a batch of the ranking needs.
const ENOUGH: usize = 20;

/// Runs without which nothing is said.
const FEWEST: usize = 3;

/// Runs that are kept at most: a day, the longest time to look back, at one in a second. Beyond it,
/// the oldest go early.
const MOST: usize = 86_400;

/// The runs of the last while, oldest first.
#[derive(Debug)]
pub(super) struct History {
    over: Duration,
    /// Runs without which nothing is said: half of those that there is room for, if that is less than
    /// enough.
    least: usize,
    runs: VecDeque<Run>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    ended: Instant,
    /// Its time, the worst of its packets; infinite where it failed.
    seconds: f64,
    /// Packets that were sent, and those of them that were not answered in time. One that is no ping
    /// is one packet.
    sent: u32,
    lost: u32,
}

impl History {
    /// `interval` is the time from one run to the next.
    pub(super) fn new(over: Duration, interval: Duration) -> Self {
        let room = over.as_nanos() / interval.as_nanos().max(1);
        let half = usize::try_from(room / 2).unwrap_or(ENOUGH);
        Self {
            over,
            least: half.clamp(FEWEST, ENOUGH),
            runs: VecDeque::new(),
        }
    }

    /// Takes a run, unless a fault of our own ended it.
    pub(super) fn record(&mut self, sample: &Sample) {
        let Some(run) = Run::of(sample) else { return };
        self.runs.push_back(run);
        while self.runs.len() > MOST
            || self.runs.front().is_some_and(|oldest| {
                sample.ended.saturating_duration_since(oldest.ended) > self.over
            })
        {
            self.runs.pop_front();
        }
    }

    /// The share of packets that were not answered in time, 0 to 1. `None`: too few.
    pub(super) fn loss(&self) -> Option<f64> {
        let sum = |of: fn(&Run) -> u32| self.runs.iter().map(|run| f64::from(of(run))).sum::<f64>();
        let sent = sum(|run| run.sent);
        let packets: usize = self.runs.iter().map(|run| run.sent as usize).sum();
        let enough = packets >= ENOUGH || packets > 0 && self.runs.len() >= self.least;
        enough.then(|| sum(|run| run.lost) / sent)
    }

    /// The time within which this part of the runs ended; infinite where too many failed. `None`: too
    /// few.
    pub(super) fn quantile(&self, part: f64) -> Option<f64> {
        if self.runs.len() < self.least {
            return None;
        }
        let mut seconds: Vec<f64> = self.runs.iter().map(|run| run.seconds).collect();
        let last = seconds.len() - 1;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place in a list, from a part between 0 and 1"
        )]
        let place = (last as f64 * part).ceil() as usize;
        Some(
            *seconds
                .select_nth_unstable_by(place.min(last), f64::total_cmp)
                .1,
        )
    }
}

impl Run {
    fn of(sample: &Sample) -> Option<Self> {
        let failed = match &sample.outcome {
            Ok(_) => false,
            Err(failure) if failure.reason.is_own() => return None,
            Err(_) => true,
        };
        let ping = sample.facts().and_then(|facts| facts.ping);
        let (sent, lost) = ping.map_or((1, u32::from(failed)), |ping| {
            (ping.sent.saturating_sub(ping.errors), ping.lost + ping.late)
        });
        let latencies = match &sample.outcome {
            Ok(reply) => reply.latencies.iter().max().copied(),
            Err(_) => None,
        };
        Some(Self {
            ended: sample.ended,
            seconds: latencies.map_or(f64::INFINITY, |longest| longest.as_secs_f64()),
            sent,
            lost,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_samples::{at, failed, ok, ping};
    use super::*;
    use crate::model::Reason;

    const MINUTE: Duration = Duration::from_mins(1);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn nothing_is_said_of_few_runs() {
        let mut history = History::new(MINUTE, SECOND);
        for second in 0..19 {
            history.record(&ok(at(second), 10));
        }
        assert_eq!((history.quantile(0.5), history.loss()), (None, None));
        history.record(&ok(at(19), 10));
        assert_eq!(history.quantile(0.5), Some(0.01));
        assert_eq!(history.loss(), Some(0.0));
    }

    #[test]
    fn a_run_that_failed_is_slower_than_any_and_one_of_ours_is_none() {
        let mut history = History::new(MINUTE, SECOND);
        for second in 0..18 {
            history.record(&ok(at(second), 10 + u64::from(second % 2)));
        }
        history.record(&failed(at(18), Reason::Refused));
        history.record(&failed(at(19), Reason::LocalResources));
        assert_eq!(history.quantile(0.5), None, "19 runs");
        history.record(&failed(at(20), Reason::Refused));
        assert_eq!(history.quantile(0.5), Some(0.011));
        assert_eq!(history.quantile(0.95), Some(f64::INFINITY));
        assert_eq!(history.loss(), Some(0.1));
    }

    #[test]
    fn packets_are_counted_each_and_what_could_not_be_sent_is_not_lost() {
        let mut history = History::new(MINUTE, SECOND);
        for second in 0..5 {
            history.record(&ping(at(second), 6, 4, 1));
        }
        // Of 6 packets, 4 were answered, 1 could not be sent, 1 was lost.
        assert_eq!(history.loss(), Some(0.2));
    }

    /// The shortest window has room for three runs, and is then never without three.
    #[test]
    fn a_window_without_room_for_many_runs_says_something_too() {
        for (over, interval) in [(3, 1), (10, 1), (300, 60), (300, 100)] {
            let seconds = Duration::from_secs;
            let mut history = History::new(seconds(over), seconds(interval));
            for run in 0..4 * over / interval {
                history.record(&ok(at(u32::try_from(run * interval).expect("short")), 10));
            }
            let said = (history.quantile(0.5), history.loss());
            assert_eq!(said, (Some(0.01), Some(0.0)), "{over} s at {interval} s");
        }
    }

    #[test]
    fn nothing_is_said_of_a_loss_without_a_packet() {
        let mut history = History::new(3 * SECOND, SECOND);
        for second in 0..4 {
            history.record(&ping(at(second), 5, 0, 5));
        }
        assert_eq!(history.loss(), None);
    }

    #[test]
    fn what_is_older_is_forgotten() {
        let mut history = History::new(MINUTE, SECOND);
        for second in 0..20 {
            history.record(&failed(at(second), Reason::TimeoutConnect));
        }
        for second in 60..100 {
            history.record(&ok(at(second), 10));
        }
        assert_eq!(history.loss(), Some(0.0));
    }
}
