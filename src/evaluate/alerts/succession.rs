//! How alerts go on with another configuration.

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::time::{Instant, SystemTime};

use super::instance::Instance;
use super::kept::{self, KeptTimer};
use super::mutes::Dependencies;
use super::{Alerting, Ruled, Ruleset, Scope};
use crate::model::{AlertState, Fingerprint, timestamp_seconds};

/// What there was before.
struct Former {
    rules: Vec<Ruled>,
    scope: Scope,
    instances: BTreeMap<Fingerprint, Instance>,
}

impl Alerting {
    /// Takes over from what was configured before. An alert with the same labels goes on, with its
    /// times; its condition too, if the rule asks the same and what it is about is as it was. Those
    /// that nothing stands for any more are over.
    pub(in crate::evaluate) fn succeed(
        &mut self,
        ruleset: Ruleset,
        (now, today): (Instant, SystemTime),
    ) {
        let rules: Vec<_> = ruleset.rules.into_iter().map(Ruled::new).collect();
        self.dependencies = Dependencies::new(&rules);
        self.mutes.plan(ruleset.maintenance);
        let instances = mem::take(&mut self.instances).into_iter();
        let mut former = Former {
            rules: mem::replace(&mut self.rules, rules),
            scope: mem::replace(&mut self.scope, ruleset.scope),
            instances: instances.map(|of| (of.fingerprint, of)).collect(),
        };
        self.of_target = HashMap::new();
        self.open();
        let told = self.book.to_tell();
        for place in 0..self.instances.len() {
            let fingerprint = self.instances[place].fingerprint;
            if let Some(instance) = former.instances.remove(&fingerprint) {
                self.take_over(place, instance, &former, (now, today));
            } else if let Some(told) = told.get(&fingerprint) {
                // One that comes back while it is still to be told that it was over.
                let start = told.start_timestamp_seconds;
                self.instances[place].start = start.unwrap_or_default();
            }
        }
        for (fingerprint, gone) in former.instances {
            if gone.kept {
                kept::keep(&self.store, fingerprint, None);
            }
            if let Some(alert) = self.book.get(fingerprint) {
                // Whether anybody was to hear of it remains as it was.
                self.end(&alert, alert.muted.clone(), today);
            }
        }
        self.watch(&ruleset.watchdog, today);
        self.mute(true, Vec::new(), today);
    }

    fn take_over(
        &mut self,
        place: usize,
        instance: Instance,
        former: &Former,
        (now, today): (Instant, SystemTime),
    ) {
        let ours = &mut self.instances[place];
        let (rule, before) = (
            &self.rules[ours.rule()].rule,
            &former.rules[instance.rule()].rule,
        );
        let same = rule.when == before.when && ours.is_about(&self.scope, &instance, &former.scope);
        ours.succeed(instance, same);
        if rule.timing != before.timing {
            let kept = ours.timer_to_keep(None, rule.timing, now);
            let kept = kept.map(|timer| KeptTimer {
                alert: ours.fingerprint,
                timer,
                timestamp_seconds: timestamp_seconds(today),
            });
            if kept.is_some() || ours.kept {
                kept::keep(&self.store, ours.fingerprint, kept.as_ref());
            }
            ours.kept = kept.is_some();
        }
        let alert = self.book.get(ours.fingerprint);
        if let Some(alert) = alert.filter(|alert| alert.state != AlertState::Resolved) {
            self.tell(rule, &alert);
        }
    }
}
