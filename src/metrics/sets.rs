//! The series of a set: a group's members under one database probe.

use std::sync::Arc;

use super::buckets::{Buckets, VISIBILITY};
use super::engine::Engine;
use super::page::push_label;
use super::rows::{Subject, families};
use crate::model::{DatabaseSet, SetFigures, Suppressed, WriteFailure};

/// One set's figures.
#[derive(Debug)]
pub(super) struct SetSeries {
    /// The labels of every sample, rendered.
    pub(super) labels: Arc<str>,
    /// What the pairs of the set have in common.
    pub(super) engine: Engine,
    /// Bounds of the histograms of its pairs; none without a canary.
    pub(super) visibility: Option<Arc<Buckets>>,
    /// None before they are first told.
    pub(super) figures: Option<SetFigures>,
}

impl Subject for SetSeries {
    fn labels(&self) -> &str {
        &self.labels
    }
}

impl SetSeries {
    pub(super) fn new(set: &DatabaseSet) -> Result<Self, String> {
        let mut labels = String::new();
        push_label(&mut labels, "group", &set.group);
        push_label(&mut labels, "probe", &set.probe);
        push_label(&mut labels, "source_region", &set.source_region);
        let visibility = set.canary.then(|| Buckets::new(&VISIBILITY)).transpose()?;
        Ok(Self {
            labels: labels.into(),
            engine: Engine::of(set.kind),
            visibility: visibility.map(Arc::new),
            figures: None,
        })
    }

    /// A counter of the set's canary, if it has one: zero as long as nothing is told.
    fn counted(&self, count: impl Fn(&SetFigures) -> u64) -> Option<u64> {
        self.visibility.as_ref()?;
        Some(self.figures.as_ref().map_or(0, count))
    }
}

families! {
    of SetSeries;

    /// Members that their last run found writable: 1 is right, more is two primaries.
    Gauge writable_primaries: |s, rows| rows.value(s.figures.as_ref().map(|f| f.writable));

    /// The number of the newest canary that a server acknowledged.
    Gauge canary_acked_seq: |s, rows| if s.visibility.is_some() {
        rows.value(s.figures.as_ref().and_then(|f| f.canary_acked_seq));
    };

    /// Canaries that a server acknowledged.
    Counter canary_writes: |s, rows| if let Some(writes) = s.counted(|f| f.canary_writes) {
        rows.value(writes);
    };

    /// Canaries that were sent and not acknowledged, or refused, by reason.
    Counter canary_write_failures: |s, rows| {
        for (i, reason) in WriteFailure::ALL.into_iter().enumerate() {
            if let Some(count) = s.counted(|f| f.canary_failures[i]) {
                rows.with("reason", reason.as_str(), count);
            }
        }
    };

    /// Runs at which no canary was written to a member that might have had it, by reason.
    Counter canary_suppressed: |s, rows| {
        for (i, reason) in Suppressed::ALL.into_iter().enumerate() {
            if let Some(count) = s.counted(|f| f.canary_suppressed[i]) {
                rows.with("reason", reason.as_str(), count);
            }
        }
    };
}
