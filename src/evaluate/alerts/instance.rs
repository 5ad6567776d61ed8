//! One rule's alert about one thing.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::{Ruled, Scope, View};
use crate::model::{Alert, AlertState, Fingerprint, Sample, TargetKey, timestamp_seconds};
use crate::readiness::rank::PastBatch;
use crate::rule::{
    About, Change, Machine, OfDaemon, OfGroup, OfStandby, OfTarget, Reading, Timer, Timing, Values,
    Watched,
};

/// A rule's alert about one thing, whether there is one now or not. There may be tens of thousands:
/// names are looked up when they are needed.
pub(super) struct Instance {
    rule: u32,
    condition: Condition,
    pub(super) fingerprint: Fingerprint,
    pub(super) machine: Machine,
    /// Since when the condition holds, in seconds since 1970.
    pub(super) active: Option<f64>,
    /// When the last episode began, in seconds since 1970; 0 before the first.
    pub(super) start: f64,
    /// Whether the store has a timer of it.
    pub(super) kept: bool,
}

/// A condition, and the place of what it is about.
enum Condition {
    Target(u32, Box<dyn OfTarget>),
    Standby(u32, u32, Box<dyn OfStandby>),
    Group(u32, Box<dyn OfGroup>),
    Daemon(Box<dyn OfDaemon>),
}

/// What an alert is made of.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) rule: &'a Ruled,
    pub(super) scope: &'a Scope,
    pub(super) reading: &'a Reading,
    pub(super) view: &'a View<'a>,
}

impl Condition {
    /// Takes over what the same condition has seen, whose place was another one.
    fn succeed(&mut self, former: Self) {
        match (self, former) {
            (Self::Target(_, condition), Self::Target(_, former)) => *condition = former,
            (Self::Standby(_, _, condition), Self::Standby(_, _, former)) => *condition = former,
            (Self::Group(_, condition), Self::Group(_, former)) => *condition = former,
            (Self::Daemon(condition), Self::Daemon(former)) => *condition = former,
            _ => {}
        }
    }
}

/// Those of the target in this place.
pub(super) fn of_target(rules: &[Ruled], scope: &Scope, place: usize) -> Vec<Instance> {
    let (Some((_, target)), Some(runs)) = (scope.targets.get(place), scope.runs.get(place)) else {
        return Vec::new();
    };
    let watched = Watched {
        target,
        shape: runs.shape,
        pace: runs.pace,
    };
    let rules = (0..).zip(rules);
    let instances = rules.filter_map(|(rule, ruled)| {
        let kind = ruled.rule.when.kind();
        let is_for = kind.scope().has_target(watched);
        let condition = is_for.then(|| kind.of_target(watched)).flatten()?;
        let condition = Condition::Target(number(place), condition);
        Some(Instance::new(rule, ruled, condition, scope))
    });
    instances.collect()
}

/// Those of all groups and standbys.
pub(super) fn of_groups(rules: &[Ruled], scope: &Scope) -> Vec<Instance> {
    let mut instances = Vec::new();
    for (rule, ruled) in (0..).zip(rules) {
        let kind = ruled.rule.when.kind();
        let groups = (0..).zip(&scope.groups);
        for (place, group) in groups.filter(|(_, group)| kind.scope().has_group(group)) {
            let of_group = kind.of_group(group);
            let of_group = of_group.map(|condition| Condition::Group(place, condition));
            let of_standbys = (0..number(group.standbys.len())).filter_map(|standby| {
                let condition = kind.of_standby(group)?;
                Some(Condition::Standby(place, standby, condition))
            });
            let conditions = of_group.into_iter().chain(of_standbys);
            instances.extend(conditions.map(|of| Instance::new(rule, ruled, of, scope)));
        }
    }
    instances
}

/// Those of the daemon.
pub(super) fn of_daemon(rules: &[Ruled], scope: &Scope) -> Vec<Instance> {
    let rules = (0..).zip(rules);
    let instances = rules.filter_map(|(rule, ruled)| {
        let condition = ruled.rule.when.kind().of_daemon()?;
        let condition = Condition::Daemon(condition);
        Some(Instance::new(rule, ruled, condition, scope))
    });
    instances.collect()
}

/// Places are fewer: the keys of targets have as many bits.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

impl Instance {
    fn new(rule: u32, ruled: &Ruled, condition: Condition, scope: &Scope) -> Self {
        let mut instance = Self {
            rule,
            condition,
            fingerprint: Fingerprint(0),
            machine: Machine::default(),
            active: None,
            start: 0.0,
            kept: false,
        };
        let labels = instance.labels(ruled, scope);
        instance.fingerprint = Fingerprint::of(&labels);
        instance
    }

    /// Takes over from the instance of the same alert, where the configuration was loaded anew. Its
    /// condition goes on if that is `same`.
    pub(super) fn succeed(&mut self, former: Self, same: bool) {
        self.machine = former.machine;
        self.active = former.active;
        self.start = former.start;
        self.kept = former.kept;
        if same {
            self.condition.succeed(former.condition);
        }
    }

    /// Whether it is about the same as the other one, and whether that is as it was.
    pub(super) fn is_about(&self, scope: &Scope, other: &Self, before: &Scope) -> bool {
        match (&self.condition, &other.condition) {
            (Condition::Target(ours, _), Condition::Target(theirs, _)) => {
                let key = |scope: &Scope, place: u32| scope.targets[place as usize].0;
                key(scope, *ours) == key(before, *theirs)
            }
            (Condition::Standby(ours, ..), Condition::Standby(theirs, ..))
            | (Condition::Group(ours, _), Condition::Group(theirs, _)) => {
                scope.groups[*ours as usize] == before.groups[*theirs as usize]
            }
            (Condition::Daemon(_), Condition::Daemon(_)) => true,
            _ => false,
        }
    }

    /// The place of its rule.
    pub(super) const fn rule(&self) -> usize {
        self.rule as usize
    }

    pub(super) const fn is_of_groups(&self) -> bool {
        matches!(
            self.condition,
            Condition::Standby(..) | Condition::Group(..)
        )
    }

    pub(super) fn observe(&mut self, sample: &Sample) {
        if let Condition::Target(_, condition) = &mut self.condition {
            condition.observe(sample);
        }
    }

    pub(super) fn remember(&mut self, past: &[PastBatch]) -> usize {
        match &mut self.condition {
            Condition::Target(_, condition) => condition.remember(past),
            _ => 0,
        }
    }

    pub(super) fn gathered(
        &mut self,
        scope: &Scope,
        now: (Instant, SystemTime),
    ) -> Option<(TargetKey, PastBatch)> {
        let Condition::Target(place, condition) = &mut self.condition else {
            return None;
        };
        let gathered = condition.gathered(now)?;
        Some((scope.targets[*place as usize].0, gathered))
    }

    /// Looks. Where the clocks cannot be trusted, nothing can be said but of the daemon itself.
    pub(super) fn read(&mut self, view: &View<'_>) -> Reading {
        let reading = match &mut self.condition {
            Condition::Daemon(condition) => {
                let today = timestamp_seconds(view.today);
                Some(condition.read(view.health, view.now, today))
            }
            _ if view.tilted => None,
            Condition::Target(_, condition) => Some(condition.read(view.now)),
            Condition::Standby(group, standby, condition) => {
                let report = view.reports.get(*group as usize);
                report.and_then(|group| {
                    let standby = group.standbys.get(*standby as usize)?;
                    Some(condition.read(group, standby, view.now))
                })
            }
            Condition::Group(group, condition) => {
                let report = view.reports.get(*group as usize);
                let past = view.past.get(*group as usize);
                let found = report.zip(past);
                found.map(|(group, past)| condition.read(group, past, view.now))
            }
        };
        reading.unwrap_or_default()
    }

    fn detail(&self, view: &View<'_>) -> Option<String> {
        match &self.condition {
            Condition::Target(_, condition) => condition.detail(),
            Condition::Standby(group, standby, condition) => {
                let group = view.reports.get(*group as usize)?;
                condition.detail(group, group.standbys.get(*standby as usize)?)
            }
            Condition::Group(group, condition) => {
                let report = view.reports.get(*group as usize)?;
                condition.detail(report, view.past.get(*group as usize)?)
            }
            Condition::Daemon(condition) => condition.detail(view.health),
        }
    }

    /// What it is about. Every place is one of the scope: it was made of it.
    fn about<'a>(&self, scope: &'a Scope) -> About<'a> {
        match self.condition {
            Condition::Target(place, _) => {
                let group = scope.runs[place as usize].group.as_ref();
                About::Target(&scope.targets[place as usize].1, group)
            }
            Condition::Standby(group, standby, _) => {
                let group = &scope.groups[group as usize];
                About::Standby {
                    group: &group.name,
                    standby: &group.standbys[standby as usize],
                }
            }
            Condition::Group(group, _) => About::Group(&scope.groups[group as usize].name),
            Condition::Daemon(_) => About::Daemon,
        }
    }

    fn labels(&self, rule: &Ruled, scope: &Scope) -> crate::model::Labels {
        let region = (!rule.shared).then_some(&scope.source_region);
        rule.rule.labels_of(self.about(scope), region)
    }

    fn alert(&self, state: AlertState, scene: &Scene<'_>) -> Alert {
        let active = self
            .active
            .unwrap_or_else(|| timestamp_seconds(scene.view.today));
        let Ruled {
            rule,
            measure,
            shared,
        } = scene.rule;
        let labels = self.labels(scene.rule, scene.scope);
        let values = Values {
            rule: &rule.name,
            severity: rule.severity.as_str(),
            what: &measure.what,
            about: self.about(scene.scope).to_string(),
            labels: &labels,
            value: scene.reading.value,
            threshold: scene.reading.threshold,
            beyond: measure.beyond,
            unit: measure.unit,
            source_region: &scene.scope.source_region,
            detail: self.detail(scene.view),
            since: active,
        };
        Alert {
            annotations: rule.annotations.of(&values),
            rule: Arc::clone(&rule.name),
            labels,
            state,
            active_timestamp_seconds: active,
            start_timestamp_seconds: (state != AlertState::Pending).then_some(self.start),
            end_timestamp_seconds: None,
            value: scene.reading.value,
            threshold: scene.reading.threshold,
            shared: *shared,
            receivers: rule.receivers.clone(),
            muted: None,
        }
    }

    /// The alert that is pending from now on.
    pub(super) fn pending(&mut self, scene: &Scene<'_>) -> Alert {
        self.active = Some(timestamp_seconds(scene.view.today));
        self.alert(AlertState::Pending, scene)
    }

    /// The alert that fires from now on.
    pub(super) fn firing(&mut self, scene: &Scene<'_>) -> Alert {
        let today = timestamp_seconds(scene.view.today);
        self.active = self.active.or(Some(today));
        self.start = next_start(self.start, today);
        self.alert(AlertState::Firing, scene)
    }

    /// The alert that is over from now on; `before`: as it fired.
    pub(super) fn over(&mut self, before: Option<&Alert>, scene: &Scene<'_>) -> Alert {
        let over = Alert {
            end_timestamp_seconds: Some(timestamp_seconds(scene.view.today).max(self.start)),
            // Whether anybody was to hear of it remains as it was.
            muted: before.and_then(|alert| alert.muted.clone()),
            ..self.alert(AlertState::Resolved, scene)
        };
        self.active = None;
        over
    }

    /// The timer that has to be kept after a look that changed something: see [`super::KeptTimer`].
    pub(super) fn timer_to_keep(
        &self,
        change: Option<Change>,
        timing: Timing,
        now: Instant,
    ) -> Option<Timer> {
        let keeps = match self.machine {
            Machine::Inactive => false,
            Machine::Pending { .. } => change.is_none(),
            Machine::Firing { seen, .. } => !seen && !timing.keep_firing.is_zero(),
        };
        self.machine.timer(now).filter(|_| keeps)
    }
}

/// When an episode begins that is not to begin together with the last one: with milliseconds, which
/// is what receivers tell times with.
pub(super) fn next_start(last: f64, today: f64) -> f64 {
    let start = (today * 1e3).round();
    let last = (last * 1e3).round();
    if start > last {
        start / 1e3
    } else {
        (last + 1.0) / 1e3
    }
}
