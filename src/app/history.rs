//! The past of the targets for the server.

use std::sync::Arc;
use std::time::SystemTime;

use crate::evaluate::History;
use crate::model::{LastRun, MatrixReport, NoSuch, SamplesReport, Span};
use crate::server;

/// The past, as the server knows it.
pub(super) struct Past(pub(super) Arc<History>);

impl server::History for Past {
    fn last(&self, probe: &str, target: &str) -> Option<LastRun> {
        self.0.last(probe, target)
    }

    fn samples(&self, probe: &str, target: &str, span: Span) -> Result<SamplesReport, NoSuch> {
        self.0.samples(probe, target, span, SystemTime::now())
    }

    fn matrix(&self) -> Arc<MatrixReport> {
        self.0.matrix(SystemTime::now())
    }
}
