//! `hotspare healthy`: whether daemons make progress, for what starts them anew if they do not.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::ask::{Client, Daemon};
use super::daemons::{Daemons, Failed, finish};
use super::written::Written;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    daemons: Daemons,

    #[command(flatten)]
    written: Written,
}

/// What is written of one that is.
#[derive(Serialize)]
struct Healthy {
    healthy: bool,
}

/// Asks, and says what the answer is.
pub(super) fn healthy(arguments: &Arguments) -> ExitCode {
    finish(text(arguments))
}

fn text(arguments: &Arguments) -> Result<String, Failed> {
    let ask = async |client: &Client, daemon: &Daemon| {
        client.healthy(daemon).await?;
        Ok(Healthy { healthy: true })
    };
    let healthy = |_: &Healthy| "healthy".to_owned();
    arguments.daemons.told(&ask, &arguments.written, healthy)
}
