//! Lists in files, as Prometheus' `file_sd_configs` reads them.
//!
//! Files are looked at again and again: no notice of a change comes from every file system. A change
//! is taken once two looks have found the same, so that no file is read while it is being written;
//! what is read at start has nothing to wait for.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use glob::{MatchOptions, Pattern};

use super::settings::FileSettings;
use super::{Answer, Found, list};
use crate::files::{self, Mark};
use crate::model::Problem;
use crate::notify::Context;

/// Bytes that a file may have.
const MAX_BYTES: u64 = 8 << 20;
/// Files that one source may have.
const MAX_FILES: usize = 256;

/// Follows some files.
#[derive(Debug)]
pub(super) struct Lists {
    folder: PathBuf,
    patterns: Vec<String>,
    known: BTreeMap<PathBuf, Known>,
}

/// A file as it was when it was last read.
#[derive(Debug, Default)]
struct Known {
    mark: Option<Mark>,
    /// How it looked at the last look.
    last: Option<Mark>,
    found: Option<Arc<[Found]>>,
    fault: Option<String>,
}

impl FileSettings {
    pub(super) fn prepare(&self, context: &Context) -> Result<Lists, Vec<Problem>> {
        let mut problems = Vec::new();
        if self.files.is_empty() {
            problems.push(Problem::new("files", "no file: name at least one"));
        }
        for (at, pattern) in self.files.iter().enumerate() {
            if let Err(why) = fault(pattern) {
                problems.push(Problem::new(format!("files[{at}]"), why));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let folder = match context.files.folder() {
            folder if folder == Path::new("") => PathBuf::from("."),
            folder => folder.to_owned(),
        };
        for pattern in &self.files {
            context.files.note(&folder.join(fixed(pattern)));
            // A link may lead to another folder.
            let found = matches(&folder, pattern).into_iter().flatten();
            for path in found.take(MAX_FILES).filter(|path| path.is_symlink()) {
                context.files.note(&path);
            }
        }
        Ok(Lists {
            folder,
            patterns: self.files.clone(),
            known: BTreeMap::new(),
        })
    }
}

/// The pattern up to its first part that may be anything: all that it finds is below that one's folder.
fn fixed(pattern: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in Path::new(pattern).components() {
        path.push(part);
        if part.as_os_str().to_string_lossy().contains(['*', '?', '[']) {
            break;
        }
    }
    path
}

/// What is wrong with a pattern.
fn fault(pattern: &str) -> Result<(), String> {
    let name = Path::new(pattern).extension();
    if !name.is_some_and(|name| name == "json" || name == "yaml" || name == "yml") {
        return Err("a list ends in .json, .yaml or .yml".to_owned());
    }
    Pattern::new(pattern)
        .map(drop)
        .map_err(|error| format!("not a pattern: {}", error.msg))
}

impl Lists {
    /// Looks at the files, and reads those that have changed.
    pub(super) fn look(&mut self) -> Answer {
        let mut faults = Vec::new();
        let mut paths = Vec::new();
        for pattern in &self.patterns {
            match matches(&self.folder, pattern) {
                Ok(more) => paths.extend(more),
                Err(why) => faults.push(why),
            }
        }
        paths.sort();
        paths.dedup();
        if paths.len() > MAX_FILES {
            faults.push(format!("more than {MAX_FILES} files: the rest is left out"));
            paths.truncate(MAX_FILES);
        }
        let first = self.known.is_empty();
        let mut read = false;
        // Where it cannot be said which files there are, none has gone.
        if faults.is_empty() {
            let before = self.known.len();
            self.known
                .retain(|path, _| paths.binary_search(path).is_ok());
            read = self.known.len() < before;
        }
        for path in paths {
            let known = self.known.entry(path.clone()).or_default();
            read |= known.look(&path, first);
        }
        faults.extend(self.known.values().filter_map(|known| known.fault.clone()));
        let lists = || self.known.values().filter_map(|known| known.found.as_ref());
        let answered = faults.is_empty() || lists().next().is_some();
        Answer {
            targets: (answered && (read || first)).then(|| list::all(lists())),
            faults,
            read: read || first,
        }
    }
}

impl Known {
    /// Whether something was read.
    fn look(&mut self, path: &Path, first: bool) -> bool {
        let now = Mark::of(path);
        let settled = first || now == self.last;
        self.last.clone_from(&now);
        // What has never been looked at is no less of a change where it is not there.
        let unread = self.found.is_none() && self.fault.is_none();
        if !settled || (now == self.mark && !unread) {
            return false;
        }
        self.mark = now;
        match read(path) {
            Ok(found) => (self.found, self.fault) = (Some(found), None),
            Err(why) => self.fault = Some(why),
        }
        true
    }
}

fn read(path: &Path) -> Result<Arc<[Found]>, String> {
    let bytes = files::read(path, MAX_BYTES)?;
    let name = path.display().to_string().into();
    let read = if path.extension().is_some_and(|name| name == "json") {
        list::json(&bytes, &name)
    } else {
        match std::str::from_utf8(&bytes) {
            Ok(text) => list::yaml(text, &name),
            Err(_) => Err("the file is not UTF-8".to_owned()),
        }
    };
    read.map_err(|why| format!("{name}: {why}"))
}

/// The files that a pattern names: one without wildcards always names one, be it there or not.
fn matches(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let path = Path::new(pattern);
    let is_wild = |text: &str| text.contains(['*', '?', '[']);
    if !is_wild(pattern) {
        return Ok(vec![folder.join(path)]);
    }
    let fixed = path.components();
    let fixed = fixed.take_while(
        |part| !matches!(part, Component::Normal(name) if is_wild(&name.to_string_lossy())),
    );
    // Without it nothing matches, which is not the same as an empty folder.
    let base = folder.join(fixed.collect::<PathBuf>());
    std::fs::read_dir(&base).map_err(|error| {
        let advice = files::advice(&base, &error);
        format!("cannot read {}: {error}{advice}", base.display())
    })?;
    let whole = if path.is_absolute() {
        pattern.to_owned()
    } else {
        format!("{}/{pattern}", Pattern::escape(&folder.to_string_lossy()))
    };
    let options = MatchOptions {
        require_literal_leading_dot: true,
        require_literal_separator: true,
        ..MatchOptions::default()
    };
    glob::glob_with(&whole, options)
        .map_err(|error| format!("{pattern}: not a pattern: {}", error.msg))?
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{pattern}: cannot look for files: {error}"))
}
