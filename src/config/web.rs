//! The web configuration file: who may reach the daemon's own server, and how.
//!
//! It is a file of its own, with the keys that all programs of the Prometheus project read, so that one
//! file and one checker do for all of them.

use std::path::{Path as FilePath, PathBuf};

use ::config::{Map, Value, ValueKind};

use super::place::{Lines, Path, Places, Spot};
use super::problem::{Problem, Problems};
use super::{document, include, strict};
use crate::model::{self, WebSettings};

/// What a web configuration file says, and where it says it.
#[derive(Debug)]
pub struct WebFile {
    /// What it says.
    pub settings: WebSettings,
    /// The folder that its relative paths are in.
    pub folder: PathBuf,
    root: Value,
    places: Places,
}

impl WebFile {
    /// Reads the file. An empty one says nothing, which is good.
    pub fn read(path: &FilePath) -> Result<Self, Problems> {
        let mut places = Places::default();
        let mut problems = Problems::default();
        let source = places.add_source(&path.to_string_lossy(), Lines::Shown);
        let root = include::read_main(path)
            .map_err(|why| {
                let place = places.place(source, Spot::default());
                problems.push(Problem::new(place, &Path::default(), why));
            })
            .ok()
            .and_then(|text| document::parse(&text, source, &mut places, &mut problems));
        let Some(mut root) = root else {
            return Err(problems);
        };
        if root.kind == ValueKind::Nil {
            root.kind = ValueKind::Table(Map::new());
        }
        let settings = strict::read(&root, &Path::default(), &places, &mut problems);
        let folder = path.parent().unwrap_or(FilePath::new("")).to_owned();
        problems.or(())?;
        Ok(Self {
            settings: settings.unwrap_or_default(),
            folder,
            root,
            places,
        })
    }

    /// What is wrong with a field, with its place.
    pub fn refuse(&self, fault: &model::Problem) -> Problems {
        let path = Path::parse(&fault.field);
        let place = self.places.of_key(path.deepest(&self.root));
        let mut problems = Problems::default();
        problems.push(Problem::new(place, &path, &*fault.message));
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<WebFile, String> {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("web.yml");
        std::fs::write(&file, text).expect("written");
        WebFile::read(&file).map_err(|problems| {
            let shown = problems.to_string();
            shown.replace(&*file.to_string_lossy(), "web.yml")
        })
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        for (text, told) in [
            ("tls_config: {}\n", "web.yml:1:1: tls_config: unknown key"),
            (
                "tls_server_config:\n  cert_fil: a\n",
                "web.yml:2:3: tls_server_config.cert_fil: unknown key; did you mean `cert_file`?",
            ),
            (
                "tls_server_config:\n  client_auth_type: Require\n",
                "web.yml:2:21: tls_server_config.client_auth_type: ",
            ),
            (
                "basic_auth_users:\n  alice: hunter2\n",
                "web.yml:2:10: basic_auth_users.alice: not a bcrypt hash",
            ),
            (
                "http_server_config:\n  headers:\n    X-Powered-By: x\n",
                "web.yml:3:5: http_server_config.headers.X-Powered-By: unknown key",
            ),
            (
                "rate_limit:\n  interval: soon\n",
                "web.yml:2:13: rate_limit.interval: `soon`: expected a duration",
            ),
            ("basic_auth_users: {a: *b}\n", "web.yml:1:"),
        ] {
            let why = read(text).map(|_| ()).expect_err(text);
            assert!(why.starts_with(told), "{text}: {why}");
            assert!(!why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn a_fault_that_is_found_later_has_the_place_of_its_field() {
        let file = read("tls_server_config:\n  cert_file: a\n").expect("read");
        let fault = model::Problem::new("tls_server_config.cert_file", "no such file");
        let told = file.refuse(&fault).to_string();
        assert!(
            told.ends_with(":2:3: tls_server_config.cert_file: no such file"),
            "{told}"
        );
        assert!(read("").is_ok());
    }
}
