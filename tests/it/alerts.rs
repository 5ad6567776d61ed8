//! From a target that fails to a receiver that knows: the whole way, with the real daemon.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::daemon::{Daemon, hotspare};
use crate::hook::{Got, Hook};
use crate::process::wait_for;

/// A service that can go, a receiver, and the state of the daemon between them.
struct Stage {
    service: Option<TcpListener>,
    at: SocketAddr,
    hook: Hook,
    state: TempDir,
}

impl Stage {
    fn set(answer: &'static str) -> Self {
        let service = TcpListener::bind("127.0.0.1:0").expect("a port");
        Self {
            at: service.local_addr().expect("bound"),
            service: Some(service),
            hook: Hook::answering(answer),
            state: tempfile::tempdir().expect("a folder"),
        }
    }

    fn service_goes(&mut self) {
        self.service = None;
    }

    fn service_comes(&mut self) {
        self.service = Some(TcpListener::bind(self.at).expect("its port"));
    }

    /// A daemon that has seen the service; `more` is more of its configuration.
    fn daemon(&self, more: &str) -> Daemon {
        let (state, at, hook) = (self.state.path().display(), self.at, self.hook.address);
        Daemon::start(&format!(
            "region: here\n\
             regions: [{{ name: here }}, {{ name: north }}]\n\
             state_dir: {state}\n\
             probes:\n\
             - name: web\n\
             \x20 check: {{ tcp: {{}} }}\n\
             \x20 interval: 1s\n\
             \x20 timeout: 900ms\n\
             \x20 from: [here]\n\
             \x20 targets: {{ north: \"{at}\" }}\n\
             rules:\n\
             - name: WebDown\n\
             \x20 when: {{ failures: {{ fail: {{ of: 1, at_least: 1 }}, recover: 1 }} }}\n\
             \x20 severity: critical\n\
             receivers: [{{ name: ops, webhook: {{ url: \"http://{hook}/\" }} }}]\n\
             alerting: {{ group_wait: 0s, group_interval: 1s }}\n\
             {more}"
        ))
    }

    /// What the receiver was told of the rule, once it ends with `last`.
    fn told(&self, last: &str) -> Vec<Got> {
        wait_for(
            || self.hook.got(),
            |got| {
                got.last()
                    .is_some_and(|got| got.alerts() == [(last, "WebDown")])
            },
        )
    }
}

/// What `hotspare alerts` says.
fn alerts(daemon: &Daemon) -> String {
    let url = format!("http://{}", daemon.address);
    let output = hotspare().args(["alerts", "--url", &url]).output();
    let output = output.expect("started");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn firing(daemon: &Daemon, state: &str) {
    let label = format!("state=\"{state}\"");
    daemon.wait_until(state, |series| {
        series.sum("hotspare_alerts", &[&label]) >= 1.0
    });
}

fn statuses(got: &[Got]) -> Vec<&str> {
    let alerts = got.iter().flat_map(Got::alerts);
    alerts.map(|(status, _)| status).collect()
}

#[test]
fn a_breach_reaches_its_receiver_once_and_so_does_its_end() {
    let mut stage = Stage::set("200 OK");
    let daemon = stage.daemon("");
    daemon.wait_until("it is up", |series| {
        series.sum("hotspare_probe_up", &[]) >= 1.0
    });
    stage.service_goes();
    let told = stage.told("firing");
    let alert = &told[0].body["alerts"][0];
    for (path, expected) in [
        ("/labels/severity", "critical"),
        ("/labels/probe", "web"),
        ("/labels/target_region", "north"),
        ("/annotations/source_region", "here"),
    ] {
        let value = alert.pointer(path).and_then(|value| value.as_str());
        assert_eq!(value, Some(expected), "{path}: {alert}");
    }
    // The failure is the same whoever sees it.
    assert_eq!(alert["labels"]["source_region"], serde_json::Value::Null);
    let said = alerts(&daemon);
    assert!(said.contains("firing  critical  WebDown"), "{said}");
    assert!(said.contains("target_region=north"), "{said}");
    stage.service_comes();
    let told = stage.told("resolved");
    assert_eq!(statuses(&told), ["firing", "resolved"]);
    let ids: BTreeSet<_> = told.iter().map(|got| &got.id).collect();
    assert_eq!(ids.len(), 2, "{told:?}");
    wait_for(|| alerts(&daemon), |said| !said.contains("not told yet"));
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
}

#[test]
fn a_receiver_that_fails_and_a_daemon_that_is_killed_lose_nothing() {
    let mut stage = Stage::set("500 Internal Server Error");
    let mut daemon = stage.daemon("");
    stage.service_goes();
    stage.told("firing");
    let said = wait_for(
        || alerts(&daemon),
        |said| said.contains("not told yet: ops"),
    );
    assert!(said.contains("the receiver ops does not take it"), "{said}");
    daemon.process().signal(Signal::KILL);
    daemon.process().wait();
    let attempts = stage.hook.got();
    stage.hook.answer("204 No Content");
    let daemon = stage.daemon("");
    let told = wait_for(|| stage.hook.got(), |got| got.len() > attempts.len());
    // The same notification, to the byte, at each attempt and after the kill.
    assert!(told.iter().all(|got| got.id == told[0].id), "{told:?}");
    assert!(told.iter().all(|got| got.body == told[0].body), "{told:?}");
    wait_for(|| alerts(&daemon), |said| !said.contains("not told yet"));
    stage.service_comes();
    let told = stage.told("resolved");
    assert_eq!(told.len(), attempts.len() + 2, "{told:?}");
}

#[test]
fn what_is_silenced_is_told_when_the_silence_ends_and_not_before() {
    let mut stage = Stage::set("200 OK");
    let daemon = stage.daemon("");
    let url = format!("http://{}", daemon.address);
    let silence = |arguments: &[&str]| {
        let mut command = hotspare();
        command.arg("silence").args(arguments).args(["--url", &url]);
        assert!(command.output().expect("started").status.success());
    };
    silence(&["start", "--id", "s1", "--for", "1h", "--match", "probe=web"]);
    stage.service_goes();
    firing(&daemon, "muted");
    let said = alerts(&daemon);
    assert!(said.contains("muted by the silence s1"), "{said}");
    assert!(!said.contains("not told yet"), "{said}");
    assert_eq!(statuses(&stage.hook.got()), Vec::<&str>::new());
    silence(&["end", "s1"]);
    assert_eq!(statuses(&stage.told("firing")), ["firing"]);
    // Who knows that it fires hears the end of it, silence or not.
    silence(&["start", "--id", "s2", "--for", "1h", "--match", "probe=web"]);
    firing(&daemon, "muted");
    stage.service_comes();
    assert_eq!(statuses(&stage.told("resolved")), ["firing", "resolved"]);
}

#[test]
fn a_maintenance_window_mutes_its_alerts_and_no_other() {
    let mut stage = Stage::set("200 OK");
    let daemon = stage.daemon(
        "maintenance:\n\
         - { name: patching, starts: \"* * * * *\", lasts: 1h, match: { probe: web } }\n\
         - { name: other, starts: \"* * * * *\", lasts: 1h, match: { kind: redis } }\n",
    );
    stage.service_goes();
    firing(&daemon, "muted");
    let said = alerts(&daemon);
    assert!(said.contains("muted by the maintenance patching"), "{said}");
    assert_eq!(statuses(&stage.hook.got()), Vec::<&str>::new());
}
