//! Integration tests.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by a panic; clippy knows only functions marked as tests"
)]

mod metrics;
mod page;
mod server;
