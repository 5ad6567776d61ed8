//! Killed at any moment, and at every call that touches the disk.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::assert_kept;
use super::child::{Acknowledged, SOME, command};

#[test]
fn what_was_acknowledged_outlives_being_killed_at_any_moment() {
    let folder = tempfile::tempdir().expect("folder");
    let mut below = 0;
    for round in 0..40 {
        let mut child = Acknowledged::of(command("put for ever", folder.path(), &[]));
        for _ in 0..=fastrand::u32(..20) {
            assert!(child.next(), "it goes on until it is killed");
        }
        // Not just after an acknowledgement.
        std::thread::sleep(Duration::from_micros(fastrand::u64(..2_000)));
        child.child.kill().expect("it runs");
        child.child.wait().expect("waitable");
        // What it said last.
        while child.next() {}
        assert!(child.below > below, "round {round}");
        below = child.below;
        assert_kept(folder.path(), below);
    }
}

/// A job under `strace`, with these options and for the calls that touch the folder; `None` where
/// that does not work.
#[expect(clippy::print_stderr, reason = "says which tests did not run, and why")]
fn traced(job: &str, folder: &Path, output: &Path, options: &[&str]) -> Option<Command> {
    let path = |name: &str| folder.join(name).display().to_string();
    let (journal, new, output) = (path("journal"), path("journal.new"), output.display());
    let (folder_itself, output) = (folder.display().to_string(), output.to_string());
    let strace = ["strace", "-f", "-qq", "-o", &output];
    let tried = Command::new(strace[0])
        .args(&strace[1..])
        .arg("true")
        .output();
    if !tried.as_ref().is_ok_and(|tried| tried.status.success()) {
        eprintln!("skipped: cannot trace a process: {tried:?}");
        return None;
    }
    let paths = ["-P", &journal, "-P", &new, "-P", &folder_itself];
    let under = [&strace[..], &paths, options].concat();
    Some(command(job, folder, &under))
}

/// A job in which such calls go wrong.
fn injecting(job: &str, folder: &Path, call: &str, fault: &str) -> Option<Command> {
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:{fault}"));
    let options = ["-e", &trace, "-e", &inject];
    traced(job, folder, Path::new("/dev/null"), &options)
}

/// Runs the child until it ends by itself or is killed: what it said is on disk, and whether it
/// ended well.
fn end(command: Command) -> (u64, bool) {
    let mut child = Acknowledged::of(command);
    while child.next() {}
    let status = child.child.wait().expect("waitable");
    (child.below, status.success())
}

#[test]
fn what_was_acknowledged_outlives_being_killed_at_every_call_to_the_disk() {
    for (call, at_least) in [
        ("write", 16),
        ("fdatasync", 12),
        ("fsync", 6),
        ("rename", 3),
    ] {
        let mut points = 0;
        loop {
            let folder = tempfile::tempdir().expect("folder");
            let fault = format!("signal=KILL:when={}", points + 1);
            let Some(command) = injecting("put some", folder.path(), call, &fault) else {
                return;
            };
            let (below, ended) = end(command);
            assert_kept(folder.path(), below);
            if ended {
                break;
            }
            points += 1;
            assert!(points < 100, "{call}");
        }
        assert!(points >= at_least, "{call}: killed at {points} points only");
    }
}

#[test]
fn a_call_to_the_disk_that_fails_loses_nothing_once_the_next_works() {
    for (call, error) in [
        ("write", "ENOSPC"),
        ("fdatasync", "EIO"),
        ("fsync", "EIO"),
        ("rename", "EIO"),
        ("openat", "EROFS"),
    ] {
        let folder = tempfile::tempdir().expect("folder");
        let fault = format!("error={error}:when=3");
        let job = "put some with a fault";
        let Some(command) = injecting(job, folder.path(), call, &fault) else {
            return;
        };
        let (below, ended) = end(command);
        assert_eq!((below, ended), (SOME, true), "{call} {error}");
        assert_kept(folder.path(), below);
    }
}

/// Killing a process loses nothing that it wrote; a power failure does, unless it was synced in time.
#[test]
fn everything_is_synced_before_it_is_relied_on() {
    let (folder, log) = (tempfile::tempdir(), tempfile::NamedTempFile::new());
    let (folder, log) = (folder.expect("folder"), log.expect("a file"));
    let calls = "trace=write,fdatasync,fsync,rename";
    let Some(command) = traced("put some", folder.path(), log.path(), &["-e", calls]) else {
        return;
    };
    assert_eq!(end(command), (SOME, true));
    let log = std::fs::read_to_string(log.path()).expect("there");
    let calls: Vec<_> = log
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1)?.split('(').next())
        // Not where a call goes on that was told of before, nor signals.
        .filter(|call| call.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect();
    let mut rest = &calls[..];
    let (mut replaced, mut added) = (0, 0);
    while !rest.is_empty() {
        rest = if let Some(rest) = rest.strip_prefix(&["write", "fsync", "rename", "fsync"]) {
            replaced += 1;
            rest
        } else if let Some(rest) = rest.strip_prefix(&["write", "fdatasync"]) {
            added += 1;
            rest
        } else {
            panic!("{log}");
        };
    }
    assert!(replaced >= 3 && added >= 12, "{log}");
}
