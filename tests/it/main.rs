//! Integration tests: one binary, so that it is linked once.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by a panic; clippy knows only functions marked as tests"
)]

mod config;
mod dns;
mod fault;
mod http;
mod metrics;
mod page;
mod postgres;
mod postgres_hostile;
mod postgres_server;
mod server;
