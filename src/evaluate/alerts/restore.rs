//! How alerts go on after a restart.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tracing::info;

use super::instance::next_start;
use super::kept::{self, KeptTimer};
use super::{Alerting, log};
use crate::evaluate::group::seconds;
use crate::model::{Alert, AlertState, Fingerprint, Labels};
use crate::rule::{Machine, Timer, WATCHDOG};

/// The annotation that says why an alert is over that was not seen to be.
const WHY: &str = "resolved_because";

impl Alerting {
    /// Lets every alert of the book go on, and ends those that nothing stands for any more.
    pub(super) fn restore(&mut self, now: Instant, today: SystemTime) {
        let places = self.instances.iter().enumerate();
        let places: HashMap<_, _> = places.map(|(at, of)| (of.fingerprint, at)).collect();
        let mut timers: HashMap<_, _> = self
            .store
            .entries::<KeptTimer>()
            .entries
            .into_iter()
            .map(|kept| (kept.alert, kept))
            .collect();
        for alert in self.book.all() {
            let fingerprint = alert.fingerprint();
            match places.get(&fingerprint) {
                Some(place) => self.go_on(*place, &alert),
                None if *alert.rule == *WATCHDOG => {}
                None => self.end(&alert, today),
            }
        }
        for alert in self.book.all() {
            let Some(place) = places.get(&alert.fingerprint()) else {
                continue;
            };
            let kept = timers.remove(&alert.fingerprint());
            self.start(*place, Some(&alert), kept, now, today);
        }
        for (fingerprint, kept) in timers {
            match places.get(&fingerprint) {
                Some(place) => self.start(*place, None, Some(kept), now, today),
                None => kept::keep(&self.store, fingerprint, None),
            }
        }
    }

    /// Takes over what the book says of an alert, and tells the book what the rule says now.
    fn go_on(&mut self, place: usize, alert: &Alert) {
        let instance = &mut self.instances[place];
        if alert.state != AlertState::Resolved {
            instance.active = Some(alert.active_timestamp_seconds);
        }
        instance.start = alert.start_timestamp_seconds.unwrap_or_default();
        let rule = &self.rules[instance.rule()].rule;
        if alert.state != AlertState::Resolved && alert.receivers != rule.receivers {
            self.book.put(Alert {
                receivers: rule.receivers.clone(),
                ..alert.clone()
            });
        }
    }

    /// Sets the machine going where it was. A timer that does not fit the book is one that was to
    /// be forgotten.
    fn start(
        &mut self,
        place: usize,
        alert: Option<&Alert>,
        kept: Option<KeptTimer>,
        now: Instant,
        today: SystemTime,
    ) {
        let instance = &mut self.instances[place];
        let fits = |kept: &KeptTimer| {
            let firing = matches!(kept.timer, Timer::Firing { .. });
            firing == alert.is_some_and(|alert| alert.state == AlertState::Firing)
        };
        let at = seconds(today);
        if let Some(kept) = kept.as_ref().filter(|kept| fits(kept)) {
            instance.machine = Machine::restored(kept.timer, at - kept.timestamp_seconds, now);
            instance.active = Some(kept.active_timestamp_seconds);
            instance.kept = true;
            return;
        }
        if kept.is_some() {
            kept::keep(&self.store, instance.fingerprint, None);
        }
        let timer = match alert.map(|alert| alert.state) {
            Some(AlertState::Pending) => Timer::Pending {
                held_seconds: 0.0,
                seen: true,
            },
            Some(AlertState::Firing) => Timer::Firing {
                last_seconds: 0.0,
                seen: true,
            },
            Some(AlertState::Resolved) | None => return,
        };
        let away = instance.active.map_or(0.0, |active| at - active);
        instance.machine = Machine::restored(timer, away, now);
    }

    /// Ends an alert whose rule, or what it was about, is gone.
    fn end(&self, alert: &Alert, today: SystemTime) {
        let fingerprint = alert.fingerprint();
        match alert.state {
            AlertState::Pending => {
                info!(alert = %alert.rule, %fingerprint, "not configured any more, and not pending");
                self.book.strike(fingerprint);
            }
            AlertState::Firing => {
                let mut over = alert.clone();
                let why = "the rule, or what it was about, is not in the configuration any more";
                over.annotations.insert(WHY.into(), why.into());
                over.state = AlertState::Resolved;
                let start = alert.start_timestamp_seconds.unwrap_or_default();
                over.end_timestamp_seconds = Some(seconds(today).max(start));
                info!(alert = %alert.rule, %fingerprint, why, "alert is over");
                self.book.put(over);
            }
            AlertState::Resolved => {}
        }
    }

    /// Has the alert fire that always does, if anybody is to be told.
    pub(super) fn watch(&self, receivers: &[Arc<str>], today: SystemTime) {
        let region = &self.scope.source_region;
        let labels = Labels::from([
            ("alertname".into(), WATCHDOG.into()),
            ("severity".into(), "none".into()),
            ("source_region".into(), Arc::clone(region)),
        ]);
        let ours = Fingerprint::of(&labels);
        for alert in self.book.all() {
            let foreign = alert.fingerprint() != ours || receivers.is_empty();
            if *alert.rule == *WATCHDOG && foreign {
                self.end(&alert, today);
            }
        }
        if receivers.is_empty() {
            return;
        }
        let before = self.book.get(ours);
        let firing = before.as_ref().filter(|a| a.state == AlertState::Firing);
        let last = before.as_ref().and_then(|a| a.start_timestamp_seconds);
        let start = match firing {
            Some(_) => last,
            None => Some(next_start(last.unwrap_or_default(), seconds(today))),
        };
        let alert = Alert {
            rule: WATCHDOG.into(),
            annotations: watchdog_says(region),
            labels,
            state: AlertState::Firing,
            active_timestamp_seconds: start.unwrap_or_default(),
            start_timestamp_seconds: start,
            end_timestamp_seconds: None,
            value: None,
            threshold: None,
            shared: false,
            receivers: Some(receivers.to_vec()),
            muted: None,
        };
        if before.as_deref() != Some(&alert) {
            log(&alert);
            self.book.put(alert);
        }
    }
}

fn watchdog_says(region: &str) -> BTreeMap<Arc<str>, Arc<str>> {
    let summary = format!("hotspare in {region} is there, and its alerts arrive");
    let description = format!(
        "This alert always fires. Where it is missed, hotspare in {region} is gone or its alerts do \
         not arrive."
    );
    BTreeMap::from([
        ("summary".into(), summary.into()),
        ("description".into(), description.into()),
        ("source_region".into(), region.into()),
    ])
}
