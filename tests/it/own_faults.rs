//! What goes wrong on our side is told as ours, never as the targets'.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::Signal;

use crate::daemon::{Daemon, hotspare_that_may_not_ping, hotspare_with_files};
use crate::fault::Fault;
use crate::hook::Hook;
use crate::nginx::Nginx;
use crate::process::wait_for;
use crate::redis_server::RedisServer;

/// Healthy targets with deadlines that a busy machine keeps as well.
fn configuration(nginx: &Nginx, healthy: usize) -> String {
    let mut text = format!(
        "{HEAD}probes:\n- name: healthy\n  check: {{ http: {{}} }}\n  targets:\n    here:\n"
    );
    for n in 1..=healthy {
        writeln!(text, "    - \"http://127.21.0.{n}:{}/\"", nginx.http).expect("a string");
    }
    text
}

const HEAD: &str = "region: here\nregions: [{ name: here }]\n\
                    defaults: { interval: 3s, timeout: 2900ms }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_was_frozen_blames_nobody() {
    let nginx = Nginx::start("localhost");
    // Half a second for an answer, so that runs are under way whenever it is frozen.
    let slow = Fault::Drip {
        text: b"HTTP/1.1 204 No Content\r\n\r\n",
        every: Duration::from_millis(20),
    };
    let slow = slow.start().await;
    let mut config = configuration(&nginx, 80);
    config += "- name: slow\n  check: { http: {} }\n  targets:\n    here:\n";
    for n in 0..40 {
        writeln!(config, "    - \"http://{}/{n}\"", slow.addr).expect("a string");
    }
    // Where pings are not permitted their results are unknown: nothing is invented either.
    config +=
        "- name: pinged\n  check: { ping: {} }\n  targets: { here: [127.0.0.1, 127.0.0.2] }\n";
    let mut daemon = Daemon::start(&config);
    daemon.wait_until("two rounds", |s| {
        s.sum("hotspare_probe_attempts_total", &[]) >= 240.0
    });
    for _ in 0..2 {
        daemon.process().signal(Signal::STOP);
        std::thread::sleep(Duration::from_secs(7));
        daemon.process().signal(Signal::CONT);
        std::thread::sleep(Duration::from_secs(1));
    }
    let before = daemon.series().sum("hotspare_probe_attempts_total", &[]);
    let series = daemon.wait_until("two more rounds", |s| {
        s.sum("hotspare_probe_attempts_total", &[]) >= before + 240.0
    });
    let failures = series.sum("hotspare_probe_failures_total", &[]);
    assert!(
        failures < 1.0,
        "{failures} failures invented: {}",
        daemon.log()
    );
    let slow = ["probe=\"slow\""];
    assert!(series.sum("hotspare_probe_unknown_total", &slow) >= 1.0);
    // Nor is a freeze taken for the latency of a success.
    let quick = ["le=\"5.0\""];
    let quick = series.sum("hotspare_probe_duration_seconds_bucket", &quick);
    let all = series.sum("hotspare_probe_duration_seconds_count", &[]);
    assert!((quick - all).abs() < 0.5, "{quick} of {all}");
    // Two freezes of seven seconds: two slots each for 120 targets, or one and a late run.
    let late = series.one("hotspare_schedule_missed_slots_total", &["cause=\"late\""]);
    assert!(late >= 240.0, "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_few_descriptors_black_holes_leave_enough_for_the_healthy() {
    let nginx = Nginx::start("localhost");
    let silent = Fault::Silence.start().await;
    let mut config = configuration(&nginx, 10);
    config += "- name: silent\n  check: { http: {} }\n  targets:\n    here:\n";
    for n in 0..200 {
        writeln!(config, "    - \"http://{}/{n}\"", silent.addr).expect("a string");
    }
    let daemon = Daemon::start_command(hotspare_with_files(120), &config, |_| {}, &[]);
    // As many as places are skipped; once all are known, the healthy ones are run in every slot.
    let healthy = ["probe=\"healthy\""];
    let series = daemon.wait_until("all healthy targets up, with runs skipped", |s| {
        s.sum("hotspare_schedule_missed_slots_total", &["cause=\"full\""]) >= 50.0
            && s.sum("hotspare_probe_up", &healthy) > 9.5
    });
    for family in [
        "hotspare_probe_failures_total",
        "hotspare_probe_unknown_total",
    ] {
        let blamed = series.sum(family, &healthy);
        assert!(blamed < 1.0, "{family} {blamed}: {}", daemon.log());
    }
    assert!(
        daemon.log().contains("allows fewer runs at once"),
        "{}",
        daemon.log()
    );
}

#[test]
fn without_permission_to_ping_results_are_unknown_and_nothing_is_down() {
    let Some(command) = hotspare_that_may_not_ping() else {
        return;
    };
    let config = format!(
        "{HEAD}probes:\n- name: net\n  check: {{ ping: {{}} }}\n  \
         targets: {{ here: [127.0.0.1, \"::1\"] }}\n"
    );
    let daemon = Daemon::start_command(command, &config, |_| {}, &[]);
    let series = daemon.wait_until("two rounds", |s| {
        let runs: Vec<_> = s.all("hotspare_probe_unknown_total", &[]).collect();
        runs.len() == 2 && runs.iter().all(|(_, count)| *count >= 2.0)
    });
    let faults = series.sum("hotspare_own_faults_total", &["reason=\"no_permission\""]);
    assert!(faults >= 4.0, "{faults}");
    for (target, up) in series.all("hotspare_probe_up", &[]) {
        assert!(up.is_nan(), "{target} {up}");
    }
    for family in [
        "hotspare_probe_failures_total",
        "hotspare_probe_attempts_total",
        "hotspare_ping_packets_lost_total",
    ] {
        assert!(series.sum(family, &[]) < 1.0, "{family}: {series:#?}");
    }
}

/// Connections that stay open, more than the daemon may have for its runs, a standby beside them, and
/// somebody to tell.
fn crowded(redis: SocketAddr, nginx: &Nginx, hook: SocketAddr) -> String {
    let mut text = format!(
        "region: here\n\
         regions: [{{ name: here }}, {{ name: far }}]\n\
         defaults: {{ interval: 1s, timeout: 900ms }}\n\
         receivers: [{{ name: ops, webhook: {{ url: \"http://{hook}/\" }} }}]\n\
         alerting: {{ group_wait: 0s, group_interval: 1s }}\n\
         rules: [{{ name: Unwell, when: {{ health: {{ of: [resources] }} }}, severity: warning }}]\n\
         groups: [{{ name: shop, primary: here, standbys: [far], probes: [web] }}]\n\
         probes:\n\
         - name: web\n  check: {{ http: {{}} }}\n  from: [here]\n  targets:\n    \
         here: \"http://127.0.0.1:{port}/\"\n    far: \"http://127.0.0.2:{port}/\"\n",
        port = nginx.http
    );
    for n in 0..60 {
        writeln!(
            text,
            "- name: kept-{n}\n  check: {{ redis: {{ connection: reuse }} }}\n  \
             targets: {{ here: \"{redis}\" }}"
        )
        .expect("a string");
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_runs_are_unknown_and_the_rest_goes_on() {
    let nginx = Nginx::start("localhost");
    let mut redis = RedisServer::new();
    redis.start();
    let hook = Hook::answering("200 OK");
    let config = crowded(redis.address(), &nginx, hook.address);
    let daemon = Daemon::start_command(hotspare_with_files(60), &config, |_| {}, &[]);
    let lack = ["reason=\"local_resources\""];
    let far = ["standby=\"far\""];
    daemon.wait_until("a standby that is unknown for want of descriptors", |s| {
        s.one("hotspare_own_faults_total", &lack) >= 100.0
            && s.one("hotspare_failover_state", &[far[0], "state=\"unknown\""]) > 0.5
    });
    // It asks for what is left, which is not for runs: every time.
    for _ in 0..20 {
        let series = daemon.series();
        let failures = series.sum("hotspare_probe_failures_total", &[]);
        assert!(failures < 1.0, "{failures} invented: {}", daemon.log());
        let not_ready = [far[0], "state=\"not_ready\""];
        let said = series.one("hotspare_failover_state", &not_ready);
        assert!(said < 0.5, "{}", daemon.log());
        let refused = ["cause=\"accept\""];
        let refused = series.one("hotspare_http_connections_rejected_total", &refused);
        assert!(refused < 0.5, "{}", daemon.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    let told = wait_for(|| hook.got(), |got| !got.is_empty());
    let alerts: Vec<_> = told.iter().flat_map(|got| got.alerts()).collect();
    assert_eq!(alerts, [("firing", "Unwell")]);
    let said = told[0].body.to_string();
    assert!(said.contains("no file descriptor"), "{said}");
}
