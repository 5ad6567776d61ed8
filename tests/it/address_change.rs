//! A target whose name comes to have another address, told by a real name server.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::daemon::{Daemon, hotspare_under};
use crate::nginx::Nginx;
use crate::process::Process;

/// Where the name server is: servers of a `resolv.conf` are asked at port 53.
const SERVER: &str = "127.77.0.53";

#[test]
#[expect(clippy::print_stderr, reason = "says which tests did not run, and why")]
fn a_name_that_moves_is_followed_and_counted_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("hosts"), "127.0.0.5 moving.example\n").expect("writable");
    std::fs::write(file("resolv.conf"), format!("nameserver {SERVER}\n")).expect("writable");
    let mounted = format!(
        "mount --bind '{}' /etc/resolv.conf; exec \"$0\" \"$@\"",
        file("resolv.conf").display()
    );
    let own_files = ["--mount", "sh", "-ec", &mounted];
    let tried = Command::new("unshare").args(own_files).arg("true").output();
    if !tried.as_ref().is_ok_and(|tried| tried.status.success()) {
        eprintln!("skipped: the daemon cannot have a resolv.conf of its own: {tried:?}");
        return;
    }
    let server = match name_server(&file("hosts")) {
        Ok(server) => server,
        Err(said) => {
            eprintln!("skipped: no name server at port 53 of {SERVER}: {said}");
            return;
        }
    };

    let nginx = Nginx::start("localhost");
    let config = format!(
        "region: here\nregions: [{{ name: here }}]\nprobes:\n- name: web\n  interval: 2s\n  \
         timeout: 1900ms\n  check: {{ http: {{}} }}\n  \
         targets: {{ here: \"http://moving.example:{}/\" }}\n",
        nginx.http
    );
    let daemon = Daemon::start_command(
        hotspare_under("unshare", &own_files),
        &config,
        |_| {},
        &["--log.level=debug"],
    );
    let attempts = "hotspare_probe_attempts_total";
    let changes = "hotspare_probe_address_changes_total";
    let series = daemon.wait_until("two runs", |s| {
        s.sum(attempts, &[]) >= 2.0 && s.sum("hotspare_probe_up", &[]) > 0.5
    });
    assert!(series.one(changes, &[]) < 0.5, "a first address is none");

    std::fs::write(file("hosts"), "127.0.0.6 moving.example\n").expect("writable");
    server.signal(Signal::HUP);
    let series = daemon.wait_until("a change", |s| s.one(changes, &[]) > 0.5);
    let before = series.sum(attempts, &[]);
    let series = daemon.wait_until("two more runs", |s| {
        s.sum(attempts, &[]) >= before + 2.0 && s.sum("hotspare_probe_up", &[]) > 0.5
    });
    assert!(series.one(changes, &[]) < 1.5, "one change: {series:#?}");
}

/// A dnsmasq that knows the names of this file only, which it reads again when told by SIGHUP; its
/// answers are to be forgotten at once. The error is what it said before it ended.
fn name_server(hosts: &Path) -> Result<Process, String> {
    let mut command = Command::new("/usr/sbin/dnsmasq");
    command
        .args(["--no-daemon", "--conf-file=/dev/null", "--pid-file="])
        .args(["--no-resolv", "--no-hosts", "--bind-interfaces"])
        .args(["--local=/example/", "--local-ttl=0"])
        .arg(format!("--listen-address={SERVER}"))
        .arg(format!("--addn-hosts={}", hosts.display()));
    let mut process = Process::start(command);
    let read = format!("read {}", hosts.display());
    let ready = process.wait_until(|process| {
        let output = process.output();
        output.iter().any(|l| l.contains(&read)).then_some(())
    });
    match ready {
        Ok(()) => Ok(process),
        Err(status) => Err(format!("{status}: {:?}", process.output())),
    }
}
