//! `hotspare reload`: has daemons read their configuration again.

use std::process::ExitCode;

use clap::Args;

use super::ask::{Client, Daemon};
use super::daemons::{Daemons, finish, read};
use super::written::Written;
use crate::model::Reloaded;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    daemons: Daemons,

    #[command(flatten)]
    written: Written,
}

pub(super) fn reload(arguments: &Arguments) -> ExitCode {
    let order = async |client: &Client, daemon: &Daemon| {
        let body = client.reload(daemon).await?;
        read::<Reloaded>(&body)
    };
    finish(arguments.daemons.told(&order, &arguments.written, line))
}

fn line(reloaded: &Reloaded) -> String {
    let Reloaded {
        hash,
        targets,
        begun,
        ended,
    } = reloaded;
    format!(
        "configuration {hash} is in force: targets {targets}, of them begun {begun}; ended {ended}"
    )
}
