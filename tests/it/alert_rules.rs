//! Rules of the real daemon: an alert fires and is over, and a daemon that is killed goes on where it
//! was. What is in the book is read from the state directory, once the daemon has ended.
#![expect(
    clippy::float_cmp,
    reason = "what is compared are counts, and moments as they were written"
)]

use std::net::{SocketAddr, TcpListener};

use hotspare::model::{Alert, AlertState};
use hotspare::store::Store;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::daemon::Daemon;

/// A service that can go, and the state of the daemon that looks at it.
struct Stage {
    service: Option<TcpListener>,
    at: SocketAddr,
    state: TempDir,
}

impl Stage {
    fn set() -> Self {
        let service = TcpListener::bind("127.0.0.1:0").expect("a port");
        Self {
            at: service.local_addr().expect("bound"),
            service: Some(service),
            state: tempfile::tempdir().expect("a folder"),
        }
    }

    fn service_goes(&mut self) {
        self.service = None;
    }

    fn service_comes(&mut self) {
        self.service = Some(TcpListener::bind(self.at).expect("its port"));
    }

    /// A daemon that looks at the service once in an `interval`, with this time in the rule.
    fn daemon(&self, interval: &str, time: &str) -> Daemon {
        let (state, at) = (self.state.path().display(), self.at);
        Daemon::start(&format!(
            "region: here\n\
             regions: [{{ name: here }}, {{ name: north }}]\n\
             state_dir: {state}\n\
             probes:\n\
             - name: web\n\
             \x20 check: {{ tcp: {{}} }}\n\
             \x20 interval: {interval}\n\
             \x20 timeout: 900ms\n\
             \x20 from: [here]\n\
             \x20 targets: {{ north: \"{at}\" }}\n\
             rules:\n\
             - name: WebDown\n\
             \x20 when: {{ failures: {{ probe: web, fail: {{ of: 1, at_least: 1 }}, recover: 1 }} }}\n\
             \x20 severity: critical\n\
             \x20 {time}\n\
             \x20 annotations: {{ summary: \"{{{{ about }}}} is gone\" }}\n"
        ))
    }

    /// The one alert of the book. No daemon may run.
    fn alert(&self) -> Alert {
        self.change(|_| {})
    }

    /// The one alert of the book, as it is after the change.
    fn change(&self, change: impl Fn(&mut Alert)) -> Alert {
        let (store, writer) = Store::open(self.state.path()).expect("the state of a daemon");
        let mut alerts = store.entries::<Alert>().entries;
        assert_eq!(alerts.len(), 1, "{alerts:#?}");
        let mut alert = alerts.remove(0);
        change(&mut alert);
        store.put(&alert).expect("there is room");
        store.close();
        writer.run();
        alert
    }
}

fn wait_for(daemon: &Daemon, state: &str) {
    let label = format!("state=\"{state}\"");
    daemon.wait_until(state, |series| {
        series.sum("hotspare_alerts", &[&label]) == 1.0
    });
}

fn kill(mut daemon: Daemon) {
    daemon.process().signal(Signal::KILL);
    daemon.process().wait();
}

/// Waits until the daemon has looked at its rules a few times more.
fn let_it_look(daemon: &Daemon) {
    let stamp = "hotspare_evaluation_timestamp_seconds";
    let begin = daemon.series().one(stamp, &[]);
    daemon.wait_until("it goes on", |series| series.one(stamp, &[]) >= begin + 4.0);
}

#[test]
fn an_alert_fires_and_is_over() {
    let mut stage = Stage::set();
    let daemon = stage.daemon("1s", "for: 0s");
    daemon.wait_until("it is up", |series| {
        series.sum("hotspare_probe_up", &[]) == 1.0
    });
    stage.service_goes();
    wait_for(&daemon, "firing");
    stage.service_comes();
    wait_for(&daemon, "resolved");
    let series = daemon.series();
    let threshold = series.one("hotspare_rule_threshold", &["rule=\"WebDown\""]);
    assert_eq!(threshold, 1.0);
    assert!(
        daemon.log().contains("web to north is gone"),
        "{}",
        daemon.log()
    );
    daemon.stop();
    let alert = stage.alert();
    assert_eq!(alert.state, AlertState::Resolved);
    assert!(alert.end_timestamp_seconds > alert.start_timestamp_seconds);
    assert_eq!(&*alert.annotations["summary"], "web to north is gone");
    let labels: Vec<_> = alert
        .labels
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    let expected = [
        "alertname=WebDown",
        "kind=tcp",
        "probe=web",
        "severity=critical",
        "target=north",
        "target_region=north",
    ];
    assert_eq!(labels, expected);
    assert!(alert.shared);
}

#[test]
fn a_daemon_that_is_killed_goes_on_to_count_the_time_that_a_condition_holds() {
    let mut stage = Stage::set();
    stage.service_goes();
    let time = "for: 40m";
    let daemon = stage.daemon("1s", time);
    wait_for(&daemon, "pending");
    kill(daemon);
    // As if all that had been three quarters of an hour ago: the rest of the time is over.
    let before = stage.change(|alert| alert.active_timestamp_seconds -= 2_700.0);
    assert_eq!(before.state, AlertState::Pending);
    let daemon = stage.daemon("1s", time);
    wait_for(&daemon, "firing");
    daemon.stop();
    let alert = stage.alert();
    let (active, begin) = (
        alert.active_timestamp_seconds,
        before.active_timestamp_seconds,
    );
    assert_eq!(active, begin);
    assert!(alert.start_timestamp_seconds >= Some(begin + 2_700.0));
}

#[test]
fn an_alert_is_pending_since_the_same_moment_after_a_daemon_was_killed() {
    let mut stage = Stage::set();
    stage.service_goes();
    let daemon = stage.daemon("1s", "for: 40m");
    wait_for(&daemon, "pending");
    kill(daemon);
    let before = stage.alert();
    let daemon = stage.daemon("1s", "for: 40m");
    wait_for(&daemon, "pending");
    let_it_look(&daemon);
    kill(daemon);
    assert_eq!(stage.alert(), before);
}

#[test]
fn a_daemon_that_is_killed_goes_on_firing_and_a_silence_ends_nothing() {
    let mut stage = Stage::set();
    stage.service_goes();
    let time = "keep_firing_for: 0s";
    let daemon = stage.daemon("1s", time);
    wait_for(&daemon, "firing");
    kill(daemon);
    let first = stage.alert();
    let daemon = stage.daemon("1s", time);
    daemon.wait_until("it fails", |series| {
        series.sum("hotspare_probe_failures_total", &[]) >= 2.0
    });
    wait_for(&daemon, "firing");
    kill(daemon);
    assert_eq!(stage.alert(), first);
    // The service is there again, and nobody looks.
    stage.service_comes();
    let daemon = stage.daemon("24h", time);
    wait_for(&daemon, "firing");
    let_it_look(&daemon);
    let series = daemon.series();
    assert_eq!(series.sum("hotspare_probe_attempts_total", &[]), 0.0);
    assert_eq!(series.sum("hotspare_alerts", &["state=\"firing\""]), 1.0);
    kill(daemon);
    assert_eq!(stage.alert(), first);
    let daemon = stage.daemon("1s", time);
    wait_for(&daemon, "resolved");
    daemon.stop();
    let alert = stage.alert();
    assert_eq!(alert.start_timestamp_seconds, first.start_timestamp_seconds);
    assert_eq!(alert.fingerprint(), first.fingerprint());
}
