//! What the checks are worth that are no gates.

use std::time::Instant;

use super::{Standby, State};
use crate::model::GateKind;

/// From which value on a check is worth less than everything, and from which one nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    warn: f64,
    crit: f64,
}

impl Scale {
    /// The scale from `warn` (worth 1) to `crit` (worth 0), in the unit of the check's value. The one
    /// may be larger or smaller than the other. `None` if they are equal, or not finite.
    pub fn new(warn: f64, crit: f64) -> Option<Self> {
        let span = crit - warn;
        (span.is_finite() && span != 0.0).then_some(Self { warn, crit })
    }

    /// What a value is worth, from 0 to 1; `None` if it is no number.
    pub fn worth(self, value: f64) -> Option<f64> {
        let worth = (self.crit - value) / (self.crit - self.warn);
        (!worth.is_nan()).then(|| worth.clamp(0.0, 1.0))
    }
}

/// What a standby's scored checks add up to. It orders standbys and shows trends; it never makes one
/// ready.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// The weighted mean of what the checks are worth, 0 to 1. What is not known is worth nothing.
    pub ratio: f64,
    /// The part of the weights that is known, 0 to 1.
    pub coverage: f64,
}

impl Standby {
    /// The score at `now`; `None` if no scored check with a weight is applicable.
    pub fn score(&self, now: Instant) -> Option<Score> {
        let (mut worth, mut known, mut whole) = (0.0, 0.0, 0.0);
        for (watched, state) in self.watched(now) {
            let check = &watched.check;
            if check.gate != GateKind::Scored || state == State::NotApplicable {
                continue;
            }
            whole += check.weight;
            let one = match (state, check.scale) {
                (State::Pass | State::Fail(_), Some(scale)) => {
                    watched.value.and_then(|value| scale.worth(value))
                }
                (State::Pass, None) => Some(1.0),
                (State::Fail(_), None) => Some(0.0),
                _ => None,
            };
            if let Some(one) = one {
                worth += check.weight * one;
                known += check.weight;
            }
        }
        (whole > 0.0).then(|| Score {
            ratio: worth / whole,
            coverage: known / whole,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, secs, start};
    use super::super::{Look, Outcome};
    use super::*;
    use crate::model::CheckReason;

    #[test]
    fn a_value_is_worth_less_from_warn_to_crit() {
        let late = Scale::new(10.0, 20.0).expect("a scale");
        let small = Scale::new(1.25, 1.0).expect("a scale");
        for (scale, value, worth) in [
            (late, 0.0, 1.0),
            (late, 10.0, 1.0),
            (late, 15.0, 0.5),
            (late, 20.0, 0.0),
            (late, f64::INFINITY, 0.0),
            (small, 2.0, 1.0),
            (small, 1.125, 0.5),
            (small, 0.5, 0.0),
        ] {
            assert_eq!(scale.worth(value), Some(worth), "{value}");
        }
        assert_eq!(late.worth(f64::NAN), None);
    }

    #[test]
    fn a_scale_without_a_span_is_none() {
        for (warn, crit) in [(1.0, 1.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
            assert_eq!(Scale::new(warn, crit), None);
        }
    }

    #[test]
    fn what_is_not_known_is_worth_nothing_and_what_does_not_apply_does_not_count() {
        let now = start();
        let mut checks: Vec<_> = ["slow", "plain", "bad", "unseen", "odd", "none", "gate"]
            .map(|name| super::super::Check {
                gate: GateKind::Scored,
                ..check(name)
            })
            .into();
        checks[0].weight = 2.0;
        checks[0].scale = Scale::new(0.0, 10.0);
        checks[4].scale = Scale::new(0.0, 10.0);
        checks[5].applicable = false;
        checks[6].gate = GateKind::Hard;
        let mut standby = Standby::new(checks, now).expect("in order");
        assert_eq!(
            standby.score(now),
            Some(Score {
                ratio: 0.0,
                coverage: 0.0
            })
        );
        for (place, outcome, value) in [
            (0, Outcome::Ok, Some(5.0)),
            (1, Outcome::Ok, None),
            (2, Outcome::Bad(CheckReason::Answer), None),
            (4, Outcome::Ok, Some(f64::NAN)),
            (6, Outcome::Ok, None),
        ] {
            let look = Look {
                value,
                ..Look::new(outcome, now)
            };
            standby.observe(place, look, now);
        }
        let score = standby.score(now).expect("a score");
        assert!((score.ratio - 2.0 / 6.0).abs() < 1e-9, "{score:?}");
        assert!((score.coverage - 4.0 / 6.0).abs() < 1e-9, "{score:?}");
        let later = standby.score(now + secs(1_000)).expect("a score");
        assert!(later.ratio < 1e-9 && later.coverage < 1e-9, "{later:?}");
    }

    #[test]
    fn nothing_to_score_is_no_score() {
        let now = start();
        let standby = Standby::new(vec![check("gate")], now).expect("in order");
        assert_eq!(standby.score(now), None);
    }
}
