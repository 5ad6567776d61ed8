//! A login that is in use: what is asked of it, and what it tells.

use futures_util::FutureExt;
use futures_util::future::join;
use tokio::time::Instant;
use tokio_postgres::{Client, Config, Error};

use super::Shared;
use super::canary;
use super::channel::{Channel, Established, Renewed};
use super::query::{Answer, Carrier, carried, part, rows};
use super::screen::Screen;
use super::{failure, replication};
use crate::model::{
    CanaryFacts, DatabaseFacts, Failure, Mark, NotWritten, Pen, Phase, ReplicationFacts, Sighting,
    Withheld, Write,
};
use crate::net::{Stopwatch, Transport};
use crate::probe::{CanaryName, acknowledged};

/// Characters of the server's version that are kept.
const MAX_VERSION: usize = 64;
/// Why a server does not acknowledge a canary.
const DOUBT: &str = "is a synchronous standby missing?";

/// A session with a server, and the one who carries its messages.
pub(super) struct Session {
    client: Client,
    carrier: Option<Carrier>,
    /// Tells the channel, which the driver has, that another run begins.
    renewed: Renewed,
}

/// What a server told of replication.
type Told = Result<(ReplicationFacts, Option<Withheld>), Withheld>;

impl Session {
    /// Logs in.
    pub(super) async fn open(
        login: &Config,
        transport: Transport,
        screen: Screen,
    ) -> Result<Self, Failure> {
        let renewed = Renewed::default();
        let channel = Channel::new(transport, screen, renewed.clone());
        let (client, connection) = login
            .connect_raw(tokio::io::empty(), Established(channel))
            .await
            .map_err(|e| failure::of_login(&e))?;
        Ok(Self {
            client,
            carrier: Some(connection),
            renewed,
        })
    }

    /// Makes a kept session ready for another run. False: it is gone.
    pub(super) fn renew(&mut self) -> bool {
        self.renewed.set();
        let ended = self.carrier.as_mut().and_then(FutureExt::now_or_never);
        self.carrier.is_some() && ended.is_none()
    }

    /// What the server says of itself when it lets someone in.
    pub(super) fn facts(&self) -> DatabaseFacts {
        let version = self
            .carrier
            .as_ref()
            .and_then(|c| c.parameter("server_version"));
        let version = version.unwrap_or_default().chars();
        DatabaseFacts {
            engine: "postgresql",
            version: version
                .filter(|c| !c.is_control())
                .take(MAX_VERSION)
                .collect::<String>()
                .into(),
            ..DatabaseFacts::default()
        }
    }

    /// Asks the query, and then what there is to know of replication: that is no part of any latency,
    /// and its failure is none of the run.
    pub(super) async fn ask(
        &mut self,
        shared: &Shared,
        told: &mut DatabaseFacts,
        watch: &mut Stopwatch,
    ) -> Result<Answer, Failure> {
        let Self {
            client, carrier, ..
        } = self;
        watch.enter(Phase::QueryRead);
        let answer = carried(carrier, shared.query.ask(client)).await;
        if answer.is_ok() {
            watch.leave();
        }
        let goes_on = answer
            .as_ref()
            .map_or_else(|e| failure::answer(e).is_some(), |_| true);
        if goes_on && shared.replication {
            watch.linger(Phase::QueryRead);
            let look = join(
                replication(client),
                sighting(client, shared.canary.as_ref()),
            );
            let look = carried(carrier, async { Ok(look.await) }).await;
            keep(look.unwrap_or((Err(Withheld::Error), None)), told);
            watch.leave();
        }
        answer.map_err(|e| failure::of_query(&e))
    }

    /// Writes the canary if there is an order for this very server. A failure means that the server
    /// did not answer: it may have written it all the same.
    pub(super) async fn write(
        &mut self,
        shared: &Shared,
        pen: &Pen,
        told: &mut DatabaseFacts,
        watch: &mut Stopwatch,
    ) -> Result<(), Failure> {
        let (Some(facts), Some(name), Some(canary)) =
            (&told.replication, &shared.canary, &mut told.canary)
        else {
            return Ok(());
        };
        let Some(order) = pen.take() else {
            return Ok(());
        };
        let sent = Instant::now();
        let outcome = if order.is_for(facts) {
            watch.enter(Phase::QueryWrite);
            let text = canary::statement(name, &order, shared.timeout);
            let written = self.execute(&text);
            let written = acknowledged(written, watch.started(), shared.timeout, DOUBT).await??;
            if written.is_ok() {
                watch.leave();
            }
            written
        } else {
            Err(NotWritten::Changed)
        };
        canary.write = Some(Write {
            seq: order.seq,
            sent: sent.into_std(),
            outcome: outcome.map(Instant::into_std),
        });
        Ok(())
    }

    async fn execute(&mut self, text: &str) -> Result<Result<Instant, NotWritten>, Failure> {
        let Self {
            client, carrier, ..
        } = self;
        match carried(carrier, rows(client, text)).await {
            Ok(rows) if rows.is_empty() => Ok(Err(NotWritten::Changed)),
            Ok(_) => Ok(Ok(Instant::now())),
            Err(error) => match failure::answer(&error) {
                Some(answer) => Ok(Err(canary::not_written(answer.code().code()))),
                None => Err(failure::of_query(&error)),
            },
        }
    }

    /// Says good-bye, without waiting for the peer.
    pub(super) fn part(self) {
        part(self.client, self.carrier);
    }
}

fn keep((replication, sighting): (Told, Option<Sighting>), told: &mut DatabaseFacts) {
    match replication {
        Ok((facts, withheld)) => {
            told.replication = Some(Box::new(facts));
            told.withheld = withheld;
        }
        Err(withheld) => told.withheld = Some(withheld),
    }
    if let Some(seen) = sighting {
        told.withheld = told.withheld.or(seen.mark.err());
        told.canary = Some(CanaryFacts { seen, write: None });
    }
}

async fn replication(client: &Client) -> Told {
    let asked = Instant::now();
    let rows = rows(client, replication::QUESTION)
        .await
        .map_err(|e| withheld(&e))?;
    let answered = Instant::now();
    let row = rows.first().ok_or(Withheld::Error)?;
    replication::read(row, asked.into_std(), answered.into_std()).ok_or(Withheld::Error)
}

async fn sighting(client: &Client, name: Option<&CanaryName>) -> Option<Sighting> {
    let name = name?;
    let asked = Instant::now();
    let rows = rows(client, &name.look()).await;
    let answered = Instant::now();
    let mark = match rows {
        Err(error) => Err(withheld(&error)),
        Ok(rows) => match rows.first() {
            None => Ok(None),
            Some(row) => {
                let column = |at| row.try_get(at).ok().flatten();
                Mark::read(column(0), column(1))
                    .map(Some)
                    .ok_or(Withheld::Error)
            }
        },
    };
    Some(Sighting {
        asked: asked.into_std(),
        answered: answered.into_std(),
        mark,
    })
}

fn withheld(error: &Error) -> Withheld {
    error
        .code()
        .map_or(Withheld::Error, |code| canary::withheld(code.code()))
}
