//! `hotspare healthy`: whether daemons make progress, for what starts them anew if they do not.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::ask::{Client, Daemon};
use super::daemons::{Daemons, Failed, finish};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    daemons: Daemons,
}

/// Asks, and says what the answer is.
pub(super) fn healthy(arguments: &Arguments) -> ExitCode {
    finish(text(arguments))
}

fn text(arguments: &Arguments) -> Result<String, Failed> {
    let each = arguments
        .daemons
        .each(&async |client: &Client, daemon: &Daemon| client.healthy(daemon).await)?;
    let mut text = String::new();
    let mut all = true;
    for (url, came) in each {
        all &= came.is_ok();
        let said = came.err().unwrap_or_else(|| "healthy".to_owned());
        let _ = writeln!(text, "{url}: {said}");
    }
    if all {
        return Ok(text);
    }
    Err(Failed::Daemon(text.trim_end().to_owned()))
}
