//! `hotspare drill`: announces a drill to daemons, ends it, reports on it.

mod report;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use super::ask::{Client, Daemon};
use super::daemons::{Daemons, Failed, finish, moment, read, to_json};
use super::events::events;
use super::terminal::printable;
use super::written::Written;
use crate::model::{
    Drill, DrillKind, DrillStart, DrillState, Failover, duration, timestamp_seconds,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Announce a drill: failovers from now on are part of it.
    Start(Start),
    /// End the drill of a group; it succeeds only if every standby is ready again.
    Finish(OfGroup),
    /// Give the drill of a group up.
    Abort(OfGroup),
    /// Tell the drills that the daemons know.
    Status(Status),
    /// Tell what came of a drill.
    Report(Report),
}

#[derive(Debug, Args)]
pub(super) struct Start {
    /// The group.
    #[arg(long, value_name = "NAME")]
    group: String,

    /// What is rehearsed: `read_route`, `switchover` or `failover`.
    #[arg(long, value_name = "KIND")]
    kind: DrillKind,

    /// What is to be remembered of it, in one line.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,

    /// What names it; by default the group and the time.
    #[arg(long, value_name = "ID")]
    id: Option<String>,

    /// How long it may take. After that it counts as unfinished.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse, default_value = "4h")]
    limit: Duration,

    #[command(flatten)]
    daemons: Daemons,

    #[command(flatten)]
    written: Written,
}

#[derive(Debug, Args)]
pub(super) struct OfGroup {
    /// The group.
    #[arg(long, value_name = "NAME")]
    group: String,

    #[command(flatten)]
    daemons: Daemons,

    #[command(flatten)]
    written: Written,
}

#[derive(Debug, Args)]
pub(super) struct Status {
    /// Only those of this group.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,

    #[command(flatten)]
    daemons: Daemons,

    #[command(flatten)]
    written: Written,
}

#[derive(Debug, Args)]
pub(super) struct Report {
    /// The drill; by default the last one.
    #[arg(long, value_name = "ID")]
    id: Option<String>,

    /// How it is written.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Markdown)]
    format: Format,

    /// The same as `--format json`.
    #[arg(long, conflicts_with = "format")]
    json: bool,

    #[command(flatten)]
    daemons: Daemons,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people.
    Markdown,
    /// One JSON object.
    Json,
}

/// What `GET /api/v1/drills` answers.
#[derive(Deserialize, Serialize)]
struct Drills {
    drills: Vec<Drill>,
}

pub(super) fn drill(command: &Command) -> ExitCode {
    finish(match command {
        Command::Start(arguments) => start(arguments),
        Command::Finish(arguments) => order("finish", arguments),
        Command::Abort(arguments) => order("abort", arguments),
        Command::Status(arguments) => status(arguments),
        Command::Report(arguments) => report(arguments),
    })
}

fn start(arguments: &Start) -> Result<String, Failed> {
    let now = timestamp_seconds(SystemTime::now());
    let id = arguments.id.clone();
    let id = id.unwrap_or_else(|| format!("{}-{}", plain(&arguments.group), plain(&moment(now))));
    let start = DrillStart {
        id,
        group: arguments.group.clone(),
        kind: arguments.kind,
        note: arguments.note.clone(),
        for_seconds: arguments.limit.as_secs_f64(),
    };
    arguments
        .daemons
        .order(&["drills"], &start, (&arguments.written, line))
}

/// A text as a part of an id.
fn plain(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.chars().filter(|c| word(*c)).take(40).collect()
}

fn order(what: &str, arguments: &OfGroup) -> Result<String, Failed> {
    #[derive(Serialize)]
    struct Order<'a> {
        group: &'a str,
    }
    let group = &arguments.group;
    let how = (&arguments.written, line);
    arguments
        .daemons
        .order(&["drills", what], &Order { group }, how)
}

fn status(arguments: &Status) -> Result<String, Failed> {
    let wanted = |drill: &Drill| {
        let group = arguments.group.as_deref();
        group.is_none_or(|group| *drill.group == *group)
    };
    let ask = async |client: &Client, daemon: &Daemon| {
        let body = client.ask(daemon, &["drills"]).await?;
        let mut known: Drills = read(&body)?;
        known.drills.retain(wanted);
        Ok(known)
    };
    let lines = |known: &Drills| known.drills.iter().map(line).collect();
    arguments.daemons.listed(&ask, &arguments.written, lines)
}

/// A drill for people.
fn line(drill: &Drill) -> String {
    let start = moment(drill.start_timestamp_seconds);
    let mut line = format!(
        "{}: {} of {}, since {start}",
        drill.id,
        drill.kind.as_str(),
        drill.group
    );
    let end = drill.end_timestamp_seconds.map(moment).unwrap_or_default();
    let deadline = moment(drill.deadline_timestamp_seconds);
    let _ = match drill.state {
        DrillState::Open => write!(line, ", to be over by {deadline}"),
        DrillState::Succeeded => write!(line, ", succeeded at {end}"),
        DrillState::Aborted => write!(line, ", aborted at {end}"),
    };
    line
}

fn report(arguments: &Report) -> Result<String, Failed> {
    let each = arguments
        .daemons
        .all(&async |client: &Client, daemon: &Daemon| {
            let body = client.ask(daemon, &["drills"]).await?;
            let drills: Drills = read(&body)?;
            Ok((drills.drills, events(client, daemon).await?))
        })?;
    let (drills, events): (Vec<Vec<Drill>>, Vec<Vec<Failover>>) = each.into_iter().unzip();
    let wanted = |drill: &&Drill| arguments.id.as_ref().is_none_or(|id| drill.id == *id);
    let found = drills.iter().flatten().filter(wanted);
    let drill = found.max_by(|a, b| {
        let (a, b) = (a.start_timestamp_seconds, b.start_timestamp_seconds);
        a.total_cmp(&b)
    });
    let Some(drill) = drill else {
        return Err(Failed::Daemon("there is no such drill".to_owned()));
    };
    let of_drill =
        |event: &Failover| event.group == drill.group && event.drill.as_ref() == Some(&drill.id);
    let events = events.into_iter().flatten().filter(of_drill).collect();
    let known: Vec<_> = drills.iter().flatten().cloned().collect();
    let report = report::Report::new(drill.clone(), &known, events);
    match arguments.format {
        _ if arguments.json => to_json(&report),
        Format::Markdown => Ok(printable(&report.markdown())),
        Format::Json => to_json(&report),
    }
}
