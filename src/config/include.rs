//! Reading the files: the main one, and those that it includes.
//!
//! Whoever may drop a file into `conf.d` is not necessarily who runs the daemon, so includes stay
//! below the main file's folder, are regular files, are few, and include nothing themselves. Their
//! probes are trusted all the same: they may name any secret, and any target to send it to.

use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};
use rustix::fs::{Mode, OFlags};

use crate::files::advice;

/// Bytes that one file may have.
const MAX_BYTES: u64 = 4 << 20;
/// Files that may be included.
const MAX_FILES: usize = 256;

/// The text of the main file, which may be a pipe.
pub(super) fn read_main(path: &Path) -> Result<String, String> {
    read(File::open(path).map_err(|e| {
        let advice = advice(path, &e);
        format!("cannot read the file: {e}{advice}")
    })?)
}

fn read(file: File) -> Result<String, String> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| format!("cannot read the file: {e}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("the file is larger than {} MiB", MAX_BYTES >> 20));
    }
    String::from_utf8(bytes).map_err(|e| {
        let valid = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = valid.split(|byte| *byte == b'\n').count();
        format!("the file is not UTF-8 (line {line})")
    })
}

/// An included file: the path to show, and its text or what is wrong with it.
pub(super) struct Included {
    pub(super) path: PathBuf,
    pub(super) text: Result<String, String>,
}

/// The files that a pattern includes into the main file, in the order of their names; without
/// those in `seen`, to which they are added.
///
/// A pattern without a match is fine (an empty `conf.d`), a plain path without a file is not.
pub(super) fn expand(
    main: &Path,
    pattern: &str,
    seen: &mut Vec<PathBuf>,
) -> Result<Vec<Included>, String> {
    let folder = match main.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let below = Path::new(pattern)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !below || pattern.is_empty() {
        return Err("an include is a path below this file's folder, without `..`".to_owned());
    }
    if seen.is_empty() {
        seen.extend(main.canonicalize());
    }
    let mut files = Vec::new();
    for path in matches(folder, pattern)? {
        let canonical = match path.canonicalize() {
            Ok(canonical) if seen.contains(&canonical) => continue,
            Ok(canonical) => canonical,
            Err(e) => {
                let text = Err(format!("cannot read the file: {e}"));
                files.push(Included { path, text });
                continue;
            }
        };
        if seen.len() > MAX_FILES {
            return Err(format!("more than {MAX_FILES} files are included"));
        }
        let text = read_below(folder, &canonical);
        seen.push(canonical);
        files.push(Included { path, text });
    }
    Ok(files)
}

fn matches(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    if !pattern.contains(['*', '?', '[']) {
        return Ok(vec![folder.join(pattern)]);
    }
    let whole = format!("{}/{pattern}", Pattern::escape(&folder.to_string_lossy()));
    let options = MatchOptions {
        require_literal_leading_dot: true,
        require_literal_separator: true,
        ..MatchOptions::default()
    };
    glob::glob_with(&whole, options)
        .map_err(|e| format!("not a pattern: {}", e.msg))?
        .collect::<Result<_, _>>()
        .map_err(|e| format!("cannot look for files: {e}"))
}

/// Reads a file whose path has no symbolic link left in it.
fn read_below(folder: &Path, canonical: &Path) -> Result<String, String> {
    let root = folder
        .canonicalize()
        .map_err(|e| format!("cannot read the folder: {e}"))?;
    if !canonical.starts_with(&root) {
        return Err(format!(
            "the file is a link to {}, outside of {}",
            canonical.display(),
            root.display()
        ));
    }
    // Not following a link put there in between, nor waiting for the writer of a pipe.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(canonical, flags, Mode::empty())
        .map(File::from)
        .map_err(|e| format!("cannot read the file: {e}"))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => read(file),
        Ok(_) => Err("not a regular file".to_owned()),
        Err(e) => Err(format!("cannot read the file: {e}")),
    }
}
