//! One lane: what one receiver is told of one group, one message after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Settings;
use super::entry::{Delivery, Group, Kept, Known, Start, States};
use super::message;
use super::outbox::Counts;
use crate::model::{Alert, AlertState, Fingerprint, Severity};
use crate::notify::{Notification, Refusal};

/// The pause after the first attempt that failed. It is doubled with each, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The pause where somebody has to change something first, and the longest that a receiver may ask
/// for.
const LASTING_PAUSE: Duration = Duration::from_mins(5);

/// Of what passed while no daemon ran, so much counts: a wall clock may be wrong.
const LONGEST_GAP: Duration = Duration::from_hours(1);

/// A moment by both clocks: one tells how long things take, the other is written down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Instant,
    /// Seconds since 1970.
    pub(super) wall_seconds: f64,
}

impl Moment {
    /// What of the time since then counts, as the wall clock has it.
    pub(super) fn since(self, wall_seconds: f64) -> Duration {
        let gap = Duration::try_from_secs_f64(self.wall_seconds - wall_seconds);
        // Before the time that was written down: the clock was set.
        gap.unwrap_or_default().min(LONGEST_GAP)
    }

    /// The moment at which something of the last run began.
    pub(super) fn back(self, wall_seconds: f64) -> Instant {
        let since = self.since(wall_seconds);
        self.now.checked_sub(since).unwrap_or(self.now)
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing, before then or before something changes.
    Wait(Option<Instant>),
    /// An attempt: [`Lane::begin`]. It is due since then.
    Attempt(Instant),
    /// Nothing ever again.
    Forget,
}

/// A lane. Time and chance are passed in.
#[derive(Debug)]
pub(super) struct Lane {
    kept: Kept,
    /// Whether `kept` is not in the store as it is.
    changed: bool,
    /// The group's alerts, as the book had them last.
    alerts: BTreeMap<Fingerprint, Arc<Alert>>,
    /// Episodes that were muted when they were seen last.
    muted: BTreeMap<Fingerprint, Start>,
    /// What the receiver is to be told and does not know.
    owed: BTreeSet<Fingerprint>,
    owed_since: Option<Instant>,
    /// How severe the worst alert is that fires and is owed, and the worst that the receiver takes for
    /// firing.
    worst: (Option<Severity>, Option<Severity>),
    /// Whether an alert fires of which the receiver is told.
    fires: bool,
    /// When the last delivery was made that was taken or given up.
    notified: Option<Instant>,
    /// When the delivery was made.
    made: Option<Instant>,
    /// No attempt before then.
    due: Instant,
    /// Attempts that failed, one after the other.
    failures: i32,
    /// Whether an attempt is under way.
    busy: bool,
}

impl Lane {
    pub(super) fn new(receiver: Arc<str>, group: Group, moment: Moment) -> Self {
        Self::restored(Kept::new(receiver, group), moment)
    }

    /// The lane as the last run of the daemon left it.
    pub(super) fn restored(kept: Kept, moment: Moment) -> Self {
        let made = kept.delivery.as_ref();
        let made = made.map(|delivery| moment.back(delivery.made_timestamp_seconds));
        let notified = kept.notified_timestamp_seconds;
        Self {
            made,
            notified: notified.map(|at| moment.back(at)),
            kept,
            changed: false,
            alerts: BTreeMap::new(),
            muted: BTreeMap::new(),
            owed: BTreeSet::new(),
            owed_since: None,
            worst: (None, None),
            fires: false,
            due: moment.now,
            failures: 0,
            busy: false,
        }
    }

    /// Takes in what the book says of the group. `waits_since` is since when what is found to be
    /// owed waits.
    pub(super) fn see(
        &mut self,
        alerts: BTreeMap<Fingerprint, Arc<Alert>>,
        waits_since: impl Fn(f64) -> Instant,
        counts: &mut Counts,
    ) {
        let same = |(a, b): (&Arc<Alert>, &Arc<Alert>)| Arc::ptr_eq(a, b);
        let mut both = alerts.values().zip(self.alerts.values());
        if !alerts.is_empty() && alerts.len() == self.alerts.len() && both.all(same) {
            return;
        }
        self.alerts = alerts;
        self.refresh(waits_since, counts);
    }

    /// What is to be done now. Towards the end of the daemon nobody waits for more of the group.
    pub(super) fn next(&self, now: Instant, ending: bool, settings: &Settings) -> Next {
        let since = |at: Option<Instant>, wait| at.map(|at| at + wait);
        let due = if self.busy {
            None
        } else if self.kept.delivery.is_some() {
            Some(self.due)
        } else if let Some(owed_since) = self.owed_since {
            let wait = if ending {
                Duration::ZERO
            } else {
                settings.group_wait
            };
            let interval = since(self.notified, settings.group_interval);
            let (owed, known) = self.worst;
            // What is worse than all that they know does not wait for its turn.
            let news = interval.filter(|_| owed <= known);
            news.max(Some(owed_since + wait)).max(Some(self.due))
        } else if self.fires {
            since(self.notified, settings.repeat_interval)
        } else if self.alerts.is_empty() && self.kept.told.0.is_empty() {
            return Next::Forget;
        } else {
            None
        };
        match due {
            Some(due) if due <= now => Next::Attempt(due),
            due => Next::Wait(due),
        }
    }

    /// Begins the attempt that is due, and says what is to be told. It ends with
    /// [`Lane::answered`]. `None` if it has turned out that there is nothing to tell.
    pub(super) fn begin(
        &mut self,
        moment: Moment,
        id: Arc<str>,
        settings: &Settings,
        counts: &mut Counts,
    ) -> Option<Notification> {
        let mut waits_since = moment.wall_seconds;
        if let Some(delivery) = self.kept.delivery.take() {
            let age = self
                .made
                .map(|made| moment.now.saturating_duration_since(made));
            if self.is_outdated(&delivery) {
                counts.superseded += 1;
                waits_since = delivery.waits_since_timestamp_seconds;
                self.supersede(&delivery);
                self.refresh(|_| moment.now, counts);
                if self.owed.is_empty() {
                    return None;
                }
            } else if age.is_some_and(|age| age >= settings.max_age) {
                counts.dropped.age += 1;
                self.conclude(delivery);
                self.refresh(|_| moment.now, counts);
                return None;
            } else {
                // What has no room was counted when it was made.
                return Some(self.attempt(delivery, settings, &mut 0));
            }
        }
        let states = self.to_tell();
        if states.0.is_empty() {
            return None;
        }
        let delivery = Delivery {
            id,
            made_timestamp_seconds: moment.wall_seconds,
            waits_since_timestamp_seconds: waits_since,
            states,
        };
        self.made = Some(moment.now);
        self.changed = true;
        Some(self.attempt(delivery, settings, &mut counts.dropped.size))
    }

    fn attempt(
        &mut self,
        delivery: Delivery,
        settings: &Settings,
        too_long: &mut u64,
    ) -> Notification {
        let told = message::compose(&self.kept, &delivery, &self.alerts, settings, too_long);
        self.kept.delivery = Some(delivery);
        self.busy = true;
        told
    }

    /// Takes in how the attempt ended. `chance` is from 0 to 1.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        answer: Result<(), &Refusal>,
        chance: f64,
        counts: &mut Counts,
    ) {
        self.busy = false;
        match answer {
            Ok(()) => {
                self.failures = 0;
                self.due = now;
                if let Some(delivery) = self.kept.delivery.take() {
                    self.conclude(delivery);
                }
                self.refresh(|_| now, counts);
            }
            Err(refusal) => {
                self.due = now + pause(self.failures, refusal, chance);
                self.failures = self.failures.saturating_add(1);
            }
        }
    }

    /// The receiver is not the one that failed: it is not waited for.
    pub(super) fn begin_anew(&mut self, now: Instant) {
        self.failures = 0;
        self.due = now;
    }

    /// The lane, as the store is to have it.
    pub(super) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// What is to be put into the store, if anything: `Err` where the entry is to be removed.
    pub(super) fn take_change(&mut self) -> Option<Result<&Kept, &Kept>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let blank = self.kept.told.0.is_empty() && self.kept.delivery.is_none();
        Some(if blank {
            Err(&self.kept)
        } else {
            Ok(&self.kept)
        })
    }

    /// What the receiver is to be told and does not know.
    pub(super) fn owed(&self) -> &BTreeSet<Fingerprint> {
        &self.owed
    }

    /// What it is being told.
    pub(super) fn delivery(&self) -> Option<&Delivery> {
        self.kept.delivery.as_ref()
    }

    /// Whether an alert of the delivery has another state by now, or fires and is muted.
    fn is_outdated(&self, delivery: &Delivery) -> bool {
        let states = &delivery.states.0;
        let is_so = |(fingerprint, told): (&Fingerprint, &Known)| {
            let alert = self.alerts.get(fingerprint);
            let alert = alert.filter(|alert| !told.fires() || alert.muted.is_none());
            alert.and_then(|alert| Known::of(alert)) == Some(*told)
        };
        !states.iter().all(is_so)
    }

    /// The receiver may know what is not told any more.
    fn supersede(&mut self, delivery: &Delivery) {
        for (fingerprint, told) in &delivery.states.0 {
            if let Known::Firing(start) = told
                && self.kept.told.0.get(fingerprint) != Some(told)
            {
                let perhaps = Known::Perhaps(*start);
                self.kept.told.0.insert(*fingerprint, perhaps);
            }
        }
        self.changed = true;
    }

    /// From now on the receiver knows what the delivery tells, or need not know it.
    fn conclude(&mut self, delivery: Delivery) {
        let states = delivery.states.0;
        if !states.values().any(|known| known.fires()) {
            self.doubt();
        }
        self.kept.told.0.extend(states);
        self.kept.notified_timestamp_seconds = Some(delivery.made_timestamp_seconds);
        self.notified = self.made;
        self.changed = true;
    }

    /// The receiver was told of a group in which nothing fires. Where it has one incident for the
    /// group, that is the end of it, also for an alert that fires on and is muted: it is owed anew
    /// when the mute is over.
    fn doubt(&mut self) {
        for known in self.kept.told.0.values_mut() {
            if let Known::Firing(start) = *known {
                *known = Known::Perhaps(start);
            }
        }
    }

    /// What a new delivery tells: every alert that fires, and what else is owed.
    fn to_tell(&self) -> States {
        let told = self.alerts.iter().filter_map(|(fingerprint, alert)| {
            let known = Known::of(alert)?;
            let is_told = self.tells_of(alert) || self.owed.contains(fingerprint);
            is_told.then_some((*fingerprint, known))
        });
        States(told.collect())
    }

    /// Whether the receiver is told that the alert fires.
    fn tells_of(&self, alert: &Alert) -> bool {
        let fires = alert.state == AlertState::Firing && alert.muted.is_none();
        fires && alert.is_for(&self.kept.receiver)
    }

    /// Finds out anew what is owed.
    fn refresh(&mut self, waits_since: impl Fn(f64) -> Instant, counts: &mut Counts) {
        self.forget_gone(counts);
        self.pass_over_muted();
        let owed = self.alerts.iter();
        let owed = owed.filter(|(fingerprint, alert)| self.owes(**fingerprint, alert));
        let owed: BTreeSet<_> = owed.map(|(fingerprint, _)| *fingerprint).collect();
        self.owed = owed;
        self.fires = self.alerts.values().any(|alert| self.tells_of(alert));
        self.worst = (self.worst_owed(), self.worst_known());
        if self.owed.is_empty() {
            self.owed_since = None;
        } else if self.owed_since.is_none() {
            let owed = self.owed.iter().filter_map(|f| self.alerts.get(f));
            let changes = owed.filter_map(|alert| {
                let end = alert.end_timestamp_seconds;
                end.or(alert.start_timestamp_seconds)
            });
            self.owed_since = changes.map(waits_since).min();
        }
        if self.kept.told.0.is_empty() && self.kept.delivery.is_none() {
            self.kept.notified_timestamp_seconds = None;
            self.notified = None;
        }
    }

    /// Forgets what is not in the book any more. What the receiver takes for firing should be there
    /// until it was told otherwise: then it was lost.
    fn forget_gone(&mut self, counts: &mut Counts) {
        let (alerts, delivery) = (&self.alerts, &self.kept.delivery);
        let before = self.kept.told.0.len();
        self.kept.told.0.retain(|fingerprint, known| {
            let tells = |delivery: &Delivery| delivery.states.0.contains_key(fingerprint);
            let stays = alerts.contains_key(fingerprint) || delivery.as_ref().is_some_and(tells);
            if !stays && known.fires() {
                counts.dropped.lost += 1;
            }
            stays
        });
        self.changed |= before != self.kept.told.0.len();
        self.muted
            .retain(|fingerprint, _| alerts.contains_key(fingerprint));
    }

    /// An episode that was over while it was muted is owed to nobody who does not know of it, also
    /// once the mute is over.
    fn pass_over_muted(&mut self) {
        for (fingerprint, alert) in &self.alerts {
            let Some(known @ (Known::Firing(start) | Known::Resolved(start))) = Known::of(alert)
            else {
                continue;
            };
            if alert.muted.is_some() {
                self.muted.insert(*fingerprint, start);
            } else if known.fires() {
                self.muted.remove(fingerprint);
            }
            let told = self.kept.told.0.get(fingerprint);
            let delivery = self.kept.delivery.as_ref();
            let tells = delivery.and_then(|delivery| delivery.states.0.get(fingerprint));
            if !known.fires()
                && self.muted.get(fingerprint) == Some(&start)
                && told != Some(&known)
                && !told.is_some_and(|told| told.fires())
                && tells.is_none()
            {
                self.kept.told.0.insert(*fingerprint, known);
                self.changed = true;
            }
        }
    }

    /// How severe the worst alert is that fires and is owed.
    fn worst_owed(&self) -> Option<Severity> {
        let owed = self.owed.iter().filter_map(|f| self.alerts.get(f));
        let firing = owed.filter(|alert| alert.state == AlertState::Firing);
        firing.filter_map(|alert| alert.severity()).max()
    }

    /// How severe the worst alert is that the receiver takes for firing.
    fn worst_known(&self) -> Option<Severity> {
        let told = self.kept.told.0.iter().filter(|(_, known)| known.fires());
        let known = told.filter_map(|(fingerprint, _)| self.alerts.get(fingerprint));
        known.filter_map(|alert| alert.severity()).max()
    }

    fn owes(&self, fingerprint: Fingerprint, alert: &Alert) -> bool {
        let told = self.kept.told.0.get(&fingerprint);
        let Some(known) = Known::of(alert) else {
            return false;
        };
        let is_told = if known.fires() {
            self.tells_of(alert)
        } else {
            // Who was told that it fires, before the rule told others, hears the end of it.
            alert.is_for(&self.kept.receiver) || told.is_some_and(|told| told.fires())
        };
        is_told && told != Some(&known)
    }
}

/// How long to wait after so many failures and one more: half of it is chance, so that the daemons
/// of a fleet do not come all at once.
fn pause(failures: i32, refusal: &Refusal, chance: f64) -> Duration {
    if refusal.reason.is_lasting() {
        return LASTING_PAUSE;
    }
    let whole = FIRST_PAUSE.mul_f64(2.0_f64.powi(failures.clamp(0, 10)));
    let pause = whole
        .min(LONGEST_PAUSE)
        .mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
    let asked = refusal.retry_after.unwrap_or_default();
    pause.max(asked.min(LASTING_PAUSE))
}
