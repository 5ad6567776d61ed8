//! A demonstration on one host: three regions, three real daemons, and a script of incidents that
//! ends in a failover.
//!
//! Nothing is faked where something is measured: the daemons are processes of this program with a
//! configuration as anybody would write it, what they probe are real servers, and what is broken are
//! the paths between them and the servers themselves. What the script says of hotspare was read from
//! its API.

mod daemons;
mod databases;
mod expect;
mod fleet;
mod folder;
mod observe;
mod password;
mod path;
mod postgres;
mod program;
mod regions;
mod script;
mod shop;
mod stage;
mod sweeper;
mod terminal;
mod web;

use std::future::pending;
use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use self::observe::Daemon;
use self::regions::Region;
use self::stage::Stage;
use self::terminal::Terminal;

/// How long somebody who looks on may read, before each incident.
const TO_READ: Duration = Duration::from_secs(4);

/// What the command line decides.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// End after the script, instead of going on until a signal comes.
    pub once: bool,
    /// What the delays of the network are made of.
    pub seed: u64,
    /// Leave the databases out, also where there could be some.
    pub no_databases: bool,
    /// Say it in colours.
    pub colours: bool,
}

/// Runs the demo: to the end of its script, or until a signal ends it.
///
/// The error says which announced verdict was not seen, or what went wrong. Whatever was started has
/// ended then, and whatever was written is gone.
pub fn run(options: Options) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start a runtime: {e}"))?;
    runtime.block_on(async {
        tokio::select! {
            biased;
            name = ended() => match name {
                Ok(name) if options.once => Err(format!("{name} came before the end of the script")),
                ended => ended.map(drop),
            },
            played = play(options) => played,
        }
    })
}

/// Cleans up after the demo with this folder, once that is gone without having done it: the process
/// at the other end of standard input.
///
/// The error says what stays behind.
pub fn sweep(folder: &Path) -> Result<(), String> {
    sweeper::sweep(folder)
}

async fn play(options: Options) -> Result<(), String> {
    let pause = if options.once {
        Duration::ZERO
    } else {
        TO_READ
    };
    let terminal = Terminal::open(pause, options.colours);
    introduce(&terminal);
    let mut stage = Stage::put_up(options, &terminal).await?;
    tell_addresses(&stage, &terminal);
    let played = script::play(&mut stage, &terminal).await;
    terminal.plain("");
    if options.once {
        played?;
        terminal.plain("Every announced verdict was seen. Everything ends.");
        return Ok(());
    }
    match played {
        Ok(()) => terminal.plain("That was the script. Everything goes on until Ctrl-C:"),
        Err(why) => terminal.missed(&format!("{why}. Everything goes on until Ctrl-C:")),
    }
    tell_addresses(&stage, &terminal);
    pending().await
}

/// Says what is about to be seen.
fn introduce(terminal: &Terminal) {
    terminal.plain("hotspare demo: three regions on this host, with the delays between real ones");
    terminal.plain("");
    let [west, central, east] = Region::ALL;
    for (one, other) in [(west, central), (west, east), (central, east)] {
        let there_and_back = 2 * one.one_way_to(other).as_millis();
        terminal.plain(format_args!(
            "  {one:<10} <-> {other:<10} {there_and_back:>3} ms"
        ));
    }
    terminal.plain("");
}

fn tell_addresses(stage: &Stage, terminal: &Terminal) {
    terminal.plain("");
    for daemon in stage.daemons.all() {
        let (region, address) = (daemon.region(), daemon.address());
        terminal.plain(format_args!(
            "  {region:<10} http://{address}/   http://{address}/metrics"
        ));
    }
    let [one, two, three] = stage.daemons.all().each_ref().map(Daemon::address);
    terminal.plain("");
    terminal.plain(format_args!(
        "  hotspare status --server http://{one},http://{two},http://{three}"
    ));
}

/// Waits for a signal to end; its name.
async fn ended() -> Result<&'static str, String> {
    let listen = |kind| signal(kind).map_err(|e| format!("cannot listen for signals: {e}"));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
        _ = hangup.recv() => "SIGHUP",
    })
}
