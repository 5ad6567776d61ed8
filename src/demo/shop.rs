//! The users: a shop that takes ten orders a second and knows which the database acknowledged. What
//! it loses in a failover is the truth that hotspare's figures are held against.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_postgres::{Client, Config, NoTls};

use super::web::{Answer, Answers};

/// From one order to the next.
const PACE: Duration = Duration::from_millis(100);
/// How long an order may take, and a new connection.
const PATIENCE: Duration = Duration::from_secs(1);
/// Orders that are remembered: ten minutes.
const REMEMBERED: usize = 6000;

/// The user that the shop logs in as.
pub(super) const USER: &str = "shop";
/// What the shop needs, on the primary.
pub(super) const SETUP: &str = "CREATE TABLE orders \
     (number bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp()); \
     GRANT SELECT, INSERT ON orders TO shop";

/// What the shop knows of its orders; clones know the same.
#[derive(Clone, Default)]
pub(super) struct Shop(Arc<Mutex<Book>>);

/// The orders that were acknowledged, with when.
#[derive(Default)]
struct Book {
    next: i64,
    taken: VecDeque<(i64, Instant)>,
}

/// What a failover cost, by the shop's own book.
#[derive(Debug, PartialEq)]
pub(super) struct Cost {
    /// Orders that were acknowledged and are gone.
    pub(super) lost: usize,
    /// From the last order that is there to the last one that the old primary acknowledged.
    pub(super) lost_time: Duration,
    /// From the last order that the old primary acknowledged to the first of the new one.
    pub(super) closed: Duration,
}

impl Shop {
    /// Takes orders over the address, for ever; after a failure over another connection.
    pub(super) async fn trade(self, database: SocketAddr, password: String) {
        let mut config = Config::new();
        config
            .host(database.ip().to_string())
            .port(database.port())
            .user(USER)
            .password(password)
            .dbname("postgres");
        loop {
            if let Ok(Ok((client, connection))) = timeout(PATIENCE, config.connect(NoTls)).await {
                tokio::select! {
                    _ = connection => {}
                    () = self.sell(&client) => {}
                }
            }
            sleep(PACE).await;
        }
    }

    /// Takes orders until one is not acknowledged in time.
    async fn sell(&self, client: &Client) {
        let mut due = Instant::now();
        loop {
            let number = self.book().next();
            let order = "INSERT INTO orders (number) VALUES ($1)";
            match timeout(PATIENCE, client.execute(order, &[&number])).await {
                Ok(Ok(_)) => self.book().take(number, Instant::now()),
                _ => return,
            }
            due = (due + PACE).max(Instant::now());
            sleep_until(due).await;
        }
    }

    /// What users get: an answer while orders are taken.
    pub(super) fn front(&self) -> Answers {
        let shop = self.clone();
        Arc::new(move || {
            let last = shop.book().taken.back().map(|(_, at)| at.elapsed());
            let (status, body) = match last {
                Some(ago) if ago < PATIENCE => (StatusCode::OK, "open\n"),
                _ => (StatusCode::SERVICE_UNAVAILABLE, "no order can be taken\n"),
            };
            Answer {
                status,
                body: body.to_owned(),
                after: Duration::ZERO,
            }
        })
    }

    /// What a failover cost, by the orders that there are after it; the new primary took none before
    /// `promoted`.
    pub(super) fn cost(&self, there: &BTreeSet<i64>, promoted: Instant) -> Option<Cost> {
        self.book().cost(there, promoted)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn next(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    fn take(&mut self, number: i64, at: Instant) {
        if self.taken.len() == REMEMBERED {
            self.taken.pop_front();
        }
        self.taken.push_back((number, at));
    }

    fn cost(&self, there: &BTreeSet<i64>, promoted: Instant) -> Option<Cost> {
        let first = self.taken.iter().find(|(_, at)| *at > promoted)?.1;
        let before = || self.taken.iter().filter(|(_, at)| *at <= promoted);
        let last = before().next_back()?.1;
        let kept = before().rfind(|(number, _)| there.contains(number))?.1;
        Some(Cost {
            lost: before()
                .filter(|(number, _)| !there.contains(number))
                .count(),
            lost_time: last.duration_since(kept),
            closed: first.duration_since(last),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_tells_what_is_gone_and_for_how_long_nothing_was_sold() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut book = Book::default();
        for second in [0, 1, 2, 3, 9] {
            let number = book.next();
            book.take(number, at(second));
        }
        let cost = |there: &[i64], promoted| {
            let there = there.iter().copied().collect();
            book.cost(&there, at(promoted))
        };
        let lost_two = Cost {
            lost: 2,
            lost_time: Duration::from_secs(2),
            closed: Duration::from_secs(6),
        };
        assert_eq!(cost(&[1, 2, 5], 7), Some(lost_two));
        let lost_none = Cost {
            lost: 0,
            lost_time: Duration::ZERO,
            closed: Duration::from_secs(6),
        };
        assert_eq!(cost(&[1, 2, 3, 4, 5], 7), Some(lost_none));
        assert_eq!(cost(&[1, 2, 5], 10), None, "nothing was sold since");
    }

    #[test]
    fn the_book_forgets_what_is_old() {
        let mut book = Book::default();
        for _ in 0..=REMEMBERED {
            let number = book.next();
            book.take(number, Instant::now());
        }
        assert_eq!(book.taken.len(), REMEMBERED);
        assert_eq!(book.taken.front().map(|(number, _)| *number), Some(2));
    }
}
