//! Whether a standby can take over now, and if not, why.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::standby::Watched;
use super::{Side, Standby, State, Truth};
use crate::model::{CheckReason, GateKind, ReadyState, Sight};

/// Causes that are told of one verdict. A person reads the first, and a page has room for no more.
const TOLD: usize = 5;

/// A gate that does not pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cause {
    /// The check's place.
    pub check: usize,
    /// What it counts as.
    pub state: State,
    /// The figure of its last result.
    pub value: Option<f64>,
    /// The bound that the figure was held against.
    pub threshold: Option<f64>,
    /// How long ago its last result was.
    pub age: Option<Duration>,
}

impl Cause {
    /// Failures come first, what only follows from another check last.
    fn rank(&self) -> u8 {
        match self.state {
            State::Fail(_) => 0,
            State::Unknown(CheckReason::Dependency) => 2,
            _ => 1,
        }
    }
}

/// The gates that do not pass, the most telling ones first; within one rank, in their places.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Causes {
    /// The first five.
    pub told: SmallVec<[Cause; TOLD]>,
    /// How many more there are.
    pub more: usize,
}

impl Causes {
    fn add(&mut self, cause: Cause) {
        let place = self.told.partition_point(|c| c.rank() <= cause.rank());
        if self.told.len() == TOLD {
            self.more += 1;
            if place == TOLD {
                return;
            }
            self.told.pop();
        }
        self.told.insert(place, cause);
    }
}

/// The judgement of one standby.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What it comes to.
    pub state: ReadyState,
    /// The gates that do not pass. None and unknown: no gate applies, or the primary is not seen.
    pub causes: Causes,
}

impl Standby {
    /// Whether the standby can take over at `now`, where the primary is seen like that: the AND over
    /// the gates that apply. Of no gates at all nothing is known, nor while the primary is not seen:
    /// ready is an answer to what would happen if the primary died now.
    ///
    /// Where this vantage may itself be cut off, a failure of the primary's is no fact about the
    /// primary, and counts as unknown.
    pub fn verdict(&self, sight: Sight, now: Instant) -> Verdict {
        let blind = match sight {
            Sight::OneSided => Some(CheckReason::OneSided),
            Sight::Unwitnessed => Some(CheckReason::Unwitnessed),
            Sight::Seen | Sight::Unclear | Sight::Lost => None,
        };
        let (truth, causes) = self.gates(now, |side, state| match (side, state, blind) {
            (Side::Primary, State::Fail(_), Some(reason))
            | (_, State::Unknown(CheckReason::NoPrimary), Some(reason)) => {
                Some(State::Unknown(reason))
            }
            _ => Some(state),
        });
        let state = match (sight, truth) {
            (Sight::Lost, _) => ReadyState::PrimaryLost,
            (Sight::Seen, Truth::Yes) => ReadyState::Ready,
            (_, Truth::No) => ReadyState::NotReady,
            (_, Truth::Yes | Truth::Unknown) => ReadyState::Unknown,
        };
        Verdict { state, causes }
    }

    /// The AND over the gates as `weigh` counts them (`None`: not at all), and what speaks against it.
    pub(super) fn gates(
        &self,
        now: Instant,
        weigh: impl Fn(Side, State) -> Option<State>,
    ) -> (Truth, Causes) {
        let mut causes = Causes::default();
        let gates = self
            .watched(now)
            .enumerate()
            .filter(|(_, (watched, _))| watched.check.gate == GateKind::Hard)
            .filter_map(|(place, (watched, state))| {
                let state = weigh(watched.check.side, state)?;
                let truth = match state {
                    State::NotApplicable => return None,
                    State::Pass => Truth::Yes,
                    State::Fail(_) => Truth::No,
                    State::Unknown(_) | State::Stale => Truth::Unknown,
                };
                if truth != Truth::Yes {
                    causes.add(cause(place, watched, state, now));
                }
                Some(truth)
            });
        let truth = Truth::all(gates);
        (truth, causes)
    }
}

fn cause(place: usize, watched: &Watched, state: State, now: Instant) -> Cause {
    let seen = watched.judgement.last_conclusive();
    Cause {
        check: place,
        state,
        value: watched.value,
        threshold: watched.threshold,
        age: seen.map(|seen| now.saturating_duration_since(seen)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{FRESH, board, check, look, start};
    use super::*;
    use crate::readiness::Look;

    fn ready(gates: &str, sight: Sight) -> &'static str {
        let now = start();
        board(gates, now).verdict(sight, now).state.as_str()
    }

    #[test]
    fn the_gates_combine_by_and() {
        for (gates, state) in [
            ("o", "ready"),
            ("ooo", "ready"),
            ("oxo", "not_ready"),
            ("o.o", "unknown"),
            ("oeo", "unknown"),
            ("oso", "unknown"),
            ("xes", "not_ready"),
            // What does not apply is left out, and what is left out makes nothing ready.
            ("ono", "ready"),
            ("n", "unknown"),
            ("", "unknown"),
        ] {
            assert_eq!(ready(gates, Sight::Seen), state, "{gates}");
        }
    }

    #[test]
    fn ready_is_only_said_in_sight_of_the_primary() {
        for (sight, good, bad) in [
            (Sight::Seen, "ready", "not_ready"),
            (Sight::Unclear, "unknown", "not_ready"),
            (Sight::OneSided, "unknown", "not_ready"),
            (Sight::Unwitnessed, "unknown", "not_ready"),
            (Sight::Lost, "primary_lost", "primary_lost"),
        ] {
            assert_eq!((ready("oo", sight), ready("ox", sight)), (good, bad));
        }
    }

    #[test]
    fn what_fails_at_a_primary_that_only_this_vantage_misses_is_unknown() {
        let now = start();
        let mut primary = check("primary");
        primary.side = Side::Primary;
        let mut standby = Standby::new(vec![primary], now).expect("in order");
        standby.observe(0, look('x', now).expect("a look"), now);
        for (sight, state, told) in [
            (Sight::Seen, ReadyState::NotReady, CheckReason::Refused),
            (Sight::OneSided, ReadyState::Unknown, CheckReason::OneSided),
            (
                Sight::Unwitnessed,
                ReadyState::Unknown,
                CheckReason::Unwitnessed,
            ),
        ] {
            let verdict = standby.verdict(sight, now);
            assert_eq!(verdict.state, state);
            assert_eq!(verdict.causes.told[0].state.reason(), Some(told));
        }
    }

    #[test]
    fn failures_are_told_first_and_what_follows_from_others_last() {
        let now = start();
        let mut checks: Vec<_> = "abcdefgh".chars().map(|c| check(&c.to_string())).collect();
        checks[1].parents.push(0);
        let mut standby = Standby::new(checks, now).expect("in order");
        for (place, result) in "eo.xo.xx".chars().enumerate() {
            if let Some(look) = look(result, now) {
                standby.observe(place, look, now);
            }
        }
        let causes = standby.verdict(Sight::Seen, now).causes;
        let places: Vec<_> = causes.told.iter().map(|cause| cause.check).collect();
        assert_eq!((places, causes.more), (vec![3, 6, 7, 0, 2], 2));
    }

    #[test]
    fn a_cause_has_the_figures_of_its_last_result() {
        let now = start();
        let mut standby = Standby::new(vec![check("lag")], now).expect("in order");
        let look = Look {
            outcome: crate::readiness::Outcome::Bad(CheckReason::Threshold),
            value: Some(7.0),
            threshold: Some(5.0),
            seen: now,
        };
        standby.observe(0, look, now);
        let error = crate::readiness::Outcome::Error(CheckReason::Local);
        standby.observe(0, Look::new(error, now + FRESH), now + FRESH);
        let causes = standby.verdict(Sight::Seen, now + FRESH).causes;
        let cause = Cause {
            check: 0,
            state: State::Fail(CheckReason::Threshold),
            value: Some(7.0),
            threshold: Some(5.0),
            age: Some(FRESH),
        };
        assert_eq!(causes.told[..], [cause]);
    }
}
