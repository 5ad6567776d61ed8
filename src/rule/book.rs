//! The book of alerts: every alert that is pending, fires, or is over and not told to everybody yet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::error;

use crate::model::{Alert, AlertState, Fingerprint, Mute};
use crate::store::{Entry, Store};

impl Entry for Alert {
    const TABLE: &'static str = "alerts";

    fn id(&self) -> String {
        self.fingerprint().to_string()
    }
}

/// An episode that is over and not told to everybody yet, while its alert is pending anew.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Ended(Arc<Alert>);

impl Entry for Ended {
    const TABLE: &'static str = "ended_alerts";

    fn id(&self) -> String {
        self.0.fingerprint().to_string()
    }
}

/// What the book says, by fingerprint.
#[derive(Debug, Default)]
struct Page {
    alerts: BTreeMap<Fingerprint, Arc<Alert>>,
    /// The episodes before those that are pending: what comes to nothing must not take away that
    /// somebody is still to be told that they are over.
    ended: BTreeMap<Fingerprint, Arc<Alert>>,
}

/// The alerts, for all who read them. The evaluation writes them; what delivers them only forgets
/// those that are over. Its clones are the same book.
///
/// Each change is handed to the store before anybody can see it: what is put into the store for an
/// alert that was read here comes to the disk after it.
#[derive(Clone, Debug)]
pub struct Alerts {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    page: Mutex<Page>,
    store: Store,
    version: watch::Sender<u64>,
}

impl Alerts {
    /// The book with the alerts that the store has kept.
    pub fn kept_in(store: &Store) -> Self {
        let alerts = kept::<Alert>(store).into_iter();
        let alerts = alerts.map(|mut alert| {
            // What mutes it is found anew, but for one that is over, where it remains as it was.
            if alert.state != AlertState::Resolved {
                alert.muted = None;
            }
            (alert.fingerprint(), Arc::new(alert))
        });
        let alerts: BTreeMap<_, _> = alerts.collect();
        let ended = kept::<Ended>(store).into_iter();
        let ended = ended.map(|Ended(alert)| (alert.fingerprint(), alert));
        // One that is left of a change that had not come to its end is in the alerts itself, or
        // fires again.
        let is_pending = |fingerprint: &Fingerprint| {
            let alert: Option<&Arc<Alert>> = alerts.get(fingerprint);
            alert.is_some_and(|alert| alert.state == AlertState::Pending)
        };
        let (ended, left): (BTreeMap<_, _>, BTreeMap<_, _>) =
            ended.partition(|(fingerprint, _)| is_pending(fingerprint));
        let book = Self {
            shared: Arc::new(Shared {
                page: Mutex::new(Page { alerts, ended }),
                store: store.clone(),
                version: watch::Sender::default(),
            }),
        };
        for fingerprint in left.keys() {
            book.forget::<Ended>(*fingerprint);
        }
        book
    }

    /// Every alert, in the order of the fingerprints.
    pub fn all(&self) -> Vec<Arc<Alert>> {
        self.lock().alerts.values().map(Arc::clone).collect()
    }

    /// What there is to be told: the alerts that fire or are over. In the place of one that is
    /// pending stands its episode before, as long as that is kept.
    pub fn to_tell(&self) -> BTreeMap<Fingerprint, Arc<Alert>> {
        let page = self.lock();
        let alerts = page.alerts.iter();
        let told = alerts.filter(|(_, alert)| alert.state != AlertState::Pending);
        told.chain(&page.ended)
            .map(|(fingerprint, alert)| (*fingerprint, Arc::clone(alert)))
            .collect()
    }

    /// The alert with this fingerprint.
    pub fn get(&self, fingerprint: Fingerprint) -> Option<Arc<Alert>> {
        self.lock().alerts.get(&fingerprint).map(Arc::clone)
    }

    /// Tells when anything has changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.version.subscribe()
    }

    /// Writes an alert down, in the place of the one with its labels.
    pub fn put(&self, alert: Alert) {
        let fingerprint = alert.fingerprint();
        let mut page = self.lock();
        let is_pending = alert.state == AlertState::Pending;
        if is_pending
            && let Some(before) = page.alerts.get(&fingerprint)
            && before.state == AlertState::Resolved
        {
            let before = Arc::clone(before);
            self.keep(&before.rule, &Ended(Arc::clone(&before)));
            page.ended.insert(fingerprint, before);
        }
        self.keep(&alert.rule, &alert);
        page.alerts.insert(fingerprint, Arc::new(alert));
        if !is_pending {
            self.forget_ended(&mut page, fingerprint);
        }
        self.changed(page);
    }

    /// Says why nobody is told that the alert fires, or that nothing speaks against it any more.
    /// It is found anew after a restart and not kept.
    pub fn mute(&self, fingerprint: Fingerprint, mute: Option<Mute>) {
        let mut page = self.lock();
        let Some(alert) = page.alerts.get_mut(&fingerprint) else {
            return;
        };
        if alert.muted == mute {
            return;
        }
        Arc::make_mut(alert).muted = mute;
        self.changed(page);
    }

    /// Strikes out an alert that was pending and came to nothing. If its episode before is still
    /// to be told, that takes its place again.
    pub fn strike(&self, fingerprint: Fingerprint) {
        let mut page = self.lock();
        let alert = page.alerts.get(&fingerprint);
        if alert.is_none_or(|alert| alert.state != AlertState::Pending) {
            return;
        }
        if let Some(before) = page.ended.get(&fingerprint) {
            let before = Arc::clone(before);
            self.keep(&before.rule, &*before);
            page.alerts.insert(fingerprint, before);
            self.forget_ended(&mut page, fingerprint);
        } else {
            self.forget::<Alert>(fingerprint);
            page.alerts.remove(&fingerprint);
        }
        self.changed(page);
    }

    /// Forgets an alert that is over and that everybody was told of, unless it fires again by now.
    pub fn settle(&self, told: &Alert) {
        let fingerprint = told.fingerprint();
        let is_it = |alert: &Arc<Alert>| {
            alert.state == AlertState::Resolved
                && alert.start_timestamp_seconds == told.start_timestamp_seconds
        };
        let mut page = self.lock();
        if page.alerts.get(&fingerprint).is_some_and(is_it) {
            self.forget::<Alert>(fingerprint);
            page.alerts.remove(&fingerprint);
        } else if page.ended.get(&fingerprint).is_some_and(is_it) {
            self.forget_ended(&mut page, fingerprint);
        } else {
            return;
        }
        self.changed(page);
    }

    fn keep(&self, rule: &str, entry: &impl Entry) {
        if let Err(error) = self.shared.store.put(entry) {
            error!(alert = rule, %error, "an alert is kept in memory only");
        }
    }

    fn forget<T: Entry>(&self, fingerprint: Fingerprint) {
        if let Err(error) = self.shared.store.remove::<T>(&fingerprint.to_string()) {
            error!(%fingerprint, %error, "an alert that is over is not forgotten on disk");
        }
    }

    fn forget_ended(&self, page: &mut Page, fingerprint: Fingerprint) {
        if page.ended.remove(&fingerprint).is_some() {
            self.forget::<Ended>(fingerprint);
        }
    }

    fn changed(&self, page: MutexGuard<'_, Page>) {
        drop(page);
        self.shared.version.send_modify(|version| *version += 1);
    }

    /// Nothing is left half done by a panic while the lock was held: it is held for steps that
    /// cannot.
    fn lock(&self) -> MutexGuard<'_, Page> {
        let page = self.shared.page.lock();
        page.unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entries of the store that can be read.
fn kept<T: Entry>(store: &Store) -> Vec<T> {
    let found = store.entries::<T>();
    if let Some((id, why)) = found.unreadable.first() {
        let entries = found.unreadable.len();
        error!(
            entries,
            id, why, "alerts of another version cannot be read; they are left as they are"
        );
    }
    found.entries
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;
    use crate::model::Labels;

    fn alert(name: &str, state: AlertState, start: Option<f64>) -> Alert {
        Alert {
            rule: name.into(),
            labels: Labels::from([("alertname".into(), name.into())]),
            annotations: BTreeMap::new(),
            state,
            active_timestamp_seconds: 1.0,
            start_timestamp_seconds: start,
            end_timestamp_seconds: None,
            value: Some(0.5),
            threshold: None,
            shared: true,
            receivers: None,
            muted: None,
        }
    }

    #[test]
    fn what_is_in_the_book_is_there_after_a_restart_but_for_what_mutes_it() {
        let store = Store::in_memory();
        let book = Alerts::kept_in(&store);
        let firing = alert("A", AlertState::Firing, Some(2.0));
        book.put(firing.clone());
        book.mute(firing.fingerprint(), Some(Mute::Silence("x".into())));
        assert!(
            book.get(firing.fingerprint())
                .is_some_and(|a| a.muted.is_some())
        );
        let again = Alerts::kept_in(&store).all();
        assert_eq!(again, [Arc::new(firing)]);
    }

    #[test]
    fn only_what_is_over_in_that_episode_is_forgotten() {
        let store = Store::in_memory();
        let book = Alerts::kept_in(&store);
        let over = alert("A", AlertState::Resolved, Some(2.0));
        let fires_again = alert("A", AlertState::Firing, Some(3.0));
        book.put(fires_again);
        book.settle(&over);
        book.strike(over.fingerprint());
        assert_eq!(book.all().len(), 1);
        book.put(alert("A", AlertState::Resolved, Some(3.0)));
        book.settle(&over);
        assert_eq!(book.all().len(), 1);
        book.settle(&alert("A", AlertState::Resolved, Some(3.0)));
        assert_eq!(book.all(), []);
        assert!(store.entries::<Alert>().entries.is_empty());
        book.put(alert("A", AlertState::Pending, None));
        book.strike(over.fingerprint());
        assert_eq!(book.all(), []);
    }

    #[test]
    fn whoever_waits_hears_of_a_change_and_not_of_a_repetition() {
        let book = Alerts::kept_in(&Store::in_memory());
        let mut changes = book.changes();
        let firing = alert("A", AlertState::Firing, Some(2.0));
        book.put(firing.clone());
        assert!(changes.has_changed().expect("open"));
        changes.mark_unchanged();
        book.mute(firing.fingerprint(), None);
        assert!(!changes.has_changed().expect("open"));
    }

    #[test]
    fn what_is_over_outlives_a_pending_one_that_comes_to_nothing() {
        let store = Store::in_memory();
        let book = Alerts::kept_in(&store);
        let over = alert("A", AlertState::Resolved, Some(2.0));
        let fingerprint = over.fingerprint();
        let to_tell = |book: &Alerts| -> Vec<Alert> {
            let told = book.to_tell().into_values();
            told.map(Arc::unwrap_or_clone).collect()
        };
        book.put(over.clone());
        book.put(alert("A", AlertState::Pending, None));
        for book in [&book, &Alerts::kept_in(&store)] {
            assert_eq!(book.all()[0].state, AlertState::Pending);
            assert_eq!(to_tell(book), slice::from_ref(&over));
        }
        book.strike(fingerprint);
        for book in [&book, &Alerts::kept_in(&store)] {
            assert_eq!(book.all(), [Arc::new(over.clone())]);
            assert_eq!(to_tell(book), slice::from_ref(&over));
        }
        // Once everybody was told, nothing is left of it.
        book.put(alert("A", AlertState::Pending, None));
        book.settle(&over);
        assert_eq!(to_tell(&book), []);
        book.strike(fingerprint);
        assert_eq!(book.all(), []);
        // One that fires takes its place.
        book.put(over);
        book.put(alert("A", AlertState::Pending, None));
        let firing = alert("A", AlertState::Firing, Some(3.0));
        book.put(firing.clone());
        for book in [&book, &Alerts::kept_in(&store)] {
            assert_eq!(to_tell(book), slice::from_ref(&firing));
        }
        assert_eq!(store.entries::<Ended>().entries.len(), 0);
        // What a crash has left of a change is no episode of its own.
        store.put(&Ended(Arc::new(firing))).expect("taken");
        assert_eq!(Alerts::kept_in(&store).to_tell().len(), 1);
        assert_eq!(store.entries::<Ended>().entries.len(), 0);
    }
}
