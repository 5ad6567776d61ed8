//! Whether a standby can take over, and which is best: pure functions of what was seen and `now`.

pub mod rank;
