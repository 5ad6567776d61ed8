//! Plain values that every other module speaks in. No I/O, no clock, no tokio.

mod beat;
pub mod duration;
mod facts;
mod phase;
mod reason;
mod sample;
mod secret;
mod target;

pub use beat::Beat;
pub use facts::{
    DatabaseFacts, DnsFacts, FactSet, Facts, HttpFacts, PingFacts, TlsFacts, TlsVersion,
};
pub use phase::{Laps, Phase, PhaseSet};
pub use reason::{Reason, ReasonSet};
pub use sample::{Failure, Latencies, Missed, Observation, Reply, Sample, Shape};
pub use secret::Secret;
pub use target::{Target, TargetKey};
