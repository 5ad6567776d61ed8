//! The past of the targets, in the real daemon.

#![expect(clippy::float_cmp, reason = "counts are whole numbers")]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, SystemTime};

use hotspare::evaluate::{History, Saved};
use hotspare::model::{HistoryTerms, Span, Target};
use hotspare::readiness::rank::{Batch, PastBatch};
use hotspare::store::{Bounds, Segments};
use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::Daemon;
use crate::process::wait_for;

/// A port that accepts, and one that refuses.
fn ports() -> (TcpListener, u16, u16) {
    let open = TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = |listener: &TcpListener| listener.local_addr().expect("bound").port();
    let (up, down) = (port(&open), port(&closed));
    (open, up, down)
}

fn file(state: &Path, history: &str, interval: &str, (up, down): (u16, u16)) -> String {
    format!(
        "region: here\nregions: [{{ name: here }}, {{ name: there }}]\nstate_dir: {}\n\
         history: {history}\nprobes:\n- name: web\n  interval: {interval}\n  timeout: 50ms\n  \
         check: {{ tcp: {{}} }}\n  targets: {{ here: \"127.0.0.1:{up}\", there: \"127.0.0.1:{down}\" }}\n",
        state.display()
    )
}

fn told(daemon: &Daemon, path: &str) -> Value {
    let answer = daemon.get(path);
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_str(&answer.text()).expect("JSON")
}

fn samples(daemon: &Daemon, target: &str) -> Value {
    told(
        daemon,
        &format!("/api/v1/samples?probe=web&target={target}"),
    )
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().expect("a list")
}

fn number(value: &Value, key: &str) -> f64 {
    value[key]
        .as_f64()
        .unwrap_or_else(|| panic!("{key}: {value}"))
}

/// Whether a step with as many runs is there.
fn has(steps: &[Value], step: &Value) -> bool {
    let same = |key: &str, of: &Value| of[key] == step[key];
    steps.iter().any(|of| {
        ["start_timestamp_seconds", "runs", "failures", "phases"]
            .iter()
            .all(|key| same(key, of))
    })
}

/// What names the target that answers.
fn here() -> Target {
    Target {
        probe: "web".into(),
        kind: "tcp",
        source_region: "here".into(),
        target_region: "here".into(),
        name: "here".into(),
        address: "".into(),
        labels: BTreeMap::new(),
    }
}

/// The runs of the same step in the files of the daemon.
fn saved(folder: &Path, step: &Value) -> Option<u64> {
    let now = SystemTime::now();
    let terms = HistoryTerms {
        step: Duration::from_secs(10),
        ..HistoryTerms::default()
    };
    let history = History::new("here".into(), vec![here()], &terms);
    let restore = history.restore(now);
    Segments::new(folder, "history-steps").read(terms.size, |identity, bytes| {
        restore.step(identity, bytes);
    });
    let told = history.samples("web", "here", Span::default(), now);
    let told = told.expect("there is such a target").steps;
    let start = step["start_timestamp_seconds"].as_u64();
    let same = told
        .iter()
        .find(|of| Some(of.start_timestamp_seconds) == start);
    same.map(|of| of.runs)
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("readable");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.into_string().expect("text"));
    names.filter(|name| name.starts_with("history-")).collect()
}

#[test]
fn the_past_is_told_and_outlives_a_crash_and_a_reload() {
    let state = tempfile::tempdir().expect("a folder");
    let (_open, up, down) = ports();
    let terms = "{ keep: 1h, step: 10s }";
    let config = file(state.path(), terms, "100ms", (up, down));
    let mut daemon = Daemon::start(&config);

    let good = wait_for(
        || samples(&daemon, "here"),
        |told| list(told, "recent").len() >= 20,
    );
    check_of_one_that_answers(&good);
    let bad = samples(&daemon, "there");
    let mut failures = list(&bad, "failures").iter();
    let failure = failures.find(|failure| failure["reason"] == "refused");
    let failure = failure.unwrap_or_else(|| panic!("no failure: {bad}"));
    assert_eq!(failure["phase"], "connect");
    let detail = failure["detail"].as_str().expect("text");
    assert!(detail.contains("refused"), "{detail}");
    assert!((10..=20).contains(&list(&bad, "failures").len()), "{bad}");
    for step in list(&bad, "steps") {
        let told = number(step, "failures") + number(step, "unknown");
        assert_eq!(number(step, "runs"), told, "{bad}");
    }
    check_of_the_matrix(&told(&daemon, "/api/v1/matrix"));
    check_of_bad_questions(&daemon);

    // Once a step is over it is on disk.
    let over = wait_for(
        || samples(&daemon, "here"),
        |told| list(told, "steps").len() >= 3,
    );
    let over = &list(&over, "steps")[1];
    wait_for(
        || saved(state.path(), over),
        |runs| *runs == over["runs"].as_u64(),
    );
    let is_saved = |daemon: &Daemon| has(list(&samples(daemon, "here"), "steps"), over);
    daemon.process().signal(Signal::KILL);
    daemon.process().wait();
    let daemon = Daemon::start(&config);
    assert!(is_saved(&daemon), "{over}\n{}", samples(&daemon, "here"));
    let bad = samples(&daemon, "there");
    assert!(!list(&bad, "failures").is_empty());
    assert!(number(&list(&bad, "steps")[0], "failures") > 0.0, "{bad}");
    let series = daemon.series();
    assert!(series.one("hotspare_history_bytes", &[]) > 100.0);
    assert_eq!(series.one("hotspare_history_step_seconds", &[]), 10.0);
    assert_eq!(series.one("hotspare_history_corruptions_total", &[]), 0.0);

    // It is another target to the schedule, and the same one to people.
    let said = daemon.take(&file(state.path(), terms, "200ms", (up, down)));
    assert_eq!(said["begun"], 2);
    assert!(is_saved(&daemon), "{}", samples(&daemon, "here"));

    daemon.take(&file(
        state.path(),
        "{ keep: 0s, step: 10s }",
        "200ms",
        (up, down),
    ));
    assert!(list(&samples(&daemon, "here"), "steps").is_empty());
    wait_for(|| files(state.path()), Vec::is_empty);
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert!(!log.contains("ERROR"), "{log}");
}

fn check_of_one_that_answers(told: &Value) {
    assert_eq!(
        (&told["probe"], &told["kind"]),
        (&"web".into(), &"tcp".into())
    );
    assert_eq!(told["target_region"], "here");
    assert_eq!(told["step_seconds"], 10);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.expect("after 1970").as_secs_f64();
    let bounds = list(told, "bounds_seconds");
    for step in list(told, "steps") {
        let start = number(step, "start_timestamp_seconds");
        assert!(start <= now && start % 10.0 == 0.0, "{step}");
        assert_eq!(step["failures"], 0);
        let counts = list(step, "counts");
        assert_eq!(counts.len(), bounds.len() + 1);
        let all: f64 = counts.iter().filter_map(Value::as_f64).sum();
        // A host that is busy holds some runs up, which then are unknown.
        assert_eq!(all, number(step, "runs") - number(step, "unknown"));
        let (least, median) = (
            number(step, "minimum_seconds"),
            number(step, "median_seconds"),
        );
        let most = number(step, "maximum_seconds");
        assert!(
            0.0 < least && least <= median && median <= most && most < 0.06,
            "{step}"
        );
        assert!(number(&step["phases"], "connect") > 0.0, "{step}");
    }
    let recent = list(told, "recent");
    assert!(recent.len() <= 60);
    let times = recent.iter().map(|run| number(run, "timestamp_seconds"));
    assert!(times.is_sorted());
    // A host that is busy holds some runs up.
    let stalled = |run: &Value| run["reason"] == "stalled";
    for run in recent.iter().filter(|run| !stalled(run)) {
        assert_eq!(
            (&run["outcome"], &run["reason"]),
            (&"success".into(), &Value::Null)
        );
        assert!(number(run, "duration_seconds") > 0.0);
    }
    assert!(list(told, "failures").iter().all(stalled), "{told}");
}

fn check_of_the_matrix(told: &Value) {
    assert_eq!(told["source_region"], "here");
    let probe = &list(told, "probes")[0];
    assert_eq!(probe["probe"], "web");
    let regions = list(probe, "regions");
    let (here, there) = (&regions[0], &regions[1]);
    assert_eq!(
        (&here["region"], &there["region"]),
        (&"here".into(), &"there".into())
    );
    assert_eq!((&here["targets"], &here["down"]), (&1.into(), &0.into()));
    assert_eq!(there["targets"], 1);
    assert_eq!(number(there, "down") + number(there, "unknown"), 1.0);
    assert_eq!(there["failure_ratio"], 1.0);
    assert!(there["median_seconds"].is_null());
    assert!(number(here, "median_seconds") <= number(here, "p99_seconds"));
    let line = list(here, "line");
    assert_eq!(line.len(), 60);
    assert!(line.iter().any(Value::is_number), "{here}");
}

fn check_of_bad_questions(daemon: &Daemon) {
    for (query, status) in [
        ("", 400),
        ("?probe=web", 400),
        ("?probe=web&target=here&colour=blue", 400),
        ("?probe=web&target=here&target=there", 400),
        ("?probe=web&target=here&from=5&to=4", 400),
        ("?probe=web&target=here&from=yesterday", 400),
        ("?probe=web&target=here&step=0", 400),
        ("?probe=web&target=here&step=-1", 400),
        ("?probe=web&target=%FF", 404),
        ("?probe=web&target=nowhere", 404),
        ("?probe=net&target=here", 404),
        (
            "?probe=web&target=here&from=5&to=5&step=18446744073709551615",
            200,
        ),
    ] {
        let answer = daemon.get(&format!("/api/v1/samples{query}"));
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
        let _: Value = serde_json::from_str(&answer.text()).expect("JSON");
    }
}

#[test]
fn damaged_files_cost_what_was_in_them_and_nothing_else() {
    let state = tempfile::tempdir().expect("a folder");
    let (_open, up, down) = ports();
    std::fs::write(state.path().join("history-steps-00000007"), b"nonsense").expect("written");
    let config = file(state.path(), "{}", "100ms", (up, down));
    let daemon = Daemon::start(&config);
    wait_for(
        || samples(&daemon, "here"),
        |told| !list(told, "recent").is_empty(),
    );
    let series = daemon.series();
    assert_eq!(series.one("hotspare_history_corruptions_total", &[]), 1.0);
    // What goes on is saved at an orderly end.
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    let daemon = Daemon::start(&config);
    let told = samples(&daemon, "there");
    assert!(
        number(&list(&told, "steps")[0], "failures") >= 1.0,
        "{told}"
    );
}

/// Writes 27 hours of batches of five minutes as a daemon would have: of one millisecond, and in the last
/// three hours of 50.
fn prepare(folder: &Path) {
    let now = SystemTime::now();
    let length = Duration::from_mins(5);
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    let number = since.expect("after 1970").as_secs() / length.as_secs();
    let number = u32::try_from(number).expect("not so far from 1970");
    let batches = (1..=27 * 12).rev().map(|ago| {
        let batch = Batch {
            slot: number - ago,
            micros: if ago <= 36 { 50_000 } else { 1_000 },
            runs: 300,
            failed: 0,
        };
        Saved::batch(&here(), &PastBatch { length, batch })
    });
    let batches: Vec<_> = batches.collect();
    let items = batches.iter().map(|of| (&*of.identity, &*of.bytes));
    let bounds = Bounds {
        bytes: 1 << 20,
        keep: Duration::from_hours(48),
    };
    let mut segments = Segments::new(folder, "history-batches");
    segments.write(items, now, bounds).expect("written");
}

/// No batch of five minutes is over within a test: a daemon is started over those of another.
#[test]
fn a_rule_knows_after_a_crash_what_a_target_was_like_before() {
    let state = tempfile::tempdir().expect("a folder");
    prepare(state.path());
    let (_open, up, down) = ports();
    let config = |rule: &str, history: &str| {
        let file = file(state.path(), history, "1s", (up, down));
        format!("{file}rules: [{{ name: {rule}, severity: info, when: {{ shift: {{}} }} }}]\n")
    };
    let fires = |daemon: &Daemon, rule: &str| {
        let told = told(daemon, "/api/v1/alerts");
        let mut alerts = list(&told, "alerts").iter();
        alerts.any(|alert| {
            alert["rule"] == rule && alert["state"] == "firing" && alert["value"] == 50.0
        })
    };
    // A rule of another name each time: what fires is not what the state knew.
    for rule in ["First", "Second"] {
        let mut daemon = Daemon::start(&config(rule, "{}"));
        wait_for(|| fires(&daemon, rule), |fires| *fires);
        daemon.process().signal(Signal::KILL);
        daemon.process().wait();
    }
    // Who keeps nothing compares with nothing of before, and has no files.
    let daemon = Daemon::start(&config("Third", "{ keep: 0s, step: 10s }"));
    wait_for(|| files(state.path()), Vec::is_empty);
    let runs = || {
        let series = daemon.series();
        series.sum("hotspare_probe_attempts_total", &[r#"target="here""#])
    };
    wait_for(runs, |runs| *runs >= 3.0);
    assert!(!fires(&daemon, "Third"));
}
