//! The past of the targets for the server.

use std::sync::Arc;

use crate::model::{LastRun, MatrixReport, SamplesReport, Span};
use crate::server::{self, NoSuch};

/// Nothing is kept yet.
pub(super) struct Nothing;

impl server::History for Nothing {
    fn last(&self, _: &str, _: &str) -> Option<LastRun> {
        None
    }

    fn samples(&self, _: &str, _: &str, _: Span) -> Result<SamplesReport, NoSuch> {
        Err(NoSuch::Probe(Vec::new()))
    }

    fn matrix(&self) -> Arc<MatrixReport> {
        Arc::new(MatrixReport {
            source_region: "".into(),
            timestamp_seconds: 0.0,
            line_step_seconds: 60,
            probes: Vec::new(),
        })
    }
}
