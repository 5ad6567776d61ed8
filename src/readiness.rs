//! Whether a standby can take over: from looks at checks to a verdict, as pure functions of what was
//! seen and the time.
//!
//! Four steps, one file each. A [`Judgement`] makes a state of one check's looks, slow to change its
//! mind and quick to forget. A [`Standby`] holds a standby's checks, hides what hangs on a check that
//! does not pass, and counts every change. The [`Verdict`] is the AND over its gates in three-valued
//! logic, and the [`Score`] what the others are worth. Once the primary is lost, [`Promotion`]
//! answers the other question: may this standby be promoted, by what can still be seen and what was
//! seen last?
//!
//! [`rank`] orders the standbys of a group. Beside them, [`Tilt`] finds out when this daemon's own clocks cannot be trusted.
//!
//! Nothing here reads a clock: `now` is an argument. A state is judged when it is read, so that a
//! daemon that came to a halt cannot leave a "ready" behind. Reading changes nothing; what changes
//! with time alone is counted by [`Standby::tick`] or by the next look, whichever comes first.

mod judgement;
pub mod rank;
mod recent;
mod score;
mod standby;
#[cfg(test)]
mod tests;
mod tilt;
mod truth;
mod verdict;
mod viability;

pub use judgement::{Judgement, Outcome, State, Terms};
pub use score::{Scale, Score};
pub use standby::{Check, Disorder, Look, Side, Standby};
pub use tilt::{Jolt, Reading, Tilt};
pub use truth::Truth;
pub use verdict::{Cause, Causes, Verdict};
pub use viability::{Hearing, LastSight, Patience, Promotion, sight_of};
