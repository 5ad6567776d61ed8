//! What goes wrong on our side is told as ours, never as the targets'.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use crate::daemon::{Daemon, hotspare};
use crate::fault::Fault;
use crate::nginx::Nginx;

fn configuration(nginx: &Nginx, healthy: usize, interval: &str, timeout: &str) -> String {
    let mut text = format!(
        "region: here\nregions: [{{ name: here }}]\n\
         defaults: {{ interval: {interval}, timeout: {timeout} }}\n\
         probes:\n- name: healthy\n  check: {{ http: {{}} }}\n  targets:\n    here:\n"
    );
    for n in 1..=healthy {
        writeln!(text, "    - \"http://127.21.0.{n}:{}/\"", nginx.http).expect("a string");
    }
    text
}

#[test]
fn a_daemon_that_was_frozen_blames_nobody() {
    let nginx = Nginx::start("localhost");
    let mut config = configuration(&nginx, 100, "500ms", "400ms");
    // Where pings are not permitted their results are unknown: nothing is invented either.
    config +=
        "- name: pinged\n  check: { ping: {} }\n  targets: { here: [127.0.0.1, 127.0.0.2] }\n";
    let mut daemon = Daemon::start(&config);
    daemon.wait_until("two rounds", |s| {
        s.sum("hotspare_probe_attempts_total", &[]) >= 200.0
    });
    for _ in 0..3 {
        daemon.process().signal("STOP");
        std::thread::sleep(Duration::from_secs(2));
        daemon.process().signal("CONT");
        std::thread::sleep(Duration::from_secs(1));
    }
    let before = daemon.series().sum("hotspare_probe_attempts_total", &[]);
    let series = daemon.wait_until("two more rounds", |s| {
        s.sum("hotspare_probe_attempts_total", &[]) >= before + 200.0
    });
    let failures = series.sum("hotspare_probe_failures_total", &[]);
    assert!(
        failures < 1.0,
        "{failures} failures invented: {}",
        daemon.log()
    );
    // Three freezes of two seconds: four slots each for a hundred targets, or three and a late run.
    let late = series.one("hotspare_schedule_missed_slots_total", &["cause=\"late\""]);
    assert!(late >= 900.0, "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_results_are_unknown_and_nothing_is_down() {
    let nginx = Nginx::start("localhost");
    let silent = Fault::Silence.start().await;
    let mut config = configuration(&nginx, 20, "1s", "900ms");
    config += "- name: silent\n  check: { http: {} }\n  targets:\n    here:\n";
    for n in 0..200 {
        writeln!(config, "    - \"http://{}/{n}\"", silent.addr).expect("a string");
    }
    let inside = hotspare();
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 60; exec \"$0\" \"$@\""])
        .arg(inside.get_program());
    let daemon = Daemon::start_command(command, &config, |_| {}, &[]);
    let series = daemon.wait_until("own faults", |s| {
        s.sum("hotspare_own_faults_total", &["reason=\"local_resources\""]) >= 50.0
    });
    let healthy = ["probe=\"healthy\""];
    let failures = series.sum("hotspare_probe_failures_total", &healthy);
    assert!(
        failures < 1.0,
        "{failures} failures invented: {}",
        daemon.log()
    );
    assert!(series.sum("hotspare_probe_unknown_total", &[]) >= 50.0);
}
