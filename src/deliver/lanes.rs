//! All lanes of one receiver: the book in, attempts out. It waits for nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{error, warn};

use super::Settings;
use super::entry::{Group, Kept};
use super::lane::{Lane, Moment, Next};
use super::outbox::{Counts, Slip};
use crate::model::{Alert, Fingerprint};
use crate::notify::{Notification, Refusal};
use crate::rule::Alerts;
use crate::store::{Store, Written};

/// The longest that a receiver may ask to wait.
const LONGEST_HOLD: Duration = Duration::from_mins(5);

/// An attempt that begins.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) group: Group,
    /// Which form of the receiver is told.
    pub(super) form: u64,
    pub(super) notification: Notification,
    /// Where the store has taken the intent to make it: to be awaited before.
    pub(super) intent: Option<Written>,
}

/// What one receiver is told.
pub(super) struct Lanes {
    receiver: Arc<str>,
    book: Alerts,
    changes: watch::Receiver<u64>,
    store: Store,
    settings: Arc<Settings>,
    by_group: BTreeMap<Group, Lane>,
    /// Counts the forms that the receiver had: a change of its settings makes another.
    form: u64,
    /// The version of the book that the lanes have seen.
    seen: Option<u64>,
    /// No attempt before then: the receiver has asked for it.
    hold: Option<Instant>,
    counts: Counts,
    rejecting_since: Option<f64>,
    last_error: Option<String>,
    /// Whether it was said that the store does not take an entry.
    said_full: bool,
    slip: Arc<Slip>,
    /// Whether the slip is not as it is.
    changed: bool,
}

impl Lanes {
    /// The lanes as the last run of the daemon left them.
    pub(super) fn restored(
        receiver: Arc<str>,
        kept: Vec<Kept>,
        book: &Alerts,
        store: &Store,
        settings: &Arc<Settings>,
        moment: Moment,
    ) -> Self {
        let lanes = kept.into_iter();
        let lanes = lanes.map(|kept| (kept.group.clone(), Lane::restored(kept, moment)));
        Self {
            slip: Arc::new(Slip::of(Arc::clone(&receiver))),
            receiver,
            book: book.clone(),
            changes: book.changes(),
            store: store.clone(),
            settings: Arc::clone(settings),
            by_group: lanes.collect(),
            form: 0,
            seen: None,
            hold: None,
            counts: Counts::default(),
            rejecting_since: None,
            last_error: None,
            said_full: false,
            changed: true,
        }
    }

    /// Where it tells how it stands.
    pub(super) fn slip(&self) -> Arc<Slip> {
        Arc::clone(&self.slip)
    }

    /// Takes in what the book says, if it has changed.
    pub(super) fn look(&mut self, moment: Moment) {
        let version = *self.changes.borrow_and_update();
        if self.seen == Some(version) {
            return;
        }
        let first = self.seen.is_none();
        let waits_since = |changed: f64| {
            if first {
                moment.back(changed)
            } else {
                moment.now
            }
        };
        let mut groups: BTreeMap<Group, BTreeMap<Fingerprint, Arc<Alert>>> = BTreeMap::new();
        for (fingerprint, alert) in self.book.to_tell() {
            let group = Group::of(&alert.labels);
            groups.entry(group).or_default().insert(fingerprint, alert);
        }
        let lost = self.counts.dropped.lost;
        for (group, lane) in &mut self.by_group {
            let alerts = groups.remove(group).unwrap_or_default();
            lane.see(alerts, waits_since, &mut self.counts);
        }
        for (group, alerts) in groups {
            if alerts.values().any(|alert| alert.is_for(&self.receiver)) {
                let mut lane = Lane::new(Arc::clone(&self.receiver), group.clone(), moment);
                lane.see(alerts, waits_since, &mut self.counts);
                self.by_group.insert(group, lane);
            }
        }
        self.say_lost(lost);
        let groups: Vec<_> = self.by_group.keys().cloned().collect();
        for group in groups {
            self.keep(&group);
        }
        self.by_group
            .retain(|_, lane| lane.next(moment.now, false, &self.settings) != Next::Forget);
        self.seen = Some(version);
        self.changed = true;
    }

    /// Whether the book says what they have seen.
    pub(super) fn are_current(&self) -> bool {
        self.seen == Some(*self.changes.borrow())
    }

    /// Begins the attempt that is due for longest, if any is. Ids are of 128 bits of chance.
    pub(super) fn begin(&mut self, moment: Moment, ending: bool, id: u128) -> Option<Begun> {
        // Before they have seen the book, nothing says what is still so.
        if self.seen.is_none() || self.hold.is_some_and(|hold| moment.now < hold) {
            return None;
        }
        let settings = Arc::clone(&self.settings);
        let due = |(group, lane): (&Group, &Lane)| match lane.next(moment.now, ending, &settings) {
            Next::Attempt(since) => Some((since, group.clone())),
            Next::Wait(_) | Next::Forget => None,
        };
        // One that turns out to have nothing to tell makes way for the next.
        while let Some((_, group)) = self.by_group.iter().filter_map(due).min() {
            let id = format!("{id:032x}").into();
            let before = self.counts.dropped;
            let lane = self.by_group.get_mut(&group)?;
            let begun = lane.begin(moment, id, &settings, &mut self.counts);
            self.changed = true;
            self.say_given_up(&group, before.age);
            self.say_lost(before.lost);
            let intent = self.keep(&group);
            if let Some(notification) = begun {
                return Some(Begun {
                    group,
                    form: self.form,
                    notification,
                    intent,
                });
            }
        }
        None
    }

    /// Takes in how an attempt at this form of the receiver ended. `chance` is from 0 to 1.
    pub(super) fn answered(
        &mut self,
        (group, form): (&Group, u64),
        answer: &Result<(), Refusal>,
        moment: Moment,
        chance: f64,
    ) {
        self.changed = true;
        self.counts.attempts += 1;
        if let Err(refusal) = answer {
            self.counts.failed(refusal.reason);
        }
        let lost = self.counts.dropped.lost;
        // What a former form answered says nothing of the one that is there now.
        let is_former = form != self.form;
        if let Some(lane) = self.by_group.get_mut(group) {
            let answer = answer.as_ref().copied();
            lane.answered(moment.now, answer, chance, &mut self.counts);
            if is_former {
                lane.begin_anew(moment.now);
            }
        }
        self.say_lost(lost);
        self.keep(group);
        if !is_former {
            self.take_in(answer, moment);
        }
    }

    /// From now on these are the settings.
    pub(super) fn follow(&mut self, settings: Arc<Settings>) {
        self.settings = settings;
    }

    /// From now on the receiver has other settings of its own: it is told what is under way at once,
    /// whatever the former answered. What is known to the one is known to the other.
    pub(super) fn begin_anew(&mut self, now: Instant) {
        self.form += 1;
        self.hold = None;
        self.rejecting_since = None;
        self.last_error = None;
        for lane in self.by_group.values_mut() {
            lane.begin_anew(now);
        }
        self.changed = true;
    }

    /// Forgets all of them, as nobody knows the receiver any more. What is on its way to it is counted
    /// and logged.
    pub(super) fn give_up(&mut self) {
        let deliveries = self.by_group.values().filter_map(Lane::delivery).count();
        if deliveries > 0 {
            warn!(
                receiver = &*self.receiver,
                deliveries,
                "the receiver is not configured any more: what was on its way to it is given up"
            );
        }
        for lane in std::mem::take(&mut self.by_group).values() {
            let id = crate::store::Entry::id(lane.kept());
            if let Err(error) = self.store.remove::<Kept>(&id) {
                error!(%error, "a lane is not forgotten on disk");
            }
        }
        self.counts.dropped.operator += deliveries as u64;
        self.rejecting_since = None;
        self.last_error = None;
        self.changed = true;
        self.tell();
    }

    /// When something is due that is not due yet, if nothing else happens.
    pub(super) fn next(&self, now: Instant, ending: bool) -> Option<Instant> {
        self.seen?;
        let due = self.by_group.values().filter_map(|lane| {
            match lane.next(now, ending, &self.settings) {
                Next::Wait(until) => until,
                Next::Attempt(since) => Some(since),
                Next::Forget => None,
            }
        });
        let due = due.min()?;
        Some(self.hold.map_or(due, |hold| hold.max(due)))
    }

    /// Tells how it stands, if that has changed.
    pub(super) fn tell(&mut self) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        let deliveries = self.by_group.values().filter_map(Lane::delivery);
        let waits = deliveries.map(|delivery| delivery.waits_since_timestamp_seconds);
        let waits: Vec<f64> = waits.collect();
        let owed = self.by_group.values().flat_map(Lane::owed).copied();
        let mut undelivered: Vec<_> = owed.collect();
        undelivered.sort_unstable();
        let mut told = self.slip.lock();
        told.counts = self.counts;
        told.seen = self.seen;
        told.status.deliveries = waits.len();
        told.status.oldest_timestamp_seconds = waits.into_iter().reduce(f64::min);
        told.status.rejecting_since_timestamp_seconds = self.rejecting_since;
        told.status.last_error.clone_from(&self.last_error);
        told.status.undelivered = undelivered;
    }

    /// What the answer tells of the receiver as a whole. Only changes are logged.
    fn take_in(&mut self, answer: &Result<(), Refusal>, moment: Moment) {
        let receiver = &*self.receiver;
        match answer {
            Ok(()) => {
                if let Some(last_error) = self.last_error.take() {
                    warn!(
                        receiver,
                        last_error, "the receiver takes notifications again"
                    );
                }
                self.rejecting_since = None;
            }
            Err(refusal) => {
                let error = refusal.to_string();
                if self.last_error.is_none() {
                    warn!(
                        receiver,
                        error, "a receiver does not take a notification; it is tried again"
                    );
                }
                if refusal.reason.is_lasting() && self.rejecting_since.is_none() {
                    error!(
                        receiver,
                        error,
                        "a receiver rejects notifications: it takes none until that is mended"
                    );
                    self.rejecting_since = Some(moment.wall_seconds);
                }
                self.last_error = Some(error);
                if let Some(asked) = refusal.retry_after {
                    self.hold = Some(moment.now + asked.min(LONGEST_HOLD));
                }
            }
        }
    }

    /// Puts what has changed of a lane into the store.
    fn keep(&mut self, group: &Group) -> Option<Written> {
        let lane = self.by_group.get_mut(group)?;
        let written = match lane.take_change()? {
            Ok(kept) => self.store.put(kept),
            Err(blank) => self.store.remove::<Kept>(&crate::store::Entry::id(blank)),
        };
        match written {
            Ok(written) => Some(written),
            Err(error) => {
                self.counts.not_kept += 1;
                if !std::mem::replace(&mut self.said_full, true) {
                    error!(
                        receiver = &*self.receiver, %error,
                        "what a receiver was told is kept in memory only: it may be told again"
                    );
                }
                None
            }
        }
    }

    fn say_given_up(&self, group: &Group, before: u64) {
        if self.counts.dropped.age > before {
            error!(
                receiver = &*self.receiver, %group, max_age = ?self.settings.max_age,
                "a notification is given up: the receiver did not take it in time"
            );
        }
    }

    fn say_lost(&self, before: u64) {
        let alerts = self.counts.dropped.lost - before;
        if alerts > 0 {
            error!(
                receiver = &*self.receiver,
                alerts,
                "alerts that the receiver takes for firing are not known any more: it is not told of their end"
            );
        }
    }
}
