//! `hotspare rank`: which standby is best, or which variant, with what that follows from.

mod answer;
mod benchmark;
mod candidates;
mod progress;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

use self::benchmark::Benchmark;
use self::candidates::Candidates;
use self::progress::Progress;
use super::daemons::{Daemons, ask, finish, to_json};
use super::terminal::printable;
use super::written::{Format, Written};
use super::{ConfigArguments, fail, misused};
use crate::config::Plan;
use crate::model::duration;
use crate::model::ranking::Table;

/// The shortest benchmark: enough runs for it are 10 ms apart.
const SHORTEST: Duration = Duration::from_secs(8);
/// The longest.
const LONGEST: Duration = Duration::from_hours(24);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The group whose standbys are ranked.
    #[arg(long, value_name = "NAME", required_unless_present = "probe")]
    group: Option<String>,

    /// The probe whose variants are ranked.
    #[arg(long, value_name = "NAME", conflicts_with = "group")]
    probe: Option<String>,

    /// What is ranked.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = By::Standby)]
    by: By,

    #[command(flatten)]
    daemons: Daemons,

    /// Measure now, from this host, instead of asking the daemon: only latency and loss count.
    #[arg(long)]
    now: bool,

    /// How long to measure.
    #[arg(
        long = "for",
        value_name = "DURATION",
        value_parser = time,
        default_value = "60s",
        requires = "now"
    )]
    time: Duration,

    #[command(flatten)]
    written: Written,

    /// Where the table is written, instead of to the standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    config: ConfigArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// The standbys of a group.
    Standby,
    /// The values of the label `variant`, over all targets of a probe.
    Variant,
}

fn time(text: &str) -> Result<Duration, String> {
    let time = duration::parse(text)?;
    if (SHORTEST..=LONGEST).contains(&time) {
        return Ok(time);
    }
    let (shortest, longest) = (duration::display(SHORTEST), duration::display(LONGEST));
    Err(format!("from {shortest} to {longest}"))
}

pub(super) fn rank(arguments: &Arguments) -> ExitCode {
    match (&arguments.group, &arguments.probe, arguments.by) {
        (Some(group), _, By::Standby) if !arguments.now => asked(arguments, group),
        (_, Some(_), By::Variant) if !arguments.now => {
            misused("variants are ranked with --now only")
        }
        (Some(group), _, By::Standby) => {
            measured(arguments, |plan| Candidates::standbys(plan, group))
        }
        (_, Some(probe), By::Variant) => {
            measured(arguments, |plan| Candidates::variants(plan, probe))
        }
        (Some(_), ..) => misused("--by variant needs --probe NAME instead of --group"),
        (None, ..) => misused("--probe NAME needs --by variant"),
    }
}

/// Tells what a daemon says.
fn asked(arguments: &Arguments, group: &str) -> ExitCode {
    let daemons = match arguments.daemons.parse() {
        Ok(daemons) => daemons,
        Err(failed) => return failed.tell(),
    };
    let [daemon] = &*daemons else {
        return misused("a table is what one daemon saw: ask one of them, with --server");
    };
    match ask(async |client| answer::table(client, daemon, group).await).flatten() {
        Ok(table) => tell(&table, arguments),
        Err(why) => fail(&format!("{daemon}: {why}")),
    }
}

fn measured(
    arguments: &Arguments,
    candidates: impl Fn(&Plan) -> Result<Candidates, String>,
) -> ExitCode {
    let plan = match super::whole_plan(&arguments.config) {
        Ok(plan) => plan,
        Err(code) => return code,
    };
    let candidates = match candidates(&plan) {
        Ok(candidates) => candidates,
        Err(why) => return misused(&why),
    };
    for warning in candidates.warnings() {
        fail(&format!("warning: {warning}"));
    }
    let progress = Progress::new(arguments.time);
    match Benchmark::run(&plan, &candidates, arguments.time, progress) {
        Ok(done) => {
            if let Some(hint) = done.hint() {
                fail(&hint);
            }
            tell(&done.table(candidates), arguments)
        }
        Err(why) => fail(&why),
    }
}

/// Writes the table where it is to be.
fn tell(table: &Table, arguments: &Arguments) -> ExitCode {
    let text = match arguments.written.format() {
        Format::Text => Ok(printable(&table.to_string())),
        Format::Json => to_json(table),
    };
    let text = match text {
        Ok(text) => text,
        Err(failed) => return failed.tell(),
    };
    match &arguments.output {
        None => finish(Ok(text)),
        Some(path) => save(path, &text),
    }
}

fn save(path: &Path, text: &str) -> ExitCode {
    match std::fs::write(path, text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("cannot write {}: {error}", path.display())),
    }
}
