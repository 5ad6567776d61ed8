//! Which alerts are muted by those that they depend on.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Ruled;
use crate::model::{Alert, Fingerprint, Mute};

/// The labels that have to agree, where both alerts have them.
const NAMES: [&str; 5] = ["group", "standby", "probe", "target_region", "target"];

/// What an alert is about, by those labels.
type Key = [Option<Arc<str>>; NAMES.len()];

/// Which of those labels there are, a bit each.
type Mask = u8;

/// Which rules depend on which.
#[derive(Debug)]
pub(super) struct Dependencies {
    of: HashMap<Arc<str>, Vec<Arc<str>>>,
}

/// The alerts of a rule that fire, by the labels that they have. Those of one rule mostly have the
/// same, so that what agrees is found without looking through them all.
#[derive(Default)]
struct Firing<'a> {
    keys: HashMap<(&'a str, Mask), Vec<Key>>,
    /// The keys of a rule that have these labels, cut to those others.
    cut: HashMap<(&'a str, Mask, Mask), HashSet<Key>>,
}

impl Dependencies {
    pub(super) fn new(rules: &[Ruled]) -> Self {
        let of = rules.iter().map(|ruled| &ruled.rule);
        let of = of.filter(|rule| !rule.depends_on.is_empty());
        Self {
            of: of
                .map(|rule| (Arc::clone(&rule.name), rule.depends_on.clone()))
                .collect(),
        }
    }

    /// What mutes which of these alerts, which all fire.
    pub(super) fn mutes(&self, firing: &[&Alert]) -> HashMap<Fingerprint, Mute> {
        let mut mutes = HashMap::new();
        if self.of.is_empty() {
            return mutes;
        }
        let wanted: HashSet<_> = self.of.values().flatten().collect();
        let mut others = Firing::default();
        for alert in firing.iter().filter(|alert| wanted.contains(&alert.rule)) {
            let key = key(alert);
            let place = (&*alert.rule, mask(&key));
            others.keys.entry(place).or_default().push(key);
        }
        for alert in firing {
            let of = self.of.get(&alert.rule).into_iter().flatten();
            let key = key(alert);
            let mut of = of.filter(|name| **name != alert.rule);
            if let Some(name) = of.find(|name| others.agrees(name, &key)) {
                mutes.insert(alert.fingerprint(), Mute::Dependency(Arc::clone(name)));
            }
        }
        mutes
    }
}

impl<'a> Firing<'a> {
    /// Whether an alert of the rule agrees on every label that both have, and there is one.
    fn agrees(&mut self, rule: &'a str, key: &Key) -> bool {
        let all: Mask = 1 << NAMES.len();
        (0..all).any(|theirs| {
            let Some(keys) = self.keys.get(&(rule, theirs)) else {
                return false;
            };
            let ours = mask(key);
            let both = theirs & ours;
            // Without one, they are about different things, unless one is about the daemon.
            if both == 0 && theirs != 0 && ours != 0 {
                return false;
            }
            let cut = self.cut.entry((rule, theirs, both));
            let cut = cut.or_insert_with(|| keys.iter().map(|key| cut_to(key, both)).collect());
            cut.contains(&cut_to(key, both))
        })
    }
}

fn key(alert: &Alert) -> Key {
    NAMES.map(|name| alert.labels.get(name).cloned())
}

fn mask(key: &Key) -> Mask {
    let labels = key.iter().enumerate();
    labels.fold(0, |mask, (bit, label)| {
        mask | (Mask::from(label.is_some()) << bit)
    })
}

fn cut_to(key: &Key, mask: Mask) -> Key {
    let mut key = key.clone();
    for (bit, label) in key.iter_mut().enumerate() {
        if mask & (1 << bit) == 0 {
            *label = None;
        }
    }
    key
}
