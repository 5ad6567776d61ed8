//! What happens: incidents one after the other, each with what hotspare has to say of it.

mod cost;
mod databases;
mod web;

use super::expect;
use super::observe::Standby;
use super::regions::Region;
use super::stage::Stage;
use super::terminal::Terminal;

/// Plays the script to its end. The error is the verdict that was not seen, or what went wrong.
pub(super) async fn play(stage: &mut Stage, terminal: &Terminal) -> Result<(), String> {
    if stage.databases.is_some() {
        databases::play(stage, terminal).await
    } else {
        web::play(stage, terminal).await
    }
}

/// Waits until the standbys could take over, by each daemon.
async fn ready(
    stage: &mut Stage,
    terminal: &Terminal,
    standbys: [Region; 2],
) -> Result<(), String> {
    let [one, other] = standbys;
    let what = format!("{one} and {other} are ready");
    expect::of_all(stage, terminal, &what, async |daemon| {
        for standby in standbys {
            let said = daemon.standby(standby).await?;
            if said.state != "ready" {
                return Err(format!("{standby}: {}", daemon.line(standby).await?));
            }
        }
        Ok(())
    })
    .await
    .map(drop)
}

/// Says what a daemon says of a standby, in its own words.
async fn quote(
    stage: &Stage,
    terminal: &Terminal,
    from: Region,
    standby: Region,
) -> Result<(), String> {
    let daemon = &stage.daemons.all()[from.place()];
    let line = daemon.line(standby).await?;
    terminal.quote("hotspare", format_args!("{standby}: {line}"));
    Ok(())
}

/// A standby's service gets slow, and is as before.
async fn slow_standby(stage: &mut Stage, terminal: &Terminal) -> Result<(), String> {
    let slow = Region::UsEast;
    stage.apps[slow.place()].slow(SLOWER);
    let what = format!("{slow} is not ready: its latency");
    expect::of_standby(stage, terminal, &what, slow, |_, said| {
        said.state == "not_ready" && said.fails(&["latency"])
    })
    .await?;
    quote(stage, terminal, Region::EuWest, slow).await?;
    quote(stage, terminal, Region::EuWest, Region::EuCentral).await?;
    stage.apps[slow.place()].slow(std::time::Duration::ZERO);
    terminal.turn("The service in us-east is as fast as before");
    ready(stage, terminal, [Region::EuCentral, Region::UsEast]).await
}

/// How much slower a slow standby is: beyond the limit from next door, and not a failure from afar.
const SLOWER: std::time::Duration = std::time::Duration::from_millis(450);

/// The figures of a standby that is ready.
fn figures(said: &Standby) -> String {
    let seconds = |value: Option<f64>| {
        value.map_or_else(|| "not known".to_owned(), |value| format!("{value:.1} s"))
    };
    format!(
        "a failover would lose {} of writes at most, and take {}",
        seconds(said.rpo_seconds),
        seconds(said.rto_seconds)
    )
}
