//! The one thread that writes the state.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info};

use super::disk::Disk;
use super::{Inner, Shared};

/// After how long a failed write is tried again: each time after twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(16);

/// It beats so often at least while it waits.
const BEAT: Duration = Duration::from_secs(1);

/// Writes what changes until the store is closed. When it is dropped, the folder is free again.
pub struct Writer {
    shared: Arc<Shared>,
    disk: Disk,
    folder: PathBuf,
    /// After a failure, the time to the next try.
    pause: Option<Duration>,
    timed: Box<dyn Fn(Duration) + Send>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// What is to be written.
struct Work {
    lines: Vec<Arc<str>>,
    /// Whether these are all the entries, rather than changes.
    whole: bool,
    /// The number of the last change in it.
    upto: u64,
    /// Whether the store is closed.
    last: bool,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, disk: Disk, folder: &Path) -> Self {
        Self {
            shared,
            disk,
            folder: folder.to_owned(),
            pause: None,
            timed: Box::new(|_| ()),
        }
    }

    /// Tells how long each write takes, whether it fails or not.
    #[must_use]
    pub fn timed(mut self, timed: impl Fn(Duration) + Send + 'static) -> Self {
        self.timed = Box::new(timed);
        self
    }

    /// Writes the state at once if the journal that was found cannot be added to.
    pub(super) fn begin(&mut self) {
        if self.shared.lock().whole
            && let Some(work) = self.next()
        {
            self.write(&work);
        }
    }

    /// Writes until the store is closed. This blocks: it is for a thread of its own.
    pub fn run(mut self) {
        while let Some(work) = self.next() {
            if !self.write(&work) && work.last {
                error!(folder = %self.folder.display(), "the last changes of the state are lost");
                return;
            }
        }
    }

    /// Waits for something to write, and after a failure for the time to try again; `None` once the
    /// store is closed and everything is written.
    fn next(&self) -> Option<Work> {
        let mut inner = self.wait();
        if inner.waiting.is_empty() && !inner.whole {
            return None;
        }
        let entries = inner.tables.size();
        let whole = inner.whole || self.disk.is_full(inner.waiting_bytes, entries);
        let lines = if whole {
            inner.tables.lines().map(Arc::clone).collect()
        } else {
            std::mem::take(&mut inner.waiting)
        };
        inner.clear_waiting();
        inner.whole = false;
        inner.writing = Some(Instant::now().into_std());
        Some(Work {
            lines,
            whole,
            upto: inner.changes,
            last: inner.closing,
        })
    }

    /// Waits until there is something to do, and beats meanwhile.
    fn wait(&self) -> MutexGuard<'_, Inner> {
        let end = self.pause.map(|pause| Instant::now() + pause);
        let mut inner = self.shared.lock();
        loop {
            let now = Instant::now();
            if let Some(beat) = &self.shared.beat {
                beat.beat(now.into_std());
            }
            let due = match end {
                Some(end) => end <= now,
                None => inner.whole || !inner.waiting.is_empty(),
            };
            if due || inner.closing {
                return inner;
            }
            let limit = end.map_or(BEAT, |end| BEAT.min(end - now));
            let waited = self.shared.wake.wait_timeout(inner, limit);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// False if it failed.
    fn write(&mut self, work: &Work) -> bool {
        let started = Instant::now();
        let result = if work.whole {
            self.disk.replace(&work.lines)
        } else {
            self.disk.append(&work.lines)
        };
        (self.timed)(started.elapsed());
        match result {
            Ok(()) => self.succeeded(work.upto),
            Err(error) => {
                self.failed(&error);
                return false;
            }
        }
        true
    }

    fn succeeded(&mut self, upto: u64) {
        let mut inner = self.shared.lock();
        let recovered = !inner.counters.durable;
        inner.writing = None;
        inner.counters.durable = true;
        inner.counters.writes += 1;
        inner.counters.bytes = self.disk.length() as u64;
        // What came in between was not put aside for a disk that failed.
        inner.whole |= recovered && inner.changes > upto;
        self.shared.progress.send_modify(|p| p.on_disk = upto);
        drop(inner);
        self.pause = None;
        if recovered {
            info!(folder = %self.folder.display(), "the state is on disk again");
        }
    }

    /// From now on changes stay in memory, until the whole state can be written.
    fn failed(&mut self, error: &io::Error) {
        let mut inner = self.shared.lock();
        let was_durable = inner.counters.durable;
        inner.writing = None;
        inner.counters.durable = false;
        inner.counters.failures += 1;
        inner.whole = true;
        inner.clear_waiting();
        let changes = inner.changes;
        self.shared.progress.send_modify(|p| p.in_memory = changes);
        drop(inner);
        let pause = self.pause.map_or(FIRST_PAUSE, |pause| pause * 2);
        self.pause = Some(pause.min(LONGEST_PAUSE));
        if was_durable {
            error!(
                folder = %self.folder.display(), %error,
                "the state cannot be written: it stays in memory until that works again"
            );
        }
    }
}

/// Whatever ended the writer: nobody waits for it any more.
impl Drop for Writer {
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        inner.counters.durable = false;
        let changes = inner.changes;
        self.shared.progress.send_modify(|p| p.in_memory = changes);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use futures_util::FutureExt;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::store::{Entry, MemoryOnly, Store};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Name(String);

    impl Entry for Name {
        const TABLE: &'static str = "names";

        fn id(&self) -> String {
            self.0.clone()
        }
    }

    fn name(text: &str) -> Name {
        Name(text.to_owned())
    }

    fn kept(folder: &tempfile::TempDir) -> Vec<Name> {
        let (store, _) = Store::open(folder.path()).expect("opened");
        store.entries().entries
    }

    #[test]
    fn a_change_during_a_write_is_of_the_next() {
        let folder = tempfile::tempdir().expect("folder");
        let (store, mut writer) = Store::open(folder.path()).expect("opened");
        let first = store.put(&name("a")).expect("taken");
        let work = writer.next().expect("something");
        let second = store.put(&name("b")).expect("taken");
        assert!(writer.write(&work));
        assert_eq!(first.on_disk().now_or_never(), Some(Ok(())));
        let mut second = Box::pin(second.on_disk());
        assert_eq!(second.as_mut().now_or_never(), None);
        let work = writer.next().expect("something");
        assert_eq!(work.lines.len(), 1);
        assert!(writer.write(&work));
        assert_eq!(second.now_or_never(), Some(Ok(())));
        drop(writer);
        assert_eq!(kept(&folder), [name("a"), name("b")]);
    }

    #[test]
    fn a_change_while_a_disk_recovers_is_written_too() {
        let folder = tempfile::tempdir().expect("folder");
        let obstacle = folder.path().join("journal.new");
        fs::create_dir(&obstacle).expect("made");
        let (store, mut writer) = Store::open(folder.path()).expect("opened");
        store.put(&name("a")).expect("taken");
        fs::remove_dir(&obstacle).expect("removed");
        assert_eq!(writer.pause, Some(FIRST_PAUSE));
        writer.pause = Some(Duration::ZERO);
        let work = writer.next().expect("everything");
        let during = store.put(&name("b")).expect("taken");
        assert_eq!(during.on_disk().now_or_never(), Some(Err(MemoryOnly)));
        assert!(writer.write(&work));
        assert!(store.counters().durable);
        assert_eq!(writer.pause, None);
        let work = writer.next().expect("everything again");
        assert!(work.whole);
        assert!(writer.write(&work));
        drop(writer);
        assert_eq!(kept(&folder), [name("a"), name("b")]);
    }

    #[test]
    fn how_long_a_write_takes_is_known_while_it_does() {
        let folder = tempfile::tempdir().expect("folder");
        let (store, mut writer) = Store::open(folder.path()).expect("opened");
        let writing = |seconds| store.writing(Instant::now().into_std() + seconds);
        assert_eq!(writing(Duration::from_secs(9)), None);
        store.put(&name("a")).expect("taken");
        let work = writer.next().expect("something");
        let took = writing(Duration::from_secs(9)).expect("a write");
        assert!(took >= Duration::from_secs(9), "{took:?}");
        assert!(writer.write(&work));
        assert_eq!(writing(Duration::from_secs(9)), None);
        store.put(&name("b")).expect("taken");
        writer.next().expect("something");
        writer.failed(&io::Error::other("full"));
        assert_eq!(writing(Duration::from_secs(9)), None);
    }

    #[test]
    fn a_disk_that_fails_is_tried_less_and_less_often() {
        let folder = tempfile::tempdir().expect("folder");
        fs::create_dir(folder.path().join("journal.new")).expect("made");
        let (store, mut writer) = Store::open(folder.path()).expect("opened");
        for seconds in [1, 2, 4, 8, 16, 16] {
            assert_eq!(writer.pause, Some(Duration::from_secs(seconds)));
            writer.failed(&io::Error::other("full"));
        }
        assert_eq!(store.counters().failures, 7);
    }
}
