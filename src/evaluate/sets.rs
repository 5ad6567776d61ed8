//! The sets of all groups, by the targets that are members of them.

use std::collections::HashMap;
use std::sync::Arc;

use super::set::Set;
use crate::model::TargetKey;

/// All sets.
#[derive(Debug)]
pub(super) struct Sets {
    all: Vec<Set>,
    /// The sets that a target is a member of.
    of: HashMap<TargetKey, Vec<usize>>,
    /// The first number that no canary of this life of the daemon had before these sets.
    numbered: u64,
}

impl Sets {
    pub(super) fn new(all: Vec<Set>) -> Self {
        let mut of: HashMap<TargetKey, Vec<usize>> = HashMap::new();
        for (index, set) in all.iter().enumerate() {
            for target in set.targets() {
                of.entry(target).or_default().push(index);
            }
        }
        Self {
            all,
            of,
            numbered: 0,
        }
    }

    /// Every set.
    pub(super) fn all(&mut self) -> &mut [Set] {
        &mut self.all
    }

    /// Looks at those that the target is a member of.
    pub(super) fn of(&mut self, target: TargetKey, mut look: impl FnMut(&mut Set)) {
        for place in self.of.get(&target).into_iter().flatten() {
            look(&mut self.all[*place]);
        }
    }

    /// These take the place of those that there are: a set of the same group and probe goes on as
    /// far as it is about the same targets, and others write no canary any more.
    pub(super) fn succeed(&mut self, all: Vec<Set>) {
        let former = std::mem::replace(self, Self::new(all));
        // A number that came twice would be taken for what it was the first time: a set may come back,
        // or another one may have its table.
        let next = former.all.iter().map(Set::next_number).max();
        self.numbered = former.numbered.max(next.unwrap_or_default());
        let mut former: HashMap<_, _> = former
            .all
            .into_iter()
            .map(|set| (name(&set), set))
            .collect();
        for set in &mut self.all {
            set.number_from(self.numbered);
            if let Some(former) = former.remove(&name(set)) {
                set.succeed(former);
            }
        }
        for set in former.values() {
            set.withdraw();
        }
    }
}

/// What tells a set from every other.
fn name(set: &Set) -> (Arc<str>, Arc<str>) {
    let named = set.named();
    (Arc::clone(&named.group), Arc::clone(&named.probe))
}
