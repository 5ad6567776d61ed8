//! Where the state of the daemon is, and the thread that writes it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tracing::{info, warn};

use super::supervise::Supervisor;
use crate::metrics::Own;
use crate::store::{Store, Writer};

/// The variable in which systemd tells where `StateDirectory=` is.
const VARIABLE: &str = "STATE_DIRECTORY";

/// The state as it was found. Nothing writes it before it is started.
pub(super) struct State {
    store: Store,
    writer: Option<Writer>,
    folder: Option<PathBuf>,
}

impl State {
    /// Opens the state in the configured folder, or in systemd's; without either it is in memory.
    pub(super) fn open(configured: Option<&Path>) -> Result<Self, String> {
        let Some(folder) = folder(configured, std::env::var_os(VARIABLE))? else {
            warn!(
                "no state directory: what happened is forgotten when the daemon ends (`state_dir`)"
            );
            return Ok(Self {
                store: Store::in_memory(),
                writer: None,
                folder: None,
            });
        };
        let (store, writer) = Store::open(&folder).map_err(|error| error.to_string())?;
        let bytes = store.counters().bytes;
        info!(folder = %folder.display(), bytes, "opened the state");
        Ok(Self {
            store,
            writer: Some(writer),
            folder: Some(folder),
        })
    }

    /// Where it is kept.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Starts the thread that writes; it ends when the store is closed.
    pub(super) fn start(self, own: &Own, supervisor: &mut Supervisor) -> Result<Store, String> {
        if let Some(writer) = self.writer {
            let durations = own.state_write_duration_seconds.clone();
            let writer = writer.timed(move |took| durations.observe(took.as_secs_f64()));
            supervisor.thread("state", move || async move { writer.run() })?;
        }
        Ok(self.store)
    }
}

fn folder(
    configured: Option<&Path>,
    variable: Option<OsString>,
) -> Result<Option<PathBuf>, String> {
    if let Some(configured) = configured {
        return Ok(Some(configured.to_owned()));
    }
    match variable.filter(|text| !text.is_empty()) {
        Some(text) if text.as_encoded_bytes().contains(&b':') => Err(format!(
            "{VARIABLE} names several folders: name one in the unit's `StateDirectory=`, or set `state_dir`"
        )),
        text => Ok(text.map(PathBuf::from)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_folder_comes_before_that_of_systemd_which_has_to_be_one() {
        let folder = |configured: Option<&str>, variable: Option<&str>| {
            folder(configured.map(Path::new), variable.map(OsString::from))
        };
        assert_eq!(folder(None, None), Ok(None));
        assert_eq!(folder(None, Some("")), Ok(None));
        let of_systemd = Some("/var/lib/hotspare");
        assert_eq!(folder(None, of_systemd), Ok(of_systemd.map(PathBuf::from)));
        let own = Some("/srv/state");
        assert_eq!(folder(own, of_systemd), Ok(own.map(PathBuf::from)));
        let why = folder(None, Some("/var/lib/a:/var/lib/b")).expect_err("refused");
        assert!(why.contains("several folders"), "{why}");
        assert_eq!(folder(own, Some("/a:/b")), Ok(own.map(PathBuf::from)));
    }
}
