//! Windows for tests, made as the daemon makes them: run by run.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::{Batches, Grid, Window};
use crate::model::ranking::Quantile;

/// From run to run.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

/// Runs of a batch of five minutes.
const RUNS: u32 = 30;

/// What a window is to be: a median for each batch, and how many of its 30 runs failed.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// Milliseconds; infinite where every run fails.
    pub(super) millis: Vec<f64>,
    /// Of the batches; none where it is shorter.
    pub(super) failed: Vec<u32>,
    /// How many of the batches are left out at the start.
    pub(super) first: usize,
}

/// When the first batch begins, the same for all tests.
pub(super) fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    *ORIGIN.get_or_init(Instant::now)
}

/// The grid of all windows of tests.
pub(super) fn grid() -> Grid {
    Grid::new(origin(), Quantile::Median, INTERVAL)
}

/// When a batch begins.
fn beginning(batch: usize) -> Instant {
    origin() + grid().length() * u32::try_from(batch).unwrap()
}

/// The window of a shape.
pub(super) fn window(shape: &Shape) -> Window {
    let mut batches = Batches::new(grid());
    for (index, millis) in shape.millis.iter().enumerate().skip(shape.first) {
        let failed = shape.failed.get(index).copied().unwrap_or(0);
        for run in 0..RUNS {
            let at = beginning(index) + INTERVAL * run;
            let answered = run >= failed && millis.is_finite();
            let latency = answered.then(|| Duration::from_secs_f64(millis / 1e3));
            batches.record(at, latency);
        }
    }
    batches.window(beginning(shape.millis.len()))
}
