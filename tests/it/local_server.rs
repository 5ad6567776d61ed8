//! What the database servers that tests start have in common: a folder, an account, a port of
//! 127.0.0.1, and an end that is sure.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::process::{PATIENCE, free_port, run};

/// A folder and, once started, the server on it. Both end with the value.
pub(crate) struct LocalServer {
    folder: TempDir,
    account: Option<Account>,
    process: Option<Child>,
    port: u16,
    /// Whether the server has run on its port: others may know it then.
    has_run: bool,
}

/// The account that a server runs as when the tests run as root, which servers refuse.
#[derive(Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

impl LocalServer {
    /// An empty folder, for a server that runs as the account if the tests run as root.
    pub(crate) fn new(account: &str) -> Self {
        let is_root = rustix::process::getuid().is_root();
        let server = Self {
            folder: tempfile::tempdir().expect("folder"),
            account: is_root.then(|| Account::find(account)),
            process: None,
            port: 0,
            has_run: false,
        };
        let folder = server.folder();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("permissions");
        server.give(folder);
        server
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The port that clients connect to; the same from the first start on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address that clients connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// A program to run in the folder as the server's account.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder());
        if let Some(account) = self.account {
            command.uid(account.user).gid(account.group);
        }
        command
    }

    /// Writes a file of the folder, as the server's own.
    pub(crate) fn write(&self, name: impl AsRef<Path>, content: &str) {
        let path = self.folder().join(name);
        fs::write(&path, content).expect("write");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
        self.give(&path);
    }

    /// Adds lines to a file of the folder.
    pub(crate) fn append(&self, name: impl AsRef<Path>, lines: &str) {
        let path = self.folder().join(name);
        let file = fs::OpenOptions::new().append(true).open(path);
        writeln!(file.expect("a file to add to"), "{lines}").expect("write");
    }

    /// What the server logged so far, over all its starts.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }

    /// Starts the server, with the command that is made once there is a port, and waits until it
    /// is ready.
    pub(crate) fn start(
        &mut self,
        program: impl Fn(&Self) -> Command,
        is_ready: impl Fn(&Self) -> bool,
    ) {
        let begun = Instant::now();
        loop {
            if !self.has_run {
                self.port = free_port();
            }
            let logged = self.log().len();
            // Kept at once, so that a test which gives up here ends the server too.
            self.process = Some(self.spawn(program(self)));
            while self.is_running() {
                if is_ready(self) {
                    self.has_run = true;
                    return;
                }
                assert!(begun.elapsed() < PATIENCE, "no server: {}", self.log());
                sleep(Duration::from_millis(10));
            }
            // Someone else took the port between the choice and the start, or, for the time of a
            // connection, while the server was down.
            let log = self.log().split_off(logged);
            let is_taken = log.contains("Address already in use");
            assert!(is_taken && begun.elapsed() < PATIENCE, "it ended: {log}");
        }
    }

    /// Stops every process of the server without its knowing: the kernel still completes
    /// connections for it and takes what is sent.
    pub(crate) fn freeze(&self) {
        // The first process first, so that it neither starts another nor waits for an ended one.
        self.signal(Signal::STOP);
        self.signal_children(Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub(crate) fn thaw(&self) {
        self.signal_children(Signal::CONT);
        self.signal(Signal::CONT);
    }

    /// Asks the server to end by a signal, and waits for it.
    pub(crate) fn stop(&mut self, signal: Signal) {
        self.thaw();
        self.signal(signal);
        self.wait();
    }

    /// Ends every process of the server by a signal that leaves them no time, as a crash does, and
    /// waits for it. Frozen ones say nothing more.
    pub(crate) fn kill(&mut self, signal: Signal) {
        self.freeze();
        self.signal_children(signal);
        self.signal(signal);
        self.thaw();
        self.wait();
    }

    fn spawn(&self, mut command: Command) -> Child {
        let mut options = fs::OpenOptions::new();
        let log = options.create(true).append(true);
        let log = log.open(self.folder().join("log")).expect("log");
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("log"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"))
    }

    fn is_running(&mut self) -> bool {
        let process = self.process.as_mut().expect("started");
        process.try_wait().expect("process").is_none()
    }

    fn wait(&mut self) {
        let begun = Instant::now();
        while let Some(process) = &mut self.process {
            if !matches!(process.try_wait(), Ok(None)) {
                self.process = None;
            } else if begun.elapsed() > PATIENCE {
                self.signal_children(Signal::KILL);
                self.signal(Signal::KILL);
            }
            sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            send(process.id().cast_signed(), signal);
        }
    }

    fn signal_children(&self, signal: Signal) {
        let Some(id) = self.process.as_ref().map(Child::id) else {
            return;
        };
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        for child in children.unwrap_or_default().split_whitespace() {
            send(child.parse().expect("a process id"), signal);
        }
    }

    fn give(&self, path: &Path) {
        if let Some(account) = self.account {
            chown(path, Some(account.user), Some(account.group)).expect("owner");
        }
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        self.kill(Signal::KILL);
    }
}

impl Account {
    /// The account, which the server's package makes.
    fn find(name: &str) -> Self {
        let id = |option| {
            let text = run(Command::new("id").args([option, name]));
            text.trim().parse().expect("a number")
        };
        Self {
            user: id("-u"),
            group: id("-g"),
        }
    }
}

fn send(id: i32, signal: Signal) {
    if let Some(id) = Pid::from_raw(id) {
        // It may have ended by itself.
        let _ = kill_process(id, signal);
    }
}
