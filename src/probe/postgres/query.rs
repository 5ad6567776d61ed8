//! The query of a run: its text, its answer, and the connection that carries both.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures_util::{FutureExt, TryStreamExt};
use tokio::io::Empty;
use tokio_postgres::{Client, Connection, Error, SimpleQueryMessage, SimpleQueryRow};

use super::Settings;
use super::channel::Channel;
use crate::model::{Failure, Reason};

/// The driver's half that does the reading and writing.
pub(super) type Carrier = Connection<Empty, Channel>;

/// The cheapest query that shows a backend which plans, executes and returns rows.
const DEFAULT_QUERY: &str = "SELECT 1";

/// Rows of an answer that are looked at: one, and one more to show that there are more.
const KEPT_ROWS: usize = 2;

/// What a run asks, and which answer is right.
pub(super) struct Query {
    text: String,
    expect: Option<String>,
}

/// The first column of the first row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    NoRow,
    Null,
    Text(String),
}

impl Query {
    /// The query of the settings, for runs that end after `timeout`.
    pub(super) fn new(settings: &Settings, timeout: Duration) -> Self {
        match &settings.query {
            None => Self {
                text: DEFAULT_QUERY.to_owned(),
                expect: Some("1".to_owned()),
            },
            Some(query) => Self {
                text: if settings.read_only {
                    bounded(query, timeout)
                } else {
                    query.clone()
                },
                expect: settings.expect.clone(),
            },
        }
    }

    /// Whether an answer can be wrong.
    pub(super) fn expects(&self) -> bool {
        self.expect.is_some()
    }

    /// Asks, and reads the answer to its end. It needs someone who carries, see [`carried`].
    pub(super) async fn ask(&self, client: &Client) -> Result<Answer, Error> {
        let rows = rows(client, &self.text).await?;
        match rows.iter().find(|row| !row.is_empty()) {
            None => Ok(Answer::NoRow),
            Some(row) => Ok(match row.try_get(0)? {
                Some(text) => Answer::Text(text.to_owned()),
                None => Answer::Null,
            }),
        }
    }

    /// Whether the answer is as expected.
    pub(super) fn judge(&self, answer: &Answer) -> Result<(), Failure> {
        let Some(expected) = &self.expect else {
            return Ok(());
        };
        match answer {
            Answer::Text(text) if text == expected => Ok(()),
            Answer::Text(text) => Err(Failure::new(
                Reason::Answer,
                format_args!("expected `{expected}`, the first value was `{text}`"),
            )),
            Answer::Null => Err(Failure::new(
                Reason::Answer,
                format_args!("expected `{expected}`, the first value was NULL"),
            )),
            Answer::NoRow => Err(Failure::new(
                Reason::Answer,
                format_args!("expected `{expected}`, there was no value"),
            )),
        }
    }
}

/// The query inside a read-only transaction with a time limit, all sent as one message: no further
/// round trip, and the statements of one message are one transaction, which ends with it, well or
/// not. A pooler's server connection is as it was afterwards. The line break ends a comment that the
/// query may end with.
fn bounded(query: &str, timeout: Duration) -> String {
    // Zero would mean no limit.
    let millis = timeout.as_millis().clamp(1, i32::MAX.unsigned_abs().into());
    format!("SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = {millis}; {query}\n")
}

/// The rows of the answer, read to its end: of those after the first few, nothing is kept.
pub(super) async fn rows(client: &Client, text: &str) -> Result<Vec<SimpleQueryRow>, Error> {
    let mut messages = pin!(client.simple_query_raw(text).await?);
    let mut rows = Vec::new();
    while let Some(message) = messages.try_next().await? {
        match message {
            SimpleQueryMessage::Row(row) if rows.len() < KEPT_ROWS => rows.push(row),
            _ => {}
        }
    }
    Ok(rows)
}

/// Drives the work and, in the same task, the connection that carries it: nothing is left behind
/// when this future is dropped. A connection that ends is taken away.
pub(super) async fn carried<T>(
    carrier: &mut Option<Carrier>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut work = pin!(work);
    std::future::poll_fn(move |cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        let ended = match carrier {
            Some(connection) => Pin::new(connection).poll(cx),
            None => Poll::Pending,
        };
        if ended.is_ready() {
            *carrier = None;
        }
        // What arrived before the connection ended says more than its end.
        match (work.as_mut().poll(cx), ended) {
            (Poll::Ready(Err(e)), Poll::Ready(Err(end))) if e.is_closed() => Poll::Ready(Err(end)),
            (done, _) => done,
        }
    })
    .await
}

/// Says good-bye, without waiting for the peer.
pub(super) fn part(client: Client, carrier: Option<Carrier>) {
    drop(client);
    // Goes out at once or not at all: a peer that takes nothing more learns it from the socket.
    let _ = carrier.and_then(FutureExt::now_or_never);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_of_the_operators_is_bounded_on_the_server() {
        assert_eq!(
            bounded("SELECT now() -- when", Duration::from_secs(3)),
            "SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = 3000; SELECT now() -- when\n"
        );
        assert!(bounded("", Duration::ZERO).contains("statement_timeout = 1;"));
    }

    #[test]
    fn only_the_expected_text_is_right() {
        let query = Query {
            text: String::new(),
            expect: Some("t".to_owned()),
        };
        assert_eq!(query.judge(&Answer::Text("t".to_owned())), Ok(()));
        for wrong in [Answer::Text("f".to_owned()), Answer::Null, Answer::NoRow] {
            let failure = query.judge(&wrong).expect_err("wrong");
            assert_eq!(failure.reason, Reason::Answer, "{wrong:?}");
        }
    }
}
