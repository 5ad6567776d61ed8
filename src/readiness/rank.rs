//! Which standby is best, and how sure that is.
//!
//! Two candidates that are equal must share a rank, and stay there: a "winner" by the plain median
//! of what was measured is a coin flip between equals, and changes its mind. So latencies are
//! gathered in [`Batches`] of at least five minutes, two candidates are [compared](compare()) batch
//! by batch, and one comes before the other only where a confidence interval says so and the
//! difference matters. The [`order`](order()) puts what matters more first: whether a candidate is
//! ready, what would be lost, how long it would take; and [`Published`] lets only a lasting order
//! through.

mod batches;
mod compare;
mod order;
mod published;
mod rto;
#[cfg(test)]
mod simulation;
mod table;
#[cfg(test)]
mod test_windows;

pub use batches::{Batch, Batches, Grid, PastBatch, Window};
pub use compare::{Change, Comparison, Interval, MIN_BATCHES, change, compare};
pub use order::{Candidate, Level, Order, Place, Preference, Standing, Why, order};
pub use published::Published;
pub use rto::{APPLY, ApplyRate, Basis, Rto, Stage, Time};
pub use table::table;
