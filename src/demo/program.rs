//! Programs that the demo starts: what they say goes to a file, and their end is sure.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

/// How long a program may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);
/// What is told of the end of a log.
const TOLD: usize = 2000;

/// A program that runs; it ends with the value.
pub(super) struct Program {
    child: Child,
    name: String,
    /// What asks it to end.
    end: Signal,
    log: PathBuf,
}

impl Program {
    /// Starts the program, in a process group of its own: what is typed at the terminal is for the
    /// demo, which ends its programs in order.
    pub(super) fn start(command: &mut Command, end: Signal, log: &Path) -> Result<Self, String> {
        let name = Path::new(command.get_program());
        let name = name.file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let said = OpenOptions::new().create(true).append(true).open(log);
        let said = said.and_then(|said| Ok((said.try_clone()?, said)));
        let (out, err) = said.map_err(|e| format!("cannot write {}: {e}", log.display()))?;
        let started = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn();
        let child = started.map_err(|e| format!("cannot start {name}: {e}"))?;
        Ok(Self {
            child,
            name,
            end,
            log: log.to_owned(),
        })
    }

    /// An error once it has ended: with the end of what it said.
    pub(super) fn runs(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.ended(status)),
            Err(error) => Err(format!("{}: {error}", self.name)),
        }
    }

    /// Waits for its end, which has to be a good one.
    pub(super) async fn done(mut self) -> Result<(), String> {
        loop {
            match self.child.try_wait() {
                Ok(None) => sleep(POLL).await,
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(self.ended(status)),
                Err(error) => return Err(format!("{}: {error}", self.name)),
            }
        }
    }

    /// Asks it to end by its signal, and waits until it has.
    pub(super) async fn stop(mut self) {
        self.signal();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && matches!(self.child.try_wait(), Ok(None)) {
            sleep(POLL).await;
        }
    }

    fn signal(&self) {
        // It is not waited for yet, so that the number is still its own.
        if let Some(id) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process(id, self.end);
        }
    }

    fn ended(&self, status: ExitStatus) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let start = log.len().saturating_sub(TOLD);
        let start = (start..log.len()).find(|at| log.is_char_boundary(*at));
        let end = start.map_or("", |start| &log[start..]).trim_end();
        format!(
            "{} has ended, {status}; the end of its log:\n{end}",
            self.name
        )
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        self.signal();
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if begun.elapsed() > PATIENCE {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(POLL);
        }
    }
}
