//! Programs for Node.js with what they need, outside of the repository's files.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::run;
use crate::rules::{read, root};

/// Copies the files to a folder of this name below the build's, with what their lock file names. What is
/// there is kept as long as the lock file is the same; whoever may ask at once takes a lock.
pub(crate) fn install(name: &str, from: &str, files: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("writable");
    for file in files {
        let from = root().join(from).join(file);
        std::fs::copy(from, folder.join(file)).expect("copied");
    }
    let lock = read(&folder.join("package-lock.json"));
    let installed = folder.join("installed");
    if std::fs::read_to_string(&installed).ok().as_deref() != Some(&lock) {
        let arguments = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
        run(Command::new("npm").current_dir(&folder).args(arguments));
        std::fs::write(installed, lock).expect("writable");
    }
    folder
}
