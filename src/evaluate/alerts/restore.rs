//! How alerts go on after a restart.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tracing::info;

use super::instance::next_start;
use super::kept::{self, KeptTimer};
use super::{Alerting, log};
use crate::model::{Alert, AlertState, Fingerprint, Labels, Mute, timestamp_seconds};
use crate::rule::{Machine, PlannedRule, Timer, WATCHDOG};

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
        let ended = self.book.to_tell();
        for alert in self.book.all() {
            let fingerprint = alert.fingerprint();
            let kept = timers.remove(&fingerprint);
            let Some(place) = places.get(&fingerprint) else {
                self.forget(kept.as_ref());
                if *alert.rule != *WATCHDOG {
                    // Who was not told that it fires need not hear of it now.
                    let muted = self.mutes.at(today).of(&alert).cloned();
                    self.end(&alert, muted, today);
                }
                continue;
            };
            let told = ended.get(&fingerprint);
            let start = told.and_then(|told| told.start_timestamp_seconds);
            self.instances[*place].start = start.unwrap_or_default();
            self.go_on(*place, &alert, kept, (now, today));
        }
        for kept in timers.values() {
            self.forget(Some(kept));
        }
    }

    fn forget(&self, kept: Option<&KeptTimer>) {
        if let Some(kept) = kept {
            kept::keep(&self.store, kept.alert, None);
        }
    }

    /// Sets the machine of an alert going where it was, and tells the book what the rule says now.
    fn go_on(
        &mut self,
        place: usize,
        alert: &Alert,
        kept: Option<KeptTimer>,
        (now, today): (Instant, SystemTime),
    ) {
        let instance = &mut self.instances[place];
        let active = alert.active_timestamp_seconds;
        let seen = match alert.state {
            AlertState::Pending => Timer::Pending {
                held_seconds: 0.0,
                seen: true,
            },
            AlertState::Firing => Timer::Firing {
                last_seconds: 0.0,
                seen: true,
            },
            AlertState::Resolved => return self.forget(kept.as_ref()),
        };
        // One of another state was to be forgotten when the daemon ended.
        let same =
            |kept: &KeptTimer| std::mem::discriminant(&kept.timer) == std::mem::discriminant(&seen);
        let (kept, left) = match kept {
            Some(kept) if same(&kept) => (Some(kept), None),
            left => (None, left),
        };
        instance.kept = kept.is_some();
        let (timer, since) =
            kept.map_or((seen, active), |kept| (kept.timer, kept.timestamp_seconds));
        let away = timestamp_seconds(today) - since;
        instance.machine = Machine::restored(timer, away, now);
        instance.active = Some(active);
        let rule = &self.rules[instance.rule()].rule;
        // What is not believed now is not to be counted against it again at the next start.
        let anew = instance.timer_to_keep(None, rule.timing, now);
        if let Some(timer) = anew.filter(|_| Machine::is_away_for_long(away)) {
            let timer = KeptTimer {
                alert: instance.fingerprint,
                timer,
                timestamp_seconds: timestamp_seconds(today),
            };
            kept::keep(&self.store, timer.alert, Some(&timer));
            instance.kept = true;
        }
        self.tell(rule, alert);
        self.forget(left.as_ref());
    }

    /// Has the receivers of the rule told of its alert from now on.
    pub(super) fn tell(&self, rule: &PlannedRule, alert: &Alert) {
        if alert.receivers != rule.receivers {
            self.book.put(Alert {
                receivers: rule.receivers.clone(),
                ..alert.clone()
            });
        }
    }

    /// Ends an alert whose rule, or what it was about, is gone.
    pub(super) fn end(&self, alert: &Alert, muted: Option<Mute>, today: SystemTime) {
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
                over.muted = muted;
                let start = alert.start_timestamp_seconds.unwrap_or_default();
                over.end_timestamp_seconds = Some(timestamp_seconds(today).max(start));
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
                self.end(&alert, None, today);
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
            None => Some(next_start(
                last.unwrap_or_default(),
                timestamp_seconds(today),
            )),
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
