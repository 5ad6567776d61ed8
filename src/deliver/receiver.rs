//! The task of one receiver: it waits, and makes the attempts that are due.
//!
//! It goes on when the configuration changes, and attempts that are under way come to their end as
//! they began.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use super::Settings;
use super::change::Stage;
use super::entry::Group;
use super::lane::Moment;
use super::lanes::{Begun, Lanes};
use crate::model::{Beat, timestamp_seconds};
use crate::notify::{Notifier, Refusal, RefusalReason};

/// Attempts at one receiver at the same time.
const MAX_IN_FLIGHT: usize = 4;

/// How long an attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long an attempt waits for the intent to be on disk.
const INTENT: Duration = Duration::from_secs(2);

/// The book is looked at so often at most: ten thousand alerts of a moment are one look.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// It beats so often at least.
const BEAT: Duration = Duration::from_secs(1);

/// How long the task goes on once it is to end.
const FLUSH: Duration = Duration::from_secs(5);

/// How an attempt ended.
struct Ended {
    group: Group,
    form: u64,
    answer: Result<(), Refusal>,
    /// How long it took, without the wait for the disk.
    took: Duration,
    on_disk: bool,
}

type Attempt = Pin<Box<dyn Future<Output = Ended> + Send>>;

/// How the receiver is told from now on.
#[derive(Clone)]
pub(super) struct Orders {
    /// Another one is of other settings.
    pub(super) notifier: Arc<dyn Notifier>,
    pub(super) settings: Arc<Settings>,
    pub(super) stage: Stage,
}

/// Tells one receiver.
pub(super) struct Courier {
    pub(super) name: Arc<str>,
    pub(super) lanes: Lanes,
    pub(super) notifier: Arc<dyn Notifier>,
    pub(super) duration: prometheus::Histogram,
    pub(super) changes: watch::Receiver<u64>,
    pub(super) orders: watch::Receiver<Orders>,
    pub(super) beat: Arc<Beat>,
}

impl Courier {
    /// Runs until it is to stop and nothing is due any more, or too much time has passed since; or
    /// until there is nobody to be told.
    pub(super) async fn run(mut self) {
        let mut attempts = FuturesUnordered::new();
        let mut said_memory = false;
        let mut end = None;
        let mut look = Instant::now();
        loop {
            let now = Instant::now();
            self.beat.beat(now.into_std());
            if now >= look && !self.lanes.are_current() {
                self.lanes.look(moment());
                look = now + BETWEEN_LOOKS;
            }
            self.begin(&mut attempts, end.is_some());
            self.lanes.tell();
            if end.is_some_and(|end| attempts.is_empty() || now >= end) {
                return;
            }
            let is_current = self.lanes.are_current();
            let mut wake = self.wake(now, end, attempts.len());
            if !is_current {
                wake = wake.min(look);
            }
            tokio::select! {
                Some(ended) = attempts.next() => self.ended(&ended, &mut said_memory),
                () = sleep_until(wake) => {}
                Ok(()) = self.changes.changed(), if is_current => {}
                Ok(()) = self.orders.changed() => match self.follow() {
                    Stage::Tell => {}
                    Stage::Flush => end = Some(Instant::now() + FLUSH),
                    Stage::Leave => return self.lanes.give_up(),
                },
            }
        }
    }

    /// Takes in the last orders.
    fn follow(&mut self) -> Stage {
        let orders = self.orders.borrow_and_update().clone();
        self.lanes.follow(orders.settings);
        if !Arc::ptr_eq(&self.notifier, &orders.notifier) {
            info!(receiver = &*self.name, "the receiver has other settings");
            self.notifier = orders.notifier;
            self.lanes.begin_anew(Instant::now().into_std());
        }
        orders.stage
    }

    /// Begins what is due, as far as there is room.
    fn begin(&mut self, attempts: &mut FuturesUnordered<Attempt>, ending: bool) {
        while attempts.len() < MAX_IN_FLIGHT {
            let id = fastrand::u128(..);
            let Some(begun) = self.lanes.begin(moment(), ending, id) else {
                return;
            };
            attempts.push(Box::pin(attempt(Arc::clone(&self.notifier), begun)));
        }
    }

    fn ended(&mut self, ended: &Ended, said_memory: &mut bool) {
        let receiver = &*self.name;
        if !ended.on_disk && !*said_memory {
            warn!(
                receiver,
                "a notification was sent before it was on disk: if the daemon dies, it may come twice"
            );
        }
        *said_memory = !ended.on_disk;
        self.duration.observe(ended.took.as_secs_f64());
        let of = (&ended.group, ended.form);
        self.lanes
            .answered(of, &ended.answer, moment(), fastrand::f64());
    }

    /// Until when there is nothing to do.
    fn wake(&self, now: Instant, end: Option<Instant>, busy: usize) -> Instant {
        let due = self.lanes.next(now.into_std(), end.is_some());
        // What is due and finds no room waits for an attempt to end.
        let due = due.filter(|_| busy < MAX_IN_FLIGHT).map(Instant::from_std);
        let wake = due.unwrap_or(now + BEAT).min(now + BEAT);
        end.map_or(wake, |end| wake.min(end))
    }
}

/// Waits until the intent is on disk, and makes the attempt.
async fn attempt(notifier: Arc<dyn Notifier>, begun: Begun) -> Ended {
    let on_disk = match begun.intent {
        Some(intent) => matches!(timeout(INTENT, intent.on_disk()).await, Ok(Ok(()))),
        None => true,
    };
    let started = Instant::now();
    let notification = begun.notification;
    let attempt = AssertUnwindSafe(async { notifier.notify(&notification).await });
    let answer = match timeout(TIMEOUT, attempt.catch_unwind()).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(refusal(
            RefusalReason::Local,
            "a bug: the notifier panicked",
        )),
        Err(_) => Err(refusal(RefusalReason::Timeout, "no answer within 10 s")),
    };
    Ended {
        group: begun.group,
        form: begun.form,
        answer,
        took: started.elapsed(),
        on_disk,
    }
}

fn refusal(reason: RefusalReason, detail: &str) -> Refusal {
    Refusal {
        reason,
        detail: detail.to_owned(),
        retry_after: None,
    }
}

/// Now, by both clocks.
pub(super) fn moment() -> Moment {
    Moment {
        now: Instant::now().into_std(),
        wall_seconds: timestamp_seconds(SystemTime::now()),
    }
}
