//! Who is told, as it is configured now: a task for each receiver.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus::HistogramVec;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::change::Stage;
use super::entry::Kept;
use super::lanes::Lanes;
use super::outbox::{Listed, Slip};
use super::receiver::{Courier, Orders, moment};
use super::{Receiver, Settings};
use crate::model::{Beat, Digest};
use crate::rule::Alerts;
use crate::store::Store;

/// A receiver's task, for whoever orders it.
struct Post {
    same: Digest,
    orders: watch::Sender<Orders>,
    slip: Arc<Slip>,
    beat: Arc<Beat>,
}

/// The receivers, and who tells them.
pub(super) struct Roster {
    book: Alerts,
    store: Store,
    durations: HistogramVec,
    /// In the order of the configuration.
    posts: Vec<(Arc<str>, Post)>,
    /// Those that have not set out yet.
    ready: Vec<Courier>,
    /// What receivers were told that the last configuration had, and this has not, if something was
    /// on its way to them.
    gone: Vec<Arc<Slip>>,
}

impl Roster {
    /// Takes up what the last run of the daemon left; what was on its way to others is given up.
    pub(super) fn new(
        book: &Alerts,
        store: &Store,
        durations: HistogramVec,
        receivers: Vec<Receiver>,
        settings: &Arc<Settings>,
    ) -> Self {
        let mut roster = Self {
            book: book.clone(),
            store: store.clone(),
            durations,
            posts: Vec::new(),
            ready: Vec::new(),
            gone: Vec::new(),
        };
        let mut kept = super::kept_in(store);
        for receiver in receivers {
            let kept = kept.remove(&receiver.name).unwrap_or_default();
            roster.hire(receiver, kept, settings);
        }
        for (name, kept) in kept {
            let mut lanes = roster.lanes(&name, kept, settings);
            lanes.give_up();
            roster.note_gone(lanes.slip());
        }
        roster
    }

    /// From now on these are told. Those that are not among them are given up, with what is on its
    /// way to them.
    pub(super) async fn follow(&mut self, receivers: Vec<Receiver>, settings: &Arc<Settings>) {
        let mut former: BTreeMap<_, _> = self.posts.drain(..).collect();
        self.gone.clear();
        for receiver in receivers {
            match former.remove(&receiver.name) {
                Some(post) => self.keep(post, receiver, settings),
                None => self.hire(receiver, Vec::new(), settings),
            }
        }
        for (name, post) in former {
            post.order(|orders| orders.stage = Stage::Leave);
            // Until its task has ended. It waits for nothing.
            post.orders.closed().await;
            // None, if it has had no attempt.
            let _ = self.durations.remove_label_values(&[&*name]);
            self.note_gone(post.slip);
        }
    }

    /// From now on everybody tells only what is due, and ends.
    pub(super) fn end(&self) {
        for (_, post) in &self.posts {
            post.order(|orders| orders.stage = Stage::Flush);
        }
    }

    /// Lets those set out that have not yet.
    pub(super) fn set_out(&mut self, tasks: &mut JoinSet<()>) {
        for courier in self.ready.drain(..) {
            tasks.spawn(courier.run());
        }
    }

    /// What each receiver is told.
    pub(super) fn slips(&self) -> Vec<Arc<Slip>> {
        let posts = self.posts.iter();
        posts.map(|(_, post)| Arc::clone(&post.slip)).collect()
    }

    /// Everything that there is to be shown.
    pub(super) fn listed(&self) -> Listed {
        let beats = self.posts.iter();
        let beats = beats.map(|(name, post)| (format!("delivery to {name}"), post.beat.clone()));
        let mut slips = self.slips();
        slips.extend(self.gone.iter().cloned());
        Listed {
            slips,
            beats: beats.collect(),
        }
    }

    /// Goes on with a receiver, which may have other settings.
    fn keep(&mut self, post: Post, receiver: Receiver, settings: &Arc<Settings>) {
        let Receiver {
            name,
            same,
            notifier,
        } = receiver;
        post.order(|orders| {
            orders.settings = Arc::clone(settings);
            if post.same != same {
                orders.notifier = notifier;
            }
        });
        self.posts.push((name, Post { same, ..post }));
    }

    fn hire(&mut self, receiver: Receiver, kept: Vec<Kept>, settings: &Arc<Settings>) {
        let Receiver {
            name,
            same,
            notifier,
        } = receiver;
        let lanes = self.lanes(&name, kept, settings);
        let (orders, ordered) = watch::channel(Orders {
            notifier: Arc::clone(&notifier),
            settings: Arc::clone(settings),
            stage: Stage::Tell,
        });
        let post = Post {
            same,
            orders,
            slip: lanes.slip(),
            beat: Arc::new(Beat::new(Instant::now().into_std())),
        };
        self.ready.push(Courier {
            lanes,
            notifier,
            duration: self.durations.with_label_values(&[&*name]),
            changes: self.book.changes(),
            orders: ordered,
            beat: Arc::clone(&post.beat),
            name: Arc::clone(&name),
        });
        self.posts.push((name, post));
    }

    fn lanes(&self, name: &Arc<str>, kept: Vec<Kept>, settings: &Arc<Settings>) -> Lanes {
        let (book, store) = (&self.book, &self.store);
        Lanes::restored(Arc::clone(name), kept, book, store, settings, moment())
    }

    fn note_gone(&mut self, slip: Arc<Slip>) {
        if slip.lock().counts.dropped.operator > 0 {
            self.gone.push(slip);
        }
    }
}

impl Post {
    fn order(&self, change: impl FnOnce(&mut Orders)) {
        self.orders.send_modify(change);
    }
}
