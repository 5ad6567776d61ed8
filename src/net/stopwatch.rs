//! Times the phases of one run.

use tokio::time::Instant;

use crate::model::{Laps, Phase};

/// The clock of one run. Whoever holds it says which phase begins; it knows which one the run was
/// in when its deadline passed.
#[derive(Debug)]
pub struct Stopwatch {
    started: Instant,
    /// The current phase, and since when if its time counts.
    entered: Option<(Phase, Option<Instant>)>,
    laps: Laps,
}

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            entered: None,
            laps: Laps::default(),
        }
    }

    /// When the run started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Ends the current phase, if any, and begins the next; the same one again just goes on, so that
    /// a part of it that was finished is never taken for the whole.
    pub fn enter(&mut self, phase: Phase) {
        if matches!(self.entered, Some((current, Some(_))) if current == phase) {
            return;
        }
        let now = Instant::now();
        self.close(now);
        self.entered = Some((phase, Some(now)));
    }

    /// Is in a phase without being timed: all that it does is name a deadline that passes. What was
    /// spent in a phase that did not end is not counted.
    pub fn linger(&mut self, phase: Phase) {
        self.entered = Some((phase, None));
    }

    /// Ends the current phase.
    pub fn leave(&mut self) {
        self.close(Instant::now());
    }

    /// The phase that the run is in.
    pub fn current(&self) -> Option<Phase> {
        self.entered.map(|(phase, _)| phase)
    }

    /// The phases that have ended.
    pub fn laps(&self) -> Laps {
        self.laps
    }

    fn close(&mut self, now: Instant) {
        if let Some((phase, Some(since))) = self.entered.take() {
            self.laps.add(phase, now - since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn an_unfinished_phase_is_current_but_has_no_time() {
        let mut watch = Stopwatch::start();
        watch.enter(Phase::Resolve);
        tokio::time::advance(Duration::from_millis(3)).await;
        watch.enter(Phase::Connect);
        tokio::time::advance(Duration::from_millis(3)).await;
        watch.enter(Phase::Connect);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(watch.current(), Some(Phase::Connect));
        assert_eq!(
            watch.laps().iter().collect::<Vec<_>>(),
            [(Phase::Resolve, Duration::from_millis(3))]
        );
        watch.leave();
        assert_eq!(watch.current(), None);
        assert_eq!(
            watch.laps().get(Phase::Connect),
            Some(Duration::from_millis(4))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_phase_that_only_names_a_deadline_has_no_time() {
        let mut watch = Stopwatch::start();
        watch.enter(Phase::QueryRead);
        tokio::time::advance(Duration::from_millis(3)).await;
        watch.linger(Phase::QueryRead);
        tokio::time::advance(Duration::from_millis(3)).await;
        assert_eq!(watch.current(), Some(Phase::QueryRead));
        watch.enter(Phase::QueryRead);
        tokio::time::advance(Duration::from_millis(1)).await;
        watch.leave();
        watch.linger(Phase::QueryWrite);
        watch.leave();
        assert_eq!(
            watch.laps().iter().collect::<Vec<_>>(),
            [(Phase::QueryRead, Duration::from_millis(1))]
        );
    }
}
