//! How a group goes on with another configuration.
//!
//! What was seen says something of the targets that it was seen of, and of no others. A check of which
//! all that is looked at is the same goes on; what has changed begins anew.

use std::collections::HashSet;
use std::time::{Instant, SystemTime};

use super::candidate::Candidate;
use super::reach::Reach;
use super::{Brief, Group, Witness};
use crate::evaluate::set::Set;
use crate::model::TargetKey;

/// What of a probe is as it was, for one standby.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    /// Where the probe was.
    pub(super) place: usize,
    /// Whether it looks at the same targets of the standby.
    pub(super) standby: bool,
    /// Whether it looks at the same targets in the configured primary's region.
    pub(super) primary: bool,
    /// Whether it looks at the same targets everywhere.
    pub(super) everywhere: Everywhere,
}

/// Whether a probe looks at the same targets in all regions of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Everywhere {
    /// It does.
    Same,
    /// Not at all of them, but at those that serve.
    Serving,
    /// One that served is gone.
    Gone,
}

impl Kept {
    /// Whether what lies between the standby and the primary is what it was.
    pub(super) fn pair(self) -> bool {
        self.standby && self.everywhere != Everywhere::Gone
    }
}

impl Group {
    /// Takes over from the group as it was before the configuration was loaded anew.
    ///
    /// What is known without a run holds at once: a hold that is new keeps a standby from being ready
    /// from the moment at which it is in force.
    pub(in crate::evaluate) fn succeed(
        &mut self,
        mut former: Self,
        (now, today): (Instant, SystemTime),
    ) {
        if self.brief.is_as(&former.brief) {
            std::mem::swap(&mut self.brief, &mut former.brief);
            *self = former;
            return;
        }
        let (brief, before) = (&self.brief, &former.brief);
        let mut candidates: Vec<_> = former.standbys.into_iter().enumerate().collect();
        let standbys = self.standbys.iter_mut().enumerate();
        let go_on: Vec<_> = standbys
            .map(|(place, standby)| {
                let mut others = candidates.iter();
                let is_it = |(_, of): &(usize, Candidate)| of.region() == standby.region();
                let Some(at) = others.position(is_it) else {
                    return false;
                };
                let (at, former_standby) = candidates.swap_remove(at);
                let probes = brief.probes.iter();
                let kept = probes.map(|of| kept((of, place), (before, at), &former.reaches));
                standby.succeed(former_standby, &kept.collect::<Vec<_>>(), now)
            })
            .collect();
        for (probe, reach) in brief.probes.iter().zip(&mut self.reaches) {
            let mut others = before.probes.iter().zip(&former.reaches);
            if let Some((_, former)) = others.find(|(other, _)| other.name == probe.name) {
                reach.succeed(former);
            }
        }
        let same_path = brief.user_path == before.user_path;
        self.past.succeed(former.past, same_path);
        self.ranking.succeed(former.ranking, &go_on);
        self.tilted_until = former.tilted_until;
        for standby in &mut self.standbys {
            standby.tick(&self.brief, &self.past, now, today);
        }
    }

    /// Takes in where the primary of a database was when it was last confirmed.
    pub(in crate::evaluate) fn serves(&mut self, set: &Set) {
        let Some((region, target)) = set.primary_region().zip(set.primary_target()) else {
            return;
        };
        let name = &set.named().probe;
        self.past.primary_is(name, region);
        for (probe, reach) in self.brief.probes.iter().zip(&mut self.reaches) {
            if probe.name == *name && !probe.pairs.is_empty() {
                reach.serves(target);
            }
        }
    }
}

/// What of a probe is as it was, for the standby that has this place now and had that one before.
/// `None`: it is new.
fn kept(
    (probe, place): (&Witness, usize),
    (before, at): (&Brief, usize),
    reaches: &[Reach],
) -> Option<Kept> {
    let mut probes = before.probes.iter();
    let of = probes.position(|former| former.name == probe.name)?;
    let former = &before.probes[of];
    let targets = probe.targets();
    let mut serving = reaches[of].serving().iter();
    let everywhere = if targets == former.targets() {
        Everywhere::Same
    } else if serving.all(|key| targets.contains(key)) {
        Everywhere::Serving
    } else {
        Everywhere::Gone
    };
    Some(Kept {
        place: of,
        standby: probe.standbys[place] == former.standbys[at],
        primary: probe.primary == former.primary,
        everywhere,
    })
}

impl Brief {
    /// Whether it is the same but for the places of its pairs, which another configuration gives anew.
    fn is_as(&self, other: &Self) -> bool {
        let without_pairs = |brief: &Self| {
            let mut brief = brief.clone();
            for probe in &mut brief.probes {
                probe.pairs.truncate(0);
            }
            brief
        };
        let pairs = |brief: &Self| -> Vec<_> {
            let probes = brief.probes.iter();
            probes.map(|probe| probe.pairs.len()).collect()
        };
        pairs(self) == pairs(other) && without_pairs(self) == without_pairs(other)
    }
}

impl Witness {
    fn targets(&self) -> HashSet<TargetKey> {
        let standbys = self.standbys.iter().flatten();
        self.primary.iter().chain(standbys).copied().collect()
    }
}
