//! The daemon and its state directory.

use std::path::Path;
use std::process::Output;

use crate::daemon::{Daemon, hotspare};

const REST: &str = "region: here\nregions: [{ name: here }]\nprobes:\n- name: nobody\n  \
                    interval: 1s\n  check: { tcp: {} }\n  targets: { here: \"127.0.0.1:1\" }\n";

fn config(folder: &Path) -> String {
    format!("{REST}state_dir: {}\n", folder.display())
}

/// Runs a daemon that is expected not to start.
fn refused(folder: &Path) -> (Output, String) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), config(folder)).expect("writable");
    let mut command = hotspare();
    command.args([
        "run",
        "--web.listen-address",
        "127.0.0.1:0",
        "--config.file",
    ]);
    let output = command.arg(file.path()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

#[test]
fn the_state_is_on_disk_and_one_daemons_only() {
    let folder = tempfile::tempdir().expect("folder");
    let daemon = Daemon::start(&config(folder.path()));
    let series = daemon.series();
    assert!(series.one("hotspare_state_durable", &[]) > 0.5);
    assert!(series.one("hotspare_state_writes_total", &[]) > 0.5);
    assert!(series.one("hotspare_state_write_failures_total", &[]) < 0.5);
    let length = std::fs::metadata(folder.path().join("journal"))
        .expect("there")
        .len();
    let bytes = series.one("hotspare_state_bytes", &[]);
    assert_eq!(bytes.to_string(), length.to_string());

    let (second, said) = refused(folder.path());
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(
        said.contains("another hotspare uses the state directory"),
        "{said}"
    );
    assert!(
        said.contains(&folder.path().display().to_string()),
        "{said}"
    );
    assert!(!said.contains("listening"), "{said}");

    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert!(
        !log.contains("took too long") && !log.contains("in memory"),
        "{log}"
    );
    let (status, log) = Daemon::start(&config(folder.path())).stop();
    assert!(status.success(), "{log}");
}

#[test]
fn without_a_state_directory_the_daemon_says_so_once() {
    let daemon = Daemon::start(REST);
    assert!(daemon.series().one("hotspare_state_durable", &[]) < 0.5);
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    let told = log
        .lines()
        .filter(|line| line.contains("no state directory"));
    assert_eq!(told.count(), 1, "{log}");
}

#[test]
fn systemd_or_a_variable_can_name_the_state_directory() {
    let (systemd, variable) = (tempfile::tempdir(), tempfile::tempdir());
    let (systemd, variable) = (systemd.expect("folder"), variable.expect("folder"));
    let mut command = hotspare();
    command.env("STATE_DIRECTORY", systemd.path());
    let daemon = Daemon::start_command(command, REST, |_| {}, &[]);
    assert!(daemon.series().one("hotspare_state_durable", &[]) > 0.5);
    assert!(systemd.path().join("journal").exists());

    let mut command = hotspare();
    command.env("STATE_DIRECTORY", systemd.path());
    command.env("HOTSPARE_STATE_DIR", variable.path());
    let other = Daemon::start_command(command, REST, |_| {}, &[]);
    assert!(variable.path().join("journal").exists());
    for daemon in [daemon, other] {
        assert!(daemon.stop().0.success());
    }
}

#[test]
fn a_state_that_cannot_be_used_keeps_the_daemon_from_starting_and_is_left_alone() {
    let folder = tempfile::tempdir().expect("folder");
    let (output, said) = refused(&folder.path().join("missing"));
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("missing: No such file or directory"),
        "{said}"
    );

    let journal = folder.path().join("journal");
    std::os::unix::fs::symlink("/dev/null", &journal).expect("link");
    let (output, said) = refused(folder.path());
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("journal: "), "{said}");
    assert!(journal.is_symlink());
}

#[test]
fn a_damaged_state_never_keeps_the_daemon_from_starting() {
    let folder = tempfile::tempdir().expect("folder");
    let journal = folder.path().join("journal");
    let file = tempfile::NamedTempFile::new_in(folder.path()).expect("a file of mode 0600");
    std::fs::write(file.path(), "no journal").expect("written");
    file.persist(&journal).expect("renamed");
    let daemon = Daemon::start(&config(folder.path()));
    assert!(daemon.series().one("hotspare_state_durable", &[]) > 0.5);
    let log = daemon.log();
    assert!(log.contains("the state is damaged"), "{log}");
    assert!(log.contains("journal.damaged-1"), "{log}");
    let kept = std::fs::read(folder.path().join("journal.damaged-1")).expect("kept");
    assert_eq!(kept, b"no journal");
}
