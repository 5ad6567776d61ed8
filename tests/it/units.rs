//! The shipped systemd units: what they leave to an attacker, and that they leave the daemon what it
//! needs.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::daemon::{Daemon, can_trace, hotspare_traced};
use crate::fault::Fault;
use crate::nginx::Nginx;
use crate::process::{Process, run, wait_for};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("systemd")
        .join(name)
}

const SERVICE: &str = "hotspare.service";

/// The units as they are installed, with these drop-ins of the service, but for where the binary is.
fn installed(drop_ins: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service = std::fs::read_to_string(shipped(SERVICE)).expect("readable");
    let binary = env!("CARGO_BIN_EXE_hotspare");
    let here = service.replace(
        "ExecStart=/usr/bin/hotspare ",
        &format!("ExecStart={binary} "),
    );
    assert_ne!(here, service);
    std::fs::write(folder.path().join(SERVICE), here).expect("writable");
    let socket = "hotspare.socket";
    std::fs::copy(shipped(socket), folder.path().join(socket)).expect("copied");
    let beside = format!("{SERVICE}.d");
    std::fs::create_dir(folder.path().join(&beside)).expect("made");
    for name in drop_ins {
        let name = format!("{beside}/{name}");
        std::fs::copy(shipped(&name), folder.path().join(&name)).expect("copied");
    }
    folder
}

/// What systemd-analyze says of the units in the folder.
fn analyze(folder: &TempDir, arguments: &[&str], unit: &str) -> (bool, String) {
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .arg(folder.path().join(unit))
        .env("SYSTEMD_PAGER", "")
        .output()
        .expect("systemd-analyze (package systemd)");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).expect("UTF-8");
    (output.status.success(), said)
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let both = ["socket.conf", "unprivileged-ping.conf"];
    for drop_ins in [&both[..0], &both[..1], &both[1..], &both] {
        let folder = installed(drop_ins);
        for unit in [SERVICE, "hotspare.socket"] {
            let (good, said) = analyze(&folder, &["verify", "--man=no"], unit);
            assert!(good, "{drop_ins:?} {unit}: {said}");
            // What systemd does not know or ignores is a line, and no failure.
            let ours = said.lines().filter(|line| line.contains("hotspare"));
            assert_eq!(
                ours.collect::<Vec<_>>(),
                Vec::<&str>::new(),
                "{drop_ins:?} {unit}"
            );
        }
    }
}

#[test]
fn little_is_exposed() {
    // Tenths of the exposure level, from 0 to 100.
    for (drop_ins, most) in [(&[][..], "16"), (&["unprivileged-ping.conf"], "12")] {
        let folder = installed(drop_ins);
        let threshold = format!("--threshold={most}");
        let arguments = ["security", "--offline=true", &threshold];
        let (good, said) = analyze(&folder, &arguments, SERVICE);
        assert!(good, "{drop_ins:?}: {said}");
        let none = ["security", "--offline=true", "--threshold=1"];
        let (good, said) = analyze(&folder, &none, SERVICE);
        assert!(!good, "the threshold does nothing: {said}");
    }
}

#[test]
fn the_sysctl_file_permits_every_group() {
    let text = std::fs::read_to_string(shipped("sysctl.d/50-hotspare-ping.conf"));
    let text = text.expect("readable");
    let mut settings = text.lines().filter(|line| !line.starts_with('#'));
    let setting = settings.next().expect("a setting");
    assert_eq!(setting, "net.ipv4.ping_group_range = 0 2147483647");
    assert_eq!(settings.next(), None);
}

/// The settings of this name in the service, in order.
fn settings(name: &str) -> Vec<String> {
    let service = std::fs::read_to_string(shipped(SERVICE)).expect("readable");
    let lines = service.lines();
    let values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

/// Commands on the host ask by this socket if it is there.
#[test]
fn the_service_serves_the_socket_by_which_commands_ask() {
    let address = "unix:/run/hotspare/hotspare.sock";
    let help = run(crate::daemon::hotspare().args(["healthy", "--help"]));
    assert!(help.contains("/run/hotspare/hotspare.sock"), "{help}");
    assert_eq!(settings("RuntimeDirectory"), ["hotspare"]);
    let environment = settings("Environment").concat();
    let served = environment.strip_prefix("HOTSPARE_WEB_LISTEN_ADDRESS=");
    let served: Vec<_> = served.expect("addresses").split(',').collect();
    assert_eq!(served, ["127.0.0.1:9887", address]);
    let example = include_str!("../../debian/default");
    assert!(example.contains(&format!(",{address}\n")), "{example}");
}

/// The system calls of a set (`@system-service`), those of the sets in it too.
fn calls_of(set: &str, into: &mut BTreeSet<String>) {
    let mut command = Command::new("systemd-analyze");
    let text = run(command.args(["--no-pager", "syscall-filter", set]));
    for line in text.lines().skip(1).map(str::trim) {
        match line {
            comment if comment.starts_with('#') || comment.is_empty() => {}
            set if set.starts_with('@') => calls_of(set, into),
            call => {
                into.insert(call.to_owned());
            }
        }
    }
}

/// The system calls that the service may use.
fn allowed() -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for filter in settings("SystemCallFilter") {
        let denied = filter.strip_prefix('~');
        let mut named = BTreeSet::new();
        for set in denied.unwrap_or(&filter).split_whitespace() {
            if set.starts_with('@') {
                calls_of(set, &mut named);
            } else {
                named.insert(set.to_owned());
            }
        }
        match denied {
            Some(_) => allowed.retain(|call| !named.contains(call)),
            None => allowed.extend(named),
        }
    }
    allowed
}

/// Lines of the trace, without the thread; what it began and came back to later is one of them.
fn calls(trace: &str) -> Vec<&str> {
    let lines = trace.lines().filter_map(|line| line.split_once(' '));
    let calls = lines.map(|(_, call)| call.trim_start());
    let is_call = |call: &&str| call.starts_with(|c: char| c.is_ascii_lowercase());
    calls.filter(is_call).collect()
}

/// Probes of several kinds, over TLS too, names of the hosts file, a receiver that is told of alerts, a
/// heartbeat.
fn busy(nginx: &Nginx, silent: &str, state: &Path) -> String {
    format!(
        "region: here\nregions: [{{ name: here }}]\nstate_dir: {state}\n\
         defaults: {{ interval: 1s, timeout: 900ms }}\n\
         probes:\n\
         - {{ name: net, check: {{ ping: {{}} }}, targets: {{ here: [127.0.0.1, \"::1\"] }} }}\n\
         - {{ name: web, check: {{ http: {{}} }}, targets: {{ here: \"http://localhost:{http}/\" }} }}\n\
         - {{ name: tls, check: {{ http: {{}} }}, targets: {{ here: \"https://localhost:{https}/\" }} }}\n\
         - {{ name: tcp, check: {{ tcp: {{}} }}, targets: {{ here: \"127.0.0.1:9\" }} }}\n\
         - {{ name: silent, check: {{ http: {{}} }}, targets: {{ here: \"http://{silent}/\" }} }}\n\
         rules: [{{ name: Down, severity: critical, when: {{ failures: {{ fail: {{ of: 1, at_least: 1 }}, \
         recover: 1 }} }} }}]\n\
         receivers: [{{ name: pager, webhook: {{ url: \"http://localhost:{http}/\" }} }}]\n\
         alerting: {{ group_wait: 0s, group_interval: 1s }}\n\
         heartbeat: {{ url: \"http://{silent}/\" }}\n",
        http = nginx.http,
        https = nginx.https,
        state = state.display(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_needs_nothing_that_the_service_denies() {
    let nginx = Nginx::start("localhost");
    let silent = Fault::Silence.start().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (state, log) = (folder.path().join("state"), folder.path().join("trace"));
    std::fs::create_dir(&state).expect("made");
    let notify = folder.path().join("notify");
    let _socket = std::os::unix::net::UnixDatagram::bind(&notify).expect("bound");
    let config = busy(&nginx, &silent.addr.to_string(), &state);
    let Some(mut command) = hotspare_traced(log.to_str().expect("UTF-8"), &["trace=all"]) else {
        return;
    };
    command
        .env("NOTIFY_SOCKET", &notify)
        .env("WATCHDOG_USEC", "1000000");
    let socket = format!("unix:{}", folder.path().join("socket").display());
    let daemon =
        Daemon::start_command(command, &config, |_| {}, &["--web.listen-address", &socket]);
    daemon.wait_until("three rounds", |s| {
        let mut probes = ["web", "tcp", "silent"].into_iter();
        s.sum("hotspare_notifications_total", &[]) >= 1.0
            && probes.all(|probe| {
                let label = format!("probe=\"{probe}\"");
                s.sum("hotspare_probe_attempts_total", &[&label]) >= 3.0
            })
    });
    let silence = ["silence", "start", "--for=1h", "--match=region=x"];
    for order in [&silence[..], &["reload"]] {
        let ordered = crate::daemon::hotspare()
            .args(order)
            .arg(format!("--server={socket}"))
            .output()
            .expect("it runs");
        assert!(ordered.status.success(), "{ordered:?}");
    }
    for path in ["/api/v1/groups", "/-/ready", "/"] {
        assert_ne!(daemon.get(path).status, 404, "{path}");
    }
    let (status, said) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{said}");
    let trace = wait_for(
        || std::fs::read_to_string(&log).expect("a trace"),
        |trace| trace.contains("+++ exited with 0 +++") || trace.contains("exit_group(0)"),
    );
    assert_within(&calls(&trace), &state);
}

/// That the service's filter refuses none of the calls, and that `needed` are among them.
fn assert_allowed(calls: &[&str], needed: &[&str]) {
    let used: BTreeSet<_> = calls
        .iter()
        .filter_map(|call| call.split('(').next())
        .collect();
    for needed in needed {
        assert!(used.contains(needed), "the run did little: {used:?}");
    }
    let allowed = allowed();
    let refused: Vec<_> = used
        .iter()
        .filter(|call| !allowed.contains(**call))
        .collect();
    assert!(refused.is_empty(), "SystemCallFilter= refuses {refused:?}");
}

/// What systemd runs for a reload is under the filter of the service, too.
#[test]
fn a_reload_tells_the_daemon_and_needs_nothing_that_the_service_denies() {
    if !can_trace() {
        return;
    }
    let reload = settings("ExecReload");
    let [reload] = reload.as_slice() else {
        panic!("one command: {reload:?}");
    };
    let mut sleep = Command::new("sleep");
    sleep.arg("600");
    let mut main = Process::start(sleep);
    let reload = reload.replace("$MAINPID", &main.id().to_string());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o"]).arg(&log);
    run(strace.args(reload.split_whitespace()));
    assert_eq!(main.wait().signal(), Some(Signal::HUP.as_raw()));
    let trace = std::fs::read_to_string(&log).expect("a trace");
    assert_allowed(&calls(&trace), &["execve", "kill"]);
}

/// That none of the calls is one that the service would refuse.
fn assert_within(calls: &[&str], state: &Path) {
    assert_allowed(calls, &["sendto", "fdatasync", "accept4", "clone3"]);
    let families = settings("RestrictAddressFamilies").concat();
    let families: Vec<_> = families.split_whitespace().collect();
    // The first is strace's own, which becomes the daemon.
    for call in calls.iter().skip(1) {
        if let Some(rest) = call.strip_prefix("socket(") {
            let family = rest.split(',').next().expect("a family");
            assert!(families.contains(&family), "{call}");
        }
        let executable = call.contains("PROT_EXEC");
        assert!(!(executable && call.contains("PROT_WRITE")), "{call}");
        assert!(!(executable && call.starts_with("mprotect(")), "{call}");
        assert!(!call.contains("CLONE_NEW"), "{call}");
        assert!(!call.starts_with("execve"), "{call}");
        let opens = call.starts_with("open");
        let writes = ["O_WRONLY", "O_RDWR", "O_CREAT"]
            .iter()
            .any(|flag| call.contains(flag));
        let state = state.display().to_string();
        let in_state = call.contains(&state) || call.contains("/dev/null") || !call.contains("\"/");
        assert!(!opens || !writes || in_state, "{call}");
        let hidden = ["\"/home", "\"/root", "\"/run/user"];
        let hidden = hidden.iter().any(|path| call.contains(path));
        assert!(!opens || !hidden, "{call}");
    }
}
