//! What the daemon gives up once everything is open: its capabilities, ways to new ones, and the files
//! that it has no business with.
//!
//! Both capabilities and Landlock are of the thread that calls, and of those that it starts later. So
//! this is done before there is another thread.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities,
    set_no_new_privs,
};
use tracing::{info, warn};

use crate::metrics::Own;

/// The rights over files of Linux 6.10. Later ones would shut off UNIX sockets too.
const RIGHTS: ABI = ABI::V5;

/// Where the system keeps what every program reads: the name servers and hosts (files that are
/// replaced, not written, so that the folder has to be open), authorities, time zones, and what the
/// kernel tells of this process.
const OF_THE_SYSTEM: [&str; 6] = [
    "/etc",
    "/proc",
    "/usr/share",
    "/usr/local/share",
    "/usr/lib/ssl",
    "/var/lib/ca-certificates",
];

/// Files of the system that may be links to elsewhere, and are read again while the daemon runs.
const MAY_BE_LINKS: [&str; 3] = ["/etc/resolv.conf", "/etc/hosts", "/etc/localtime"];

/// Which files the daemon needs while it runs.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    read: Vec<PathBuf>,
}

impl Reach {
    /// Nothing but what every program reads.
    pub fn new() -> Self {
        let mut reach = Self::default();
        reach.read.extend(OF_THE_SYSTEM.map(PathBuf::from));
        for file in MAY_BE_LINKS {
            reach.with_file(Path::new(file));
        }
        reach.with_authorities(|name| std::env::var_os(name));
        reach
    }

    /// Beside it, what the variables name that say where authorities are.
    fn with_authorities(&mut self, variable: impl Fn(&str) -> Option<OsString>) {
        if let Some(file) = variable("SSL_CERT_FILE") {
            self.with_file(Path::new(&file));
        }
        if let Some(folders) = variable("SSL_CERT_DIR") {
            self.read.extend(std::env::split_paths(&folders));
        }
    }

    /// Beside it, the folder of this file, since a file that is replaced is another one; and the
    /// folder that the file is in where this is a link.
    pub fn with_file(&mut self, path: &Path) {
        let target = path.canonicalize().ok();
        let absolute = std::path::absolute(path).ok();
        for file in [absolute, target].into_iter().flatten() {
            // Whatever is in the root folder opens no more than itself.
            let folder = file.parent().filter(|folder| *folder != Path::new("/"));
            self.read.push(folder.unwrap_or(&file).to_owned());
        }
    }

    /// Beside it, all of this folder.
    pub fn with_folder(&mut self, path: &Path) {
        self.read.push(path.to_owned());
    }
}

/// What was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Confined {
    /// Capabilities that this process has left.
    capabilities: u32,
    /// The ABI of Landlock that is enforced; 0: none.
    landlock_abi: i32,
}

impl Confined {
    /// Nothing: as the daemon was started.
    pub(super) fn not() -> Self {
        warn!("--no-sandbox: capabilities and access to files stay as they were at the start");
        Self {
            capabilities: left(),
            landlock_abi: 0,
        }
    }

    /// Gives up all that the daemon does not need any more, as far as the kernel lets it. What it
    /// does not let is told, and the daemon goes on: it would see no less without.
    pub(super) fn confine(reach: &Reach, state: Option<&Path>) -> Self {
        if rustix::process::getuid().is_root() {
            warn!("running as root, which is not needed: give the daemon a user of its own");
        }
        if let Err(error) = set_no_new_privs(true) {
            warn!(%error, "programs that give rights could still be started");
        }
        let landlock_abi = shut_off(reach, state).unwrap_or_else(|error| {
            warn!(%error, "Landlock cannot be set up: files stay as open as they were");
            0
        });
        let none = CapabilitySet::empty();
        let sets = CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        };
        let dropped = clear_ambient_capability_set().and_then(|()| set_capabilities(None, sets));
        if let Err(error) = dropped {
            warn!(%error, "the capabilities cannot be given up (SystemCallFilter= must allow capset)");
        }
        let confined = Self {
            capabilities: left(),
            landlock_abi,
        };
        info!(
            capabilities = confined.capabilities,
            landlock_abi, "gave up what is not needed any more"
        );
        confined
    }

    /// Shows it.
    pub(super) fn show(self, own: &Own) {
        own.sandbox_capabilities.set(self.capabilities.into());
        own.sandbox_landlock_abi.set(self.landlock_abi.into());
    }
}

/// How many capabilities this process has; all that there are where that cannot be told.
fn left() -> u32 {
    capabilities(None).map_or(u64::BITS, |sets| {
        (sets.effective | sets.permitted).bits().count_ones()
    })
}

/// Shuts off all files but those within reach; to `state` it may write. The ABI that is enforced.
fn shut_off(reach: &Reach, state: Option<&Path>) -> Result<i32, RulesetError> {
    let rights = AccessFs::from_all(RIGHTS);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = rights & !BitFlags::from(AccessFs::Execute);
    let read = reach.read.iter().map(|path| (&**path, read));
    let write = state.into_iter().map(|path| (path, write));
    let mut rules = Ruleset::default().handle_access(rights)?.create()?;
    for (path, rights) in read.chain(write) {
        // What is not there cannot be opened, nor be read.
        let Ok(opened) = PathFd::new(path) else {
            continue;
        };
        let rights = if path.is_dir() {
            rights
        } else {
            rights & AccessFs::from_file(RIGHTS)
        };
        rules = rules.add_rule(PathBeneath::new(opened, rights))?;
    }
    let enforced = rules.restrict_self()?;
    Ok(match enforced.landlock {
        LandlockStatus::Available { effective_abi, .. } => {
            (effective_abi as i32).min(RIGHTS as i32)
        }
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => {
            warn!("this kernel has no Landlock: files stay as open as they were");
            0
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_reached_by_its_folder_and_a_link_by_both() {
        let folder = tempfile::tempdir().expect("folder");
        let folder = folder.path().canonicalize().expect("there");
        for name in ["named", "real"] {
            std::fs::create_dir(folder.join(name)).expect("made");
        }
        std::fs::write(folder.join("real/pw"), "x").expect("written");
        let link = folder.join("named/pw");
        std::os::unix::fs::symlink("../real/pw", &link).expect("linked");
        let mut reach = Reach::default();
        reach.with_file(&link);
        assert_eq!(reach.read, [folder.join("named"), folder.join("real")]);
        let mut reach = Reach::default();
        reach.with_file(Path::new("/not-there"));
        assert_eq!(reach.read, [PathBuf::from("/not-there")]);
    }
    #[test]
    fn authorities_may_be_replaced_too() {
        let mut reach = Reach::default();
        reach.with_authorities(|name| match name {
            "SSL_CERT_FILE" => Some("/not/there/ca.pem".into()),
            "SSL_CERT_DIR" => Some("/a:/b".into()),
            _ => None,
        });
        let folders = ["/not/there", "/a", "/b"];
        assert_eq!(reach.read, folders.map(PathBuf::from));
    }
}
