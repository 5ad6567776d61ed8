//! Brings alerts to receivers, and sees to it that they arrive.

mod alertmanager;

pub use self::alertmanager::{Endpoint, Timing, tell};
