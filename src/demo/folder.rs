//! A folder for everything that the demo writes, which goes with it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::password;

/// How the names of these folders begin.
pub(super) const PREFIX: &str = "hotspare-demo-";

/// A folder below the one for temporary files. It is removed with the value.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes one that nobody can have guessed.
    pub(super) fn make() -> Result<Self, String> {
        let name = &password::random()?[..12];
        let path = std::env::temp_dir().join(format!("{PREFIX}{name}"));
        // Passed through, not listed, by the account that a database runs as.
        subfolder(&path, 0o711)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            let place = self.0.display();
            let _ = writeln!(std::io::stderr(), "{place} is left behind: {error}");
        }
    }
}

/// Makes a folder with these permissions, whatever the process takes away from new files.
pub(super) fn subfolder(path: &Path, mode: u32) -> Result<(), String> {
    let created = DirBuilder::new().mode(mode).create(path);
    created
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .map_err(|error| format!("cannot make {}: {error}", path.display()))
}

/// Writes a file that only its owner reads, in the place of the one that was there.
pub(super) fn write(path: &Path, content: &str) -> Result<(), String> {
    let new = path.with_extension("new");
    let written = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .and_then(|()| fs::rename(&new, path));
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_all_that_is_in_it() {
        let folder = Folder::make().expect("a folder");
        let path = folder.path().to_owned();
        subfolder(&path.join("below"), 0o700).expect("a folder");
        write(&path.join("below/file"), "1").expect("written");
        write(&path.join("below/file"), "2").expect("replaced");
        assert_eq!(
            fs::read_to_string(path.join("below/file")).expect("read"),
            "2"
        );
        drop(folder);
        assert!(!path.exists());
    }
}
