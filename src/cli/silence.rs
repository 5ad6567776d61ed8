//! `hotspare silence`: keeps daemons from telling anybody of some alerts for a while.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::ask::{Client, Daemon};
use super::daemons::{Daemons, Failed, finish, moment, read};
use super::written::Written;
use crate::model::{Labels, Silence, SilenceStart, duration, timestamp_seconds};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Begin a silence: nobody is told that these alerts fire, until it ends.
    Start(Start),
    /// End a silence before its time.
    End(End),
    /// Tell the silences that the daemons know.
    List(List),
}

#[derive(Debug, Args)]
pub(super) struct Start {
    /// A label that an alert has to have, as `name=value`; may be given more than once.
    #[arg(long = "match", value_name = "LABEL=VALUE", value_parser = label, required = true)]
    matches: Vec<(String, String)>,

    /// How long it lasts: up to 30 days.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    lasts: Duration,

    /// Why, in one line.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,

    /// What names it; by default a random name.
    #[arg(long, value_name = "ID")]
    id: Option<String>,

    #[command(flatten)]
    daemons: Daemons,

    #[command(flatten)]
    written: Written,
}

#[derive(Debug, Args)]
pub(super) struct End {
    /// The silence.
    #[arg(value_name = "ID")]
    id: String,

    #[command(flatten)]
    daemons: Daemons,

    #[command(flatten)]
    written: Written,
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    daemons: Daemons,

    #[command(flatten)]
    written: Written,
}

fn label(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or("expected a label and its value, like group=checkout")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) fn silence(command: &Command) -> ExitCode {
    finish(match command {
        Command::Start(arguments) => start(arguments),
        Command::End(arguments) => end(arguments),
        Command::List(arguments) => list(arguments),
    })
}

fn start(arguments: &Start) -> Result<String, Failed> {
    let mut matches = Labels::new();
    for (name, value) in &arguments.matches {
        if matches
            .insert(name.as_str().into(), value.as_str().into())
            .is_some()
        {
            let why = format!("--match names {name} twice, and an alert has it once");
            return Err(Failed::Usage(why));
        }
    }
    let id = arguments.id.clone();
    let start = SilenceStart {
        // The same at every daemon.
        id: id.unwrap_or_else(|| format!("{:08x}", fastrand::u32(..))),
        matches,
        note: arguments.note.clone(),
        for_seconds: arguments.lasts.as_secs_f64(),
    };
    arguments
        .daemons
        .order(&["silences"], &start, (&arguments.written, line))
}

fn end(arguments: &End) -> Result<String, Failed> {
    #[derive(Serialize)]
    struct Order<'a> {
        id: &'a str,
    }
    let order = Order { id: &arguments.id };
    let how = (&arguments.written, line);
    arguments.daemons.order(&["silences", "end"], &order, how)
}

/// What `GET /api/v1/silences` answers.
#[derive(Deserialize, Serialize)]
struct Silences {
    silences: Vec<Silence>,
}

fn list(arguments: &List) -> Result<String, Failed> {
    let ask = async |client: &Client, daemon: &Daemon| {
        let body = client.ask(daemon, &["silences"]).await?;
        read::<Silences>(&body)
    };
    let lines = |known: &Silences| known.silences.iter().map(line).collect();
    arguments.daemons.listed(&ask, &arguments.written, lines)
}

/// A silence for people.
fn line(silence: &Silence) -> String {
    let labels = silence.matches.iter();
    let labels: Vec<_> = labels.map(|(k, v)| format!("{k}={v}")).collect();
    let now = timestamp_seconds(SystemTime::now());
    let verb = if silence.holds(now) {
        "until"
    } else {
        "ended at"
    };
    let end = moment(silence.end_timestamp_seconds);
    let mut line = format!("{}: {}, {verb} {end}", silence.id, labels.join(", "));
    if let Some(note) = &silence.note {
        let _ = write!(line, " ({note})");
    }
    line
}
