//! hotspare: can the standby take over right now?
#![forbid(unsafe_code)]

pub mod config;
pub mod files;
pub mod metrics;
pub mod model;
pub mod net;
pub mod probe;
pub mod schedule;
pub mod server;
