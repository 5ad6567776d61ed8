//! hotspare measures, from each region, whether the standby can take over right now.
//!
//! One daemon runs in each region. It probes every region (its own included) on a fixed schedule,
//! keeps latency histograms and shows them on `/metrics`. A daemon states only what *it* saw from
//! its own region, its *vantage*; agreement between vantages is for the Prometheus that scrapes
//! them all.
//!
//! # Architecture
//!
//! A module imports only from lower layers, and modules of one layer never import each other. A
//! test (`tests/it/layering.rs`) holds this.
//!
//! | layer | module | what it is |
//! |---|---|---|
//! | 0 | [`model`] | plain values: phases, reasons, samples, facts, targets; no I/O, no clock |
//! | 1 | [`files`] | where secrets and certificates are read from |
//! | 1 | [`net`] | names, connections, TLS, ICMP, one HTTP exchange; the only place that opens sockets to targets |
//! | 1 | [`store`] | what the daemon must not forget: entries in memory, and a journal of them on disk; files of the history |
//! | 1 | [`metrics`] | every metric family, the series of the targets, and the encoders |
//! | 2 | [`probe`] | what a probe is, and the kinds: one file each |
//! | 2 | [`readiness`] | whether a standby can take over and which is best: pure functions of what was seen |
//! | 2 | [`notify`] | how a notification is told to a receiver: one file each |
//! | 3 | [`discover`] | targets that nobody writes down: lists in files and over HTTP, services in DNS |
//! | 3 | [`rule`] | when something is an alert: conditions, and what becomes of them; the book of alerts |
//! | 4 | [`config`] | from files and environment to a validated plan, or every error with its place |
//! | 4 | [`schedule`] | slots, deadlines, one run in flight for each target; emits observations |
//! | 4 | [`evaluate`] | the single owner of what changes; takes observations in |
//! | 4 | [`deliver`] | who is told of which alerts, and when; one lane for each receiver and group |
//! | 4 | [`server`] | `/metrics`, health, the JSON API and the landing page; reads, and passes on what an operator orders |
//! | 5 | [`app`] | the only wiring: a plan in, supervised threads and tasks out |
//! | 6 | [`demo`] | three regions on one host, with real daemons, and a script of incidents |
//! | 7 | [`cli`] | arguments, logs, signals, exit codes |
//!
//! ```text
//! config ─> probes ─ schedule ──Observation──> evaluate ──> series ──> GET /metrics
//!                    slots, deadlines,         one writer   (encoded at most
//!                    panic isolation                         once a second)
//! ```
//!
//! Each *lane* of the schedule is a thread with a runtime of its own: connections on some, single
//! packets (ping) on another, so that a TLS handshake never delays the time stamp of an echo. The
//! main thread has a runtime for the evaluation and the watchdog, and the server one on a thread of its
//! own, so that no flood of connections or handshakes holds those up.
//!
//! # Invariants
//!
//! 1. **Unknown is never ready, and never down.** No permission, no file descriptor, a runtime held
//!    up, a bug of ours: these are [`model::Reason`]s of our own, and make a result unknown.
//! 2. **Nothing blocks or delays a probe**: no scrape, no disk, no log sink, no other target.
//! 3. **One writer for what changes**; readers read. No lock is held across an await.
//! 4. **The schedule owns time.** A probe knows no schedule, no deadline, no label and no log line.
//!    Durations come from the monotonic clock; the wall clock only stamps.
//! 5. **Every run ends by its deadline**, whatever the peer does, and every byte read has a cap.
//! 6. **A failure is a closed enum**; free text goes to logs, never into a label.
//! 7. **Series belong to targets**: they exist from the start, at zero.
//! 8. **Secrets have a type that cannot be printed.**
//! 9. **Only [`app`] wires and spawns** in a daemon. An essential task that ends ends the daemon, visibly; a
//!    panicking probe is one run that failed.
//!
//! # Adding a kind of probe
//!
//! Write `src/probe/NAME.rs` with its `Settings` (serde, unknown fields denied), a
//! [`probe::Template`] that makes the probe of an address, and a [`probe::Probe`] that does one
//! exchange; add its `mod` line and one to `kinds!` in `src/probe.rs`. A new fact is a field in `model::Facts`
//! and a row in the table of families. What several kinds have in common has files of its own beside
//! them; `src/probe/api.rs` is for kinds that ask an HTTP API.
//!
//! # Adding a kind of receiver
//!
//! Write `src/notify/NAME.rs` with its `Settings` and what makes one attempt; add its `mod` line and
//! one to `kinds!` in `src/notify.rs`. It knows no queue, no retry and no deadline. What it sends over
//! HTTP goes by `src/notify/post.rs`.
#![forbid(unsafe_code)]

/// The version of this daemon.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The revision of the source that it was built from; `unknown` unless the build was told by
/// `HOTSPARE_REVISION`.
pub const REVISION: &str = match option_env!("HOTSPARE_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

pub mod app;
pub mod cli;
pub mod config;
pub mod deliver;
pub mod demo;
pub mod discover;
pub mod evaluate;
pub mod files;
pub mod metrics;
pub mod model;
pub mod net;
pub mod notify;
pub mod probe;
pub mod readiness;
pub mod rule;
pub mod schedule;
pub mod server;
pub mod store;
