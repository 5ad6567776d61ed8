//! What systemd is told: by the real daemon, over the socket that the environment names.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::daemon::{Daemon, get, hotspare, hotspare_traced, hotspare_under};
use crate::fault::Fault;
use crate::process::{PATIENCE, Process};

const GOOD: &str = "region: here\nregions: [{ name: here }]\n\
                    defaults: { interval: 1s, timeout: 500ms }\n\
                    probes: [{ name: p, check: { tcp: {} }, targets: { here: \"127.0.0.1:9\" } }]\n";

/// The place of systemd.
struct Systemd {
    socket: UnixDatagram,
    folder: TempDir,
    /// The text that it was told last.
    status: RefCell<String>,
}

impl Systemd {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("bound");
        let status = RefCell::default();
        Self {
            socket,
            folder,
            status,
        }
    }

    /// A command that is told of the socket, and to beat within so long.
    fn starts(&self, mut command: Command, watchdog: Duration) -> Command {
        command
            .env("NOTIFY_SOCKET", self.folder.path().join("notify"))
            .env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        command
    }

    /// What comes within so long.
    fn within(&self, limit: Duration) -> Option<Vec<String>> {
        self.socket.set_read_timeout(Some(limit)).expect("settable");
        let mut bytes = [0; 4096];
        let length = loop {
            match self.socket.recv(&mut bytes) {
                Ok(length) => break length,
                // A process that goes on interrupts who waits, like one that ends.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        };
        let text = std::str::from_utf8(&bytes[..length]).expect("UTF-8");
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        if let Some(status) = rest(&lines, "STATUS=") {
            self.status.replace(status.to_owned());
        }
        Some(lines)
    }

    /// Waits for a line that begins so; the rest of it.
    fn wait_for(&self, beginning: &str) -> String {
        let lines = self.message_with(beginning);
        rest(&lines, beginning).expect("it is there").to_owned()
    }

    /// Waits for a message with a line that begins so; all of its lines.
    fn message_with(&self, beginning: &str) -> Vec<String> {
        let since = Instant::now();
        loop {
            assert!(since.elapsed() < PATIENCE, "never {beginning}");
            let lines = self.within(PATIENCE).expect("something");
            if rest(&lines, beginning).is_some() {
                return lines;
            }
        }
    }

    /// Waits until the text that it was told last is as wanted.
    fn wait_for_status(&self, wanted: impl Fn(&str) -> bool) -> String {
        let since = Instant::now();
        loop {
            let status = self.status.borrow().clone();
            if wanted(&status) {
                return status;
            }
            let more = self.within(PATIENCE);
            assert!(more.is_some() && since.elapsed() < PATIENCE, "{status}");
        }
    }

    /// Takes everything that has come.
    fn drain(&self) {
        while self.within(Duration::from_millis(1)).is_some() {}
    }
}

/// What follows the beginning of the first line that has it.
fn rest<'a>(lines: &'a [String], beginning: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| line.strip_prefix(beginning))
}

/// A watchdog so patient that the beat at the start is the only one in a test.
const PATIENT: Duration = Duration::from_hours(1);

/// One whose beats come twice a second.
const QUICK: Duration = Duration::from_secs(1);

#[test]
fn it_is_ready_once_it_answers_tells_how_it_is_and_that_it_ends() {
    let systemd = Systemd::new();
    // The port is known before, so that nothing but systemd says when it can be asked.
    let address = format!("127.0.0.1:{}", crate::process::free_port());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("hotspare.yaml");
    std::fs::write(&file, GOOD).expect("writable");
    let mut command = systemd.starts(hotspare(), PATIENT);
    command.args(["run", "--web.listen-address", &address, "--config.file"]);
    command.arg(&file);
    let mut process = Process::start(command);
    systemd.wait_for("READY=1");
    let page = get(address.parse().expect("an address"), "/-/healthy");
    assert_eq!(page.status, 200);
    systemd.wait_for_status(|status| status == "here: 1 target");
    process.signal(Signal::TERM);
    systemd.wait_for("STOPPING=1");
    assert_eq!(process.wait().code(), Some(0));
    assert_eq!(systemd.within(Duration::from_millis(1)), None);
}

/// Microseconds of the clock by which systemd knows whether a message is newer than its order.
fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).expect("since the boot");
    let rest = u64::try_from(now.tv_nsec).expect("less than a second");
    seconds * 1_000_000 + rest / 1_000
}

/// Has the daemon read its configuration again, and waits until systemd knows that it did.
fn reload(systemd: &Systemd, process: &Process) {
    systemd.drain();
    let ordered = monotonic();
    process.signal(Signal::HUP);
    let begun = systemd.message_with("RELOADING=1");
    // systemd takes both from one message only.
    let at = rest(&begun, "MONOTONIC_USEC=").expect("when it began");
    let at: u64 = at.parse().expect("a number");
    assert!((ordered..=monotonic()).contains(&at), "{ordered} {at}");
    // Also where it goes on as before: it would be reloading for ever.
    systemd.wait_for("READY=1");
}

#[test]
fn it_says_that_it_reads_its_configuration_again_and_what_came_of_it() {
    let systemd = Systemd::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("hotspare.yaml");
    let put = |text: &str| std::fs::write(&file, text).expect("writable");
    put(GOOD);
    let mut command = systemd.starts(hotspare(), PATIENT);
    command.args(["run", "--web.listen-address=127.0.0.1:0", "--config.file"]);
    command.arg(&file);
    let mut process = Process::start(command);
    systemd.wait_for("READY=1");
    systemd.wait_for_status(|status| status == "here: 1 target");

    let two = "{ here: [\"127.0.0.1:9\", \"127.0.0.1:7\"] }";
    let more = GOOD.replace("{ here: \"127.0.0.1:9\" }", two);
    assert_ne!(more, GOOD);
    put(&more);
    reload(&systemd, &process);
    systemd.wait_for_status(|status| status == "here: 2 targets");

    put("region: here\nregoins: []\n");
    reload(&systemd, &process);
    let not_good = "the configuration that was last read is not good";
    let status = systemd.wait_for_status(|status| status.contains(not_good));
    assert!(status.ends_with("; here: 2 targets"), "{status}");

    put(GOOD);
    reload(&systemd, &process);
    systemd.wait_for_status(|status| status == "here: 1 target");

    process.signal(Signal::TERM);
    systemd.wait_for("STOPPING=1");
    assert_eq!(process.wait().code(), Some(0), "{:#?}", process.output());
}

#[test]
fn how_many_standbys_are_ready_is_in_the_status() {
    let systemd = Systemd::new();
    let config = "region: a\nregions: [{ name: a }, { name: b }, { name: c }]\n\
        probes:\n- name: p\n  interval: 1s\n  check: { tcp: {} }\n  targets:\n    \
        a: \"127.0.0.1:9\"\n    b: \"127.0.0.1:9\"\n    c: \"127.0.0.1:9\"\n\
        groups: [{ name: g, primary: a, standbys: [b, c], probes: [p] }]\n";
    let command = systemd.starts(hotspare(), PATIENT);
    let _daemon = Daemon::start_command(command, config, |_| {}, &[]);
    let first = systemd.wait_for("STATUS=");
    assert!(first.ends_with("; 0 of 2 standbys ready"), "{first}");
}

/// Where nobody answers questions about names: at port 53, of which alone a `resolv.conf` knows.
const SILENT_SERVER: &str = "127.78.0.53";

/// The daemon where the only name server is silent; nothing if this test may not arrange that.
#[expect(clippy::print_stderr, reason = "says which tests did not run, and why")]
fn hotspare_without_names(folder: &Path) -> Option<(Command, UdpSocket)> {
    let file = folder.join("resolv.conf");
    std::fs::write(&file, format!("nameserver {SILENT_SERVER}\n")).expect("writable");
    let file = file.display();
    let mounted = format!("mount --bind '{file}' /etc/resolv.conf; exec \"$0\" \"$@\"");
    let own_files = ["--mount", "sh", "-ec", &mounted];
    let tried = Command::new("unshare").args(own_files).arg("true").output();
    if !tried.as_ref().is_ok_and(|tried| tried.status.success()) {
        eprintln!("skipped: the daemon cannot have a resolv.conf of its own: {tried:?}");
        return None;
    }
    match UdpSocket::bind((SILENT_SERVER, 53)) {
        Ok(server) => Some((hotspare_under("unshare", &own_files), server)),
        Err(error) => {
            eprintln!("skipped: no name server at port 53 of {SILENT_SERVER}: {error}");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_beats_while_nobody_takes_alerts_and_names_do_not_resolve() {
    let systemd = Systemd::new();
    let Some((command, server)) = hotspare_without_names(systemd.folder.path()) else {
        return;
    };
    let silent = Fault::Silence.start().await;
    let config = format!(
        "region: here\nregions: [{{ name: here }}]\n\
         defaults: {{ interval: 1s, timeout: 500ms }}\n\
         probes: [{{ name: p, check: {{ tcp: {{}} }}, targets: {{ here: \"db.example:9\" }} }}]\n\
         rules: [{{ name: Down, severity: critical, when: {{ failures: {{ fail: {{ of: 1, at_least: 1 }}, \
         recover: 1 }} }} }}]\n\
         receivers:\n- {{ name: dead, webhook: {{ url: \"http://{}/\" }} }}\n\
         - {{ name: lost, webhook: {{ url: \"https://pager.example/\" }} }}\n\
         alerting: {{ group_wait: 0s, group_interval: 1s }}\n\
         heartbeat: {{ url: \"https://beats.example/\" }}\n",
        silent.addr
    );
    let command = systemd.starts(command, QUICK);
    let daemon = Daemon::start_command(command, &config, |_| {}, &[]);
    systemd.wait_for("READY=1");
    // Twenty of them take ten seconds: twice as long as a part may be silent.
    for _ in 0..20 {
        systemd.wait_for("WATCHDOG=1");
    }
    let failures = [r#"reason="timeout_resolve""#];
    let failures = daemon
        .series()
        .sum("hotspare_probe_failures_total", &failures);
    assert!(failures >= 1.0, "{}", daemon.log());
    daemon.wait_until("both receivers are waited for", |s| {
        let waiting = s.all("hotspare_outbox_oldest_timestamp_seconds", &[]);
        waiting.filter(|(_, since)| *since > 0.0).count() == 2
    });
    assert!(!daemon.log().contains("gets no beats"), "{}", daemon.log());
    let mut question = [0; 512];
    assert!(server.recv(&mut question).is_ok_and(|length| length > 0));
}

#[test]
fn it_beats_while_the_disk_hangs_and_says_so() {
    let systemd = Systemd::new();
    let state = tempfile::tempdir().expect("a temporary folder");
    let config = format!("state_dir: {}\n{GOOD}", state.path().display());
    let slow = ["trace=fdatasync", "--inject=fdatasync:delay_enter=8s"];
    let Some(traced) = hotspare_traced("/dev/null", &slow) else {
        return;
    };
    let daemon = Daemon::start_command(systemd.starts(traced, QUICK), &config, |_| {}, &[]);
    systemd.wait_for("READY=1");
    let url = format!("http://{}", daemon.address);
    let order = [
        "silence", "start", "--for", "1h", "--match", "region=x", "--url", &url,
    ];
    let ordered = hotspare().args(order).output().expect("it runs");
    assert!(ordered.status.success(), "{ordered:?}");
    let hangs = "the disk hangs: a write of the state has taken ";
    let status = systemd.wait_for_status(|status| status.starts_with(hangs));
    assert!(status.ends_with("; here: 1 target"), "{status}");
    systemd.wait_for("WATCHDOG=1");
    assert_eq!(daemon.get("/-/healthy").status, 200);
    assert!(!daemon.log().contains("gets no beats"), "{}", daemon.log());
}

#[test]
fn a_daemon_that_is_frozen_does_not_beat() {
    let systemd = Systemd::new();
    let command = systemd.starts(hotspare(), QUICK);
    let mut daemon = Daemon::start_command(command, GOOD, |_| {}, &[]);
    systemd.wait_for("WATCHDOG=1");
    systemd.wait_for("WATCHDOG=1");
    daemon.process().signal(Signal::STOP);
    let stat = format!("/proc/{}/stat", daemon.process().id());
    // A stopped process shows as such before the socket is looked at.
    crate::process::wait_for(
        || std::fs::read_to_string(&stat).expect("alive"),
        |stat| stat.contains(") T "),
    );
    systemd.drain();
    assert_eq!(systemd.within(3 * QUICK), None);
    daemon.process().signal(Signal::CONT);
    systemd.wait_for("WATCHDOG=1");
}

#[test]
fn it_does_not_start_where_it_cannot_tell() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("hotspare.yaml");
    std::fs::write(&file, GOOD).expect("writable");
    let output = hotspare()
        .args([
            "run",
            "--web.listen-address",
            "127.0.0.1:0",
            "--config.file",
        ])
        .arg(&file)
        .env("NOTIFY_SOCKET", "vsock:2:1234")
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("NOTIFY_SOCKET is vsock:2:1234"), "{said}");
}

/// The command that systemd starts for a socket unit: it runs the daemon when the first client comes.
fn activated(address: &str) -> Command {
    let program = "systemd-socket-activate";
    let own = ["--fdname=web", "-E", "NOTIFY_SOCKET", "-l", address];
    hotspare_under(program, &own)
}

/// The same for a socket without connections.
fn activated_by_datagrams(address: &str) -> Command {
    let own = ["--datagram", "--fdname=web", "-l", address];
    hotspare_under("systemd-socket-activate", &own)
}

#[test]
fn it_serves_the_socket_that_systemd_hands_over() {
    let systemd = Systemd::new();
    let address = format!("127.0.0.1:{}", crate::process::free_port());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("hotspare.yaml");
    std::fs::write(&file, GOOD).expect("writable");
    let mut command = systemd.starts(activated(&address), PATIENT);
    // This address is not served, since there are sockets.
    command.args([
        "run",
        "--web.systemd-socket",
        "--web.listen-address=192.0.2.1:1",
    ]);
    command.arg("--config.file").arg(&file);
    let mut process = Process::start(command);
    process.wait_for_line(|line| line.contains("Listening on").then_some(()));
    let page = get(address.parse().expect("an address"), "/-/healthy");
    assert_eq!(page.status, 200, "{:#?}", process.output());
    let served =
        process.wait_for_line(|line| line.contains("message=listening").then(|| line.to_owned()));
    assert!(served.contains(&address), "{served}");
    systemd.wait_for("READY=1");
    process.signal(Signal::TERM);
    systemd.wait_for("STOPPING=1");
    assert_eq!(process.wait().code(), Some(0), "{:#?}", process.output());
}

#[test]
fn a_socket_that_it_cannot_serve_is_refused_and_so_is_none() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("hotspare.yaml");
    std::fs::write(&file, GOOD).expect("writable");
    let said = |mut command: Command, meanwhile: &dyn Fn()| {
        command.args(["run", "--web.systemd-socket", "--config.file"]);
        command.arg(&file).stderr(Stdio::piped());
        let child = command.spawn().expect("it runs");
        meanwhile();
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    let none = said(hotspare(), &|| ());
    assert!(none.contains("systemd handed no socket over"), "{none}");
    let path = folder.path().join("web.sock");
    let datagrams = activated_by_datagrams(path.to_str().expect("UTF-8"));
    let datagrams = said(datagrams, &|| {
        let client = UnixDatagram::unbound().expect("a socket");
        crate::process::wait_for(|| client.send_to(b"news", &path).ok(), Option::is_some);
    });
    let why = "the socket web (descriptor 3) from systemd cannot be served: it is no TCP or UNIX";
    assert!(datagrams.contains(why), "{datagrams}");
}
