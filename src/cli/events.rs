//! `hotspare events`: the failovers that daemons saw.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::ask::{Client, Daemon};
use super::daemons::{Daemons, Failed, finish, moment, read, to_json};
use super::terminal::printable;
use super::written::{Format, Written};
use crate::model::Failover;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only those of this group.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,

    #[command(flatten)]
    daemons: Daemons,

    #[command(flatten)]
    written: Written,
}

/// What `GET /api/v1/events` answers.
#[derive(Deserialize, Serialize)]
struct Events {
    events: Vec<Failover>,
}

/// What a daemon knows of the past.
pub(super) async fn events(client: &Client, daemon: &Daemon) -> Result<Vec<Failover>, String> {
    let body = client.ask(daemon, &["events"]).await?;
    let read: Events = read(&body)?;
    Ok(read.events)
}

pub(super) fn print(arguments: &Arguments) -> ExitCode {
    finish(text(arguments))
}

fn text(arguments: &Arguments) -> Result<String, Failed> {
    let all = arguments.daemons.all(&events)?;
    let wanted = |event: &Failover| {
        let group = arguments.group.as_deref();
        group.is_none_or(|group| *event.group == *group)
    };
    let mut events: Vec<_> = all.into_iter().flatten().filter(wanted).collect();
    events.sort_by(|a, b| a.timestamp_seconds.total_cmp(&b.timestamp_seconds));
    match arguments.written.format() {
        Format::Text => Ok(printable(&events.iter().map(line).collect::<String>())),
        Format::Json => to_json(&Events { events }),
    }
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
