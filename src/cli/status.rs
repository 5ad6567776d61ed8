//! `hotspare status`: how daemons are, and what they say of every standby, on one screen.
//!
//! Exit codes: 0 every daemon answers and is well, 1 one is not or does not. That a standby is not ready
//! changes nothing of it: `hotspare gate` is for that.

mod page;

use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::sleep;

use super::ask::{Client, Daemon};
use super::daemons::{Daemons, Each, Failed, each_as_json, finish, read};
use super::misused;
use super::terminal::Ink;
use super::written::{Format, Written};

/// From one look to the next.
const AGAIN: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Draw it anew every two seconds, until an interrupt.
    #[arg(long, conflicts_with_all = ["json", "format"])]
    watch: bool,

    #[command(flatten)]
    daemons: Daemons,

    #[command(flatten)]
    written: Written,
}

/// What is read of `GET /api/v1/status`.
#[derive(Deserialize)]
struct Status {
    source_region: String,
    version: String,
    timestamp_seconds: f64,
    start_timestamp_seconds: Option<f64>,
    config_hash: Option<String>,
    targets: u64,
    #[serde(default)]
    unseen: u64,
    health: Health,
    state_durable: Option<bool>,
    groups: Vec<Group>,
    alerts: Alerts,
    undelivered: u64,
}

#[derive(Deserialize)]
struct Health {
    ok: bool,
    faults: Vec<String>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(rename = "group")]
    name: String,
    primary: String,
    standbys: Vec<Standby>,
}

#[derive(Deserialize)]
struct Standby {
    #[serde(rename = "standby")]
    region: String,
    state: String,
    promotion: Option<String>,
    rank: Option<u32>,
    rpo_seconds: Option<f64>,
    rto_seconds: Option<f64>,
    line: Option<String>,
}

#[derive(Deserialize)]
struct Alerts {
    firing: u64,
    pending: u64,
    muted: u64,
}

/// What a daemon said, whole, and as far as it was understood.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    whole: Value,
    #[serde(skip)]
    status: Status,
}

pub(super) fn status(arguments: &Arguments, ink: Ink) -> ExitCode {
    if !arguments.watch {
        return finish(text(arguments, ink));
    }
    if !std::io::stdout().is_terminal() {
        return misused("--watch needs a terminal: --json tells programs how it is now");
    }
    watch(arguments, ink)
}

fn text(arguments: &Arguments, ink: Ink) -> Result<String, Failed> {
    let each = arguments.daemons.each(&look)?;
    if arguments.written.format() == Format::Json {
        let text = each_as_json(&each)?;
        return if well(&each) {
            Ok(text)
        } else {
            Err(Failed::Told(text))
        };
    }
    let text = page::pages(&each, ink);
    if well(&each) {
        Ok(text)
    } else {
        Err(Failed::Told(text))
    }
}

async fn look(client: &Client, daemon: &Daemon) -> Result<Told, String> {
    let body = client.ask(daemon, &["status"]).await?;
    Ok(Told {
        whole: read(&body)?,
        status: read(&body)?,
    })
}

/// Whether all of them answer and nothing is wrong with them.
fn well(each: &Each<Told>) -> bool {
    let mut came = each.iter().map(|(_, came)| came);
    came.all(|came| came.as_ref().is_ok_and(|told| told.status.health.ok))
}

/// Draws it again and again. A terminal ends it with an interrupt.
fn watch(arguments: &Arguments, ink: Ink) -> ExitCode {
    let daemons = match arguments.daemons.parse() {
        Ok(daemons) => daemons,
        Err(failed) => return failed.tell(),
    };
    let client = Client::new();
    let started = client.and_then(|client| Ok((client, super::runtime()?)));
    let (client, runtime) = match started {
        Ok(started) => started,
        Err(why) => return super::fail(&why),
    };
    runtime.block_on(Box::pin(async {
        loop {
            let looks = daemons.iter().map(|daemon| look(&client, daemon));
            let came = futures_util::future::join_all(looks).await;
            let names = daemons.iter().map(ToString::to_string);
            let page = page::pages(&names.zip(came).collect(), ink);
            // To the corner; what is left of the page before it is taken away below and beside.
            let page = page.replace('\n', "\x1b[K\n");
            let mut out = std::io::stdout().lock();
            let drawn = write!(out, "\x1b[H{page}\x1b[J").and_then(|()| out.flush());
            if drawn.is_err() {
                return;
            }
            drop(out);
            sleep(AGAIN).await;
        }
    }));
    ExitCode::SUCCESS
}
