//! `hotspare demo`: three regions on this host, and a script of incidents.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::terminal::Ink;
use crate::demo;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// End after the script: exit code 0 only if every announced verdict was seen.
    #[arg(long)]
    once: bool,

    /// Leave the databases out, and what happens to them.
    #[arg(long)]
    no_databases: bool,

    /// What the delays of the network are made of: the same of the same number.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,

    /// Clean up after the demo with this folder once it is gone: a demo starts this for itself.
    #[arg(long, value_name = "FOLDER", hide = true)]
    sweep: Option<PathBuf>,
}

/// Runs the demo.
pub(super) fn demo(arguments: &Arguments, ink: Ink) -> ExitCode {
    let options = demo::Options {
        once: arguments.once,
        seed: arguments.seed,
        no_databases: arguments.no_databases,
        colours: ink.is_coloured(),
    };
    let ended = match &arguments.sweep {
        Some(folder) => demo::sweep(folder),
        None => demo::run(options),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => super::fail(&why),
    }
}
