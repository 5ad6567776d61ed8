//! `hotspare events`: the failovers that daemons saw.

use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::ask::{Client, Daemon};
use crate::model::Failover;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only those of this group.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,

    #[command(flatten)]
    daemons: Daemons,

    /// How they are written.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Whom to ask.
#[derive(Debug, Args)]
pub(super) struct Daemons {
    /// A daemon to ask; may be given more than once, or with commas between.
    #[arg(
        long = "url",
        env = "HOTSPARE_URL",
        value_name = "URL",
        value_delimiter = ',',
        hide_env_values = true,
        default_value = "http://127.0.0.1:9887"
    )]
    urls: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A line each, for people.
    Text,
    /// One JSON object.
    Json,
}

/// What `GET /api/v1/events` answers.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Events {
    pub(super) events: Vec<Failover>,
}

/// Why a command ends without what it is for.
pub(super) enum Failed {
    /// The command line is wrong.
    Usage(String),
    /// A daemon did not do what it was asked for.
    Daemon(String),
}

/// What came of each daemon, with its address.
type Each<T> = Vec<(String, Result<T, String>)>;

impl Daemons {
    /// Does something with every daemon, one after the other, and gives what came of each with the
    /// daemon's address.
    pub(super) fn each<T>(
        &self,
        work: &impl AsyncFn(&Client, &Daemon) -> Result<T, String>,
    ) -> Result<Each<T>, Failed> {
        let daemons = Daemon::all(&self.urls).map_err(Failed::Usage)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failed::Daemon(format!("cannot start a runtime: {error}")))?;
        let client = Client::new().map_err(Failed::Daemon)?;
        let all = async {
            let mut all = Vec::new();
            for daemon in &daemons {
                all.push((daemon.to_string(), work(&client, daemon).await));
            }
            all
        };
        Ok(runtime.block_on(Box::pin(all)))
    }

    /// The same, where one that fails spoils it.
    pub(super) fn all<T>(
        &self,
        work: &impl AsyncFn(&Client, &Daemon) -> Result<T, String>,
    ) -> Result<Vec<T>, Failed> {
        let each = self.each(work)?.into_iter();
        let all =
            each.map(|(url, came)| came.map_err(|why| Failed::Daemon(format!("{url}: {why}"))));
        all.collect()
    }
}

/// What a daemon knows of the past.
pub(super) async fn events(client: &Client, daemon: &Daemon) -> Result<Vec<Failover>, String> {
    let body = client.ask(daemon, &["events"]).await?;
    let read: Events = read(&body)?;
    Ok(read.events)
}

/// Reads an answer.
pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("the answer cannot be read: {error}"))
}

pub(super) fn print(arguments: &Arguments) -> ExitCode {
    finish(text(arguments))
}

/// Prints what came of a command.
pub(super) fn finish(came: Result<String, Failed>) -> ExitCode {
    match came {
        Ok(text) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(Failed::Usage(why)) => {
            let _ = writeln!(std::io::stderr(), "{why}");
            ExitCode::from(super::USAGE)
        }
        Err(Failed::Daemon(why)) => super::fail(&why),
    }
}

fn text(arguments: &Arguments) -> Result<String, Failed> {
    let all = arguments.daemons.all(&events)?;
    let wanted = |event: &Failover| {
        let group = arguments.group.as_deref();
        group.is_none_or(|group| *event.group == *group)
    };
    let mut events: Vec<_> = all.into_iter().flatten().filter(wanted).collect();
    events.sort_by(|a, b| a.timestamp_seconds.total_cmp(&b.timestamp_seconds));
    match arguments.format {
        Format::Text => Ok(events.iter().map(line).collect()),
        Format::Json => to_json(&Events { events }),
    }
}

/// A value as JSON, with the end of the line.
pub(super) fn to_json(value: &impl Serialize) -> Result<String, Failed> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n")
        .map_err(|error| Failed::Daemon(error.to_string()))
}

/// A failover for people.
pub(super) fn line(event: &Failover) -> String {
    let mut line = moment(event.timestamp_seconds);
    let Failover {
        group,
        probe,
        from,
        to,
        source_region,
        id,
        ..
    } = event;
    let kind = if event.planned {
        "planned"
    } else {
        "unplanned"
    };
    let _ = write!(
        line,
        "  {group}/{probe}: {from} -> {to}, {kind}, no writes for {:.1}s ({})",
        event.rto_write_seconds,
        event.rto_write_basis.as_str()
    );
    if let Some(user) = event.rto_user_seconds {
        let _ = write!(line, ", users cut off for {user:.1}s");
    }
    let _ = match (event.rpo_writes, event.rpo_seconds, event.rpo_unknown) {
        (Some(writes), Some(time), _) => write!(line, ", lost {writes} canaries in {time:.1}s"),
        (_, _, Some(why)) => write!(line, ", loss unknown: {}", why.as_str()),
        _ => write!(line, ", loss unknown"),
    };
    if let Some(drill) = &event.drill {
        let _ = write!(line, ", drill {drill}");
    }
    let _ = writeln!(line, " (seen from {source_region}, {id})");
    line
}

/// A moment in seconds since 1970 as RFC 3339 has it, to the second.
pub(super) fn moment(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "far from any limit, and saturating"
    )]
    let moment = OffsetDateTime::from_unix_timestamp(seconds as i64);
    let text = moment.ok().and_then(|moment| moment.format(&Rfc3339).ok());
    text.unwrap_or_else(|| seconds.to_string())
}
