//! `certificate`: a certificate of a target expires soon.

use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;

use super::Watched;
use super::kind::zero_problem;
use super::{Beyond, Kind, Measure, NeedOfProbe, OfTarget, Pace, Problem, Reading, Scope};
use crate::model::{Sample, Unit, duration, timestamp_seconds};

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The probe, one that speaks TLS; by default every one.
    pub probe: Option<String>,
    /// The regions of the targets; by default all.
    pub to: Option<Vec<String>>,
    /// The shortest time left that is good.
    #[serde(deserialize_with = "duration::deserialize")]
    pub below: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            probe: None,
            to: None,
            below: Duration::from_hours(21 * 24),
        }
    }
}

impl Kind for Settings {
    fn scope(&self) -> Scope<'_> {
        Scope::Targets {
            probe: self.probe.as_deref(),
            to: self.to.as_deref(),
            needs: NeedOfProbe::Tls,
        }
    }

    fn measure(&self) -> Measure {
        Measure {
            what: "the time left to the certificate".into(),
            unit: Some(Unit::Seconds),
            beyond: Beyond::Below,
            threshold: Some(self.below.as_secs_f64()),
        }
    }

    fn shared(&self) -> bool {
        true
    }

    fn problems(&self) -> Vec<Problem> {
        zero_problem("below", self.below).into_iter().collect()
    }

    fn of_target(&self, watched: Watched<'_>) -> Option<Box<dyn OfTarget>> {
        Some(Box::new(Certificate {
            below: self.below.as_secs_f64(),
            pace: watched.pace,
            seen: None,
        }))
    }
}

#[derive(Debug)]
struct Certificate {
    below: f64,
    pace: Pace,
    /// The seconds that the certificate had left that expires first, and when.
    seen: Option<(f64, Instant)>,
}

impl OfTarget for Certificate {
    fn observe(&mut self, sample: &Sample) {
        let tls = sample.facts().and_then(|facts| facts.tls.as_deref());
        let expiry = tls.and_then(|tls| tls.chain_min_not_after.or(tls.leaf_not_after));
        if let Some(expiry) = expiry {
            self.seen = Some((left(expiry, sample.at), sample.ended));
        }
    }

    fn read(&mut self, now: Instant) -> Reading {
        let left = self.seen.and_then(|(left, seen)| {
            let age = now.saturating_duration_since(seen);
            (age <= self.pace.fresh()).then_some(left - age.as_secs_f64())
        });
        Reading::below(left, self.below)
    }
}

/// Seconds from `now` until a moment in seconds since 1970; below zero once it is over.
fn left(moment: i64, now: SystemTime) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact until the year 285 million"
    )]
    let moment = moment as f64;
    moment - timestamp_seconds(now)
}

#[cfg(test)]
mod tests {
    use super::super::test_samples::{PACE, at, failed, failed_with, ok, read, with_facts};
    use super::*;
    use crate::model::{Facts, Reason, TlsFacts};

    const DAY: i64 = 86_400;

    fn expires(days: i64) -> Facts {
        let tls = TlsFacts {
            leaf_not_after: Some(1_800_000_000 + 400 * DAY),
            chain_min_not_after: Some(1_800_000_000 + days * DAY),
            ..TlsFacts::default()
        };
        Facts {
            tls: Some(Box::new(tls)),
            ..Facts::default()
        }
    }

    fn condition() -> Certificate {
        let settings: Settings = read("{}");
        Certificate {
            below: settings.below.as_secs_f64(),
            pace: PACE,
            seen: None,
        }
    }

    #[test]
    fn it_holds_when_little_time_is_left_also_where_that_failed_the_run() {
        for (sample, holds) in [
            (ok(0, 1), None),
            (failed(0, Reason::Refused), None),
            (with_facts(0, expires(22)), Some(false)),
            (with_facts(0, expires(21)), Some(false)),
            (with_facts(0, expires(20)), Some(true)),
            (
                failed_with(0, Reason::TlsCertificate, expires(-1)),
                Some(true),
            ),
        ] {
            let mut condition = condition();
            condition.observe(&sample);
            assert_eq!(condition.read(at(0)).holds, holds, "{sample:?}");
        }
    }

    #[test]
    fn time_goes_on_between_runs_and_nothing_is_said_long_after_the_last() {
        let mut condition = condition();
        condition.observe(&with_facts(0, expires(21)));
        let reading = condition.read(at(5));
        assert_eq!(reading.value, Some(21.0 * 86_400.0 - 5.0));
        assert_eq!(reading.holds, Some(true));
        condition.observe(&failed(30, Reason::Refused));
        assert_eq!(condition.read(at(33)).holds, Some(true));
        assert_eq!(condition.read(at(34)).holds, None);
    }
}
