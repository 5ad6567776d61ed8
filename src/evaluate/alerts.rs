//! The alerts of the rules: one for each rule and each thing that it is for.

mod instance;
mod kept;
mod mutes;
mod restore;
mod succession;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tracing::info;

use self::instance::{Instance, Scene};
use self::kept::KeptTimer;
use self::mutes::Dependencies;
use crate::model::{
    Alert, AlertState, Fingerprint, GroupReport, Mute, PastFigures, PlannedGroup, Sample, Shape,
    Target, TargetKey, timestamp_seconds,
};
use crate::readiness::rank::PastBatch;
use crate::rule::{
    Alerts, Change, Health, Maintenance, Measure, Mutes, Muting, Pace, PlannedRule, Reading,
    Silences,
};
use crate::store::Store;

/// What the rules look at, as it is planned.
#[derive(Debug)]
pub struct Scope {
    /// The region of this daemon.
    pub source_region: Arc<str>,
    /// The targets.
    pub targets: Vec<(TargetKey, Target)>,
    /// What is known of their runs beforehand, in the same order.
    pub runs: Vec<Runs>,
    /// The groups, in the order in which they are reported.
    pub groups: Vec<PlannedGroup>,
}

/// What is known of a target's runs beforehand.
#[derive(Clone, Debug)]
pub struct Runs {
    /// What they can bring.
    pub shape: Shape,
    /// How often they are.
    pub pace: Pace,
    /// The group that the target belongs to, if that is exactly one.
    pub group: Option<Arc<str>>,
}

/// What is an alert, and who is told, as the configuration has it.
#[derive(Debug)]
pub struct Ruleset {
    /// When something is.
    pub rules: Vec<PlannedRule>,
    /// What the rules look at.
    pub scope: Scope,
    /// The receivers of the alert that always fires.
    pub watchdog: Vec<Arc<str>>,
    /// When nobody is told.
    pub maintenance: Vec<Maintenance>,
}

/// What the rules look at once a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    /// When.
    pub(super) now: Instant,
    /// When on the wall clock.
    pub(super) today: SystemTime,
    /// Whether the clocks cannot be trusted.
    pub(super) tilted: bool,
    /// What is said of the groups, if a rule wants to know.
    pub(super) reports: &'a [GroupReport],
    /// What happened to them.
    pub(super) past: &'a [PastFigures],
    /// What the daemon knows of itself.
    pub(super) health: &'a Health,
}

/// A rule, with what its kind says of it.
#[derive(Debug)]
struct Ruled {
    rule: PlannedRule,
    measure: Measure,
    shared: bool,
}

/// Every rule's alerts: looks at the conditions, and writes in the book what changes.
///
/// What is measured is never touched by what mutes an alert, nor is its end.
pub struct Alerting {
    scope: Scope,
    rules: Vec<Ruled>,
    /// Those on targets come first, in the order of the targets.
    instances: Vec<Instance>,
    /// Where those of each target are.
    of_target: HashMap<TargetKey, Range<usize>>,
    book: Alerts,
    store: Store,
    mutes: Mutes,
    /// What of them holds.
    muting: Muting,
    dependencies: Dependencies,
    /// What mutes the alerts that fire, by what they depend on.
    muted: HashMap<Fingerprint, Mute>,
    /// When the conditions were last looked at.
    looked: Instant,
}

impl Alerting {
    /// The alerts of the rules as of `now`, which is `today` on the wall clock: those of the book go
    /// on where they were, and those that nothing stands for any more are over.
    ///
    /// Every alert of the book is muted or not when this returns.
    pub fn new(
        ruleset: Ruleset,
        (book, store): (Alerts, &Store),
        silences: Silences,
        (now, today): (Instant, SystemTime),
    ) -> Self {
        let Ruleset {
            rules,
            scope,
            watchdog,
            maintenance,
        } = ruleset;
        let rules: Vec<_> = rules.into_iter().map(Ruled::new).collect();
        let mut alerting = Self {
            dependencies: Dependencies::new(&rules),
            instances: Vec::new(),
            of_target: HashMap::new(),
            rules,
            scope,
            book,
            store: store.clone(),
            mutes: Mutes::new(maintenance, silences),
            muting: Muting::default(),
            muted: HashMap::new(),
            looked: now,
        };
        alerting.open();
        alerting.restore(now, today);
        alerting.watch(&watchdog, today);
        alerting.mute(true, Vec::new(), today);
        alerting
    }

    /// Opens the conditions.
    fn open(&mut self) {
        let (rules, scope) = (&self.rules, &self.scope);
        for (place, (key, _)) in scope.targets.iter().enumerate() {
            let begin = self.instances.len();
            let instances = instance::of_target(rules, scope, place);
            self.instances.extend(instances);
            self.of_target.insert(*key, begin..self.instances.len());
        }
        self.instances.extend(instance::of_groups(rules, scope));
        self.instances.extend(instance::of_daemon(rules, scope));
    }

    /// Whether a rule looks at what is said of groups.
    pub(super) fn wants_groups(&self) -> bool {
        self.instances.iter().rev().any(Instance::is_of_groups)
    }

    /// Takes in a run.
    pub(super) fn observe(&mut self, sample: &Sample) {
        for instance in of(&self.of_target, &mut self.instances, sample.target) {
            instance.observe(sample);
        }
    }

    /// Tells the conditions on a target what was gathered of it in earlier lives, before its first run; how
    /// much of that is of use.
    pub(super) fn remember(&mut self, target: TargetKey, past: &[PastBatch]) -> usize {
        let instances = of(&self.of_target, &mut self.instances, target);
        let useful = instances.iter_mut().map(|instance| instance.remember(past));
        useful.max().unwrap_or(0)
    }

    /// What the last look has completed for the next life. Of a time at which the clocks cannot be
    /// trusted, nobody knows when it was.
    pub(super) fn gathered(&mut self, view: &View<'_>) -> Vec<(TargetKey, PastBatch)> {
        if view.tilted {
            return Vec::new();
        }
        let (scope, now) = (&self.scope, (view.now, view.today));
        let instances = self.instances.iter_mut();
        let gathered = instances.filter_map(|instance| instance.gathered(scope, now));
        gathered.collect()
    }

    /// Looks at every condition. It is due once a second.
    pub(super) fn second(&mut self, view: &View<'_>) {
        let mut changed = Vec::new();
        for (place, instance) in self.instances.iter_mut().enumerate() {
            let reading = instance.read(view);
            let rule = &self.rules[instance.rule()];
            let before = instance.machine;
            let machine = &mut instance.machine;
            let change = machine.step(rule.rule.timing, reading.holds, view.now);
            let turned = before.is_seen() != machine.is_seen();
            if change.is_some() || turned || machine.is_long(&before, self.looked, view.now) {
                changed.push((place, change, reading));
            }
        }
        self.looked = view.now;
        let put: Vec<_> = changed
            .into_iter()
            .filter_map(|(place, change, reading)| self.changed(place, change, &reading, view))
            .collect();
        let anew = put.iter().any(|alert| alert.state != AlertState::Pending);
        self.mute(anew, put, view.today);
    }

    /// Writes down what a look changed; the alert as it is now, if it is another one.
    fn changed(
        &mut self,
        place: usize,
        change: Option<Change>,
        reading: &Reading,
        view: &View<'_>,
    ) -> Option<Alert> {
        let instance = &mut self.instances[place];
        let fingerprint = instance.fingerprint;
        let scene = Scene {
            rule: &self.rules[instance.rule()],
            scope: &self.scope,
            reading,
            view,
        };
        let alert = match change {
            Some(Change::Pending) => Some(instance.pending(&scene)),
            Some(Change::Firing) => Some(instance.firing(&scene)),
            Some(Change::Over) => {
                let before = self.book.get(fingerprint);
                Some(instance.over(before.as_deref(), &scene))
            }
            Some(Change::Withdrawn) => {
                instance.active = None;
                self.book.strike(fingerprint);
                None
            }
            None => None,
        };
        let timing = scene.rule.rule.timing;
        let kept = instance.timer_to_keep(change, timing, view.now);
        let kept = kept.map(|timer| KeptTimer {
            alert: fingerprint,
            timer,
            timestamp_seconds: timestamp_seconds(view.today),
        });
        if kept.is_some() || instance.kept {
            kept::keep(&self.store, fingerprint, kept.as_ref());
        }
        instance.kept = kept.is_some();
        if let Some(alert) = &alert {
            log(alert);
        }
        alert
    }

    /// Puts the alerts into the book that are other ones now, and sees to it that those that fire
    /// are muted or not. `anew`: other alerts fire than before, or fewer.
    fn mute(&mut self, anew: bool, put: Vec<Alert>, today: SystemTime) {
        let muting = self.mutes.at(today);
        let idle = muting == self.muting && !anew;
        self.muting = muting;
        let mut firing = Vec::new();
        if !idle {
            let replaced: std::collections::HashSet<_> =
                put.iter().map(Alert::fingerprint).collect();
            firing = self.book.all();
            firing.retain(|alert| {
                alert.state == AlertState::Firing && !replaced.contains(&alert.fingerprint())
            });
        }
        if anew {
            let begin = put.iter().filter(|alert| alert.state == AlertState::Firing);
            let all = firing.iter().map(|alert| &**alert).chain(begin);
            self.muted = self.dependencies.mutes(&all.collect::<Vec<_>>());
        }
        for mut alert in put {
            if alert.state == AlertState::Firing {
                alert.muted = self.mute_of(&alert);
            }
            self.book.put(alert);
        }
        for alert in firing {
            let mute = self.mute_of(&alert);
            if alert.muted != mute {
                self.book.mute(alert.fingerprint(), mute);
            }
        }
    }

    /// What mutes an alert that fires. What tells that alerts arrive is never muted.
    fn mute_of(&self, alert: &Alert) -> Option<Mute> {
        if *alert.rule == *crate::rule::WATCHDOG {
            return None;
        }
        let by_operator = self.muting.of(alert);
        by_operator
            .or_else(|| self.muted.get(&alert.fingerprint()))
            .cloned()
    }
}

impl std::fmt::Debug for Alerting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alerting")
            .field("rules", &self.rules)
            .field("instances", &self.instances.len())
            .finish_non_exhaustive()
    }
}

impl Ruled {
    fn new(rule: PlannedRule) -> Self {
        let kind = rule.when.kind();
        Self {
            measure: kind.measure(),
            shared: kind.shared(),
            rule,
        }
    }
}

/// The instances of a target.
fn of<'a>(
    places: &HashMap<TargetKey, Range<usize>>,
    instances: &'a mut [Instance],
    target: TargetKey,
) -> &'a mut [Instance] {
    let place = places.get(&target).cloned().unwrap_or_default();
    instances.get_mut(place).unwrap_or_default()
}

/// One line for each time that an alert begins to fire, and for its end.
fn log(alert: &Alert) {
    if alert.state == AlertState::Pending {
        return;
    }
    let summary = alert.annotations.get("summary").map(|text| &**text);
    info!(
        alert = %alert.rule,
        fingerprint = %alert.fingerprint(),
        state = alert.state.as_str(),
        summary = summary.unwrap_or_default(),
        "alert"
    );
}

#[cfg(test)]
mod tests;
