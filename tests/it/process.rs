//! Programs that a test starts: their output kept, their end sure.

use std::fmt::Debug;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

/// How long a test waits for what must come, before it fails. Only a guard against hanging.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A running program; it is killed when the test lets go of it.
pub(crate) struct Process {
    child: Child,
    output: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts the command and keeps the lines of its standard error.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        let stderr = child.stderr.take().expect("piped");
        let output = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&output);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.lock().expect("not poisoned").push(line);
            }
        });
        Self { child, output }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the program has written to standard error.
    pub(crate) fn output(&self) -> Vec<String> {
        self.output.lock().expect("not poisoned").clone()
    }

    /// Waits for a line of standard error and returns what `find` makes of it.
    pub(crate) fn wait_for_line<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> T {
        let found = self.wait_until(|process| process.output().iter().find_map(|l| find(l)));
        found.unwrap_or_else(|status| {
            panic!("{status} without such a line; output: {:#?}", self.output())
        })
    }

    /// Waits until there is what `look` looks for; the error is how the program ended before.
    pub(crate) fn wait_until<T>(
        &mut self,
        look: impl Fn(&Self) -> Option<T>,
    ) -> Result<T, ExitStatus> {
        let since = Instant::now();
        loop {
            // Before the look, so that what it did last is seen.
            let ended = self.child.try_wait().expect("waitable");
            if let Some(found) = look(self) {
                return Ok(found);
            }
            if let Some(status) = ended {
                return Err(status);
            }
            assert!(
                since.elapsed() < PATIENCE,
                "it never comes: {:#?}",
                self.output()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.id().cast_signed()).expect("a process id");
        kill_process(id, signal).expect("ours, and not waited for yet");
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("waitable") {
                return status;
            }
            assert!(
                since.elapsed() < PATIENCE,
                "it does not end: {:#?}",
                self.output()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Open file descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.id());
        std::fs::read_dir(path).map_or(0, Iterator::count)
    }

    /// A number of `/proc/PID/status`: `VmRSS` in kB, `Threads`.
    pub(crate) fn status(&self, field: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("alive");
        let line = text.lines().find(|l| l.starts_with(field)).expect("field");
        let number = line.split_whitespace().nth(1).expect("value");
        number.parse().expect("number")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end, which must be a good one; what it wrote to standard output.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output();
    let output = output.unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Looks again and again until what is seen is right.
pub(crate) fn wait_for<T: Debug>(look: impl Fn() -> T, is_right: impl Fn(&T) -> bool) -> T {
    let since = Instant::now();
    loop {
        let seen = look();
        if is_right(&seen) {
            return seen;
        }
        assert!(since.elapsed() < PATIENCE, "it stays {seen:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port on which nothing listens now; another program may take it before the test does.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}
