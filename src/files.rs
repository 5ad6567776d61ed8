//! Where secrets and certificates are read from.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde::Deserialize;

use crate::model::{Problem, Secret};

/// Where a secret value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

/// Bytes that one such file may have.
const MAX_BYTES: u64 = 1 << 20;

/// The folders in which a relative path of the configuration is looked for: systemd's
/// `$CREDENTIALS_DIRECTORY` first, then the folder of the file that names it.
#[derive(Clone, Debug)]
pub struct Files {
    credentials: Option<PathBuf>,
    folder: PathBuf,
}

impl Files {
    /// Looks in `credentials`, if any, before `folder`.
    pub fn new(credentials: Option<PathBuf>, folder: PathBuf) -> Self {
        Self {
            credentials,
            folder,
        }
    }

    /// Where the path leads: itself when absolute, else to the first folder that has it.
    pub fn locate(&self, path: &Path) -> PathBuf {
        if path.is_absolute() {
            return path.to_owned();
        }
        self.credentials
            .iter()
            .map(|folder| folder.join(path))
            .find(|candidate| candidate.exists())
            .unwrap_or_else(|| self.folder.join(path))
    }

    /// The folder of the file that names others.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The bytes of a regular file of at most 1 MiB, to which links may lead. The error names the path and says what is wrong.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        read(&self.locate(path), MAX_BYTES)
    }

    /// A secret from a file, without the line end that editors put behind it.
    pub fn read_secret(&self, path: &Path) -> Result<Secret, String> {
        let bytes = self.read(path)?;
        let located = self.locate(path);
        let mut text = String::from_utf8(bytes)
            .map_err(|_| format!("cannot read {}: it is not UTF-8", located.display()))?;
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
        if text.is_empty() {
            return Err(format!("{} is empty", located.display()));
        }
        Ok(Secret::new(text))
    }

    /// A secret from a file or from an environment variable, whichever is set.
    ///
    /// The error is for the operator: both set, or the one that is set cannot be read.
    pub fn secret(&self, file: Option<&Path>, env: Option<&str>) -> Result<Option<Secret>, String> {
        match (file, env) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err("set either the file or the environment variable".to_owned()),
            (Some(path), None) => self.read_secret(path).map(Some),
            (None, Some(name)) => match std::env::var(name) {
                Ok(text) if !text.is_empty() => Ok(Some(Secret::new(text))),
                _ => Err(format!("the environment variable {name} is not set")),
            },
        }
    }

    /// The secret that the settings `<field>_file` and `<field>_env` name, if one of them is set.
    pub fn secret_of(
        &self,
        field: &str,
        file: Option<&Path>,
        env: Option<&str>,
    ) -> Result<Option<Secret>, Problem> {
        let field = format!("{field}_{}", if env.is_some() { "env" } else { "file" });
        if file.is_some() && env.is_some() {
            let message = "set either the file or the environment variable";
            return Err(Problem::new(field, message));
        }
        self.secret(file, env)
            .map_err(|why| Problem::of_host(field, why))
    }

    /// The secret that a source names.
    pub fn secret_from(&self, source: &SecretSource) -> Result<Secret, String> {
        let secret = match source {
            SecretSource::File(path) => return self.read_secret(path),
            SecretSource::Env(name) => self.secret(None, Some(name))?,
        };
        secret.ok_or_else(|| "no secret is named".to_owned())
    }
}

/// The bytes of a regular file of at most so many, to which links may lead. The error names the path and
/// says what is wrong.
pub fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>, String> {
    let bytes = open(path)
        .and_then(|file| bytes_of(file, max_bytes))
        .map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    if bytes.len() as u64 > max_bytes {
        return Err(format!(
            "cannot read {}: it is larger than {max_bytes} bytes",
            path.display()
        ));
    }
    Ok(bytes)
}

/// Opens a regular file, without waiting for the writer of a pipe.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::other("it is not a regular file"))
}

/// What is in the file, up to one byte more than it may have: its size is no bound, it may grow and
/// is 0 for some that have no end.
fn bytes_of(file: File, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_or_writer_is_refused_and_links_are_followed() {
        let folder = tempfile::tempdir().expect("folder");
        let at = |name: &str| folder.path().join(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), 0o600.into()).expect("pipe");
        std::fs::write(at("large"), vec![b'x'; (1 << 20) + 1]).expect("write");
        std::fs::write(at("real"), vec![b'x'; 1 << 20]).expect("write");
        std::os::unix::fs::symlink("real", at("link")).expect("link");
        let files = Files::new(None, folder.path().to_owned());
        for (name, why) in [
            ("/dev/zero", "not a regular file"),
            ("pipe", "not a regular file"),
            (".", "not a regular file"),
            ("large", "larger than 1048576 bytes"),
        ] {
            let error = files.read(Path::new(name)).expect_err(name);
            assert!(error.contains(why), "{error}");
        }
        assert_eq!(files.read(Path::new("link")).expect("read").len(), 1 << 20);
        // No size, but content.
        assert!(
            !files
                .read(Path::new("/proc/self/status"))
                .expect("read")
                .is_empty()
        );
    }

    #[test]
    fn credentials_come_before_the_folder_and_line_ends_are_cut() {
        let credentials = tempfile::tempdir().expect("folder");
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(credentials.path().join("a"), "from credentials\n").expect("write");
        std::fs::write(folder.path().join("a"), "from folder\r\n").expect("write");
        std::fs::write(folder.path().join("b"), "b\r\n").expect("write");
        let files = Files::new(
            Some(credentials.path().to_owned()),
            folder.path().to_owned(),
        );
        let read = |name: &str| files.read_secret(Path::new(name)).expect("readable");
        assert_eq!(read("a").expose(), "from credentials");
        assert_eq!(read("b").expose(), "b");
    }

    #[test]
    fn an_empty_or_missing_secret_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("empty"), "\n").expect("write");
        let files = Files::new(None, folder.path().to_owned());
        for name in ["empty", "missing"] {
            let error = files.read_secret(Path::new(name)).expect_err("refused");
            assert!(error.contains(name), "{error}");
        }
    }
}
