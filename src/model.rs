//! Plain values that every other module speaks in. No I/O, no clock, no tokio.

mod alert;
mod beat;
mod canary;
mod cause;
mod check;
mod database;
mod digest;
mod discovery;
mod drill;
pub mod duration;
mod facts;
mod failover;
mod group;
mod gtid;
mod history;
mod manager;
mod notification;
mod pair;
mod phase;
mod position;
mod problem;
pub mod ranking;
mod readiness;
mod reason;
mod receiver;
mod reload;
mod report;
mod sample;
mod secret;
mod silence;
pub mod size;
mod stable;
mod target;
mod timestamp;
mod web;

pub use alert::{Alert, AlertState, Fingerprint, Labels, Mute, Severity};
pub use beat::Beat;
pub use canary::{CanaryFacts, Epoch, Mark, NotWritten, Order, Pen, Sighting, Write};
pub use cause::{Cause, figure};
pub use check::{Beyond, Bound, CheckKind, PlannedCheck, Unit};
pub use database::{
    DatabaseFacts, Identity, Incarnation, Link, ReplicationFacts, Role, Slot, StandbyLimits,
    Withheld,
};
pub use digest::Digest;
pub use discovery::TargetGroup;
pub use drill::{Drill, DrillKind, DrillOrder, DrillRefusal, DrillStart, DrillState, PastFigures};
pub use facts::{
    DnsFacts, FactSet, Facts, HttpFacts, NoValue, PingFacts, TlsFacts, TlsVersion, ValueFacts,
};
pub use failover::{Failover, LossUnknown, RtoBasis};
pub use group::{Assumed, Hold, Objectives, PlannedDatabase, PlannedGroup, StandbyPlace};
pub use gtid::{Domains, GtidSet};
pub use history::{
    HistoryTerms, LastRun, MatrixReport, NoSuch, Outcome, PastFailure, PastRun, PastStep,
    PhaseSeconds, ProbeRow, RegionCell, SamplesReport, Span,
};
pub use manager::{ManagerFacts, Objection};
pub use notification::ReceiverFigures;
pub use pair::{
    DatabaseSet, GroupMember, PairFigures, PairKey, SetFigures, SetKey, Suppressed, WriteFailure,
};
pub use phase::{Laps, Phase, PhaseSet};
pub use position::Position;
pub use problem::Problem;
pub use ranking::{PlannedRanking, RankingReport};
pub use readiness::{
    CheckReason, CheckState, GateKind, Promotability, ReadyState, Sight, TiltCause,
};
pub use reason::{Reason, ReasonSet};
pub use receiver::ReceiverStatus;
pub use reload::{ReloadRefusal, Reloaded};
pub use report::{CheckReport, GroupReport, HoldReport, SightReport, StageReport, StandbyReport};
pub use sample::{Failure, Latencies, Missed, Observation, Reply, Sample, Shape, one_line};
pub use secret::Secret;
pub use silence::{Silence, SilenceOrder, SilenceRefusal, SilenceStart, agrees};
pub use stable::stable_hash;
pub use target::{Target, TargetKey, Turn};
pub use timestamp::timestamp_seconds;
pub use web::{
    ClientAuth, FrameOptions, HttpServerSettings, NoSniff, PasswordHash, RateLimit, TlsBound,
    TlsServerSettings, WebHeaders, WebSettings, WebTlsVersion,
};
