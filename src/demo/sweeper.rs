//! What cleans up after a demo that was killed, which can do nothing itself: a process of this program
//! that waits for the demo to say that it ends, or to be gone.

use std::fs;
use std::io::{Read, Write, stdin};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::daemons::this_program;
use super::folder::{Folder, PREFIX};

/// What the demo starts beside this program, whatever that is called. Somebody who looks on may be in
/// the folder with other programs.
const OTHERS: [&str; 3] = ["postgres", "initdb", "pg_basebackup"];
/// How often programs are looked for while they may end in order, and then while they are killed.
const LOOKS: usize = 100;
const POLL: Duration = Duration::from_millis(50);

/// Watches over a demo; it ends with the value, and does nothing then.
pub(super) struct Sweeper {
    process: Child,
    /// Closed by the kernel if the demo is killed.
    line: Option<ChildStdin>,
}

impl Sweeper {
    /// From now on nothing stays behind.
    pub(super) fn watch(folder: &Folder) -> Result<Self, String> {
        let mut command = this_program()?;
        command.args(["demo", "--sweep"]).arg(folder.path());
        command.current_dir("/").process_group(0);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let started = command.stdin(Stdio::piped()).spawn();
        let mut process = started.map_err(|e| format!("cannot start this program: {e}"))?;
        let line = process.stdin.take();
        Ok(Self { process, line })
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(mut line) = self.line.take() {
            // If it is gone already, there is nobody to be told.
            let _ = line.write_all(b".");
        }
        let _ = self.process.wait();
    }
}

/// Waits for the demo with this folder to end, and ends what it left behind if it was killed.
pub(super) fn sweep(folder: &Path) -> Result<(), String> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    if !folder.is_absolute() || !name.starts_with(PREFIX) {
        return Err(format!("{} is no folder of a demo", folder.display()));
    }
    if matches!(stdin().read(&mut [0]), Ok(1..)) {
        return Ok(());
    }
    end(folder, Signal::INT);
    end(folder, Signal::KILL);
    match fs::remove_dir_all(folder) {
        Err(error) if folder.exists() => Err(format!("{}: {error}", folder.display())),
        _ => Ok(()),
    }
}

/// Sends a signal to every program of the demo, and waits for a while until there is none.
fn end(folder: &Path, signal: Signal) {
    for look in 0..LOOKS {
        let left = programs(folder);
        if left.is_empty() {
            return;
        }
        if look == 0 {
            for id in left {
                let _ = kill_process(id, signal);
            }
        }
        std::thread::sleep(POLL);
    }
}

/// The programs of the demo: those that work below its folder.
fn programs(folder: &Path) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let this = fs::read_to_string("/proc/self/comm").unwrap_or_default();
    let ids = processes.filter_map(|process| {
        let id = process.file_name().to_str()?.parse().ok()?;
        let works_in = fs::read_link(process.path().join("cwd")).ok()?;
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        let known = name == this || OTHERS.contains(&name.trim_end());
        let ours = works_in.starts_with(folder) && known;
        Pid::from_raw(id).filter(|_| ours)
    });
    ids.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_folder_of_a_demo_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(sweep(folder.path()).is_err());
        assert!(sweep(Path::new("hotspare-demo-1")).is_err(), "not absolute");
        assert!(folder.path().exists());
    }
}
