use std::collections::BTreeMap;

use super::test_samples::{failed, ping, succeeded};
use super::*;
use crate::model::{NoSuch, Outcome, Reason, Span};

const START: u64 = 1_795_262_400;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(START + seconds)
}

fn target(probe: &str, kind: &'static str, region: &str, name: &str) -> Target {
    Target {
        probe: probe.into(),
        kind,
        source_region: "a".into(),
        target_region: region.into(),
        name: name.into(),
        address: "x".into(),
        labels: BTreeMap::new(),
    }
}

fn targets() -> Vec<Target> {
    vec![
        target("web", "http", "b", "b-2"),
        target("web", "http", "b", "b-1"),
        target("web", "http", "c", "c"),
        target("net", "ping", "b", "b"),
    ]
}

fn history() -> History {
    History::new("a".into(), targets(), &HistoryTerms::default())
}

fn observe(history: &History, probe: &str, name: &str, sample: &Sample) {
    let index = history.index();
    index.find(probe, name).expect("there").observe(sample);
}

fn ok(history: &History, probe: &str, name: &str, seconds: u64, took: u64) {
    let sample = succeeded((START + seconds) * 1_000, took);
    observe(history, probe, name, &sample);
}

fn samples(history: &History, name: &str, span: Span, seconds: u64) -> crate::model::SamplesReport {
    let told = history.samples("web", name, span, at(seconds));
    told.expect("there is such a target")
}

#[test]
fn a_target_is_told_in_steps_with_its_last_runs_and_failures() {
    let history = history();
    for n in 0..120 {
        ok(&history, "web", "c", n * 10, if n == 3 { 800 } else { 100 });
    }
    let failure = failed((START + 1_195) * 1_000, Reason::Status, "status 503");
    observe(&history, "web", "c", &failure);
    let told = samples(&history, "c", Span::default(), 1_200);
    assert_eq!((told.step_seconds, told.steps.len()), (600, 2));
    let first = &told.steps[0];
    assert_eq!(first.start_timestamp_seconds, START);
    assert_eq!((first.runs, first.failures), (60, 0));
    let near = |value: Option<f64>, of: f64| (value.expect("a duration") / of - 1.0).abs() < 0.07;
    assert!(near(first.median_seconds, 0.1) && near(first.minimum_seconds, 0.1));
    assert!(near(first.maximum_seconds, 0.8), "{first:?}");
    assert_eq!(first.counts.len(), told.bounds_seconds.len() + 1);
    assert_eq!(first.counts.iter().sum::<u64>(), 60);
    assert!(told.bounds_seconds.is_sorted() && told.bounds_seconds[0] <= 0.1);
    assert!(told.bounds_seconds.last().is_some_and(|last| *last >= 0.8));
    let phases: f64 = first.phases.0.iter().map(|(_, seconds)| seconds).sum();
    assert!(
        (phases - (59.0 * 0.1 + 0.8) / 60.0).abs() < 1e-4,
        "{phases}"
    );
    assert_eq!(told.steps[1].failures, 1);
    assert_eq!(told.recent.len(), 60);
    assert_eq!(told.recent[59].run.reason, Some("status"));
    assert_eq!(&*told.failures[0].detail, "status 503");
    assert_eq!(told.failures[0].phase, Some("processing"));
}

#[test]
fn a_span_and_a_step_can_be_asked_for() {
    let history = history();
    for n in 0..360 {
        ok(&history, "web", "c", n * 10, 100);
    }
    let told = |from: Option<u64>, to: Option<u64>, step| {
        let span = Span {
            from: from.map(|from| START + from),
            to: to.map(|to| START + to),
            step,
        };
        let told = samples(&history, "c", span, 3_600);
        let steps = told.steps.iter();
        let steps: Vec<_> = steps
            .map(|step| (step.start_timestamp_seconds - START, step.runs))
            .collect();
        (told.step_seconds, steps)
    };
    assert_eq!(told(Some(600), Some(1_800), Some(1)), {
        let minutes = (10..=30).map(|minute| (minute * 60, 6));
        (60, minutes.collect())
    });
    let half_hours = (1_800, vec![(0, 180), (1_800, 180)]);
    assert_eq!(told(None, None, Some(1_800)), half_hours);
    assert_eq!(told(None, None, Some(1_201)), half_hours);
    assert_eq!(told(Some(9_000), None, None), (600, Vec::new()));
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let history = history();
    let told = |probe: &str| history.samples(probe, "x", Span::default(), at(0));
    let probes = NoSuch::Probe(vec!["net".into(), "web".into()]);
    assert_eq!(told("x").expect_err("missing"), probes);
    let names = ["b-1", "b-2", "c"].map(Into::into);
    assert_eq!(
        told("web").expect_err("missing"),
        NoSuch::Target(names.into())
    );
    assert_eq!(history.last("web", "x"), None);
}

#[test]
fn all_targets_are_told_by_probe_and_region() {
    let history = history();
    for n in 0..60 {
        ok(&history, "web", "b-1", n * 60, 100);
        ok(&history, "web", "c", n * 60, 100 + n * 10);
        let sample = ping((START + n * 60) * 1_000, &[20, 20, 20], 1);
        observe(&history, "net", "b", &sample);
    }
    let down = failed((START + 3_595) * 1_000, Reason::Refused, "no");
    observe(&history, "web", "b-1", &down);
    let told = history.matrix(at(3_599));
    assert_eq!((told.probes.len(), told.line_step_seconds), (2, 60));
    let (net, web) = (&told.probes[0], &told.probes[1]);
    assert_eq!((&*net.probe, &*web.probe), ("net", "web"));
    let net = &net.regions[0];
    assert_eq!((net.targets, net.down, net.unknown), (1, 0, 0));
    assert_eq!(net.packet_loss_ratio, Some(0.25));
    assert_eq!(net.line.len(), 60);
    assert!(net.line.iter().all(Option::is_some));
    let (b, c) = (&web.regions[0], &web.regions[1]);
    assert_eq!((&*b.region, b.targets, b.down, b.unknown), ("b", 2, 1, 1));
    // What goes on and the five minutes before: seven runs of one target, one of which failed.
    assert_eq!(b.failure_ratio, Some(1.0 / 7.0));
    let median = c.median_seconds.expect("durations");
    assert!((median / 0.67 - 1.0).abs() < 0.07, "{median}");
    let first = c.line[0].expect("a duration");
    assert!((first / 0.1 - 1.0).abs() < 0.07, "oldest first: {first}");
    // It is told again for a while.
    ok(&history, "web", "b-2", 3_599, 100);
    assert_eq!(history.matrix(at(3_599)), told);
}

#[test]
fn a_reload_keeps_the_past_of_what_stays_and_no_other() {
    let history = history();
    ok(&history, "web", "c", 0, 100);
    ok(&history, "web", "b-1", 0, 100);
    ok(&history, "net", "b", 0, 100);
    let next = vec![
        target("web", "tcp", "b", "b-1"),
        target("web", "http", "c", "c"),
        target("new", "http", "c", "c"),
    ];
    history.succeed(next, &HistoryTerms::default());
    let last = |probe: &str, name: &str| history.last(probe, name).map(|last| last.outcome);
    assert_eq!(last("web", "c"), Some(Outcome::Success));
    assert_eq!(last("web", "b-1"), None, "of another kind");
    assert_eq!((last("net", "b"), last("new", "c")), (None, None));
    assert_eq!(samples(&history, "c", Span::default(), 1).steps.len(), 1);
}

#[test]
fn what_is_saved_is_restored_to_the_same_targets() {
    let one = history();
    for n in 0..100 {
        ok(&one, "web", "c", n * 10, 100);
        ok(&one, "net", "b", n * 10, 100);
    }
    let failure = failed((START + 995) * 1_000, Reason::Refused, "no");
    observe(&one, "web", "c", &failure);
    let Unsaved {
        steps, failures, ..
    } = one.unsaved(at(1_000), false);
    assert_eq!((steps.len(), failures.len()), (2, 1));
    let rest = one.unsaved(at(1_000), true);
    assert_eq!((rest.steps.len(), rest.failures.len()), (2, 0));

    let mut others = targets();
    others.retain(|target| &*target.probe == "web");
    let two = History::new("a".into(), others, &HistoryTerms::default());
    let restore = two.restore(at(1_010));
    let restored = steps.iter().chain(&rest.steps);
    let restored = restored.filter(|saved| restore.step(&saved.identity, &saved.bytes));
    assert_eq!(restored.count(), 2, "the other probe is not there");
    assert!(restore.failure(&failures[0].identity, &failures[0].bytes));
    let (before, after) = (
        samples(&one, "c", Span::default(), 1_010),
        samples(&two, "c", Span::default(), 1_010),
    );
    assert_eq!(
        (&after.steps, &after.failures),
        (&before.steps, &before.failures)
    );
    assert!(after.recent.is_empty());
}

#[test]
fn targets_beyond_the_room_have_no_past_but_a_last_run() {
    let targets = (0..600).map(|n| target("web", "http", "b", &format!("b-{n}")));
    let terms = HistoryTerms {
        size: 1 << 20,
        ..HistoryTerms::default()
    };
    let history = History::new("a".into(), targets.collect(), &terms);
    for n in 0..600 {
        for seconds in 0..100 {
            ok(
                &history,
                "web",
                &format!("b-{n}"),
                seconds * 60,
                100 + seconds,
            );
        }
    }
    let figures = history.figures();
    assert_eq!(figures.left_out, 600 - 512);
    assert!(figures.bytes <= 1 << 20, "{figures:?}");
    assert!(figures.bytes > 1 << 17, "{figures:?}");
    assert_eq!(figures.begins, Some(START));
    assert!(
        !samples(&history, "b-0", Span::default(), 6_000)
            .steps
            .is_empty()
    );
    assert!(
        samples(&history, "b-599", Span::default(), 6_000)
            .steps
            .is_empty()
    );
    assert!(history.last("web", "b-599").is_some());
}

#[test]
fn batches_are_restored_to_the_target_that_they_are_of() {
    let history = history();
    let restore = history.restore(at(0));
    let past = |slot: u32| PastBatch {
        length: Duration::from_mins(5),
        batch: crate::readiness::rank::Batch {
            slot,
            micros: 1,
            runs: 20,
            failed: 0,
        },
    };
    let here = target("web", "http", "c", "c");
    for slot in [8, 7] {
        let saved = Saved::batch(&here, &past(slot));
        assert!(restore.batch(&saved.identity, &saved.bytes));
        assert!(!restore.batch(&saved.identity, b"nonsense"));
        assert!(!restore.batch("nonsense", &saved.bytes));
        assert!(!restore.batch(&identity(&here), &saved.bytes), "no length");
    }
    let other = Saved::batch(&target("web", "tcp", "c", "c"), &past(7));
    assert!(
        !restore.batch(&other.identity, &other.bytes),
        "of another kind"
    );
    let index = history.index();
    let entry = index.find("web", "c").expect("there");
    assert_eq!(entry.restored(), [8, 7].map(past));
    assert_eq!(entry.restored(), []);
    // They are on disk already.
    assert_eq!(history.unsaved(at(0), true).batches, []);
}
