//! From the book of alerts to the receivers: who is told what, when, and until it is known that they
//! know.
//!
//! A *lane* is one receiver and one group of alerts. What a receiver is owed is the difference
//! between the book and what it was told. A *delivery* is made of it, put into the store, waited for
//! until it is on disk, and then attempted until the receiver takes it, an alert in it has a newer
//! state, or it is too old. A lane has one delivery under way at most, which keeps the order of each
//! alert; what comes meanwhile is found in the book when it is the turn of the next.
//!
//! Each receiver has a task of its own: a receiver that is dead delays nobody else.
//!
//! Alertmanagers have no lanes: they are told the state of alerts, not news of them.

mod alertmanager;
mod entry;
mod heartbeat;
mod lane;
mod lanes;
mod message;
mod outbox;
mod receiver;
mod settle;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::{error, warn};

pub use self::alertmanager::{Endpoint, Standing, Timing, tell_all};
pub use self::heartbeat::{Check, Heart};
use crate::metrics::Own;
use crate::model::Beat;
use crate::notify::Notifier;
use crate::rule::Alerts;
use crate::store::{Entry, Store};
use entry::Kept;
use lanes::Lanes;
use outbox::{Counts, Slip};
pub use outbox::{DROPPED, Outbox};
use receiver::{Courier, moment};
use settle::Settling;

/// It beats so often.
const BEAT: Duration = Duration::from_secs(1);

/// Alerts that are over are looked at once in so many beats.
const SETTLE: u32 = 15;

/// Who is told.
#[derive(Clone)]
pub struct Receiver {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// How it is told.
    pub notifier: Arc<dyn Notifier>,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// When receivers are told, and what every notification says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// From the first news of a group to its notification, so that they come together.
    pub group_wait: Duration,
    /// Between two notifications of news of a group.
    pub group_interval: Duration,
    /// After so long without news, it is told again that alerts of a group fire.
    pub repeat_interval: Duration,
    /// A delivery that is not taken for so long is given up.
    pub max_age: Duration,
    /// The region of this daemon.
    pub source_region: Arc<str>,
    /// Where people find this daemon.
    pub external_url: Option<Arc<str>>,
}

impl Settings {
    /// The settings where nothing is configured.
    pub fn new(source_region: Arc<str>) -> Self {
        Self {
            group_wait: Duration::from_secs(10),
            group_interval: Duration::from_mins(5),
            repeat_interval: Duration::from_hours(4),
            max_age: Duration::from_hours(24),
            source_region,
            external_url: None,
        }
    }
}

/// Delivers what is in the book.
pub struct Deliver {
    couriers: Vec<Courier>,
    settling: Settling,
    outbox: Outbox,
    beat: Arc<Beat>,
}

impl fmt::Debug for Deliver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliver")
            .field("outbox", &self.outbox)
            .finish_non_exhaustive()
    }
}

impl Deliver {
    /// Takes up what the last run of the daemon left in the store. Names of receivers are unique.
    ///
    /// What was on its way to a receiver that is not there any more is given up, counted and logged.
    pub fn new(
        book: &Alerts,
        store: &Store,
        receivers: Vec<Receiver>,
        settings: Settings,
        own: &Own,
    ) -> Self {
        let settings = Arc::new(settings);
        let mut kept = kept_in(store);
        let beat = || Arc::new(Beat::new(Instant::now().into_std()));
        let couriers: Vec<_> = receivers
            .into_iter()
            .map(|Receiver { name, notifier }| Courier {
                lanes: Lanes::restored(
                    Arc::clone(&name),
                    kept.remove(&name).unwrap_or_default(),
                    book,
                    store,
                    &settings,
                    moment(),
                ),
                notifier,
                duration: own
                    .notification_duration_seconds
                    .with_label_values(&[&*name]),
                changes: book.changes(),
                beat: beat(),
                name,
            })
            .collect();
        let slips: Vec<_> = couriers
            .iter()
            .map(|courier| courier.lanes.slip())
            .collect();
        let gone = kept.into_iter();
        let gone = gone.map(|(name, kept)| Arc::new(give_up(&name, &kept, store)));
        Self {
            outbox: Outbox::new(slips.iter().cloned().chain(gone).collect()),
            settling: Settling::new(book, slips),
            couriers,
            beat: beat(),
        }
    }

    /// What is on its way.
    pub fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    /// Signs of life, with their names: of each receiver's task, and of what oversees them. A
    /// receiver that does not answer stops none of them.
    pub fn beats(&self) -> Vec<(String, Arc<Beat>)> {
        let couriers = self.couriers.iter();
        let couriers = couriers.map(|c| (format!("delivery to {}", c.name), Arc::clone(&c.beat)));
        let own = ("delivery".to_owned(), Arc::clone(&self.beat));
        std::iter::once(own).chain(couriers).collect()
    }

    /// Runs until `stop`, and up to 5 s more for what is due then.
    ///
    /// # Panics
    ///
    /// Where the code of a receiver's task does, which is a bug; that of a notifier is one failed
    /// attempt.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let (stop_couriers, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for courier in self.couriers.drain(..) {
            tasks.spawn(courier.run(stopped.clone()));
        }
        let mut stop = pin!(stop);
        for beat in (0..SETTLE).cycle() {
            self.beat.beat(Instant::now().into_std());
            if beat == 0 {
                self.settling.round(moment());
            }
            tokio::select! {
                () = &mut stop => break,
                Some(ended) = tasks.join_next() => pass_on(ended),
                () = sleep(BEAT) => {}
            }
        }
        stop_couriers.send_replace(true);
        while let Some(ended) = tasks.join_next().await {
            pass_on(ended);
        }
    }
}

/// A task that panicked ends the daemon, as every essential one.
fn pass_on(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// The lanes that the store has kept, by the names of their receivers.
fn kept_in(store: &Store) -> BTreeMap<Arc<str>, Vec<Kept>> {
    let found = store.entries::<Kept>();
    if let Some((id, why)) = found.unreadable.first() {
        let entries = found.unreadable.len();
        error!(
            entries,
            id, why, "lanes of another version cannot be read; they are left as they are"
        );
    }
    let mut lanes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for kept in found.entries {
        let of = lanes.entry(Arc::clone(&kept.receiver)).or_default();
        of.push(kept);
    }
    lanes
}

/// Forgets the lanes of a receiver that nobody knows any more.
fn give_up(receiver: &Arc<str>, lanes: &[Kept], store: &Store) -> Slip {
    let dropped = lanes.iter().filter(|lane| lane.delivery.is_some()).count();
    warn!(
        receiver = &**receiver,
        deliveries = dropped,
        "the receiver is not configured any more: what was on its way to it is given up"
    );
    for lane in lanes {
        if let Err(error) = store.remove::<Kept>(&lane.id()) {
            error!(%error, "a lane is not forgotten on disk");
        }
    }
    let slip = Slip::of(Arc::clone(receiver));
    let mut counts = Counts::default();
    counts.dropped.operator = dropped as u64;
    slip.lock().counts = counts;
    slip
}

#[cfg(test)]
mod tests;
