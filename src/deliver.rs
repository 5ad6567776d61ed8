//! Brings alerts to receivers, and sees to it that they arrive.

mod alertmanager;
mod heartbeat;

pub use self::alertmanager::{Endpoint, Timing, tell};
pub use self::heartbeat::{Check, Heart};
