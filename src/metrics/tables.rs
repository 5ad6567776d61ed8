//! What comes and goes with a configuration.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::groups::GroupSeries;
use super::members::MemberSeries;
use super::pairs::PairSeries;
use super::series::Series;
use super::sets::SetSeries;
use super::standbys::StandbySeries;
use crate::model::TargetKey;

/// The series of all targets, and of what they belong to, in the order of the configuration.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) series: Vec<Series>,
    /// Where the series of each target are.
    places: HashMap<TargetKey, usize>,
    pub(super) sets: Vec<SetSeries>,
    pub(super) pairs: Vec<PairSeries>,
    pub(super) members: Vec<MemberSeries>,
    pub(super) standbys: Vec<StandbySeries>,
    pub(super) groups: Vec<GroupSeries>,
    /// Of all six: their first or last label tells them apart.
    labels: HashSet<Arc<str>>,
}

impl Tables {
    /// Whether no series have these labels yet; from now on, some do.
    pub(super) fn claim(&mut self, labels: &Arc<str>) -> bool {
        self.labels.insert(Arc::clone(labels))
    }

    /// Adds a target, the only one of its key.
    pub(super) fn add(&mut self, key: TargetKey, series: Series) {
        self.places.insert(key, self.series.len());
        self.series.push(series);
    }

    /// The series of a target.
    pub(super) fn target(&mut self, key: TargetKey) -> Option<&mut Series> {
        self.series.get_mut(*self.places.get(&key)?)
    }

    /// Takes the place of former tables. A target of the same key goes on counting, and so does a
    /// pair of the same labels; what is told of the others again and again is told anew.
    pub(super) fn succeed(&mut self, mut former: Self) {
        for (key, place) in &self.places {
            if let Some(series) = former.target(*key) {
                self.series[*place].take_over(series);
            }
        }
        let pairs = former.pairs.into_iter();
        let mut pairs: HashMap<_, _> = pairs.map(|of| (Arc::clone(&of.labels), of)).collect();
        for pair in &mut self.pairs {
            if let Some(former) = pairs.remove(&pair.labels) {
                pair.take_over(former);
            }
        }
    }
}

#[cfg(test)]
mod tests;
