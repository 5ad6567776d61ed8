//! The demo, as a newcomer runs it: every verdict that it announces is seen, and nothing stays behind.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::daemon::hotspare;
use crate::process::{Process, wait_for};

/// The demo, with a folder for what it writes: also one that a server of another account may enter.
fn demo(arguments: &[&str]) -> (Command, TempDir) {
    let folder = tempfile::tempdir().expect("folder");
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(), open).expect("permissions");
    let mut command = hotspare();
    command.arg("demo").args(arguments);
    command.env("TMPDIR", folder.path());
    (command, folder)
}

fn is_empty(folder: &TempDir) -> bool {
    let entries = fs::read_dir(folder.path()).expect("readable");
    entries.count() == 0
}

/// Runs it to its end, which must be a good one; what it said.
fn play(arguments: &[&str]) -> String {
    let (mut command, folder) = demo(arguments);
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("it starts");
    let said = String::from_utf8(stdout).expect("UTF-8");
    let error = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{status}: {said}{error}");
    assert!(is_empty(&folder), "{said}{error}");
    said
}

/// What was seen of what was announced.
fn seen(said: &str) -> Vec<&str> {
    let lines = said.lines().filter_map(|line| line.split_once('✓'));
    let verdicts = lines.map(|(_, rest)| rest.rsplit_once(", after").expect("a time").0.trim());
    verdicts.collect()
}

#[test]
fn every_verdict_of_the_script_is_seen() {
    let said = play(&["--once"]);
    let best = said.lines().find_map(|line| line.split_once("5. "));
    let (_, best) = best.expect("a promotion");
    let best = best.split(' ').next().expect("a region");
    let other = ["eu-central", "us-east"]
        .into_iter()
        .find(|each| *each != best);
    let other = other.expect("a standby");
    let failover = format!("a failover from eu-west to {best}, with what it cost");
    let recovered = format!("eu-west and {other} are ready");
    assert_eq!(
        seen(&said),
        [
            "eu-central and us-east are ready",
            "us-east is not ready: its latency",
            "eu-central and us-east are ready",
            "eu-central is not ready: it lags behind",
            "eu-central and us-east are ready",
            "the primary is lost, and eu-central may be promoted",
            "the primary is lost, and us-east may be promoted",
            "the alert PrimaryLost fires",
            &failover,
            &recovered,
        ],
        "{said}"
    );
    assert!(
        said.contains("PostgreSQL eu-central: the link is"),
        "{said}"
    );
    assert!(!said.contains('\x1b'), "no colours in a file");
}

#[test]
fn without_databases_there_is_a_script_too() {
    let said = play(&["--once", "--no-databases"]);
    assert_eq!(
        seen(&said),
        [
            "eu-central and us-east are ready",
            "us-east is not ready: its latency",
            "eu-central and us-east are ready",
            "eu-central is not ready: it is not healthy",
            "eu-central and us-east are ready",
            "us-east is not ready from eu-west, and ready from the other two",
            "eu-central and us-east are ready",
        ],
        "{said}"
    );
}

/// The demo without databases, once its daemons listen, and where they do.
fn running(arguments: &[&str]) -> (Process, TempDir, Vec<SocketAddr>) {
    let (mut command, folder) = demo(&[&["--no-databases"], arguments].concat());
    // What tests read of a program is its standard error.
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" 1>&2"]);
    shell.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    command = shell;
    let mut demo = Process::start(command);
    demo.wait_for_line(|line| line.contains("1. All is well").then_some(()));
    let addresses = demo.output().into_iter().filter_map(|line| {
        let (_, metrics) = line.split_once("/   http://")?;
        metrics.strip_suffix("/metrics")?.parse().ok()
    });
    let addresses: Vec<_> = addresses.collect();
    assert_eq!(addresses.len(), 3, "{:#?}", demo.output());
    for address in &addresses {
        wait_for(|| TcpStream::connect(address).is_ok(), |listens| *listens);
    }
    (demo, folder, addresses)
}

/// Waits until nothing of it is there any more.
fn is_gone(folder: &TempDir, addresses: &[SocketAddr]) {
    for address in addresses {
        wait_for(|| TcpStream::connect(address).is_ok(), |listens| !listens);
    }
    wait_for(|| is_empty(folder), |empty| *empty);
}

#[test]
fn a_signal_ends_it_and_all_that_it_started() {
    let (mut demo, folder, addresses) = running(&[]);
    demo.signal(Signal::INT);
    let status = demo.wait();
    assert!(status.success(), "{status}: {:#?}", demo.output());
    assert!(is_empty(&folder));
    is_gone(&folder, &addresses);
}

#[test]
fn a_signal_before_the_end_of_the_script_is_no_success() {
    let (mut demo, folder, addresses) = running(&["--once"]);
    demo.signal(Signal::TERM);
    assert_eq!(demo.wait().code(), Some(1));
    assert!(is_empty(&folder));
    is_gone(&folder, &addresses);
}

#[test]
fn what_was_killed_leaves_nothing_behind() {
    let (mut demo, folder, addresses) = running(&[]);
    demo.signal(Signal::KILL);
    demo.wait();
    is_gone(&folder, &addresses);
}
