//! Where secrets and certificates are read from.

mod mark;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{Mode, OFlags};
use serde::Deserialize;

pub use self::mark::Mark;
use crate::model::{Digest, Problem, Secret};

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
    /// Of all that was read.
    read: Arc<Mutex<Digest>>,
    named: Named,
}

/// The files that were asked for, be they there or not.
#[derive(Clone, Debug, Default)]
pub struct Named(Arc<Mutex<BTreeSet<PathBuf>>>);

impl Named {
    /// All of them so far.
    pub fn all(&self) -> BTreeSet<PathBuf> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note(&self, path: &Path) {
        let mut named = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !named.contains(path) {
            named.insert(path.to_owned());
        }
    }
}

impl Files {
    /// Looks in `credentials`, if any, before `folder`.
    pub fn new(credentials: Option<PathBuf>, folder: PathBuf) -> Self {
        Self {
            credentials,
            folder,
            read: Arc::default(),
            named: Named::default(),
        }
    }

    /// The same; files that are asked for are noted in `named`.
    #[must_use]
    pub fn noted_in(self, named: &Named) -> Self {
        Self {
            named: named.clone(),
            ..self
        }
    }

    /// Tells whether the files that were read so far, by this or a clone of it, are those that another
    /// one read.
    pub fn digest(&self) -> Digest {
        *self.read.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Notes a file that will be asked for later, by other means.
    pub fn note(&self, path: &Path) {
        self.named.note(path);
    }

    /// The folder of the file that names others.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The bytes of a regular file of at most 1 MiB, to which links may lead. The error names the path and says what is wrong.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        let located = self.locate(path);
        self.named.note(&located);
        let bytes = read(&located, MAX_BYTES)?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        *read = read.and(&[located.as_os_str().as_encoded_bytes(), &bytes]);
        Ok(bytes)
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
        .map_err(|e| format!("cannot read {}: {e}{}", path.display(), advice(path, &e)))?;
    if bytes.len() as u64 > max_bytes {
        return Err(format!(
            "cannot read {}: it is larger than {max_bytes} bytes",
            path.display()
        ));
    }
    Ok(bytes)
}

/// What is to be done about a file that cannot be opened although its mode allows it: a daemon has shut
/// itself off from all files but those in folders that it knew of when it was started.
///
/// `access(2)` asks the mode only, and not what a process has given up.
pub fn advice(path: &Path, error: &io::Error) -> &'static str {
    let is_shut_off = error.kind() == io::ErrorKind::PermissionDenied
        && rustix::fs::access(path, rustix::fs::Access::READ_OK).is_ok();
    if is_shut_off {
        "; its mode allows it, but this process has shut itself off from folders that it did not know \
         of at its start: restart it"
    } else {
        ""
    }
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
    fn what_was_read_is_told_apart() {
        let folder = tempfile::tempdir().expect("folder");
        let put = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("written");
        };
        let digest = |names: &[&str]| {
            let files = Files::new(None, folder.path().to_owned());
            for name in names {
                files.clone().read(Path::new(name)).expect("readable");
            }
            files.digest()
        };
        put("a", "1");
        put("b", "1");
        let before = digest(&["a"]);
        assert_eq!(digest(&["a"]), before);
        assert_ne!(digest(&["b"]), before, "another file");
        assert_ne!(digest(&["a", "b"]), before, "one more");
        put("a", "2");
        assert_ne!(digest(&["a"]), before, "another content");
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
