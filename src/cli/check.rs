//! `hotspare check`: what is wrong, or what would be measured and what this host lacks for it.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::ConfigArguments;
use crate::app::WebConfig;
use crate::config::host::{self, Lack, Patience};
use crate::config::{Plan, Shared, summary};

/// How long names may take to resolve.
const PATIENCE: Patience = Patience {
    each: Duration::from_secs(3),
    all: Duration::from_secs(20),
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,

    /// Check this web configuration too, with the certificates and keys that it names.
    #[arg(
        long = "web.config.file",
        env = "HOTSPARE_WEB_CONFIG_FILE",
        value_name = "FILE"
    )]
    web_config_file: Option<PathBuf>,
}

pub(super) fn check(arguments: &Arguments) -> ExitCode {
    // Both are read, so that whoever mends them knows of everything.
    let planned = super::plan(&arguments.config);
    if let Err(problems) = WebConfig::read(arguments.web_config_file.clone()) {
        return super::refuse(&problems);
    }
    let (plan, shared) = match planned {
        Ok(planned) => planned,
        Err(code) => return code,
    };
    let lacks = match super::runtime() {
        Ok(runtime) => runtime.block_on(lacks(&plan, &shared)),
        Err(why) => return super::fail(&why),
    };
    // A closed pipe (`hotspare check | head`) is no failure of the check.
    let _ = report(&plan, &lacks, &mut std::io::stdout());
    ExitCode::SUCCESS
}

fn report(plan: &Plan, lacks: &[Lack], out: &mut impl Write) -> io::Result<()> {
    write!(out, "{}", summary::text(plan))?;
    for warning in plan.warnings.iter() {
        writeln!(out, "\nwarning: {warning}")?;
    }
    for lack in lacks {
        writeln!(out, "\nthis host: {lack}")?;
    }
    Ok(())
}

async fn lacks(plan: &Plan, shared: &Shared) -> Vec<Lack> {
    let permission = |family| shared.icmp.permission(family).map(|_| ());
    let mut lacks: Vec<_> = host::icmp(plan, permission)
        .into_iter()
        .chain(host::file_descriptors(plan, host::open_files()))
        .collect();
    lacks.extend(host::names(plan, &shared.resolver, PATIENCE).await);
    lacks
}
