//! Where the programs of `PostgreSQL` are, and as whom they run.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs that a demo needs.
const NEEDED: [&str; 3] = ["initdb", "postgres", "pg_basebackup"];
/// Where packages put them, beside the search path.
const FOLDERS: [&str; 2] = ["/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"];
/// The oldest release that takes another source of replication without a restart.
const OLDEST: u32 = 13;
/// Who runs a server where root may not: the first that there is.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

/// The programs of one release.
pub(in crate::demo) struct Programs {
    folder: PathBuf,
    version: String,
    /// The account that they run as, if the demo runs as root, which they refuse.
    account: Option<Account>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Account {
    user: u32,
    group: u32,
}

impl Programs {
    /// Those of this host. The error says what is missing and how to get it.
    pub(in crate::demo) fn find() -> Result<Self, String> {
        let Some(folder) = folders().into_iter().find(|folder| has_all(folder)) else {
            return Err(
                "initdb, postgres and pg_basebackup are not all there (Debian: apt-get install \
                 postgresql)"
                    .to_owned(),
            );
        };
        let version = version(&folder.join("postgres"))?;
        let release = version
            .split(['.', ' '])
            .next()
            .and_then(|n| n.parse().ok());
        if release.is_none_or(|release: u32| release < OLDEST) {
            return Err(format!("PostgreSQL {version} is older than {OLDEST}"));
        }
        let account = if rustix::process::geteuid().is_root() {
            Some(account()?)
        } else {
            None
        };
        Ok(Self {
            folder,
            version,
            account,
        })
    }

    /// The release, as it says itself.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// A program, to run in a folder, without the settings of whoever runs the demo.
    pub(super) fn command(&self, program: &str, folder: &Path) -> Command {
        let mut command = Command::new(self.folder.join(program));
        command.current_dir(folder).env("LC_ALL", "C");
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        if let Some(account) = self.account {
            command.uid(account.user).gid(account.group);
        }
        command
    }

    /// Makes a file or folder the account's.
    pub(super) fn give(&self, path: &Path) -> Result<(), String> {
        let Some(Account { user, group }) = self.account else {
            return Ok(());
        };
        chown(path, Some(user), Some(group))
            .map_err(|e| format!("cannot give {} to another account: {e}", path.display()))
    }
}

/// Where the programs may be, the search path first, then the newest release.
fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    for pattern in FOLDERS {
        let found = glob::glob(pattern).into_iter().flatten();
        let mut found: Vec<_> = found.filter_map(Result::ok).collect();
        found.sort_by_key(|folder| std::cmp::Reverse(number(folder.as_os_str())));
        folders.extend(found);
    }
    folders
}

/// The first number in a path.
fn number(path: &OsStr) -> u32 {
    let text = path.to_string_lossy();
    let mut digits = text.split(|c: char| !c.is_ascii_digit());
    digits.find_map(|digits| digits.parse().ok()).unwrap_or(0)
}

fn has_all(folder: &Path) -> bool {
    NEEDED.iter().all(|program| folder.join(program).is_file())
}

/// `15.14` of `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`.
fn version(postgres: &Path) -> Result<String, String> {
    let asked = Command::new(postgres).arg("--version").output();
    let asked = asked.map_err(|e| format!("cannot start {}: {e}", postgres.display()))?;
    let said = String::from_utf8_lossy(&asked.stdout);
    let version = said.split_whitespace().nth(2);
    let version = version.ok_or_else(|| format!("{} tells no version", postgres.display()))?;
    Ok(version.to_owned())
}

/// The first of the accounts that there is.
fn account() -> Result<Account, String> {
    let users = fs::read_to_string("/etc/passwd").map_err(|e| format!("/etc/passwd: {e}"))?;
    let found = ACCOUNTS.iter().find_map(|name| entry(&users, name));
    found.ok_or_else(|| {
        "root may not run PostgreSQL, and there is no account `postgres` or `nobody`".to_owned()
    })
}

/// The account with the name.
fn entry(users: &str, name: &str) -> Option<Account> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next() == Some(name);
        let user = fields.nth(1)?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        found.then_some(Account { user, group })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_name() {
        let users = "root:x:0:0::/root:/bin/sh\npostgres:x:105:112:,,,:/var/lib:/bin/bash\n";
        let postgres = Account {
            user: 105,
            group: 112,
        };
        assert_eq!(entry(users, "postgres"), Some(postgres));
        assert_eq!(entry(users, "nobody"), None);
    }

    #[test]
    fn releases_are_ordered_by_number() {
        let of = |path: &str| number(OsStr::new(path));
        assert!(of("/usr/lib/postgresql/16/bin") > of("/usr/lib/postgresql/9.6/bin"));
        assert_eq!(of("/usr/pgsql-15/bin"), 15);
        assert_eq!(of("/usr/bin"), 0);
    }
}
