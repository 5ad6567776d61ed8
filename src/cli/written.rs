//! How an answer is written: for people, or for programs.

use std::io::Write as _;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(super) struct Written {
    /// How it is written.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,

    /// The same as `--format json`.
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

impl Written {
    /// The format that was asked for.
    pub(super) const fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

/// Writes an answer to standard output. A closed pipe (`hotspare … | head`) is no failure: the exit code says
/// what came of it, also where nobody reads the rest.
pub(super) fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
