//! The script where there are databases: from all being well to a failover and back to two standbys.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::databases::Databases;
use super::super::expect;
use super::super::observe::Daemon;
use super::super::regions::Region;
use super::super::stage::Stage;
use super::super::terminal::Terminal;
use super::cost::{Times, compare};
use super::{figures, quote, ready, slow_standby};

const PRIMARY: Region = Region::EuWest;
const STANDBYS: [Region; 2] = [Region::EuCentral, Region::UsEast];
/// How long replication carries nothing before the primary dies: what is lost then.
const DARK: Duration = Duration::from_secs(3);
/// What tells two losses apart that are looked at once a second.
const CLEARLY_SECONDS: f64 = 2.0;

pub(super) async fn play(stage: &mut Stage, terminal: &Terminal) -> Result<(), String> {
    terminal
        .incident(
            1,
            "All is well: a primary in eu-west, two standbys, ten orders a second",
        )
        .await;
    all_is_well(stage, terminal).await?;
    terminal
        .incident(2, "A standby gets slow: the service in us-east")
        .await;
    slow_standby(stage, terminal).await?;
    terminal
        .incident(
            3,
            "Replication to eu-central is cut: a black hole, nobody is told",
        )
        .await;
    black_hole(stage, terminal).await?;
    terminal
        .incident(
            4,
            "eu-west goes dark: replication first, 3 s later the primary crashes",
        )
        .await;
    let death = primary_dies(stage, terminal).await?;
    terminal
        .incident(
            5,
            &format!("{} is promoted, and the shop goes on there", death.best),
        )
        .await;
    failover(stage, terminal, &death).await?;
    terminal
        .incident(
            6,
            "Recovery: eu-west is rebuilt as a standby, and the fleet's file says so",
        )
        .await;
    recovery(stage, terminal, death.best).await
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
        terminal.quote("hotspare", format_args!("{standby}: {}", figures(&said)));
    }
    Ok(())
}

async fn black_hole(stage: &mut Stage, terminal: &Terminal) -> Result<(), String> {
    let cut = Region::EuCentral;
    databases(stage)?.stream(cut).black_hole();
    let what = format!("{cut} is not ready: it lags behind");
    let said = expect::of_standby(stage, terminal, &what, cut, |_, said| {
        said.state == "not_ready" && said.fails(&["lag", "canary", "loss", "link"])
    })
    .await?;
    own_word(stage, terminal, cut).await?;
    quote(stage, terminal, PRIMARY, cut).await?;
    let said = &said[PRIMARY.place()];
    if let (Some(seconds), Some(bytes)) = (said.rpo_seconds, said.rpo_bytes) {
        let loss = format!("{seconds:.1} s of writes, {bytes} bytes of log");
        terminal.quote(
            "hotspare",
            format_args!("{cut}: a failover would lose {loss}"),
        );
    }
    let databases = databases(stage)?;
    let there = databases.orders_in(cut).await?;
    let missing = databases.orders_in(PRIMARY).await?.saturating_sub(there);
    terminal.quote(
        "the shop",
        format_args!("{missing} orders are not in {cut}"),
    );
    databases.stream(cut).pass();
    terminal.turn("Packets come through again");
    ready(stage, terminal, STANDBYS).await
}

/// Says what `PostgreSQL` itself says of a standby at this moment.
async fn own_word(stage: &mut Stage, terminal: &Terminal, of: Region) -> Result<(), String> {
    let (link, lag) = databases(stage)?.own_word(of).await?;
    let lag: f64 = lag.parse().map_err(|e| format!("the lag {lag}: {e}"))?;
    let words = format_args!("{of}: the link is {link}, and the lag {lag:.1} s");
    terminal.quote("PostgreSQL", words);
    Ok(())
}

/// The end of the primary.
struct Death {
    /// Since when replication carried nothing.
    dark: Instant,
    killed: Instant,
    /// The standby that is to be promoted: both may be.
    best: Region,
}

async fn primary_dies(stage: &mut Stage, terminal: &Terminal) -> Result<Death, String> {
    let dark = Instant::now();
    for standby in STANDBYS {
        databases(stage)?.stream(standby).black_hole();
    }
    sleep(DARK).await;
    databases(stage)?.kill_primary().await;
    let killed = Instant::now();
    let mut losses = Vec::new();
    for standby in STANDBYS {
        let what = format!("the primary is lost, and {standby} may be promoted");
        let said = expect::of_standby(stage, terminal, &what, standby, |_, said| {
            said.state == "primary_lost"
                && said.promotion == "viable"
                && said
                    .last_sight
                    .is_some_and(|sight| sight.rpo_seconds.is_some())
        })
        .await?;
        let losses_seen = said.iter().filter_map(|said| said.last_sight?.rpo_seconds);
        let loss = losses_seen.fold(0.0, f64::max);
        terminal.quote(
            "hotspare",
            format_args!("{standby}: {loss:.1} s of writes are lost at most"),
        );
        losses.push((standby, loss));
    }
    let what = "the alert PrimaryLost fires";
    expect::of_all(stage, terminal, what, async |daemon: &Daemon| {
        let fires = daemon.fires().await?;
        let there = fires.iter().any(|rule| rule == "PrimaryLost");
        there.then_some(()).ok_or_else(|| fires.join(", "))
    })
    .await?;
    Ok(Death {
        dark,
        killed,
        best: best(&losses),
    })
}

/// The first of the standbys, unless another would lose clearly less.
fn best(losses: &[(Region, f64)]) -> Region {
    let [first, rest @ ..] = losses else {
        return STANDBYS[0];
    };
    let better = rest
        .iter()
        .filter(|(_, loss)| loss + CLEARLY_SECONDS < first.1);
    let least = better.min_by(|one, other| one.1.total_cmp(&other.1));
    least.unwrap_or(first).0
}

async fn failover(stage: &mut Stage, terminal: &Terminal, death: &Death) -> Result<(), String> {
    let best = death.best;
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
    let times = Times {
        dark: death.killed - death.dark,
        seen: death.dark.elapsed(),
    };
    let cost = databases(stage)?.cost(promoted).await?;
    compare(terminal, &seen, &cost, &times)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_standby_is_promoted_unless_another_would_lose_clearly_less() {
        let [first, second] = STANDBYS;
        assert_eq!(best(&[(first, 3.0), (second, 2.5)]), first);
        assert_eq!(best(&[(first, 9.0), (second, 2.5)]), second);
    }
}
