//! The row that is written on the primary and looked for on the standbys.

use tokio::time::Instant;

use super::rows::Table;
use super::session::{Refusal, Session};
use crate::model::{
    Failure, Mark, NotWritten, Order, Phase, ReplicationFacts, Sighting, Withheld, Write,
};
use crate::net::Stopwatch;
use crate::probe::CanaryName;

/// Lets the next statement write in a session that is read-only, and only that.
const MAY_WRITE: &str = "SET TRANSACTION READ WRITE";

/// The canaries of one daemon and probe.
pub(super) struct Canary {
    name: CanaryName,
}

impl Canary {
    pub(super) fn new(name: CanaryName) -> Self {
        Self { name }
    }

    /// Has the same outcome in every format of the binary log: nothing in it depends on the server.
    fn put(&self, seq: u64) -> String {
        let CanaryName {
            vantage,
            probe,
            epoch,
        } = &self.name;
        format!(
            "INSERT INTO hotspare.canary (vantage, probe, epoch, seq) \
             VALUES ('{vantage}', '{probe}', '{epoch}', {seq}) \
             ON DUPLICATE KEY UPDATE epoch = '{epoch}', seq = {seq}, \
             written_at = CURRENT_TIMESTAMP(6)"
        )
    }

    /// Looks for the canary.
    pub(super) async fn see(&self, session: &mut Session) -> Result<Sighting, Failure> {
        let asked = Instant::now().into_std();
        let answer = session.ask(&self.name.look(), 1).await;
        let answered = Instant::now().into_std();
        let mark = match answer {
            Ok(table) => mark(&table),
            Err(Refusal::Said(error)) => Err(error.canary_unseen()),
            Err(Refusal::Broken(failure)) => return Err(failure),
        };
        Ok(Sighting {
            asked,
            answered,
            mark,
        })
    }

    /// Writes the canary if the server, asked just before in the same session, is the one that the
    /// order is for and takes writes; the time is that of [`Phase::QueryWrite`].
    ///
    /// The error says that there was no answer: the write may have happened.
    pub(super) async fn write(
        &self,
        order: &Order,
        told: &ReplicationFacts,
        session: &mut Session,
        watch: &mut Stopwatch,
    ) -> Result<Write, Failure> {
        let mut write = Write {
            seq: order.seq,
            sent: Instant::now().into_std(),
            outcome: Err(NotWritten::Changed),
        };
        if order.is_for(told) {
            watch.linger(Phase::QueryWrite);
            write.outcome = match session.ask(MAY_WRITE, 0).await {
                Ok(_) => {
                    write.sent = Instant::now().into_std();
                    self.send(order.seq, session, watch).await?
                }
                Err(refusal) => Err(unwritten(refusal)?),
            };
        }
        Ok(write)
    }

    async fn send(
        &self,
        seq: u64,
        session: &mut Session,
        watch: &mut Stopwatch,
    ) -> Result<Result<std::time::Instant, NotWritten>, Failure> {
        watch.enter(Phase::QueryWrite);
        match session.ask(&self.put(seq), 0).await {
            Ok(_) => {
                watch.leave();
                Ok(Ok(Instant::now().into_std()))
            }
            Err(refusal) => {
                let why = unwritten(refusal)?;
                // A refusal says nothing of how long a write takes.
                watch.linger(Phase::QueryWrite);
                Ok(Err(why))
            }
        }
    }
}

fn unwritten(refusal: Refusal) -> Result<NotWritten, Failure> {
    match refusal {
        Refusal::Said(error) => Ok(error.canary_unwritten()),
        Refusal::Broken(failure) => Err(failure),
    }
}

fn mark(table: &Table) -> Result<Option<Mark>, Withheld> {
    if table.rows.is_empty() {
        return Ok(None);
    }
    let column = |name| table.text(0, name);
    Mark::read(column("epoch").as_deref(), column("seq").as_deref())
        .map(Some)
        .ok_or(Withheld::Error)
}
