//! The folder of the state and the journal in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat};
use rustix::io::Errno;
use rustix::process::geteuid;
use tracing::{error, warn};

use super::OpenError;
use super::format::{self, Contents, HEAD};
use super::tables::Tables;

/// Bytes of a journal; it is written anew before it has more.
const MAX_JOURNAL: usize = 64 << 20;

/// What a journal may have beyond twice its entries, so that a small one is not written anew at
/// every turn.
const SLACK: usize = 64 << 10;

/// Damaged journals that are kept.
const MAX_DAMAGED: usize = 3;

const JOURNAL: &str = "journal";
const NEW: &str = "journal.new";
const DAMAGED: &str = "journal.damaged-";

/// The folder, locked, and the journal in it if that can be written to.
#[derive(Debug)]
pub(super) struct Disk {
    path: PathBuf,
    /// Holds the lock.
    folder: File,
    /// None before it is first written and after a failure: what a failed write or sync left in the
    /// file is not known, so that only a new file is good.
    journal: Option<File>,
    length: usize,
    sequence: u64,
    /// Whether the journal in the folder is damaged, and to be kept.
    damaged: bool,
}

impl Disk {
    /// Locks the folder and reads what is in it.
    pub(super) fn open(path: &Path) -> Result<(Self, Tables), OpenError> {
        let folder = lock(path)?;
        let mut disk = Self {
            path: path.to_owned(),
            folder,
            journal: None,
            length: 0,
            sequence: 0,
            damaged: false,
        };
        // What a crash left of a journal that did not get its name. It may not be there at all.
        let _ = fs::remove_file(path.join(NEW));
        let bytes = disk.bytes()?;
        let tables = match bytes {
            Some(bytes) => disk.load(&bytes)?,
            None => Tables::default(),
        };
        Ok((disk, tables))
    }

    /// Whether there is a journal to add to.
    pub(super) fn is_ready(&self) -> bool {
        self.journal.is_some()
    }

    /// Whether the journal that was found is damaged.
    pub(super) fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Bytes of the journal.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Whether the journal is so long for its entries that it is to be written anew rather than
    /// get so many bytes more.
    pub(super) fn is_full(&self, more: usize, entries: usize) -> bool {
        self.length + more > (2 * entries + SLACK).min(MAX_JOURNAL)
    }

    /// Adds changes to the journal; they are on disk when it returns.
    pub(super) fn append(&mut self, lines: &[Arc<str>]) -> io::Result<()> {
        let Some(mut journal) = self.journal.take() else {
            return Err(io::Error::other("there is no journal to add to"));
        };
        let mut bytes = Vec::new();
        self.push(lines, &mut bytes);
        journal.write_all(&bytes)?;
        journal.sync_data()?;
        self.length += bytes.len();
        self.journal = Some(journal);
        Ok(())
    }

    /// Replaces the journal by one with these entries; they are on disk when it returns. Whenever
    /// the process or the host dies, there is the old journal or the new one.
    pub(super) fn replace(&mut self, lines: &[Arc<str>]) -> io::Result<()> {
        self.journal = None;
        if self.damaged {
            self.set_aside()?;
            self.damaged = false;
        }
        let mut bytes = format::header();
        self.push(lines, &mut bytes);
        let new = self.path.join(NEW);
        let journal = write_new(&new, &bytes)
            .and_then(|journal| fs::rename(&new, self.path.join(JOURNAL)).map(|()| journal))
            .inspect_err(|_| {
                // The room that it takes may be what others lack. It may not be there at all.
                let _ = fs::remove_file(&new);
            })?;
        self.folder.sync_all()?;
        self.length = bytes.len();
        self.journal = Some(journal);
        Ok(())
    }

    fn push(&mut self, lines: &[Arc<str>], bytes: &mut Vec<u8>) {
        for line in lines {
            self.sequence += 1;
            format::push(bytes, self.sequence, line.as_bytes());
        }
    }

    /// What is in the journal, as far as it can be read; `None` if there is none.
    fn bytes(&mut self) -> Result<Option<Vec<u8>>, OpenError> {
        let path = self.path.join(JOURNAL);
        let file = match open_journal(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if is_refusal(&error) => {
                return Err(OpenError::Journal { path, error });
            }
            Err(error) => {
                self.damaged = true;
                error!(journal = %path.display(), %error, "the state cannot be read");
                return Ok(None);
            }
        };
        let mut bytes = Vec::new();
        // One byte more than a journal has tells that it is no journal of ours to its end.
        if let Err(error) = file.take(MAX_JOURNAL as u64 + 1).read_to_end(&mut bytes) {
            self.damaged = true;
            error!(journal = %path.display(), %error, "the state cannot be read to its end");
        }
        Ok(Some(bytes))
    }

    /// What the journal says, and whether it can be added to.
    fn load(&mut self, bytes: &[u8]) -> Result<Tables, OpenError> {
        let path = self.path.join(JOURNAL);
        let contents = match format::read(bytes) {
            Ok(contents) => contents,
            Err(format::Newer(version)) => return Err(OpenError::Newer { path, version }),
        };
        let mut tables = Tables::default();
        let mut foreign = 0;
        for payload in &contents.payloads {
            if !tables.apply(payload) {
                foreign += HEAD + payload.len();
            }
        }
        self.sequence = contents.sequence;
        self.damaged |= contents.damaged || foreign > 0 || bytes.len() > MAX_JOURNAL;
        self.tell(&contents, foreign, &tables);
        if !self.damaged && contents.torn == 0 {
            self.journal = OpenOptions::new().append(true).open(&path).ok();
            self.length = bytes.len();
        }
        Ok(tables)
    }

    fn tell(&self, contents: &Contents<'_>, foreign: usize, tables: &Tables) {
        let (journal, entries) = (self.path.join(JOURNAL), tables.count());
        let journal = journal.display();
        if self.damaged {
            let lost_bytes = contents.lost + contents.torn + foreign;
            error!(
                %journal, lost_bytes, entries,
                "the state is damaged: what could be read is kept, and so is the file, beside it"
            );
        } else if contents.torn > 0 {
            warn!(
                %journal, bytes = contents.torn, entries,
                "the last write to the state had not come to its end, and is cut off"
            );
        }
    }

    /// Gives the journal a second name, under which it stays; only so many stay.
    fn set_aside(&self) -> io::Result<()> {
        let mut kept = damaged(&self.path)?;
        let number = kept.last().map_or(1, |last| last.saturating_add(1));
        let name = |number: u64| self.path.join(format!("{DAMAGED}{number}"));
        match fs::hard_link(self.path.join(JOURNAL), name(number)) {
            // Somebody took it away: then there is nothing to keep.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            linked => linked?,
        }
        kept.push(number);
        for old in &kept[..kept.len().saturating_sub(MAX_DAMAGED)] {
            fs::remove_file(name(*old))?;
        }
        warn!(file = %name(number).display(), "the damaged state is kept; remove it once nobody needs it");
        Ok(())
    }
}

/// Locks the folder, on which two daemons would write over each other.
fn lock(path: &Path) -> Result<File, OpenError> {
    let refused = |error: io::Error| OpenError::Folder {
        path: path.to_owned(),
        error,
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| refused(e.into()))?;
    match accessat(
        CWD,
        path,
        Access::WRITE_OK | Access::EXEC_OK,
        AtFlags::EACCESS,
    ) {
        // Read-only now is a fault of the disk, which may pass.
        Ok(()) | Err(Errno::ROFS) => {}
        Err(error) => return Err(refused(error.into())),
    }
    let folder = File::from(folder);
    match folder.try_lock() {
        Ok(()) => Ok(folder),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(refused(error)),
    }
}

/// Opens the journal for reading; one that others could have written is refused.
pub(super) fn open_journal(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    let refused = |why: String| Err(io::Error::new(ErrorKind::PermissionDenied, why));
    let user = geteuid().as_raw();
    if !metadata.is_file() {
        refused("it is not a regular file".to_owned())
    } else if metadata.uid() != user {
        let owner = metadata.uid();
        refused(format!("it belongs to user {owner}, not to user {user}"))
    } else if metadata.mode() & 0o022 != 0 {
        refused("others may write to it".to_owned())
    } else {
        Ok(file)
    }
}

/// Whether an operator has to mend it, rather than the disk.
fn is_refusal(error: &io::Error) -> bool {
    let of_link = Errno::LOOP.raw_os_error();
    error.kind() == ErrorKind::PermissionDenied || error.raw_os_error() == Some(of_link)
}

/// Writes a file of the owner's own, to the disk.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<File> {
    // One that is left may be of any mode.
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(file)
}

/// The numbers of the damaged journals in a folder, rising.
fn damaged(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(DAMAGED));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests;
