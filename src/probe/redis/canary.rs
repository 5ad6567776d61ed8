//! The canary: a key that only this daemon and probe write.

use std::time::Instant as StdInstant;

use tokio::time::Instant;

use super::failure;
use super::reply::{Reply, packed};
use super::session::Session;
use crate::model::{
    Epoch, Failure, Mark, NotWritten, Order, Phase, Reason, ReplicationFacts, Sighting, Withheld,
    Write,
};
use crate::net::Stopwatch;
use crate::probe::CanaryName;

/// How the canary is asked for and written.
pub(super) struct Canary {
    key: String,
    epoch: Epoch,
}

impl Canary {
    pub(super) fn new(name: &CanaryName) -> Self {
        Self {
            key: format!("hotspare:canary:{}:{}", name.vantage, name.probe),
            epoch: name.epoch,
        }
    }

    /// The question for it.
    pub(super) fn question(&self) -> Vec<u8> {
        packed(&[b"GET", self.key.as_bytes()])
    }

    /// Writes it as ordered, if the server is in this session what the order is for. A refusal is no
    /// failure.
    pub(super) async fn write(
        &self,
        order: &Order,
        told: Option<&ReplicationFacts>,
        session: &mut Session,
        watch: &mut Stopwatch,
    ) -> Result<Write, Failure> {
        let write = |sent: Instant, outcome| Write {
            seq: order.seq,
            sent: sent.into_std(),
            outcome,
        };
        if !told.is_some_and(|told| order.is_for(told)) {
            return Ok(write(Instant::now(), Err(NotWritten::Changed)));
        }
        watch.enter(Phase::QueryWrite);
        let sent = Instant::now();
        let outcome = match session.ask(&self.command(order.seq)).await? {
            Reply::Error(error) => {
                // How long a refusal took is not how long a write takes.
                watch.linger(Phase::QueryWrite);
                Err(failure::not_written(&error))
            }
            Reply::Text(text) if text == "OK" => {
                watch.leave();
                Ok(Instant::now().into_std())
            }
            _ => {
                let why = "the answer to SET was neither OK nor an error";
                return Err(Failure::new(Reason::Protocol, why));
            }
        };
        Ok(write(sent, outcome))
    }

    /// The command that writes it.
    fn command(&self, seq: u64) -> Vec<u8> {
        let value = format!("{}:{seq}", self.epoch);
        packed(&[b"SET", self.key.as_bytes(), value.as_bytes()])
    }
}

/// What the answer to the question for a canary shows.
pub(super) fn sighting(answer: &Reply, asked: StdInstant, answered: StdInstant) -> Sighting {
    let mark = match answer {
        Reply::Nil => Ok(None),
        Reply::Text(value) => mark(value).map(Some).ok_or(Withheld::Error),
        Reply::Error(error) => Err(failure::withheld(error)),
        Reply::Integer(_) | Reply::List => Err(Withheld::Error),
    };
    Sighting {
        asked,
        answered,
        mark,
    }
}

/// Reads `epoch:seq`, and nothing that only looks like it.
fn mark(value: &[u8]) -> Option<Mark> {
    let (epoch, seq) = std::str::from_utf8(value).ok()?.split_once(':')?;
    let mark = Mark::read(Some(epoch), Some(seq))?;
    (format!("{}:{}", mark.epoch, mark.seq).as_bytes() == value).then_some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_reads_back_as_it_was_written() {
        let canary = Canary::new(&CanaryName {
            vantage: "eu-west".into(),
            probe: "orders".into(),
            epoch: Epoch(0xfeed),
        });
        let value = "0000000000000000000000000000feed:7";
        let key: &[u8] = b"hotspare:canary:eu-west:orders";
        assert_eq!(canary.question(), packed(&[b"GET", key]));
        assert_eq!(canary.command(7), packed(&[b"SET", key, value.as_bytes()]));
        let epoch = Epoch(0xfeed);
        assert_eq!(mark(value.as_bytes()), Some(Mark { epoch, seq: 7 }));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn what_is_no_canary_is_not_taken_for_one() {
        let now = StdInstant::now();
        let seen = |answer| sighting(&answer, now, now).mark;
        assert_eq!(seen(Reply::Nil), Ok(None));
        for text in [
            "",
            ":",
            "feed:7",
            "0000000000000000000000000000feed:07",
            "+000000000000000000000000000feed:7",
            "0000000000000000000000000000feed:7:8",
            "0000000000000000000000000000FEED:7",
        ] {
            assert_eq!(
                seen(Reply::Text(text.into())),
                Err(Withheld::Error),
                "{text}"
            );
        }
        let refused = Reply::Error("NOPERM no access to the key".into());
        assert_eq!(seen(refused), Err(Withheld::Permission));
        assert_eq!(seen(Reply::Integer(7)), Err(Withheld::Error));
    }
}
