//! Disks that are full or cannot be written to.

use std::process::Command;

use super::child::command;

/// Does a job in a folder that is a small file system of its own.
#[expect(clippy::print_stderr, reason = "says which tests did not run, and why")]
fn on_a_disk_of_its_own(job: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mount = format!(
        "mount -t tmpfs -o size=256k,mode=700 none '{}'; exec \"$0\" \"$@\"",
        folder.path().display()
    );
    let under = ["unshare", "-rm", "sh", "-ec", &mount];
    let tried = Command::new(under[0])
        .args(&under[1..])
        .arg("true")
        .output();
    if !tried.as_ref().is_ok_and(|tried| tried.status.success()) {
        eprintln!("skipped: cannot mount a file system: {tried:?}");
        return;
    }
    let output = command(job, folder.path(), &under)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
fn a_full_disk_leaves_the_state_in_memory_until_there_is_room() {
    on_a_disk_of_its_own("full disk");
}

#[test]
fn a_full_disk_costs_what_would_be_written_of_the_history_and_nothing_that_was() {
    on_a_disk_of_its_own("history on a full disk");
}

#[test]
fn a_read_only_disk_leaves_the_state_in_memory_until_it_can_be_written_to() {
    on_a_disk_of_its_own("read-only disk");
}
