//! Where secrets and certificates are read from.

use std::path::{Path, PathBuf};

use crate::model::Secret;

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

    /// The bytes of a file of at most 1 MiB. The error names the path and says what is wrong.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        let located = self.locate(path);
        let fail = |why: String| format!("cannot read {}: {why}", located.display());
        let metadata = std::fs::metadata(&located).map_err(|e| fail(e.to_string()))?;
        if metadata.len() > MAX_BYTES {
            return Err(fail(format!("it is larger than {MAX_BYTES} bytes")));
        }
        std::fs::read(&located).map_err(|e| fail(e.to_string()))
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
