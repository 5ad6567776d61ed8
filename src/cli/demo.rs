//! `hotspare demo`: three regions on this host, and a script of incidents.

use std::process::ExitCode;

use clap::Args;

use crate::demo;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// End after the script: exit code 0 only if every announced verdict was seen.
    #[arg(long)]
    once: bool,

    /// What the delays of the network are made of: the same of the same number.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

/// Runs the demo.
pub(super) fn demo(arguments: &Arguments) -> ExitCode {
    let options = demo::Options {
        once: arguments.once,
        seed: arguments.seed,
    };
    match demo::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => super::fail(&why),
    }
}
