//! The script where there are databases: from all being well to a failover and back to two standbys.

use std::process::Stdio;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::daemons::this_program;
use super::super::databases::Databases;
use super::super::expect;
use super::super::fleet::GROUP;
use super::super::observe::{Daemon, Failover};
use super::super::regions::{Each, Region};
use super::super::shop::Cost;
use super::super::stage::Stage;
use super::super::terminal::{Terminal, seconds};
use super::{figures, quote, ready, slow_standby};

const PRIMARY: Region = Region::EuWest;
const STANDBYS: [Region; 2] = [Region::EuCentral, Region::UsEast];
/// How long replication carries nothing before the primary dies: what is lost then.
const DARK: Duration = Duration::from_secs(3);
/// How far hotspare's figures may be from those of the shop: it looks once a second, and knows what it
/// sees at two looks. Twice that, for a host that is busy.
const TOLERANCE_SECONDS: f64 = 5.0;

pub(super) async fn play(stage: &mut Stage, terminal: &Terminal) -> Result<(), String> {
    terminal.incident(
        1,
        "All is well: a primary in eu-west, two standbys, ten orders a second",
    );
    all_is_well(stage, terminal).await?;
    terminal.incident(2, "A standby gets slow: the service in us-east");
    slow_standby(stage, terminal).await?;
    terminal.incident(
        3,
        "Replication to eu-central is cut: a black hole, nobody is told",
    );
    black_hole(stage, terminal).await?;
    terminal.incident(
        4,
        "eu-west goes dark: replication first, 3 s later the primary is killed",
    );
    let best = primary_dies(stage, terminal).await?;
    terminal.incident(
        5,
        &format!("{best} is promoted, and the shop goes on there"),
    );
    failover(stage, terminal, best).await?;
    terminal.incident(
        6,
        "Recovery: eu-west is rebuilt as a standby, and the fleet's file says so",
    );
    recovery(stage, terminal, best).await
}

fn databases(stage: &mut Stage) -> Result<&mut Databases, String> {
    stage
        .databases
        .as_mut()
        .ok_or_else(|| "no databases".to_owned())
}

async fn all_is_well(stage: &mut Stage, terminal: &Terminal) -> Result<(), String> {
    ready(stage, terminal, STANDBYS).await?;
    for standby in STANDBYS {
        let said = stage.daemons.all()[PRIMARY.place()]
            .standby(standby)
            .await?;
        terminal.quote("hotspare", format_args!("{standby:<10} {}", figures(&said)));
    }
    Ok(())
}

async fn black_hole(stage: &mut Stage, terminal: &Terminal) -> Result<(), String> {
    let cut = Region::EuCentral;
    databases(stage)?.stream(cut).black_hole();
    let what = format!("{cut} is not ready: it lags behind");
    let said = expect::of_standby(stage, terminal, &what, cut, |_, said| {
        said.state == "not_ready" && said.fails(&["lag", "canary", "loss"])
    })
    .await?;
    let databases = databases(stage)?;
    let (link, lag) = databases.own_word(cut).await?;
    let lag: f64 = lag.parse().unwrap_or(f64::NAN);
    let there = databases.orders_in(cut).await?;
    let missing = databases.orders_in(PRIMARY).await?.saturating_sub(there);
    terminal.quote(
        "PostgreSQL",
        format_args!("the link is {link}, and the lag {lag:.1} s"),
    );
    quote(stage, terminal, PRIMARY, cut).await?;
    if let Some(seconds) = said[PRIMARY.place()].rpo_seconds {
        let bytes = said[PRIMARY.place()].rpo_bytes.unwrap_or_default();
        terminal.quote(
            "hotspare",
            format_args!("would lose {seconds:.1} s, {bytes} bytes of log"),
        );
    }
    terminal.quote(
        "the shop",
        format_args!("{missing} orders are not in {cut}"),
    );
    databases_stream_passes(stage, cut)?;
    terminal.plain("           Packets come through again.");
    ready(stage, terminal, STANDBYS).await
}

fn databases_stream_passes(stage: &mut Stage, region: Region) -> Result<(), String> {
    databases(stage)?.stream(region).pass();
    Ok(())
}

/// The standby that may be promoted and has the most.
async fn primary_dies(stage: &mut Stage, terminal: &Terminal) -> Result<Region, String> {
    for standby in STANDBYS {
        databases(stage)?.stream(standby).black_hole();
    }
    sleep(DARK).await;
    databases(stage)?.kill_primary().await;
    let mut best = None;
    for standby in STANDBYS {
        let what = format!("the primary is lost, and {standby} may be promoted");
        let said = expect::of_standby(stage, terminal, &what, standby, |_, said| {
            said.state == "primary_lost" && said.promotion == "viable"
        })
        .await?;
        let Some(sight) = &said[standby.place()].last_sight else {
            continue;
        };
        if let Some(seconds) = sight.rpo_seconds {
            terminal.quote(
                "hotspare",
                format_args!("{standby:<10} would lose {seconds:.1} s"),
            );
        }
        let loss = sight.loss_bytes.unwrap_or(u64::MAX);
        if best.is_none_or(|(least, _)| loss < least) {
            best = Some((loss, standby));
        }
    }
    let (_, best) = best.ok_or_else(|| "no daemon tells what would be lost".to_owned())?;
    Ok(best)
}

async fn failover(stage: &mut Stage, terminal: &Terminal, best: Region) -> Result<(), String> {
    let promoted = databases(stage)?.promote(best).await?;
    let what = format!("a failover from {PRIMARY} to {best}, with what it cost");
    let seen = expect::of_all(stage, terminal, &what, async |daemon: &Daemon| {
        let failovers = daemon.failovers().await?;
        let found = failovers.into_iter().find(|failover| {
            failover.from == PRIMARY.name()
                && failover.to == best.name()
                && failover.rto_write_basis == "canary"
                && failover.rpo_writes.is_some()
                && failover.rto_user_seconds.is_some()
        });
        found.ok_or_else(|| "no failover with all its figures".to_owned())
    })
    .await?;
    let cost = databases(stage)?.cost(promoted).await?;
    compare(terminal, &seen, &cost)
}

/// Holds what the daemons measured against the shop's own book.
fn compare(terminal: &Terminal, seen: &Each<Failover>, cost: &Cost) -> Result<(), String> {
    let most =
        |figure: fn(&Failover) -> Option<f64>| seen.iter().filter_map(figure).fold(0.0, f64::max);
    let closed = most(|seen| Some(seen.rto_write_seconds));
    let users = most(|seen| seen.rto_user_seconds);
    let lost_time = most(|seen| seen.rpo_seconds);
    let canaries = seen
        .iter()
        .filter_map(|seen| seen.rpo_writes)
        .max()
        .unwrap_or_default();
    terminal.quote(
        "hotspare",
        format_args!(
            "RTO {closed:.1} s without writes, users cut off for {users:.1} s; \
             RPO {lost_time:.1} s, {canaries} canaries"
        ),
    );
    terminal.quote(
        "the shop",
        format_args!(
            "no order for {}; lost {} orders of {}",
            seconds(cost.closed),
            cost.lost,
            seconds(cost.lost_time)
        ),
    );
    let far = |one: f64, other: Duration| (one - other.as_secs_f64()).abs() > TOLERANCE_SECONDS;
    if far(closed, cost.closed)
        || far(lost_time, cost.lost_time)
        || (canaries == 0) != (cost.lost == 0)
    {
        let why = "what hotspare measured is not what the failover cost";
        terminal.missed(why);
        return Err(why.to_owned());
    }
    Ok(())
}

async fn recovery(stage: &mut Stage, terminal: &Terminal, serves: Region) -> Result<(), String> {
    databases(stage)?.rebuild(PRIMARY).await?;
    stage.served_by(serves).await?;
    let standbys = if serves == Region::EuCentral {
        [PRIMARY, Region::UsEast]
    } else {
        [PRIMARY, Region::EuCentral]
    };
    ready(stage, terminal, standbys).await
}
