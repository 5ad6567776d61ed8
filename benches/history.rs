//! What the history costs: a run that is taken in, the memory of a target, what is saved of it in an
//! hour, and what it takes to tell it.
//!
//! `cargo bench --bench history`
#![expect(
    clippy::expect_used,
    reason = "a benchmark that cannot go on may panic"
)]
#![expect(clippy::print_stdout, reason = "what a target costs")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use divan::Bencher;
use hotspare::evaluate::{Board, Evaluation, History, Progress};
use hotspare::metrics::{Own, Store};
use hotspare::model::{
    Facts, HistoryTerms, Laps, Observation, Phase, Reply, Sample, Span, Target, TargetKey,
};
use tokio::time::Instant;

/// Targets that are looked at; where there are more, each has as much room as among so many.
const TARGETS: u32 = 100;
const INTERVAL: Duration = Duration::from_secs(10);
/// The beginning of an hour of 2026.
const START: Duration = Duration::from_hours(498_684);

fn main() {
    for fleet in [100, 1_000, 5_000, 10_000, 20_000] {
        tell(fleet);
    }
    taking_in();
    divan::main();
}

fn targets() -> Vec<(TargetKey, Target)> {
    let target = |n| Target {
        probe: "checkout".into(),
        kind: "http",
        source_region: "eu-west".into(),
        target_region: "us-east".into(),
        name: format!("us-east-{n}").into(),
        address: "https://10.3.0.20/healthz".into(),
        labels: BTreeMap::new(),
    };
    (0..TARGETS).map(|n| (TargetKey(n), target(n))).collect()
}

/// An HTTPS run of 80 ms and more, one in a hundred of which takes several times as long.
fn sample(key: u32, at: SystemTime) -> Sample {
    let now = Instant::now().into_std();
    let spread = fastrand::f64() * fastrand::f64() * 0.03;
    let slow = if fastrand::u8(..100) == 0 { 5.0 } else { 1.0 };
    let took = Duration::from_secs_f64((0.08 + spread) * slow);
    let mut laps = Laps::default();
    for (phase, part) in [
        (Phase::Connect, 3),
        (Phase::Tls, 4),
        (Phase::Processing, 2),
        (Phase::Transfer, 1),
    ] {
        laps.add(phase, took * part / 10);
    }
    Sample {
        target: TargetKey(key),
        due: now,
        started: now,
        ended: now,
        at,
        laps,
        outcome: Ok(Reply {
            latencies: [took].into_iter().collect(),
            facts: Facts::default(),
        }),
    }
}

/// The evaluation of the targets, with a history or without.
fn evaluation(history: Option<&Arc<History>>) -> Evaluation {
    let own = Own::new("0.0.0", "bench", SystemTime::UNIX_EPOCH).expect("declared right");
    let evaluation = Evaluation::new(
        "eu-west".into(),
        targets(),
        Vec::new(),
        Arc::new(Board::new(Vec::new())),
        Arc::new(Store::new()),
        Arc::new(own),
        Arc::new(Progress::new(TARGETS as usize)),
    );
    match history {
        None => evaluation,
        Some(history) => evaluation.with_history(Arc::clone(history)),
    }
}

/// Every target is run for so long; how long it took to take in each run.
fn run(history: Option<&Arc<History>>, from: Duration, length: Duration) -> Duration {
    let rounds = u32::try_from(length.as_secs() / INTERVAL.as_secs()).expect("few");
    let runs = rounds * TARGETS;
    let (outlet, observed) = tokio::sync::mpsc::channel(runs as usize);
    for round in 0..rounds {
        let at = SystemTime::UNIX_EPOCH + from + INTERVAL * round;
        for key in 0..TARGETS {
            let sample = Observation::Sample(Box::new(sample(key, at)));
            outlet.try_send(sample).expect("there is room");
        }
    }
    drop(outlet);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (_, successions) = tokio::sync::mpsc::channel(1);
        let evaluation = evaluation(history);
        let began = Instant::now();
        evaluation.run(observed, successions).await;
        began.elapsed() / runs
    })
}

/// The history of so many targets, of which these have their part.
fn history(fleet: u64) -> Arc<History> {
    let usual = HistoryTerms::default();
    let terms = HistoryTerms {
        size: usual.size * u64::from(TARGETS) / fleet,
        ..usual
    };
    let targets = targets().into_iter().map(|(_, target)| target);
    Arc::new(History::new("eu-west".into(), targets.collect(), &terms))
}

/// Two days of them.
fn two_days(fleet: u64) -> (Arc<History>, SystemTime, usize) {
    let history = history(fleet);
    let mut saved = 0;
    let hour = Duration::from_hours(1);
    for hours in 0..48 {
        let from = START + hour * hours;
        run(Some(&history), from, hour);
        let steps = history
            .unsaved(SystemTime::UNIX_EPOCH + from + hour, false)
            .steps;
        // An item is a number, two lengths and the step; the names and heads are a part of that.
        saved += steps.iter().map(|step| step.bytes.len() + 8).sum::<usize>();
    }
    (
        history,
        SystemTime::UNIX_EPOCH + START + hour * 48,
        saved / 48,
    )
}

fn tell(fleet: u64) {
    let (history, now, saved) = two_days(fleet);
    let figures = history.figures();
    let span = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970");
    let span = span.as_secs() - figures.begins.expect("steps");
    println!(
        "{fleet} targets: steps of {} s, {:.1} h back, {} bytes each, {} kB saved an hour",
        figures.step_seconds,
        Duration::from_secs(span).as_secs_f64() / 3_600.0,
        figures.bytes / TARGETS as usize,
        saved as u64 * fleet / u64::from(TARGETS) / 1_000,
    );
}

fn taking_in() {
    let hour = Duration::from_hours(2);
    for _ in 0..3 {
        let without = run(None, START, hour);
        let with = run(Some(&history(1_000)), START, hour);
        println!("a run is taken in within {with:?}, without history within {without:?}");
    }
}

/// A target in full: what its page asks for.
#[divan::bench]
fn tell_one_target(bencher: Bencher<'_, '_>) {
    let (history, now, _) = two_days(1_000);
    bencher.bench(|| history.samples("checkout", "us-east-7", Span::default(), now));
}

/// What is to be saved, where nothing is.
#[divan::bench]
fn look_for_what_is_over_in_100_targets(bencher: Bencher<'_, '_>) {
    let (history, now, _) = two_days(1_000);
    bencher.bench(|| history.unsaved(now, false));
}
