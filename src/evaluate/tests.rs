//! What rules gather, from one life of the daemon to the next.

use std::collections::BTreeMap;

use smallvec::smallvec;

use super::*;
use crate::model::{AlertState, Facts, HistoryTerms, Labels, Laps, Reply, Severity, Shape};
use crate::readiness::rank::{Batch, PastBatch};
use crate::rule::{Alerts, Annotations, Pace, PlannedRule, Silences, Timing};
use crate::store::Store as State;

const LENGTH: Duration = Duration::from_mins(5);
const PACE: Pace = Pace {
    interval: Duration::from_secs(10),
    timeout: Duration::from_secs(3),
};

fn target() -> Target {
    Target {
        probe: "web".into(),
        kind: "tcp",
        source_region: "here".into(),
        target_region: "there".into(),
        name: "there".into(),
        address: "192.0.2.1:80".into(),
        labels: BTreeMap::new(),
    }
}

/// A rule that compares two hours with those of the day before.
fn ruleset() -> Ruleset {
    let rule = PlannedRule {
        name: "Shifted".into(),
        severity: Severity::Info,
        labels: Labels::new(),
        annotations: Annotations::new(BTreeMap::new()).expect("none"),
        timing: Timing {
            pending: Duration::ZERO,
            keep_firing: Duration::ZERO,
        },
        depends_on: Vec::new(),
        receivers: None,
        when: serde_json::from_str(r#"{"shift": {}}"#).expect("a condition"),
    };
    Ruleset {
        rules: vec![rule],
        scope: Scope {
            source_region: "here".into(),
            targets: vec![(TargetKey(0), target())],
            runs: vec![Runs {
                shape: Shape::default(),
                pace: PACE,
                group: None,
            }],
            groups: Vec::new(),
        },
        watchdog: Vec::new(),
        maintenance: Vec::new(),
    }
}

/// A life of the daemon, which has this history.
struct Life {
    evaluation: Evaluation,
    book: Alerts,
    began: (Instant, SystemTime),
}

impl Life {
    fn begin(history: &Arc<History>) -> Self {
        let state = State::in_memory();
        let book = Alerts::kept_in(&state);
        let silences = Silences::kept_in(&state);
        let began = (Instant::now(), SystemTime::now());
        let now = (began.0.into_std(), began.1);
        let alerts = Alerting::new(ruleset(), (book.clone(), &state), silences, now);
        let own = Own::new("0.0.0", "test", SystemTime::UNIX_EPOCH).expect("declared right");
        let evaluation = Evaluation::new(
            "here".into(),
            vec![(TargetKey(0), target())],
            Vec::new(),
            Arc::new(Board::new(Vec::new())),
            Arc::new(Store::new()),
            Arc::new(own),
            Arc::new(Progress::new(1)),
        );
        let evaluation = evaluation.with_history(Arc::clone(history));
        Self {
            evaluation: evaluation.with_alerts(alerts, Box::new(|| Health::HEALTHY)),
            book,
            began,
        }
    }

    /// Takes in a run of so many milliseconds that ended so long before it began.
    fn run(&mut self, before: Duration, millis: u64) {
        let (instant, today) = self.began;
        let ended = (instant - before).into_std();
        let sample = Sample {
            target: TargetKey(0),
            due: ended,
            started: ended,
            ended,
            at: today - before,
            laps: Laps::default(),
            outcome: Ok(Reply {
                latencies: smallvec![Duration::from_millis(millis)],
                facts: Facts::default(),
            }),
        };
        self.evaluation
            .take_in(&Observation::Sample(Box::new(sample)));
    }
}

fn history(keep: Duration) -> Arc<History> {
    let terms = HistoryTerms {
        keep,
        ..HistoryTerms::default()
    };
    Arc::new(History::new("here".into(), vec![target()], &terms))
}

/// The number of the batch that goes on then, and how long it does.
fn number(at: SystemTime) -> (u32, Duration) {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    let nanos = since.expect("after 1970").as_nanos();
    let length = LENGTH.as_nanos();
    let number = u32::try_from(nanos / length).expect("not so far from 1970");
    let into = u64::try_from(nanos % length).expect("less");
    (number, Duration::from_nanos(into))
}

/// What there is to save once the runs of a whole batch were taken in; the number of the batch.
fn gathered(history: &Arc<History>) -> (u32, Vec<Saved>) {
    let mut life = Life::begin(history);
    let (number, into) = number(life.began.1);
    for run in (0..30).rev() {
        life.run(into + PACE.interval * run + PACE.interval / 2, 40);
    }
    life.evaluation.second();
    life.evaluation.second();
    (
        number - 1,
        history.unsaved(SystemTime::now(), false).batches,
    )
}

#[test]
fn a_batch_that_is_over_is_saved() {
    let (number, saved) = gathered(&history(Duration::from_hours(1)));
    let past = PastBatch {
        length: LENGTH,
        batch: Batch {
            slot: number,
            micros: 40_000,
            runs: 30,
            failed: 0,
        },
    };
    assert_eq!(saved, [Saved::batch(&target(), &past)]);
}

#[test]
fn no_batch_is_saved_where_nothing_is_kept() {
    assert_eq!(gathered(&history(Duration::ZERO)).1, []);
}

#[test]
fn a_rule_goes_on_from_the_batches_that_were_saved() {
    for (length, firing) in [(LENGTH, true), (LENGTH * 2, false)] {
        let history = history(Duration::from_hours(1));
        let restore = history.restore(SystemTime::now());
        let (number, _) = number(SystemTime::now());
        // Twice as long in the last three hours as the day before.
        for ago in 1..=27 * 12 {
            let batch = Batch {
                slot: number - ago,
                micros: if ago <= 36 { 80_000 } else { 40_000 },
                runs: 30,
                failed: 0,
            };
            let saved = Saved::batch(&target(), &PastBatch { length, batch });
            assert!(restore.batch(&saved.identity, &saved.bytes));
        }
        let mut life = Life::begin(&history);
        life.run(Duration::ZERO, 80);
        life.evaluation.second();
        let alerts = life.book.all();
        let fires = |alert: &Arc<crate::model::Alert>| {
            (alert.state, alert.value) == (AlertState::Firing, Some(2.0))
        };
        assert_eq!(alerts.iter().any(fires), firing, "{length:?}");
    }
}
