//! The real daemon, started as an operator would start it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use crate::process::{PATIENCE, Process};

/// A daemon on a port of its own, with its configuration in a folder of its own.
pub(crate) struct Daemon {
    process: Process,
    pub(crate) address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Daemon {
    /// Starts `hotspare run` with the configuration and waits until it listens.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_with(config, |_| {}, &[])
    }

    /// Starts it after `prepare` has put more files into its folder, with more arguments.
    pub(crate) fn start_with(
        config: &str,
        prepare: impl FnOnce(&Path),
        arguments: &[&str],
    ) -> Self {
        Self::start_command(hotspare(), config, prepare, arguments)
    }

    /// Starts it by a command of the test's own.
    pub(crate) fn start_command(
        mut command: Command,
        config: &str,
        prepare: impl FnOnce(&Path),
        arguments: &[&str],
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("hotspare.yaml");
        std::fs::write(&file, config).expect("writable");
        prepare(folder.path());
        command
            .args([
                "run",
                "--web.listen-address",
                "127.0.0.1:0",
                "--config.file",
            ])
            .arg(&file)
            .args(arguments);
        let mut process = Process::start(command);
        let address = process.wait_for_line(|line| {
            let (_, rest) = line.split_once("listening")?;
            let (_, address) = rest.split_once("address=")?;
            address.split_whitespace().next()?.parse().ok()
        });
        Self {
            process,
            address,
            folder,
        }
    }

    /// Puts a file into its folder, as a whole.
    pub(crate) fn put(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        let new = path.with_extension("new");
        std::fs::write(&new, text).expect("writable");
        std::fs::rename(new, path).expect("in one folder");
    }

    /// Has it read another configuration, and returns its answer.
    pub(crate) fn reload(&self, config: &str) -> Response {
        self.put("hotspare.yaml", config);
        ask(self.address, "POST", "/-/reload")
    }

    /// Has it read another configuration that is good.
    pub(crate) fn take(&self, config: &str) -> serde_json::Value {
        let answer = self.reload(config);
        assert_eq!(answer.status, 200, "{}\n{}", answer.text(), self.log());
        serde_json::from_str(&answer.text()).expect("JSON")
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        self.process.output().join("\n")
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        get(self.address, path)
    }

    /// The series on `/metrics` now.
    pub(crate) fn series(&self) -> Series {
        let response = self.get("/metrics");
        assert_eq!(response.status, 200, "{}", response.text());
        Series::parse(&response.text())
    }

    /// Scrapes until the series are as wanted, and returns them.
    pub(crate) fn wait_until(&self, what: &str, wanted: impl Fn(&Series) -> bool) -> Series {
        let since = Instant::now();
        loop {
            let series = self.series();
            if wanted(&series) {
                return series;
            }
            assert!(
                since.elapsed() < PATIENCE,
                "never: {what}\n{}\n{series:#?}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Asks it to end, as systemd would, and waits for it.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        self.process.signal(Signal::TERM);
        let status = self.process.wait();
        (status, self.log())
    }
}

/// The binary under test, without this process's own settings.
pub(crate) fn hotspare() -> Command {
    without_settings(Command::new(env!("CARGO_BIN_EXE_hotspare")))
}

/// The binary under test, started by another program that ends with being it.
pub(crate) fn hotspare_under(program: &str, arguments: &[&str]) -> Command {
    let mut command = without_settings(Command::new(program));
    command.args(arguments).arg(env!("CARGO_BIN_EXE_hotspare"));
    command
}

/// Whether this test may trace.
#[expect(clippy::print_stderr, reason = "says which tests did not run, and why")]
pub(crate) fn can_trace() -> bool {
    let tried = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .status();
    let can = tried.is_ok_and(|status| status.success());
    if !can {
        eprintln!("skipped: cannot trace a process");
    }
    can
}

/// The daemon, traced, or nothing if this test may not trace. `what` is an expression of strace,
/// with more of its options.
pub(crate) fn hotspare_traced(log: &str, what: &[&str]) -> Option<Command> {
    if !can_trace() {
        return None;
    }
    // -D: the daemon is the test's child, and strace ends with it.
    let arguments = ["-D", "-f", "-qq", "-s", "256", "-o", log, "-e"];
    let mut command = hotspare_under("strace", &[&arguments, what].concat());
    // What cargo sets for tests, and nobody else does.
    command.env_remove("LD_LIBRARY_PATH");
    Some(command)
}

/// The binary under test where it may open no more than so many files.
pub(crate) fn hotspare_with_files(limit: u32) -> Command {
    let script = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
    hotspare_under("sh", &["-c", &script])
}

/// The binary under test where it may not ping; nothing if this test may not arrange that.
#[expect(clippy::print_stderr, reason = "says which tests did not run, and why")]
pub(crate) fn hotspare_that_may_not_ping() -> Option<Command> {
    // Raw sockets need the capability; the group is above all that `ping_group_range` allows where
    // it allows pings to everybody (0 to 2147483647).
    let restriction = [
        "--regid=4000000000",
        "--clear-groups",
        "--bounding-set=-net_raw",
        "--inh-caps=-all",
    ];
    let tried = Command::new("setpriv")
        .args(restriction)
        .arg("true")
        .output();
    if !tried.as_ref().is_ok_and(|tried| tried.status.success()) {
        eprintln!("skipped: cannot drop the permission to ping: {tried:?}");
        return None;
    }
    Some(hotspare_under("setpriv", &restriction))
}

fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HOTSPARE")) {
        command.env_remove(name);
    }
    for name in [
        "CREDENTIALS_DIRECTORY",
        "STATE_DIRECTORY",
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
    ] {
        command.env_remove(name);
    }
    command
}

/// An HTTP answer.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }
}

/// A plain GET, one connection each.
pub(crate) fn get(address: SocketAddr, path: &str) -> Response {
    ask(address, "GET", path)
}

/// A plain request without a body, one connection each.
pub(crate) fn ask(address: SocketAddr, method: &str, path: &str) -> Response {
    let mut stream = TcpStream::connect(address).expect("it accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("settable");
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("written");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("answered");
    let end = bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("UTF-8");
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|l| l.split(' ').nth(1))
        .expect("a status");
    let headers: BTreeMap<_, _> = lines
        .filter_map(|l| l.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let body = bytes[end + 4..].to_vec();
    let chunked = headers
        .get("transfer-encoding")
        .is_some_and(|v| v == "chunked");
    Response {
        status: status.parse().expect("a number"),
        body: if chunked { unchunk(&body) } else { body },
    }
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).expect("hex");
        let size = usize::from_str_radix(size, 16).expect("hex");
        whole.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 2 + size + 2..];
    }
    whole
}

/// The samples of one exposition, by what stands before the value.
#[derive(Debug)]
pub(crate) struct Series(BTreeMap<String, f64>);

impl Series {
    pub(crate) fn parse(text: &str) -> Self {
        let samples = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(|line| {
                let (name, value) = line.rsplit_once(' ').expect("a value");
                let value = match value {
                    "+Inf" => f64::INFINITY,
                    "NaN" => f64::NAN,
                    number => number.parse().expect("a number"),
                };
                (name.to_owned(), value)
            });
        Self(samples.collect())
    }

    /// Every sample of the family whose labels include all of the given ones (`name="value"`).
    pub(crate) fn all<'a>(
        &'a self,
        family: &'a str,
        labels: &'a [&'a str],
    ) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.iter().filter_map(move |(name, value)| {
            let (own, rest) = name.split_once('{').unwrap_or((name, ""));
            let found = own == family && labels.iter().all(|label| rest.contains(label));
            found.then_some((name.as_str(), *value))
        })
    }

    /// What stands before the value, of every sample.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Every sample of any family that has the label.
    pub(crate) fn having(&self, label: &str) -> impl Iterator<Item = (&str, f64)> {
        let all = self.0.iter().map(|(name, value)| (name.as_str(), *value));
        all.filter(move |(name, _)| name.contains(label))
    }

    /// The sum of these samples.
    pub(crate) fn sum(&self, family: &str, labels: &[&str]) -> f64 {
        self.all(family, labels).map(|(_, value)| value).sum()
    }

    /// The one sample that there is.
    pub(crate) fn one(&self, family: &str, labels: &[&str]) -> f64 {
        let found: Vec<_> = self.all(family, labels).collect();
        assert_eq!(found.len(), 1, "{family} {labels:?}: {found:#?}");
        found[0].1
    }
}
