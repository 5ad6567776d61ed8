//! Whether a file has changed, without reading it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What changes with a file, be it written to, replaced, or a link that leads elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Mark {
    /// That of the file as it is now; `None`: it cannot be looked at.
    pub fn of(path: &Path) -> Option<Self> {
        let of = std::fs::metadata(path).ok()?;
        Some(Self {
            device: of.dev(),
            inode: of.ino(),
            bytes: of.size(),
            modified: (of.mtime(), of.mtime_nsec()),
            changed: (of.ctime(), of.ctime_nsec()),
        })
    }
}
