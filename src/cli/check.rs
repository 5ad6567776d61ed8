//! `hotspare check`: what is wrong, or what would be measured and what this host lacks for it.

mod json;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::daemons::{finish, to_json};
use super::terminal::{Ink, Tone};
use super::waiting::waiting;
use super::written::{Format, Written, say};
use super::{ConfigArguments, Refused};
use crate::app::WebConfig;
use crate::config::host::{self, Lack, Patience};
use crate::config::{Plan, Problems, Shared, summary};
use crate::discover::{SourceFigures, Which};

/// Targets of a source that are not probed and told one by one.
const SHOWN: usize = 20;

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

    #[command(flatten)]
    written: Written,

    /// Also ask for targets over HTTP and in DNS; lists in files are always read.
    #[arg(long)]
    discover: bool,
}

pub(super) fn check(arguments: &Arguments, ink: Ink) -> ExitCode {
    let which = if arguments.discover {
        Which::All
    } else {
        Which::Files
    };
    // Both are read, so that whoever mends them knows of everything.
    let planned = super::try_plan(&arguments.config, Some(which));
    let web = WebConfig::read(arguments.web_config_file.clone());
    let (planned, mut problems) = match planned {
        Ok(planned) => (Some(planned), Vec::new()),
        Err(Refused::Problems(problems)) => (None, vec![problems]),
        Err(Refused::Host(why)) => return super::fail(&why),
    };
    problems.extend(web.err());
    let Some(planned) = planned.filter(|_| problems.is_empty()) else {
        return refuse(&problems, arguments.written.format());
    };
    let (plan, shared, discovery) = (planned.plan, planned.shared, planned.discovery);
    let sources = discovery.figures().all();
    let lacks = match super::runtime() {
        Ok(runtime) => runtime.block_on(waiting("resolving names", lacks(&plan, &shared))),
        Err(why) => return super::fail(&why),
    };
    if arguments.written.format() == Format::Json {
        return finish(to_json(&json::plan(&plan, &sources, &lacks)));
    }
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = report(&plan, &sources, &lacks, &mut text);
    let text = String::from_utf8_lossy(&text);
    finish(Ok(text.lines().map(|line| coloured(line, ink)).collect()))
}

/// Says what is wrong, to people or to programs.
fn refuse(problems: &[Problems], format: Format) -> ExitCode {
    match format {
        Format::Json => match to_json(&json::problems(problems)) {
            Ok(text) => say(&text),
            Err(failed) => return failed.tell(),
        },
        Format::Text => {
            for all in problems {
                super::refuse(all);
            }
        }
    }
    ExitCode::from(super::USAGE)
}

/// A line of the report, with what an operator should look at in colour.
fn coloured(line: &str, ink: Ink) -> String {
    let marks = ["warning:", "this host:", "hint:"];
    let mark = marks.iter().find_map(|mark| {
        line.split_at_checked(mark.len())
            .filter(|(begin, _)| begin == mark)
    });
    match mark {
        Some((mark, rest)) => {
            let tone = if mark == "hint:" {
                Tone::Faint
            } else {
                Tone::Doubt
            };
            format!("{}{rest}\n", ink.paint(tone, mark))
        }
        None => format!("{line}\n"),
    }
}

fn report(
    plan: &Plan,
    sources: &[SourceFigures],
    lacks: &[Lack],
    out: &mut impl Write,
) -> io::Result<()> {
    write!(out, "{}", summary::text(plan))?;
    discovered(plan, sources, out)?;
    for warning in plan.warnings.iter() {
        writeln!(out, "\nwarning: {warning}")?;
    }
    for lack in lacks {
        writeln!(out, "\nthis host: {lack}")?;
    }
    Ok(())
}

/// What each source gave, and what of it is not probed.
fn discovered(plan: &Plan, sources: &[SourceFigures], out: &mut impl Write) -> io::Result<()> {
    for source in &plan.discovered {
        let id = &source.id;
        let figures = sources.iter().find(|of| of.id == *id);
        let fault = figures.and_then(|of| of.fault.as_deref());
        match (source.given, fault) {
            (Some(given), _) => {
                let taken = source.taken;
                writeln!(out, "\n{id}: {given} targets, {taken} of them are probed")?;
            }
            (None, Some(_)) => writeln!(out, "\n{id}: no targets")?,
            (None, None) if !source.asked => {
                writeln!(out, "\n{id}: not asked from {}", plan.region)?;
            }
            (None, None) => writeln!(out, "\n{id}: not asked: do so with --discover")?,
        }
        if let Some(fault) = fault {
            writeln!(out, "  {fault}")?;
        }
        for refusal in source.refused.iter().take(SHOWN) {
            writeln!(out, "  not probed: {refusal}")?;
        }
        if let Some(more) = source.refused.len().checked_sub(SHOWN + 1) {
            writeln!(out, "  and {} more are not probed", more + 1)?;
        }
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
