//! Every metric family, where their values live, and how they become a page for Prometheus.
//!
//! What the daemon tells of itself is in [`Own`], on the `prometheus` crate. What it tells of its
//! targets, and of databases that belong together, is in [`Store`]: many series, written by one task
//! and read by a scrape, so they are plain numbers beside labels that were rendered once. Both end up
//! on one page through the same writer, see [`Exposition`].

mod accept;
mod alertmanagers;
mod buckets;
mod database;
mod engine;
mod exposition;
mod families;
mod groups;
mod members;
mod own;
mod page;
mod pairs;
mod process;
mod receivers;
mod rows;
mod series;
mod sets;
mod standbys;
mod store;
mod tables;

pub use accept::{accepts_gzip, negotiate};
pub use alertmanagers::AlertmanagerSeries;
pub use buckets::{Buckets, VISIBILITY};
pub use exposition::{Exposition, Refresh, Refusal, Snapshot, encode};
pub use own::{Discovered, HandshakeFailure, Own, Refused, Rejection, raise_to};
pub use page::Format;
pub use series::Terms;
pub use store::{Change, Store, check_label};
