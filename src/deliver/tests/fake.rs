//! Receivers of all kinds, by a clock that stands still.

use std::sync::Mutex;

use super::*;
use crate::notify::{Attempt, Notification, Refusal, RefusalReason};

/// What a receiver does with an attempt.
pub(super) enum Does {
    Take,
    Hang,
    Panic,
    Refuse(RefusalReason, Option<Duration>),
    /// The same, after so long.
    RefuseLate(Duration, RefusalReason, Option<Duration>),
}

/// A receiver that keeps what it gets, with the time since its start.
pub(super) struct Fake {
    start: Instant,
    does: Box<dyn Fn(usize) -> Does + Send + Sync>,
    got: Mutex<Vec<(Duration, Notification)>>,
}

impl Fake {
    /// What it does may depend on how many attempts came before.
    pub(super) fn new(does: impl Fn(usize) -> Does + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            does: Box::new(does),
            got: Mutex::default(),
        })
    }

    pub(super) fn got(&self) -> Vec<(Duration, Notification)> {
        self.got.lock().expect("not poisoned").clone()
    }

    pub(super) fn times(&self) -> Vec<Duration> {
        self.got().into_iter().map(|(at, _)| at).collect()
    }
}

impl Notifier for Fake {
    fn notify<'a>(&'a self, notification: &'a Notification) -> Attempt<'a> {
        let before = {
            let mut got = self.got.lock().expect("not poisoned");
            got.push((self.start.elapsed(), notification.clone()));
            got.len() - 1
        };
        let does = (self.does)(before);
        Box::pin(async move {
            match does {
                Does::Take => Ok(()),
                Does::Hang => std::future::pending().await,
                Does::Panic => panic!("a bug of the receiver's kind"),
                Does::Refuse(reason, retry_after) => Err(refusal(reason, retry_after)),
                Does::RefuseLate(late, reason, retry_after) => {
                    sleep(late).await;
                    Err(refusal(reason, retry_after))
                }
            }
        })
    }
}

fn refusal(reason: RefusalReason, retry_after: Option<Duration>) -> Refusal {
    Refusal {
        reason,
        detail: "no".to_owned(),
        retry_after,
    }
}

pub(super) fn receiver(name: &str, fake: &Arc<Fake>) -> Receiver {
    Receiver {
        name: name.into(),
        same: Digest::default(),
        notifier: Arc::clone(fake) as Arc<dyn Notifier>,
    }
}

pub(super) fn own() -> Own {
    Own::new("0", "0", std::time::SystemTime::now()).expect("metrics")
}

pub(super) fn deliver(book: &Alerts, store: &Store, receivers: Vec<Receiver>) -> Deliver {
    let settings = settings();
    let audience = Audience {
        receivers,
        settings,
    };
    Deliver::new(book, store, audience, &own())
}

/// Runs the delivery as long as the test goes on.
pub(super) async fn during<T>(deliver: Deliver, test: impl Future<Output = T>) -> T {
    tokio::select! {
        () = deliver.run(std::future::pending()) => panic!("it ended"),
        result = test => result,
    }
}

pub(super) fn book() -> (Store, Alerts) {
    let store = Store::in_memory();
    let book = Alerts::kept_in(&store);
    (store, book)
}

pub(super) fn fires(group: &str, n: usize) -> Alert {
    alert(group, n, AlertState::Firing, wall())
}

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_mins(1);

pub(super) fn taken(_: usize) -> Does {
    Does::Take
}
