//! The small durable state of the daemon: what it must not forget when it ends, however it ends.
//!
//! The state is a map of [`Entry`]s by table and id. It is whole in memory ([`Store`]), and every
//! change is added to a *journal*, a file in the state directory, by one thread ([`Writer`]).
//! Changing the state never waits for the disk; [`Written`] tells when the change is on it. What
//! waits at the same time is written and synced together.
//!
//! Once the journal is much longer than its entries, it is replaced by one that has just these:
//! written beside it, synced and renamed, so that there always is the old one or the new one.
//!
//! A disk that fails costs durability and nothing else: the state goes on in memory, and the whole
//! of it is written once that works again. A journal that is damaged never keeps the daemon from
//! starting: what can be read is kept, and so is the file.
//!
//! What is much and only history has files of its own ([`Segments`]).

mod disk;
mod format;
mod segments;
mod tables;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::model::Beat;
use disk::Disk;
use format::{HEAD, MAX_PAYLOAD};
pub use segments::{Bounds, Found, Segments};
use tables::{Line, Tables};
pub use writer::Writer;

/// How long the journal of just the entries may be, in bytes: half of what a journal may have.
///
/// Ten thousand alerts of 1 KiB, each of which three receivers are told of, take a third of it.
const MAX_ENTRIES: usize = 32 << 20;

/// Bytes of changes that may wait for the disk. With more of them, the whole state is written
/// instead, which is not longer.
const MAX_WAITING: usize = MAX_ENTRIES;

/// Something that the store keeps. It is written as JSON, which must be readable by later versions
/// of the daemon: give fields that are added a default.
pub trait Entry: Serialize + DeserializeOwned {
    /// The table of entries of this type, a name that no other type has.
    const TABLE: &'static str;

    /// What names the entry in its table; an entry that is put replaces the one with its id.
    fn id(&self) -> String;
}

/// The entries of a table.
#[derive(Debug)]
pub struct Entries<T> {
    /// In the order of their ids.
    pub entries: Vec<T>,
    /// Those that another version of the daemon wrote and this one cannot read: they stay in the
    /// store. Each with its id and why.
    pub unreadable: Vec<(String, String)>,
}

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder is missing, or not this daemon's to write to.
    #[error(
        "cannot use the state directory {}: {error}; it must exist, on a local file system, and \
         belong to the user that the daemon runs as",
        path.display()
    )]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Another daemon has it.
    #[error(
        "another hotspare uses the state directory {}: end that one, or give each its own `state_dir`",
        .0.display()
    )]
    Locked(PathBuf),
    /// The journal is not this daemon's to read, or others can write to it.
    #[error(
        "cannot use the state in {}: {error}; make it a file that belongs to the user that the \
         daemon runs as, with mode 0600, or move it away",
        path.display()
    )]
    Journal {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        error: io::Error,
    },
    /// A later version of the daemon wrote it.
    #[error(
        "the state in {} has version {version} of its format, which this hotspare does not know: \
         run the later version that wrote it, or move the file away",
        path.display()
    )]
    Newer {
        /// The journal.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

/// Why an entry cannot be kept; the store is as it was.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// It has no form as JSON.
    #[error("the entry {id} of {table} cannot be written as JSON: {error}")]
    Json {
        /// Its table.
        table: &'static str,
        /// Its id.
        id: String,
        /// Why not.
        error: serde_json::Error,
    },
    /// It is longer than a record may be.
    #[error("the entry {id} of {table} has {length} bytes, more than {MAX_PAYLOAD}")]
    TooLong {
        /// Its table.
        table: &'static str,
        /// Its id.
        id: String,
        /// How many bytes it has as JSON.
        length: usize,
    },
    /// There is no room left.
    #[error("there is no room for the entry {id} of {table}: the state has {MAX_ENTRIES} bytes")]
    Full {
        /// Its table.
        table: &'static str,
        /// Its id.
        id: String,
    },
}

/// A change that is not on disk: the store has no folder, or cannot write there now. It is in
/// memory, and is written with everything else if the disk recovers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is kept in memory only")]
pub struct MemoryOnly;

/// A change of the store on its way to the disk.
#[derive(Debug)]
pub struct Written {
    change: u64,
    progress: watch::Receiver<Progress>,
}

impl Written {
    /// Waits until the change is on disk, which it is then for good, or until it is known that it
    /// is not for now.
    pub async fn on_disk(mut self) -> Result<(), MemoryOnly> {
        let change = self.change;
        let settled = |p: &Progress| p.on_disk >= change || p.in_memory >= change;
        match self.progress.wait_for(settled).await {
            Ok(progress) if progress.on_disk >= change => Ok(()),
            // Without a store there is nobody left to write it.
            Ok(_) | Err(_) => Err(MemoryOnly),
        }
    }
}

/// What the store tells of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Whether the whole state is on disk, but for what is on its way.
    pub durable: bool,
    /// Writes that came to their end on the disk.
    pub writes: u64,
    /// Writes that failed.
    pub failures: u64,
    /// Bytes of the journal.
    pub bytes: u64,
    /// Journals that were found damaged: one at most, when the store was opened.
    pub corruptions: u64,
}

/// Changes by their numbers, up to which they are settled.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    on_disk: u64,
    in_memory: u64,
}

/// The state, for all who read and change it. Its clones are the same store.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    wake: Condvar,
    progress: watch::Sender<Progress>,
    /// Of the writer, whenever it looks for something to write; `None` without a folder.
    beat: Option<Arc<Beat>>,
}

#[derive(Debug, Default)]
struct Inner {
    tables: Tables,
    /// The number of the last change.
    changes: u64,
    /// Changes that the writer has not taken yet, in order.
    waiting: Vec<Arc<str>>,
    waiting_bytes: usize,
    /// Whether the writer has to write everything rather than what waits.
    whole: bool,
    closing: bool,
    /// Since when the writer has been writing, if it does.
    writing: Option<Instant>,
    counters: Counters,
}

impl Inner {
    fn clear_waiting(&mut self) {
        self.waiting.clear();
        self.waiting_bytes = 0;
    }
}

impl Store {
    /// A store without a folder: what it keeps is gone with it.
    pub fn in_memory() -> Self {
        Self::with(Inner::default(), None)
    }

    /// Opens the store in a folder, and locks it until the writer ends. The folder must exist.
    ///
    /// This reads and writes files. A disk that cannot be written to is no error: it is logged, and
    /// [`Counters::durable`] is false until it can.
    pub fn open(folder: &Path) -> Result<(Self, Writer), OpenError> {
        let (disk, tables) = Disk::open(folder)?;
        let inner = Inner {
            tables,
            whole: !disk.is_ready(),
            counters: Counters {
                durable: true,
                bytes: disk.length() as u64,
                corruptions: disk.is_damaged().into(),
                ..Counters::default()
            },
            ..Inner::default()
        };
        let beat = Beat::new(tokio::time::Instant::now().into_std());
        let store = Self::with(inner, Some(Arc::new(beat)));
        let mut writer = Writer::new(Arc::clone(&store.shared), disk, folder);
        writer.begin();
        Ok((store, writer))
    }

    fn with(inner: Inner, beat: Option<Arc<Beat>>) -> Self {
        Self {
            shared: Arc::new(Shared {
                inner: Mutex::new(inner),
                wake: Condvar::new(),
                progress: watch::Sender::default(),
                beat,
            }),
        }
    }

    /// Keeps the entry, in the place of the one with its id. It can be read at once; on disk it is
    /// when the returned handle says so.
    pub fn put<T: Entry>(&self, entry: &T) -> Result<Written, PutError> {
        let (table, id) = (T::TABLE, entry.id());
        let line = Line::Put {
            table,
            id: id.as_str(),
            value: entry,
        };
        let line = match line.to_text() {
            Ok(line) => line,
            Err(error) => return Err(PutError::Json { table, id, error }),
        };
        if line.len() > MAX_PAYLOAD {
            let length = line.len();
            return Err(PutError::TooLong { table, id, length });
        }
        let mut inner = self.shared.lock();
        let others = inner.tables.size() - inner.tables.size_of(table, &id);
        if others + HEAD + line.len() > MAX_ENTRIES {
            return Err(PutError::Full { table, id });
        }
        inner.tables.put(table, &id, Arc::clone(&line));
        Ok(self.changed(inner, line))
    }

    /// Forgets the entry with this id, if there is one.
    pub fn remove<T: Entry>(&self, id: &str) -> Result<Written, PutError> {
        let table = T::TABLE;
        let line: Line<_, ()> = Line::Remove { table, id };
        let line = line.to_text().map_err(|error| PutError::Json {
            table,
            id: id.to_owned(),
            error,
        })?;
        let mut inner = self.shared.lock();
        if inner.tables.remove(table, id) {
            return Ok(self.changed(inner, line));
        }
        // It may be gone since a moment ago, and that not be on disk yet.
        Ok(self.handle(inner.changes))
    }

    /// Every entry of this type.
    pub fn entries<T: Entry>(&self) -> Entries<T> {
        self.entries_from::<T>("")
    }

    /// Every entry of this type whose id begins so.
    pub fn entries_from<T: Entry>(&self, beginning: &str) -> Entries<T> {
        let lines: Vec<_> = {
            let inner = self.shared.lock();
            let lines = inner.tables.lines_of(T::TABLE, beginning);
            lines
                .map(|(id, line)| (id.clone(), Arc::clone(line)))
                .collect()
        };
        let mut found = Entries {
            entries: Vec::new(),
            unreadable: Vec::new(),
        };
        for (id, line) in lines {
            match serde_json::from_str(&line) {
                Ok(Line::Put::<String, T> { value, .. }) => found.entries.push(value),
                Ok(Line::Remove { .. }) => {}
                Err(error) => found.unreadable.push((id, error.to_string())),
            }
        }
        found
    }

    /// What the store tells of itself.
    pub fn counters(&self) -> Counters {
        self.shared.lock().counters
    }

    /// The writer's sign of life: at least once a second, except while it writes. `None` for a
    /// store without a folder.
    pub fn beat(&self) -> Option<&Beat> {
        self.shared.beat.as_deref()
    }

    /// For how long the disk has had a write that it has not come to the end of; `None` if there is
    /// none. A disk that hangs keeps the writer for as long as it wants.
    pub fn writing(&self, now: Instant) -> Option<Duration> {
        let since = self.shared.lock().writing?;
        Some(now.saturating_duration_since(since))
    }

    /// Ends the writer once what waits is on disk. What is changed from now on may stay in memory.
    pub fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.wake.notify_all();
    }

    /// Hands a change to the writer.
    fn changed(&self, mut inner: MutexGuard<'_, Inner>, line: Arc<str>) -> Written {
        inner.changes += 1;
        let change = inner.changes;
        if !inner.counters.durable {
            self.shared.progress.send_modify(|p| p.in_memory = change);
        } else if !inner.whole {
            inner.waiting_bytes += HEAD + line.len();
            inner.waiting.push(line);
            if inner.waiting_bytes > MAX_WAITING {
                inner.clear_waiting();
                inner.whole = true;
            }
        }
        drop(inner);
        self.shared.wake.notify_all();
        self.handle(change)
    }

    fn handle(&self, change: u64) -> Written {
        Written {
            change,
            progress: self.shared.progress.subscribe(),
        }
    }
}

impl Shared {
    /// Nothing is left half done by a panic while the lock was held: it is held for steps that
    /// cannot.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod test_disk;
#[cfg(test)]
mod tests;
