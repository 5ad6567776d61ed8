//! `health`: something is wrong with this daemon.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::kind::zero_problem;
use super::{Beyond, Health, Kind, Measure, OfDaemon, Problem, Reading, Scope, window};
use crate::model::{Unit, duration};

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What is looked at.
    pub of: Vec<Part>,
    /// For how long something that happened once counts.
    #[serde(deserialize_with = "duration::deserialize")]
    pub over: Duration,
    /// How long a notification may wait for its receiver.
    #[serde(deserialize_with = "duration::deserialize")]
    pub waiting: Duration,
}

/// What of the daemon can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// What it must not forget is in memory only.
    State,
    /// Its clocks were found not to be trusted.
    Clocks,
    /// Outcomes of runs were lost.
    Samples,
    /// A notification has waited for too long, or was given up.
    Outbox,
    /// Lines of the log were dropped.
    Log,
    /// Runs found no descriptor, buffer or memory of this host.
    Resources,
}

impl Part {
    const ALL: [Self; 6] = [
        Self::State,
        Self::Clocks,
        Self::Samples,
        Self::Outbox,
        Self::Log,
        Self::Resources,
    ];

    /// What is wrong with it, for people.
    const fn words(self) -> &'static str {
        match self {
            Self::State => "the state is in memory only",
            Self::Clocks => "the clocks of the host cannot be trusted",
            Self::Samples => "outcomes of runs were lost",
            Self::Outbox => "notifications do not get to their receiver",
            Self::Log => "lines of the log were dropped",
            Self::Resources => "runs found no file descriptor or memory of this host",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            of: Part::ALL.into(),
            over: Duration::from_mins(5),
            waiting: Duration::from_mins(10),
        }
    }
}

impl Kind for Settings {
    fn scope(&self) -> Scope<'_> {
        Scope::Daemon
    }

    fn measure(&self) -> Measure {
        Measure {
            what: "the number of faults of the daemon".into(),
            unit: Some(Unit::Count),
            beyond: Beyond::Above,
            threshold: Some(0.0),
        }
    }

    fn shared(&self) -> bool {
        false
    }

    fn problems(&self) -> Vec<Problem> {
        let different: BTreeSet<_> = self.of.iter().collect();
        let of = if self.of.is_empty() {
            Some("nothing to look at: leave `of` out for everything")
        } else if different.len() < self.of.len() {
            Some("something is listed twice")
        } else {
            None
        };
        let of = of.map(|message| Problem::new("of", message));
        let over = zero_problem("over", self.over);
        let over = over.into_iter().chain(window::too_long(self.over));
        let waiting = zero_problem("waiting", self.waiting);
        of.into_iter().chain(over).chain(waiting).collect()
    }

    fn of_daemon(&self) -> Option<Box<dyn OfDaemon>> {
        Some(Box::new(Faults::new(self)))
    }
}

/// What is wrong, and what was lately.
#[derive(Debug)]
struct Faults {
    settings: Settings,
    /// Of everything that is counted, the count and when it last grew.
    counts: Vec<(Part, u64, Option<Instant>)>,
    wrong: Vec<Part>,
}

impl Faults {
    fn new(settings: &Settings) -> Self {
        Self {
            settings: settings.clone(),
            counts: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// Whether one of the counts of this part has grown lately.
    fn grew(&self, part: Part, now: Instant) -> bool {
        let times = self.counts.iter().filter(|(of, ..)| *of == part);
        let mut times = times.filter_map(|(.., grown)| *grown);
        times.any(|grown| now.saturating_duration_since(grown) <= self.settings.over)
    }

    fn is_wrong(&self, part: Part, health: &Health, now: Instant, today: f64) -> bool {
        let waits = |since: f64| today - since > self.settings.waiting.as_secs_f64();
        match part {
            Part::State => !health.durable,
            Part::Outbox => {
                let oldest = health.oldest_notification_timestamp_seconds;
                oldest.is_some_and(waits) || self.grew(part, now)
            }
            Part::Clocks | Part::Samples | Part::Log | Part::Resources => self.grew(part, now),
        }
    }
}

impl OfDaemon for Faults {
    fn read(&mut self, health: &Health, now: Instant, today: f64) -> Reading {
        let counts = [
            (Part::Clocks, health.tilts),
            (Part::Samples, health.samples_dropped),
            (Part::Outbox, health.notifications_dropped),
            (Part::Log, health.log_lines_dropped),
            (Part::Resources, health.runs_without_resources),
        ];
        if self.counts.is_empty() {
            // What happened before is not of now.
            self.counts = counts.map(|(part, count)| (part, count, None)).into();
        }
        for ((_, known, grown), (_, count)) in self.counts.iter_mut().zip(counts) {
            if count > *known {
                *grown = Some(now);
            }
            *known = count;
        }
        let parts = self.settings.of.iter().copied();
        let wrong = parts.filter(|part| self.is_wrong(*part, health, now, today));
        self.wrong = wrong.collect();
        let faults = f64::from(u32::try_from(self.wrong.len()).unwrap_or(u32::MAX));
        Reading::above(Some(faults), 0.0)
    }

    fn detail(&self, _health: &Health) -> Option<String> {
        let words: Vec<_> = self.wrong.iter().map(|part| part.words()).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_samples::{EPOCH, at, read};
    use super::*;

    const WELL: Health = Health {
        durable: true,
        tilts: 3,
        samples_dropped: 4,
        notifications_dropped: 5,
        oldest_notification_timestamp_seconds: None,
        log_lines_dropped: 6,
        runs_without_resources: 7,
    };

    /// What is wrong by the settings at the second reading, 10 s after that of a daemon that is well.
    fn wrong(settings: &str, health: Health) -> Option<String> {
        let settings: Settings = read(settings);
        assert_eq!(settings.problems(), []);
        let mut faults = Faults::new(&settings);
        assert_eq!(faults.read(&WELL, at(0), EPOCH).holds, Some(false));
        let reading = faults.read(&health, at(10), EPOCH + 10.0);
        let detail = faults.detail(&health);
        assert_eq!(reading.holds, Some(detail.is_some()));
        detail
    }

    #[test]
    fn each_part_has_its_fault() {
        let since = |seconds: f64| Some(EPOCH + 10.0 - seconds);
        let mut bad = [WELL; 7];
        bad[0].durable = false;
        bad[1].tilts += 1;
        bad[2].samples_dropped += 1;
        bad[3].notifications_dropped += 1;
        bad[4].oldest_notification_timestamp_seconds = since(601.0);
        bad[5].log_lines_dropped += 1;
        bad[6].runs_without_resources += 1;
        let told = [
            ("state", "memory only"),
            ("clocks", "clocks"),
            ("samples", "outcomes"),
            ("outbox", "receiver"),
            ("outbox", "receiver"),
            ("log", "log"),
            ("resources", "descriptor"),
        ];
        for ((of, words), bad) in told.into_iter().zip(bad) {
            let told = wrong("{}", bad).unwrap_or_default();
            assert!(told.contains(words) && !told.contains(';'), "{of}: {told}");
            assert!(wrong(&format!(r#"{{"of": ["{of}"]}}"#), bad).is_some());
            let others = Part::ALL.map(|part| format!("{part:?}").to_lowercase());
            let others: Vec<_> = others.iter().filter(|other| *other != of).collect();
            assert_eq!(
                wrong(&format!(r#"{{"of": {others:?}}}"#), bad),
                None,
                "{of}"
            );
        }
        let young = Health {
            oldest_notification_timestamp_seconds: since(599.0),
            ..WELL
        };
        assert_eq!(wrong("{}", young), None);
    }

    #[test]
    fn what_happened_once_counts_for_a_while() {
        let mut faults = Faults::new(&read(r#"{"over": "1m"}"#));
        faults.read(&WELL, at(0), EPOCH);
        let tilted = Health { tilts: 4, ..WELL };
        for (second, holds) in [(1, true), (61, true), (62, false)] {
            let reading = faults.read(&tilted, at(second), EPOCH);
            assert_eq!(reading.holds, Some(holds), "{second} s");
        }
    }

    #[test]
    fn settings_have_their_ranges() {
        for (text, field) in [
            (r#"{"of": []}"#, "of"),
            (r#"{"of": ["log", "log"]}"#, "of"),
            (r#"{"over": "0s"}"#, "over"),
            (r#"{"over": "25h"}"#, "over"),
            (r#"{"waiting": "0s"}"#, "waiting"),
        ] {
            let problems = read::<Settings>(text).problems();
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert_eq!(problems[0].field, field, "{text}");
        }
    }
}
