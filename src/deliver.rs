//! From the book of alerts to the receivers: who is told what, when, and until it is known that they
//! know.
//!
//! A *lane* is one receiver and one group of alerts. What a receiver is owed is the difference
//! between the book and what it was told. A *delivery* is made of it, put into the store, waited for
//! until it is on disk, and then attempted until the receiver takes it, an alert in it has a newer
//! state, or it is too old. A lane has one delivery under way at most, which keeps the order of each
//! alert; what comes meanwhile is found in the book when it is the turn of the next.
//!
//! Each receiver has a task of its own: a receiver that is dead delays nobody else. When the
//! configuration changes, the tasks of receivers that stay go on, also where their settings are
//! others: what was told, and what is on its way, is kept by the receiver's name.
//!
//! Alertmanagers have no lanes: they are told the state of alerts, not news of them.

mod alertmanager;
mod change;
mod entry;
mod heartbeat;
mod lane;
mod lanes;
mod message;
mod outbox;
mod receiver;
mod roster;
mod settle;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::error;

pub use self::alertmanager::{Alertmanagers, Endpoint, Standings, Timing};
pub use self::heartbeat::{Check, Heart, Service};
use crate::metrics::Own;
use crate::model::{Beat, Digest};
use crate::notify::Notifier;
use crate::rule::Alerts;
use crate::store::Store;
use change::Changes;
pub use change::Handle;
use entry::Kept;
pub use outbox::{DROPPED, Outbox};
use receiver::moment;
use roster::Roster;
use settle::Settling;

/// It beats so often.
const BEAT: Duration = Duration::from_secs(1);

/// Alerts that are over are looked at so often.
const SETTLE: Duration = Duration::from_secs(15);

/// Who is told.
#[derive(Clone)]
pub struct Receiver {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Tells it apart from one with other settings, or other secrets.
    pub same: Digest,
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

/// Who is told, and when.
#[derive(Clone, Debug)]
pub struct Audience {
    /// Their names are unique.
    pub receivers: Vec<Receiver>,
    /// What holds for all of them.
    pub settings: Settings,
}

/// Delivers what is in the book.
pub struct Deliver {
    roster: Roster,
    settling: Settling,
    outbox: Outbox,
    beat: Arc<Beat>,
    handle: Handle<Audience>,
    changes: Changes<Audience>,
}

impl fmt::Debug for Deliver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliver")
            .field("outbox", &self.outbox)
            .finish_non_exhaustive()
    }
}

impl Deliver {
    /// Takes up what the last run of the daemon left in the store.
    ///
    /// What was on its way to a receiver that is not there any more is given up, counted and logged.
    pub fn new(book: &Alerts, store: &Store, audience: Audience, own: &Own) -> Self {
        let Audience {
            receivers,
            settings,
        } = audience;
        let durations = own.notification_duration_seconds.clone();
        let (handle, changes) = change::channel();
        let deliver = Self {
            roster: Roster::new(book, store, durations, receivers, &Arc::new(settings)),
            settling: Settling::new(book),
            outbox: Outbox::default(),
            beat: Arc::new(Beat::new(Instant::now().into_std())),
            handle,
            changes,
        };
        deliver.list();
        deliver
    }

    /// What is on its way.
    pub fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    /// Changes who is told, while it runs.
    ///
    /// A receiver that is the same as before goes on untouched, but for the settings of all. One with
    /// other settings of its own keeps what it was told, its counts, and what is on its way, under the
    /// same ids: attempts that are under way come to their end at the former address, and what fails
    /// there is tried at once at the new one. One that is new is told of whatever fires. One that is
    /// gone is told nothing more: what is on its way to it is given up, counted and logged; so that
    /// the count is seen, it is shown until the next change.
    pub fn handle(&self) -> Handle<Audience> {
        self.handle.clone()
    }

    /// Runs until `stop`, and up to 5 s more for what is due then.
    ///
    /// # Panics
    ///
    /// Where the code of a receiver's task does, which is a bug; that of a notifier is one failed
    /// attempt.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut tasks = JoinSet::new();
        let mut stop = pin!(stop);
        let mut settle = Instant::now();
        loop {
            self.roster.set_out(&mut tasks);
            let now = Instant::now();
            self.beat.beat(now.into_std());
            if now >= settle {
                self.settling.round(&self.roster.slips(), moment());
                settle = now + SETTLE;
            }
            tokio::select! {
                () = &mut stop => break,
                (audience, _done) = self.changes.next() => self.follow(audience).await,
                Some(ended) = tasks.join_next() => pass_on(ended),
                () = sleep(BEAT) => {}
            }
        }
        self.changes.end();
        self.roster.end();
        while let Some(ended) = tasks.join_next().await {
            pass_on(ended);
        }
    }

    async fn follow(&mut self, audience: Audience) {
        let settings = Arc::new(audience.settings);
        self.roster.follow(audience.receivers, &settings).await;
        self.list();
    }

    /// Shows everything as it is now.
    fn list(&self) {
        let mut listed = self.roster.listed();
        let own = ("delivery".to_owned(), Arc::clone(&self.beat));
        listed.beats.insert(0, own);
        self.outbox.list(listed);
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

#[cfg(test)]
mod tests;
