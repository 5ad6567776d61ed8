//! What one Alertmanager was told, and what it has to be told now.
//!
//! It is a state and no message: as long as an alert fires, that is said again and again, each time
//! with a *promise*, the moment until which it holds. So nothing that is lost on the way is lost for
//! good, and an alert of a daemon that died ends by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::{Alert, AlertState, Fingerprint};
use crate::notify::Stated;

/// Alerts in one request.
const BATCH: usize = 256;

/// The times by which an Alertmanager is told.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For how long changes are gathered, so that those of one cause go in one request.
    pub gather: Duration,
    /// How often an alert is told again, though nothing has changed.
    pub resend: Duration,
    /// For how long a firing alert fires on if nothing more is heard of it.
    pub promise: Duration,
    /// For how long it is told again and again that an alert is over, and after how long an alert is
    /// told again that was refused as not valid.
    pub retention: Duration,
    /// How long before a promise runs out it is told for the last time. What comes later than the
    /// moment that it names would end the alert for everybody: this is more than a request takes
    /// and clocks differ.
    pub margin: Duration,
    /// The longest that one request may take.
    pub timeout: Duration,
    /// The first wait after a request that failed; each more is twice as long.
    pub first_retry: Duration,
    /// The longest such wait.
    pub last_retry: Duration,
    /// How long the last requests may take, at an orderly end.
    pub end: Duration,
}

impl Default for Timing {
    /// Those of Prometheus, where it has them.
    fn default() -> Self {
        Self {
            gather: Duration::from_millis(100),
            resend: Duration::from_mins(1),
            promise: Duration::from_mins(4),
            retention: Duration::from_mins(15),
            margin: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
            first_retry: Duration::from_secs(1),
            last_retry: Duration::from_mins(1),
            end: Duration::from_secs(5),
        }
    }
}

/// A moment by both clocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment {
    /// For how long something takes.
    pub(super) monotonic: Instant,
    /// Seconds since 1970, for what others read.
    pub(super) wall: f64,
}

impl Moment {
    fn after(self, time: Duration) -> Self {
        Self {
            monotonic: self.monotonic + time,
            wall: self.wall + time.as_secs_f64(),
        }
    }

    /// `None` before the clocks began.
    fn before(self, time: Duration) -> Option<Self> {
        Some(Self {
            monotonic: self.monotonic.checked_sub(time)?,
            wall: self.wall - time.as_secs_f64(),
        })
    }
}

/// What is to be said of an alert.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// That it fires.
    Fires,
    /// That the last promise stands. The alert is over here, but may fire for another vantage, which
    /// pushes the end of the same alert forward. Until when that is said.
    Fades { until: Moment },
    /// That it was over at this moment of the wall clock; until when that is said.
    Over { end: f64, until: Moment },
}

#[derive(Clone, Debug)]
struct Entry {
    alert: Arc<Alert>,
    state: State,
    /// When the last request with this state was made that was answered well.
    told: Option<Instant>,
    /// Until when the member may take it that the alert fires, by the last request that said so, if
    /// answered or not.
    promised: Option<Moment>,
    /// The member does not want it as it is: it is not told of it before then.
    refused: Option<Instant>,
}

/// What one member was told of the alerts of one receiver.
#[derive(Debug)]
pub(super) struct Told {
    receiver: Arc<str>,
    timing: Timing,
    entries: BTreeMap<Fingerprint, Entry>,
}

impl Told {
    /// Nothing yet.
    pub(super) fn new(receiver: Arc<str>, timing: Timing) -> Self {
        Self {
            receiver,
            timing,
            entries: BTreeMap::new(),
        }
    }

    /// Finds out what is to be said now, by the book.
    pub(super) fn look(&mut self, book: &BTreeMap<Fingerprint, Arc<Alert>>, now: Moment) {
        let mut before = std::mem::take(&mut self.entries);
        let book = book.iter();
        for (fingerprint, alert) in book.filter(|(_, alert)| alert.is_for(&self.receiver)) {
            let entry = self.next(before.remove(fingerprint), Some(alert), now);
            self.entries
                .extend(entry.map(|entry| (*fingerprint, entry)));
        }
        for (fingerprint, entry) in before {
            let entry = self.next(Some(entry), None, now);
            self.entries.extend(entry.map(|entry| (fingerprint, entry)));
        }
    }

    /// Up to a batch of what has to be told, in the order of the fingerprints, from the one after
    /// `after` on. The caller makes the attempt: promises count from now.
    ///
    /// What has to be told again soon is told now, so that the alerts stay together.
    pub(super) fn batch(&mut self, after: Option<Fingerprint>, now: Moment) -> Vec<Stated> {
        let since = self.timing.resend * 3 / 4;
        self.take(after, now, |entry| {
            let due = entry.due(now, since);
            due.is_some_and(|due| due <= now.monotonic)
        })
    }

    /// The same of what was never told.
    pub(super) fn batch_of_news(&mut self, after: Option<Fingerprint>, now: Moment) -> Vec<Stated> {
        self.take(after, now, |entry| entry.is_news(now))
    }

    fn take(
        &mut self,
        after: Option<Fingerprint>,
        now: Moment,
        is_due: impl Fn(&Entry) -> bool,
    ) -> Vec<Stated> {
        let promise = now.after(self.timing.promise);
        let rest = self.entries.iter_mut();
        let rest = rest.filter(|(fingerprint, _)| after.is_none_or(|after| **fingerprint > after));
        let due = rest.filter(|(_, entry)| is_due(entry)).take(BATCH);
        due.map(|(fingerprint, entry)| entry.state(*fingerprint, promise))
            .collect()
    }

    /// The member has these, by a request that was made at `at`.
    pub(super) fn accepted(&mut self, stated: &[Stated], at: Instant) {
        for stated in stated {
            if let Some(entry) = self.entries.get_mut(&stated.fingerprint) {
                entry.told = Some(at);
                entry.refused = None;
            }
        }
    }

    /// The member does not want this one, which is told again much later, or once it changes; one that
    /// it took before is valid, and told again as ever. False if it is known.
    pub(super) fn refused(&mut self, fingerprint: Fingerprint, now: Moment) -> bool {
        let Some(entry) = self.entries.get_mut(&fingerprint) else {
            return false;
        };
        let pause = match entry.told {
            Some(_) => self.timing.resend,
            None => self.timing.retention,
        };
        let later = now.after(pause).monotonic;
        entry.refused.replace(later).is_none()
    }

    /// The alerts with a state that the member was not told, in order.
    pub(super) fn news(&self, now: Moment) -> Vec<Fingerprint> {
        let news = self.entries.iter().filter(|(_, entry)| entry.is_news(now));
        news.map(|(fingerprint, _)| *fingerprint).collect()
    }

    /// When something has to be told, if nothing changes before.
    pub(super) fn due(&self, now: Moment) -> Option<Instant> {
        let entries = self.entries.values();
        let due = entries.filter_map(|entry| entry.due(now, self.timing.resend));
        due.min()
    }

    fn next(
        &self,
        before: Option<Entry>,
        alert: Option<&Arc<Alert>>,
        now: Moment,
    ) -> Option<Entry> {
        let firing = alert.filter(|a| a.state == AlertState::Firing && a.muted.is_none());
        if let Some(alert) = firing {
            return Some(Entry::firing(before, alert));
        }
        let over = alert.filter(|alert| alert.state == AlertState::Resolved);
        match before {
            None => over.and_then(|alert| self.found_over(alert, now)),
            Some(entry) if entry.state == State::Fires => self.ended(&entry, over, now),
            // What is said of an alert in the book is remembered, so that it is not said anew.
            Some(entry) if over.is_some() && matches!(entry.state, State::Over { .. }) => {
                Some(entry)
            }
            Some(entry) => (!entry.is_done(now)).then_some(entry),
        }
    }

    /// The alert fires no more: it is over, muted, or gone.
    fn ended(&self, entry: &Entry, over: Option<&Arc<Alert>>, now: Moment) -> Option<Entry> {
        let alert = over.map_or_else(|| Arc::clone(&entry.alert), Arc::clone);
        if alert.shared {
            let until = entry.promised?.before(self.timing.margin)?;
            let state = State::Fades { until };
            let entry = Entry {
                alert,
                state,
                ..entry.clone()
            };
            return (!entry.is_done(now)).then_some(entry);
        }
        let end = over.and_then(|alert| alert.end_timestamp_seconds);
        Some(Entry {
            // Of what it never took, the end is not valid either.
            refused: entry.refused.filter(|_| entry.told.is_none()),
            ..self.over(alert, end.unwrap_or(now.wall), now)
        })
    }

    /// An alert that is over and of which nothing is known here: this run of the daemon began
    /// afterwards. To an Alertmanager that never heard of it, its end is no news. One that other
    /// vantages state as well is not touched: its promise runs out.
    fn found_over(&self, alert: &Arc<Alert>, now: Moment) -> Option<Entry> {
        let end = alert.end_timestamp_seconds.unwrap_or(now.wall);
        (!alert.shared).then(|| self.over(Arc::clone(alert), end, now))
    }

    fn over(&self, alert: Arc<Alert>, end: f64, now: Moment) -> Entry {
        let until = now.after(self.timing.retention);
        Entry {
            alert,
            state: State::Over { end, until },
            told: None,
            promised: None,
            refused: None,
        }
    }
}

impl Entry {
    fn firing(before: Option<Self>, alert: &Arc<Alert>) -> Self {
        let alert = Arc::clone(alert);
        let state = State::Fires;
        match before {
            // To the member, an alert that fades fires.
            Some(entry)
                if !matches!(entry.state, State::Over { .. })
                    && entry.alert.start_timestamp_seconds == alert.start_timestamp_seconds =>
            {
                Self {
                    alert,
                    state,
                    ..entry
                }
            }
            before => Self {
                alert,
                state,
                told: None,
                promised: before.and_then(|entry| entry.promised),
                refused: None,
            },
        }
    }

    fn is_news(&self, now: Moment) -> bool {
        self.told.is_none() && self.is_said(now)
    }

    /// When it is to be told, if it is told again after `resend`.
    fn due(&self, now: Moment, resend: Duration) -> Option<Instant> {
        let due = self.told.map_or(now.monotonic, |told| told + resend);
        let due = self.refused.map_or(due, |later| later.max(due));
        (!self.is_done(now)).then_some(due)
    }

    fn is_said(&self, now: Moment) -> bool {
        self.refused.is_none_or(|later| later <= now.monotonic) && !self.is_done(now)
    }

    /// Whether there is nothing left to say, unless it fires again.
    fn is_done(&self, now: Moment) -> bool {
        match self.state {
            State::Fires => false,
            // The monotonic clock stands still while the host sleeps, the other may be set back.
            State::Fades { until } => until.monotonic <= now.monotonic || until.wall <= now.wall,
            State::Over { until, .. } => until.monotonic <= now.monotonic,
        }
    }

    /// What is said of it; one that fires does so until `promise`.
    fn state(&mut self, fingerprint: Fingerprint, promise: Moment) -> Stated {
        if self.state == State::Fires {
            self.promised = Some(promise);
        }
        let end = match self.state {
            State::Over { end, .. } => end,
            State::Fires | State::Fades { .. } => self.promised.unwrap_or(promise).wall,
        };
        Stated {
            fingerprint,
            alert: Arc::clone(&self.alert),
            end_timestamp_seconds: end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Labels, Mute};

    const TIMING: fn() -> Timing = Timing::default;

    /// One member, and what is in the book.
    struct World {
        told: Told,
        book: BTreeMap<Fingerprint, Arc<Alert>>,
        now: Moment,
    }

    impl World {
        fn new() -> Self {
            Self {
                told: Told::new("am".into(), TIMING()),
                book: BTreeMap::new(),
                now: Moment {
                    monotonic: tokio::time::Instant::now().into_std(),
                    wall: 1_000.0,
                },
            }
        }

        fn pass(&mut self, seconds: u64) {
            self.now = self.now.after(Duration::from_secs(seconds));
        }

        fn put(&mut self, alert: Alert) {
            self.book.insert(alert.fingerprint(), Arc::new(alert));
        }

        /// What is sent: the names and the ends, in seconds from now.
        fn sent(&mut self) -> Vec<(String, f64)> {
            self.told.look(&self.book, self.now);
            let batch = self.told.batch(None, self.now);
            let sent = batch.iter();
            let sent = sent.map(|stated| {
                let end = stated.end_timestamp_seconds - self.now.wall;
                (stated.alert.rule.to_string(), end)
            });
            sent.collect()
        }

        /// The same, and the member takes it.
        fn takes(&mut self) -> Vec<(String, f64)> {
            let sent = self.sent();
            let batch = self.told.batch(None, self.now);
            self.told.accepted(&batch, self.now.monotonic);
            sent
        }
    }

    fn firing(name: &str, start: f64) -> Alert {
        Alert {
            rule: name.into(),
            labels: Labels::from([("alertname".into(), name.into())]),
            annotations: BTreeMap::new(),
            state: AlertState::Firing,
            active_timestamp_seconds: start,
            start_timestamp_seconds: Some(start),
            end_timestamp_seconds: None,
            value: None,
            threshold: None,
            shared: false,
            receivers: None,
            muted: None,
        }
    }

    fn over(name: &str, start: f64, end: f64) -> Alert {
        Alert {
            state: AlertState::Resolved,
            end_timestamp_seconds: Some(end),
            ..firing(name, start)
        }
    }

    fn shared(alert: Alert) -> Alert {
        Alert {
            shared: true,
            ..alert
        }
    }

    fn muted(alert: Alert) -> Alert {
        Alert {
            muted: Some(Mute::Silence("x".into())),
            ..alert
        }
    }

    fn none() -> Vec<(String, f64)> {
        Vec::new()
    }

    fn one(end: f64) -> Vec<(String, f64)> {
        vec![("A".to_owned(), end)]
    }

    #[test]
    fn an_alert_is_told_at_once_and_again_each_minute_while_it_fires() {
        let mut world = World::new();
        world.put(firing("A", 990.0));
        assert_eq!(world.takes(), one(240.0));
        world.pass(30);
        assert_eq!(world.takes(), none());
        let due = world.told.due(world.now);
        assert_eq!(
            due,
            Some(world.now.after(Duration::from_secs(30)).monotonic)
        );
        world.pass(30);
        assert_eq!(world.takes(), one(240.0));
    }

    #[test]
    fn what_was_not_taken_is_told_until_it_is() {
        let mut world = World::new();
        world.put(firing("A", 990.0));
        assert_eq!(world.sent(), one(240.0));
        assert_eq!(world.told.news(world.now).len(), 1);
        world.pass(1);
        assert_eq!(world.told.due(world.now), Some(world.now.monotonic));
        assert_eq!(world.takes(), one(240.0));
        assert_eq!(world.told.news(world.now).len(), 0);
    }

    #[test]
    fn an_end_is_told_at_once_and_for_a_quarter_of_an_hour() {
        let mut world = World::new();
        world.put(firing("A", 990.0));
        world.takes();
        world.pass(10);
        world.put(over("A", 990.0, 1_009.0));
        assert_eq!(world.told.batch(None, world.now), []);
        let mut ends = Vec::new();
        for _ in 0..30 {
            ends.extend(world.takes());
            world.pass(60);
        }
        assert_eq!(ends.len(), 15);
        assert_eq!(ends[0], ("A".to_owned(), -1.0));
        assert_eq!(ends[14], ("A".to_owned(), -1.0 - 14.0 * 60.0));
        assert_eq!(world.told.due(world.now), None);
    }

    /// Nobody can tell whether another vantage still sees it: an end that has passed would end it for
    /// all. See docs/alerting.md.
    #[test]
    fn the_promise_of_a_shared_alert_runs_out_and_is_never_taken_back() {
        let mut world = World::new();
        world.put(shared(firing("A", 990.0)));
        world.takes();
        world.pass(10);
        world.put(shared(over("A", 990.0, 1_009.0)));
        assert_eq!(world.takes(), none());
        let mut left = Vec::new();
        for _ in 0..600 {
            left.extend(world.takes());
            world.pass(1);
        }
        // Not in the last half minute before it runs out.
        let left: Vec<_> = left.into_iter().map(|(_, left)| left).collect();
        assert_eq!(left, [195.0, 150.0, 105.0, 60.0], "{left:?}");
        assert_eq!(world.told.news(world.now).len(), 0);
    }

    #[test]
    fn a_shared_alert_that_fires_again_while_it_fades_goes_on_firing() {
        let mut world = World::new();
        world.put(shared(firing("A", 990.0)));
        world.takes();
        world.pass(10);
        world.put(shared(over("A", 990.0, 1_009.0)));
        world.takes();
        world.pass(10);
        world.put(shared(firing("A", 1_019.0)));
        assert_eq!(world.takes(), one(240.0));
    }

    #[test]
    fn a_new_episode_is_news_even_if_the_end_of_the_last_was_not_seen() {
        let mut world = World::new();
        world.put(firing("A", 990.0));
        world.takes();
        world.pass(10);
        world.put(firing("A", 1_005.0));
        assert_eq!(world.takes(), one(240.0));
    }

    #[test]
    fn a_muted_alert_is_not_told_and_ends_if_it_was() {
        let mut world = World::new();
        world.put(muted(firing("A", 990.0)));
        assert_eq!(world.takes(), none());
        world.put(firing("A", 990.0));
        assert_eq!(world.takes(), one(240.0));
        world.pass(10);
        world.put(muted(firing("A", 990.0)));
        assert_eq!(world.takes(), one(0.0));
        world.pass(10);
        assert_eq!(world.takes(), none());
        world.put(firing("A", 990.0));
        assert_eq!(world.takes(), one(240.0));
    }

    #[test]
    fn an_alert_that_left_the_book_is_over() {
        let mut world = World::new();
        world.put(firing("A", 990.0));
        world.takes();
        world.pass(5);
        world.book.clear();
        assert_eq!(world.takes(), one(0.0));
        assert_eq!(world.takes(), none());
    }

    #[test]
    fn after_a_restart_the_end_is_told_unless_others_may_see_it_otherwise() {
        let mut world = World::new();
        world.put(over("A", 900.0, 950.0));
        world.put(shared(over("B", 900.0, 950.0)));
        assert_eq!(world.takes(), one(-50.0));
    }

    #[test]
    fn the_alerts_of_other_receivers_are_not_told() {
        let mut world = World::new();
        let of = |name: &str, receiver: &str| Alert {
            receivers: Some(vec![receiver.into()]),
            ..firing(name, 990.0)
        };
        world.put(of("A", "am"));
        world.put(of("B", "ops"));
        assert_eq!(world.takes(), one(240.0));
    }

    #[test]
    fn what_is_refused_is_not_told_again_before_it_changes() {
        let mut world = World::new();
        let alert = firing("A", 990.0);
        world.put(alert.clone());
        world.sent();
        world.told.refused(alert.fingerprint(), world.now);
        assert_eq!(world.told.news(world.now).len(), 0);
        world.pass(120);
        assert_eq!(world.takes(), none());
        // The member does not know it, so there is nothing to end.
        world.put(over("A", 990.0, 1_100.0));
        assert_eq!(world.takes(), none());
        assert_eq!(world.takes(), none());
        world.put(firing("A", 1_119.0));
        assert_eq!(world.takes(), one(240.0));
        // It was taken and is refused later: its end is to be told.
        world.told.refused(alert.fingerprint(), world.now);
        world.put(over("A", 1_119.0, 1_120.0));
        assert_eq!(world.takes(), one(0.0));
    }

    /// What answers 400 may be a proxy, or TLS, and may be mended while the alert fires on.
    #[test]
    fn what_is_refused_is_tried_again_later_and_told_as_ever_once_it_is_taken() {
        let mut world = World::new();
        let alert = firing("A", 990.0);
        world.put(alert.clone());
        world.sent();
        assert!(world.told.refused(alert.fingerprint(), world.now));
        let later = world.now.after(TIMING().retention).monotonic;
        assert_eq!(world.told.due(world.now), Some(later));
        world.pass(15 * 60 - 1);
        assert_eq!(world.takes(), none());
        world.pass(1);
        assert_eq!(world.sent(), one(240.0));
        // It is refused still, which is no news.
        assert!(!world.told.refused(alert.fingerprint(), world.now));
        assert_eq!(world.takes(), none());
        world.pass(15 * 60);
        assert_eq!(world.takes(), one(240.0));
        world.pass(60);
        assert_eq!(world.takes(), one(240.0));
        // It was good enough before: what it was promised must not run out.
        assert!(world.told.refused(alert.fingerprint(), world.now));
        world.pass(59);
        assert_eq!(world.takes(), none());
        world.pass(1);
        assert_eq!(world.takes(), one(240.0));
    }

    #[test]
    fn batches_are_in_order_and_have_all() {
        let mut world = World::new();
        for number in 0..600 {
            world.put(firing(&format!("A{number}"), 990.0));
        }
        world.told.look(&world.book, world.now);
        let mut after = None;
        let mut sizes = Vec::new();
        let mut seen = Vec::new();
        loop {
            let batch = world.told.batch(after, world.now);
            let Some(last) = batch.last() else { break };
            after = Some(last.fingerprint);
            sizes.push(batch.len());
            seen.extend(batch.iter().map(|stated| stated.fingerprint));
        }
        assert_eq!(sizes, [256, 256, 88]);
        assert!(seen.is_sorted());
    }

    #[test]
    fn what_is_due_soon_goes_with_what_is_due_and_only_news_are_told_at_the_end() {
        let mut world = World::new();
        world.put(firing("A", 990.0));
        world.takes();
        world.pass(10);
        world.put(firing("B", 1_009.0));
        assert_eq!(world.told.batch_of_news(None, world.now).len(), 0);
        world.told.look(&world.book, world.now);
        let batch = world.told.batch_of_news(None, world.now);
        world.told.accepted(&batch, world.now.monotonic);
        assert_eq!(batch.len(), 1);
        world.pass(50);
        assert_eq!(world.takes().len(), 2);
    }
}
