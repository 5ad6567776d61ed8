//! What a daemon gives up once it runs, as the kernel tells it.

use std::fs;
use std::path::Path;

use crate::daemon::{Daemon, Series};
use crate::process::wait_for;

const CONFIG: &str = "region: here\nregions: [{ name: here }]\n\
    defaults: { interval: 1s, timeout: 900ms }\n\
    probes:\n- name: net\n  check: { ping: {} }\n  \
    targets: { here: [127.0.0.1, \"::1\"] }\n\
    - name: marked\n  check: { ping: { ttl: 7, dscp: 10 } }\n  targets: { here: [127.0.0.2] }\n";

const WEB: &str = "http_server_config: { headers: { X-Frame-Options: deny } }\n";

/// A daemon with a state, a web configuration, and more arguments.
fn daemon(arguments: &[&str]) -> (Daemon, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::create_dir(folder.path().join("state")).expect("made");
    fs::create_dir(folder.path().join("web")).expect("made");
    fs::write(folder.path().join("web/web.yaml"), WEB).expect("written");
    let config = format!("state_dir: {}\n{CONFIG}", at("state"));
    let web = format!("--web.config.file={}", at("web/web.yaml"));
    let arguments = [&[&*web], arguments].concat();
    (Daemon::start_with(&config, |_| {}, &arguments), folder)
}

/// A field of every thread.
fn of_threads(daemon: &mut Daemon, field: &str) -> Vec<String> {
    let tasks = format!("/proc/{}/task", daemon.process().id());
    let tasks = fs::read_dir(tasks).expect("alive").flatten();
    let texts = tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    let value = |text: String| {
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        line.expect("field").trim().to_owned()
    };
    texts.map(value).collect()
}

/// The web configuration becomes a link to a folder that the daemon did not know of.
fn move_away(folder: &Path) {
    let elsewhere = folder.join("elsewhere");
    fs::create_dir(&elsewhere).expect("made");
    fs::write(
        elsewhere.join("web.yaml"),
        WEB.replace("deny", "sameorigin"),
    )
    .expect("written");
    let link = folder.join("web/link");
    std::os::unix::fs::symlink(elsewhere.join("web.yaml"), &link).expect("linked");
    fs::rename(link, folder.join("web/web.yaml")).expect("renamed");
}

/// Whether the daemon says that it is shut off from files; tells where the kernel has no Landlock.
#[expect(clippy::print_stderr, reason = "says what was not tested, and why")]
fn is_shut_off(series: &Series) -> bool {
    let abi = series.one("hotspare_sandbox_landlock_abi", &[]);
    if abi < 0.5 {
        eprintln!("not tested: this kernel has no Landlock");
    }
    abi > 0.5
}

#[test]
fn every_thread_is_without_rights_and_what_is_needed_goes_on() {
    let (mut daemon, folder) = daemon(&[]);
    let series = daemon.wait_until("pings by sockets of before", |s| {
        s.sum("hotspare_probe_up", &[]) > 2.5
    });
    assert!(series.one("hotspare_sandbox_capabilities", &[]) < 0.5);
    assert!(series.one("hotspare_state_durable", &[]) > 0.5);
    for (field, value) in [
        ("CapEff:", "0000000000000000"),
        ("CapPrm:", "0000000000000000"),
        ("CapAmb:", "0000000000000000"),
        ("NoNewPrivs:", "1"),
    ] {
        let found = of_threads(&mut daemon, field);
        assert!(found.len() > 3, "{found:?}");
        assert!(
            found.iter().all(|found| found == value),
            "{field} {found:?}"
        );
    }
    // A change of the state has to be written still.
    let journal = || fs::metadata(folder.path().join("state/journal")).map_or(0, |of| of.len());
    wait_for(journal, |bytes| *bytes > 0);
    if !is_shut_off(&series) {
        return;
    }
    move_away(folder.path());
    let good = "hotspare_web_config_last_reload_successful";
    daemon.wait_until("a file in a new folder refused", |s| s.one(good, &[]) < 0.5);
    let log = daemon.log();
    assert!(log.contains("restart it"), "{log}");
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
}

#[test]
fn without_a_sandbox_everything_stays_as_it_was() {
    let (mut daemon, folder) = daemon(&["--no-sandbox"]);
    let series = daemon.series();
    assert!(series.one("hotspare_sandbox_landlock_abi", &[]) < 0.5);
    let own = fs::read_to_string("/proc/thread-self/status").expect("own");
    let own = own.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let own = own.expect("field").trim();
    let found = of_threads(&mut daemon, "CapEff:");
    assert!(found.iter().all(|found| found == own), "{found:?}");
    move_away(folder.path());
    let taken = |line: &str| line.contains("the web configuration changed").then_some(());
    daemon.process().wait_for_line(taken);
    let series = daemon.series();
    assert!(series.one("hotspare_web_config_last_reload_successful", &[]) > 0.5);
}
