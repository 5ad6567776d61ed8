//! A process of its own that uses a store: this test binary once more, with one test.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use hotspare::store::{Bounds, MemoryOnly, Segments, Store, Written};

use super::{BATCH, Tick, open};
use crate::process::PATIENCE;

const FOLDER: &str = "STATE_CHILD_FOLDER";
const JOB: &str = "STATE_CHILD_JOB";

/// Enough for the journal to be written anew a few times.
pub(super) const SOME: u64 = 48;

/// The command that does a job with the store in a folder, started by a program and arguments of
/// the test's own, if any.
pub(super) fn command(job: &str, folder: &Path, under: &[&str]) -> Command {
    let own = std::env::current_exe().expect("a path");
    let mut command = match under {
        [] => Command::new(own),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(own);
            command
        }
    };
    command
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "state::child::the_job",
        ])
        .env(FOLDER, folder)
        .env(JOB, job);
    command
}

/// Numbers that a child said are on disk, as it says them.
pub(super) struct Acknowledged {
    pub(super) child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    /// All numbers below it are.
    pub(super) below: u64,
}

impl Acknowledged {
    pub(super) fn of(mut command: Command) -> Self {
        let started = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = started.unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        let stdout = child.stdout.take().expect("piped");
        let lines = BufReader::new(stdout).lines();
        Self {
            child,
            lines,
            below: 0,
        }
    }

    /// Waits for the next acknowledgement; false if there are no more.
    pub(super) fn next(&mut self) -> bool {
        for line in self.lines.by_ref().map_while(Result::ok) {
            if let Some(below) = line.strip_prefix("below ") {
                self.below = below.parse().expect("a number");
                return true;
            }
        }
        false
    }
}

#[test]
#[ignore = "not a test: other tests start it, as a process of its own"]
fn the_job() {
    let (Some(folder), Ok(job)) = (std::env::var_os(FOLDER), std::env::var(JOB)) else {
        return;
    };
    let folder = Path::new(&folder);
    match job.as_str() {
        "put for ever" => assert_eq!(put(folder, u64::MAX), 0),
        "put some" => assert_eq!(put(folder, SOME), 0),
        "put some with a fault" => assert_eq!(put(folder, SOME), 1),
        "full disk" => full_disk(folder),
        "history on a full disk" => history_on_a_full_disk(folder),
        "read-only disk" => read_only_disk(folder),
        _ => panic!("no such job: {job}"),
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(async {
        let end = tokio::time::timeout(PATIENCE, future).await;
        end.expect("an end")
    })
}

fn wait_until_durable(store: &Store) {
    wait(async {
        while !store.counters().durable {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}

/// A store whose writer runs; the handle ends with the writer.
fn running(folder: &Path) -> (Store, std::thread::JoinHandle<()>) {
    let (store, writer) = open(folder);
    (store, std::thread::spawn(move || writer.run()))
}

/// Goes on from where the last process was, so many ticks, and says what is on disk. If the disk
/// fails, waits until it works again; how often it failed.
fn put(folder: &Path, count: u64) -> u64 {
    let (store, writer) = running(folder);
    let found = store.entries::<Tick>().entries;
    let from = found.iter().map(|tick| tick.n + 1).max().unwrap_or(0);
    let mut out = std::io::stdout();
    for n in (from..from.saturating_add(count)).step_by(3) {
        let batch: Vec<Written> = (n..n + BATCH)
            .map(|n| store.put(&Tick::new(n)).expect("taken"))
            .collect();
        for written in batch {
            if wait(written.on_disk()) == Err(MemoryOnly) {
                wait_until_durable(&store);
            }
        }
        writeln!(out, "\nbelow {}", n + BATCH).expect("somebody listens");
    }
    store.close();
    writer.join().expect("no panic");
    store.counters().failures
}

fn put_one(store: &Store, n: u64) -> Result<(), MemoryOnly> {
    wait(store.put(&Tick::new(n)).expect("taken").on_disk())
}

/// Takes all the room that is left.
fn fill(folder: &Path) {
    let mut filler = std::fs::File::create(folder.join("filler")).expect("created");
    for piece in [&[0; 4096][..], &[0; 1]] {
        while filler.write_all(piece).is_ok() {}
    }
}

fn make_room(folder: &Path) {
    std::fs::remove_file(folder.join("filler")).expect("removed");
}

/// Begins on a full disk, which has room after a while, is full again, and has room again.
fn full_disk(folder: &Path) {
    fill(folder);
    let (store, writer) = running(folder);
    assert!(!store.counters().durable);
    assert_eq!(put_one(&store, 0), Err(MemoryOnly));
    make_room(folder);
    wait_until_durable(&store);
    assert_eq!(put_one(&store, 1), Ok(()));

    fill(folder);
    let refused = (2..100).find(|n| put_one(&store, *n).is_err());
    let last = refused.expect("there is no room");
    assert_eq!(put_one(&store, last + 1), Err(MemoryOnly));
    let counters = store.counters();
    assert!(!counters.durable && counters.failures >= 2, "{counters:?}");
    make_room(folder);
    wait_until_durable(&store);
    store.close();
    writer.join().expect("no panic");
    super::assert_kept(folder, last + 2);
}

/// Writes history to a disk that is full for a night.
fn history_on_a_full_disk(folder: &Path) {
    let bounds = Bounds {
        bytes: 128 << 10,
        keep: Duration::from_hours(48),
    };
    let mut segments = Segments::new(folder, "history-x");
    let mut write = |name: &str| {
        let item = (name, &[7; 9_000][..]);
        segments.write([item], SystemTime::now(), bounds)
    };
    write("before").expect("there is room");
    fill(folder);
    for minute in 0..700 {
        assert!(write("lost").is_err(), "{minute}");
    }
    make_room(folder);
    write("after").expect("there is room");
    let files = std::fs::read_dir(folder).expect("readable").count();
    assert!(files <= 2, "{files} files");
    let mut names = Vec::new();
    let again = Segments::new(folder, "history-x");
    let found = again.read(bounds.bytes, |name, item| {
        assert_eq!(item.len(), 9_000);
        names.push(name.to_owned());
    });
    assert_eq!(names, ["before", "after"]);
    assert_eq!(found.damaged, 0);
}

/// Begins on a disk that cannot be written to, until it can.
fn read_only_disk(folder: &Path) {
    let (store, writer) = running(folder);
    assert_eq!(put_one(&store, 0), Ok(()));
    store.close();
    writer.join().expect("no panic");
    let remount = |how: &str| {
        let done = Command::new("mount")
            .arg("-o")
            .arg(how)
            .arg(folder)
            .status();
        assert!(done.expect("it runs").success(), "{how}");
    };
    remount("remount,ro");
    let (store, writer) = running(folder);
    assert_eq!(store.entries::<Tick>().entries, [Tick::new(0)]);
    assert!(!store.counters().durable);
    for n in [1, 2] {
        assert_eq!(put_one(&store, n), Err(MemoryOnly));
    }
    remount("remount,rw");
    wait_until_durable(&store);
    assert_eq!(put_one(&store, 3), Ok(()));
    store.close();
    writer.join().expect("no panic");
    super::assert_kept(folder, 4);
}
