//! For tests: network namespaces of their own, where nothing else pings and settings can change.

use std::io::Write as _;
use std::process::Command;

/// A part of a script that permits datagram sockets.
pub(crate) const DATAGRAM: &str = "echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range";

const INSIDE: &str = "HOTSPARE_TEST_IN_NAMESPACE";

/// Runs the test with the given path again, alone, in a network namespace that the script has
/// prepared, and fails if it fails. `true` if this is that run, so that the test has to go on.
///
/// The script may set `HOTSPARE_TEST_AS` to a command under which the test runs.
pub(crate) fn in_namespace(test: &str, script: &str) -> bool {
    if std::env::var(INSIDE).as_deref() == Ok(test) {
        return true;
    }
    let script = format!("ip link set lo up; {script}");
    let prepared = unshare(&script).output();
    if !prepared
        .as_ref()
        .is_ok_and(|output| output.status.success())
    {
        skip(&format!(
            "{test}: cannot prepare a network namespace: {prepared:?}"
        ));
        return false;
    }
    let binary = std::env::current_exe().expect("this binary of tests");
    let output = unshare(&format!(
        "{script}; exec $HOTSPARE_TEST_AS \"$0\" --exact --nocapture {test}"
    ))
    .arg(binary)
    .env(INSIDE, test)
    .output()
    .expect("it was possible just now");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

/// Says which test did not run, and why, past what holds the output of tests that pass back. Where
/// `HOTSPARE_TEST_AS_ROOT=1` promises that all can run, it fails.
pub(crate) fn skip(test_and_reason: &str) {
    let promised = std::env::var("HOTSPARE_TEST_AS_ROOT").as_deref() == Ok("1");
    assert!(!promised, "cannot run {test_and_reason}");
    // Where standard error is gone nobody wants to know.
    let _ = writeln!(std::io::stderr(), "skipped {test_and_reason}");
}

fn unshare(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "sh", "-ec", script]);
    command
}
