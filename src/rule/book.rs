//! The book of alerts: every alert that is pending, fires, or is over and not told to everybody yet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    alerts: Mutex<BTreeMap<Fingerprint, Arc<Alert>>>,
    store: Store,
    version: watch::Sender<u64>,
}

impl Alerts {
    /// The book with the alerts that the store has kept.
    pub fn kept_in(store: &Store) -> Self {
        let found = store.entries::<Alert>();
        if let Some((id, why)) = found.unreadable.first() {
            let entries = found.unreadable.len();
            error!(
                entries,
                id, why, "alerts of another version cannot be read; they are left as they are"
            );
        }
        let alerts = found.entries.into_iter();
        let alerts = alerts.map(|mut alert| {
            // What mutes it is found anew.
            alert.muted = None;
            (alert.fingerprint(), Arc::new(alert))
        });
        Self {
            shared: Arc::new(Shared {
                alerts: Mutex::new(alerts.collect()),
                store: store.clone(),
                version: watch::Sender::default(),
            }),
        }
    }

    /// Every alert, in the order of the fingerprints.
    pub fn all(&self) -> Vec<Arc<Alert>> {
        self.lock().values().map(Arc::clone).collect()
    }

    /// The alert with this fingerprint.
    pub fn get(&self, fingerprint: Fingerprint) -> Option<Arc<Alert>> {
        self.lock().get(&fingerprint).map(Arc::clone)
    }

    /// Tells when anything has changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.version.subscribe()
    }

    /// Writes an alert down, in the place of the one with its labels.
    pub fn put(&self, alert: Alert) {
        let mut alerts = self.lock();
        if let Err(error) = self.shared.store.put(&alert) {
            error!(alert = %alert.rule, %error, "an alert is kept in memory only");
        }
        alerts.insert(alert.fingerprint(), Arc::new(alert));
        self.changed(alerts);
    }

    /// Says why nobody is told that the alert fires, or that nothing speaks against it any more.
    /// It is found anew after a restart and not kept.
    pub fn mute(&self, fingerprint: Fingerprint, mute: Option<Mute>) {
        let mut alerts = self.lock();
        let Some(alert) = alerts.get_mut(&fingerprint) else {
            return;
        };
        if alert.muted == mute {
            return;
        }
        Arc::make_mut(alert).muted = mute;
        self.changed(alerts);
    }

    /// Strikes out an alert that was pending and came to nothing.
    pub fn strike(&self, fingerprint: Fingerprint) {
        self.remove_if(fingerprint, |alert| alert.state == AlertState::Pending);
    }

    /// Forgets an alert that is over and that everybody was told of, unless it fires again by now.
    pub fn settle(&self, told: &Alert) {
        self.remove_if(told.fingerprint(), |alert| {
            alert.state == AlertState::Resolved
                && alert.start_timestamp_seconds == told.start_timestamp_seconds
        });
    }

    fn remove_if(&self, fingerprint: Fingerprint, is_so: impl Fn(&Alert) -> bool) {
        let mut alerts = self.lock();
        if !alerts.get(&fingerprint).is_some_and(|alert| is_so(alert)) {
            return;
        }
        if let Err(error) = self.shared.store.remove::<Alert>(&fingerprint.to_string()) {
            error!(%fingerprint, %error, "an alert that is over is not forgotten on disk");
        }
        alerts.remove(&fingerprint);
        self.changed(alerts);
    }

    fn changed(&self, alerts: MutexGuard<'_, BTreeMap<Fingerprint, Arc<Alert>>>) {
        drop(alerts);
        self.shared.version.send_modify(|version| *version += 1);
    }

    /// Nothing is left half done by a panic while the lock was held: it is held for steps that
    /// cannot.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Fingerprint, Arc<Alert>>> {
        let alerts = self.shared.alerts.lock();
        alerts.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
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
}
