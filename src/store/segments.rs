//! What is only ever added to and forgotten when it is old: files of a limited size, the oldest of
//! which goes as a whole.
//!
//! Each file is like a journal: a line with the version, and records with a checksum. A payload has
//! items, each after the number of the name that it belongs to, which is written out where it is first
//! used in the file.
//!
//! Nothing here is worth an end of the daemon: what cannot be read is passed over, what cannot be
//! written is lost. Both are counted by the caller.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tracing::warn;

use super::disk::open_journal;
use super::format;

/// A file is full when it has this part of the bytes of all, or has been written to for this part of
/// the time that all are kept.
const PARTS: u32 = 8;

/// Files that are kept at most: a daemon that is started again and again begins one each time.
const MAX_FILES: usize = 512;

/// One write may take this part of the bytes of all: it pushes out no more.
const MOST_AT_ONCE: u64 = 2;

/// Bytes of items in a record, and the longest item with its name.
const RECORD: usize = 64 << 10;
const MAX_ITEM: usize = 16 << 10;

/// The numbers of files are below.
const MAX_NUMBER: u64 = 1 << 62;

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all files.
    pub bytes: u64,
    /// From the last write to a file.
    pub keep: Duration,
}

/// The files of one kind in a folder.
#[derive(Debug)]
pub struct Segments {
    folder: PathBuf,
    name: &'static str,
    /// The oldest first, the one that is written last.
    files: VecDeque<Segment>,
    open: Option<Open>,
    next: u64,
}

/// What was found in the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Items that could be read.
    pub items: u64,
    /// Files that are damaged, or cannot be read at all.
    pub damaged: u64,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    bytes: u64,
    written: SystemTime,
}

/// The file that is written.
#[derive(Debug)]
struct Open {
    /// None before the first write to it.
    file: Option<File>,
    begun: SystemTime,
    sequence: u64,
    names: HashMap<String, u32>,
}

impl Segments {
    /// The files of this kind in the folder, which has to be this daemon's own. Nothing is read.
    pub fn new(folder: &Path, name: &'static str) -> Self {
        let mut files: Vec<_> = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| segment(&entry.ok()?, name))
            .collect();
        files.sort_by_key(|file| file.number);
        Self {
            folder: folder.to_owned(),
            name,
            next: files.last().map_or(1, |last| last.number + 1),
            files: files.into(),
            open: None,
        }
    }

    /// Reads all that was written, the oldest first: the name of each item, and the item. A file that is
    /// longer than all may be (so many bytes) is none of ours, and not read.
    pub fn read(&self, most: u64, mut each: impl FnMut(&str, &[u8])) -> Found {
        let mut found = Found::default();
        for file in &self.files {
            let path = self.path(file.number);
            let came = if file.bytes > most {
                let why = format!("it is longer than all may be ({most} bytes), and goes");
                Err(io::Error::other(why))
            } else {
                read(&path, file.bytes, &mut each)
            };
            match came {
                Ok((items, good)) => {
                    found.items += items;
                    if !good {
                        found.damaged += 1;
                        warn!(file = %path.display(), "a file of the history is damaged: what can be read is taken");
                    }
                }
                Err(error) => {
                    found.damaged += 1;
                    warn!(file = %path.display(), %error, "a file of the history cannot be read");
                }
            }
        }
        found
    }

    /// Forgets what is too old, and adds items; they are on disk when it returns. After an error they are
    /// lost, or those for which there is no room, and nothing that was there; the next ones go to another
    /// file.
    pub fn write<'a>(
        &mut self,
        items: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        now: SystemTime,
        bounds: Bounds,
    ) -> io::Result<()> {
        self.forget(now, bounds, 0)?;
        let mut items = items.into_iter().peekable();
        if items.peek().is_none() {
            return Ok(());
        }
        let mut open = self.open.take().unwrap_or_else(|| Open::new(now));
        let bytes = open.records(&mut items, bounds.bytes / MOST_AT_ONCE);
        let lost = items.count();
        // Before there is more: there never is too much.
        self.forget(now, bounds, bytes.len() as u64)?;
        self.append(&mut open, &bytes, now)?;
        let length = self.files.back().map_or(0, |file| file.bytes);
        let age = now.duration_since(open.begun).unwrap_or_default();
        if length < bounds.bytes / u64::from(PARTS) && age < bounds.keep / PARTS {
            self.open = Some(open);
        }
        if lost > 0 {
            let why = format!("there is no room for {lost} items more at once");
            return Err(io::Error::other(why));
        }
        Ok(())
    }

    /// Adds bytes to the last file, which is begun if it is new.
    fn append(&mut self, open: &mut Open, bytes: &[u8], now: SystemTime) -> io::Result<()> {
        let file = match &open.file {
            Some(file) => file,
            None => open.file.insert(self.begin(now)?),
        };
        let Some(last) = self.files.back_mut() else {
            return Err(io::Error::other("there is not so much room for history"));
        };
        let mut writer = file;
        let written = writer.write_all(bytes).and_then(|()| file.sync_data());
        if written.is_ok() {
            last.bytes += bytes.len() as u64;
            last.written = now;
            return Ok(());
        }
        // What is left of it would take the room of what is good, night after night. If that cannot be
        // taken back either, it is a torn end.
        let (number, before) = (last.number, last.bytes);
        let _ = file.set_len(before);
        if before == 0 && fs::remove_file(self.path(number)).is_ok() {
            self.files.pop_back();
        }
        written.map_err(|error| self.about(number, &error))
    }

    /// Removes what is too old, and as much more as is needed for `more` bytes.
    fn forget(&mut self, now: SystemTime, bounds: Bounds, more: u64) -> io::Result<()> {
        loop {
            // One that is longer than all may be goes before it pushes out all others.
            let mut places = self.files.iter();
            let long = places.position(|file| file.bytes > bounds.bytes);
            let place = long.unwrap_or(0);
            let Some(file) = self.files.get(place) else {
                return Ok(());
            };
            let age = now.duration_since(file.written).unwrap_or_default();
            let full =
                self.bytes().saturating_add(more) > bounds.bytes || self.files.len() > MAX_FILES;
            if age <= bounds.keep && !full {
                return Ok(());
            }
            match fs::remove_file(self.path(file.number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.about(file.number, &error));
                }
                _ => {}
            }
            if place + 1 == self.files.len() {
                self.open = None;
            }
            self.files.remove(place);
        }
    }

    fn begin(&mut self, now: SystemTime) -> io::Result<File> {
        let number = self.next;
        self.next += 1;
        let mut options = fs::OpenOptions::new();
        let options = options.append(true).create_new(true).mode(0o600);
        let file = options.open(self.path(number));
        let file = file.map_err(|error| self.about(number, &error))?;
        self.files.push_back(Segment {
            number,
            bytes: 0,
            written: now,
        });
        Ok(file)
    }

    /// An error, with the file that it is about.
    fn about(&self, number: u64, error: &io::Error) -> io::Error {
        let path = self.path(number);
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(file_name(self.name, number))
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        let bytes = self.files.iter().map(|file| file.bytes);
        bytes.fold(0, u64::saturating_add)
    }
}

impl Open {
    /// One of which there is no file yet.
    fn new(now: SystemTime) -> Self {
        Self {
            file: None,
            begun: now,
            sequence: 0,
            names: HashMap::new(),
        }
    }

    /// The records of so many of the items as take so many bytes, after the header of a new file.
    fn records<'a>(
        &mut self,
        items: &mut impl Iterator<Item = (&'a str, &'a [u8])>,
        most: u64,
    ) -> Vec<u8> {
        let mut bytes = match &self.file {
            Some(_) => Vec::new(),
            None => format::header(),
        };
        let mut payload = Vec::new();
        while (bytes.len() + payload.len() + MAX_ITEM) as u64 <= most
            && let Some((name, item)) = items.next()
        {
            if name.len() + item.len() > MAX_ITEM {
                continue;
            }
            self.push(&mut payload, name, item);
            if payload.len() > RECORD {
                self.record(&mut bytes, &mut payload);
            }
        }
        self.record(&mut bytes, &mut payload);
        bytes
    }

    /// Adds an item to a payload: its number, its name if that is new, and itself.
    fn push(&mut self, payload: &mut Vec<u8>, name: &str, item: &[u8]) {
        let known = self.names.get(name).copied();
        let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let number = known.unwrap_or(next);
        payload.extend(number.to_le_bytes());
        if known.is_none() {
            self.names.insert(name.to_owned(), number);
            push(payload, name.as_bytes());
        } else {
            push(payload, &[]);
        }
        push(payload, item);
    }

    fn record(&mut self, bytes: &mut Vec<u8>, payload: &mut Vec<u8>) {
        if !payload.is_empty() {
            self.sequence += 1;
            format::push(bytes, self.sequence, payload);
            payload.clear();
        }
    }
}

/// Adds bytes after their length.
fn push(payload: &mut Vec<u8>, bytes: &[u8]) {
    // An item is much shorter.
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    payload.extend(length.to_le_bytes());
    payload.extend(&bytes[..length.into()]);
}

fn file_name(name: &str, number: u64) -> String {
    format!("{name}-{number:08}")
}

/// The file of a folder, if it is one of this kind.
fn segment(entry: &fs::DirEntry, name: &str) -> Option<Segment> {
    let file = entry.file_name();
    let number = file.to_str()?.strip_prefix(name)?.strip_prefix('-')?;
    let number = number.parse().ok().filter(|number| *number < MAX_NUMBER)?;
    let metadata = entry.metadata().ok()?;
    // What is named in another way, or no file, is nobody's of ours.
    let ours = file.to_str() == Some(&file_name(name, number)) && metadata.is_file();
    ours.then_some(())?;
    Some(Segment {
        number,
        bytes: metadata.len(),
        written: metadata.modified().ok()?,
    })
}

/// Reads a file: how many items it has, and whether it is as it was written.
fn read(path: &Path, length: u64, each: &mut impl FnMut(&str, &[u8])) -> io::Result<(u64, bool)> {
    let mut bytes = Vec::new();
    open_journal(path)?.take(length).read_to_end(&mut bytes)?;
    let contents = format::read(&bytes)
        .map_err(|format::Newer(version)| io::Error::other(format!("it has version {version}")))?;
    let mut names = HashMap::new();
    let (mut items, mut good) = (0, !contents.damaged);
    for payload in contents.payloads {
        let mut rest = payload;
        while !rest.is_empty() {
            let Some((name, item)) = item(&mut rest, &mut names) else {
                good = false;
                break;
            };
            // What a lost record named is nobody's.
            if let Some(name) = name {
                each(&name, item);
                items += 1;
            } else {
                good = false;
            }
        }
    }
    Ok((items, good))
}

type Names = HashMap<u32, std::rc::Rc<str>>;

/// Takes an item and its name, if that is known; `None` if it is none.
fn item<'a>(
    rest: &mut &'a [u8],
    names: &mut Names,
) -> Option<(Option<std::rc::Rc<str>>, &'a [u8])> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    let number = u32::from_le_bytes(*number);
    let name = take(rest)?;
    if !name.is_empty() {
        names.insert(number, str::from_utf8(name).ok()?.into());
    }
    Some((names.get(&number).cloned(), take(rest)?))
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    let length = usize::from(u16::from_le_bytes(*length));
    let taken = after.get(..length)?;
    *rest = &after[length..];
    Some(taken)
}

#[cfg(test)]
mod tests;
