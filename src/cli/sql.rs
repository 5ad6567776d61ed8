//! `hotspare sql`: what an operator runs in a database before hotspare probes it.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::probe::{DEFAULT_USER, setup};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The kind of database.
    #[arg(value_enum)]
    kind: Kind,

    /// The user that hotspare logs in as.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_USER, value_parser = user)]
    user: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// `PostgreSQL` 12 and later: for psql.
    Postgres,
    /// `MySQL` 8 and `MariaDB` 10.4 and later: for the client mysql or mariadb.
    Mysql,
    /// Redis 6 and later, Valkey: for redis-cli, on every server; the second line is for the canary.
    Redis,
}

/// A name that needs no quotes anywhere, and that is nobody's yet: what is printed for Redis takes
/// away all rights first.
fn user(name: &str) -> Result<String, String> {
    if matches!(name, "default" | "postgres" | "root") {
        return Err("a user of its own, not one that others log in as".to_owned());
    }
    let good = name
        .bytes()
        .all(|b| b == b'_' || b.is_ascii_lowercase() || b.is_ascii_digit());
    if good && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= 32 {
        return Ok(name.to_owned());
    }
    Err("1 to 32 lower-case letters, digits and `_`, the first a letter".to_owned())
}

/// Prints the statements; nothing is run.
pub(super) fn print(arguments: &Arguments) -> ExitCode {
    let statements = match arguments.kind {
        Kind::Postgres => setup::POSTGRES,
        Kind::Mysql => setup::MYSQL,
        Kind::Redis => setup::REDIS,
    };
    let statements = statements.replace(DEFAULT_USER, &arguments.user);
    match std::io::stdout().write_all(statements.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::fail(&format!("cannot print the statements: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_its_own_and_needs_no_quotes() {
        assert_eq!(user("probe_1"), Ok("probe_1".to_owned()));
        for wrong in ["", "1probe", "Probe", "a'b", "a b", "default", "root"] {
            assert!(user(wrong).is_err(), "{wrong}");
        }
    }
}
