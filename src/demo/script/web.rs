//! The script where there are no databases.

use super::super::expect;
use super::super::regions::Region;
use super::super::stage::Stage;
use super::super::terminal::Terminal;
use super::{quote, ready, slow_standby};

const STANDBYS: [Region; 2] = [Region::EuCentral, Region::UsEast];

pub(super) async fn play(stage: &mut Stage, terminal: &Terminal) -> Result<(), String> {
    terminal.incident(1, "All is well").await;
    ready(stage, terminal, STANDBYS).await?;
    terminal
        .incident(2, "A standby gets slow: the service in us-east")
        .await;
    slow_standby(stage, terminal).await?;
    terminal
        .incident(3, "A standby fails: the service in eu-central answers 503")
        .await;
    failing_standby(stage, terminal).await?;
    terminal
        .incident(4, "The path from eu-west to us-east is a black hole")
        .await;
    one_sided(stage, terminal).await
}

async fn failing_standby(stage: &mut Stage, terminal: &Terminal) -> Result<(), String> {
    let failing = Region::EuCentral;
    stage.apps[failing.place()].fail(true);
    let what = format!("{failing} is not ready: it is not healthy");
    expect::of_standby(stage, terminal, &what, failing, |_, said| {
        said.state == "not_ready" && said.fails(&["healthy"])
    })
    .await?;
    quote(stage, terminal, Region::EuWest, failing).await?;
    stage.apps[failing.place()].fail(false);
    terminal.turn("The service in eu-central works again");
    ready(stage, terminal, STANDBYS).await
}

/// Each daemon tells what it sees from its own region.
async fn one_sided(stage: &mut Stage, terminal: &Terminal) -> Result<(), String> {
    let (cut_off, standby) = (Region::EuWest, Region::UsEast);
    stage.webs[cut_off.place()][standby.place()].black_hole();
    let what = format!("{standby} is not ready from {cut_off}, and ready from the other two");
    expect::of_standby(stage, terminal, &what, standby, |region, said| {
        if region == cut_off {
            said.state == "not_ready" && said.fails(&["healthy"])
        } else {
            said.state == "ready"
        }
    })
    .await?;
    quote(stage, terminal, cut_off, standby).await?;
    quote(stage, terminal, Region::EuCentral, standby).await?;
    stage.webs[cut_off.place()][standby.place()].pass();
    terminal.turn("Packets come through again");
    ready(stage, terminal, STANDBYS).await
}
