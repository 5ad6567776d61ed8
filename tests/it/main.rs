//! Integration tests.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects, also in the functions that tests share"
)]

mod dns;
mod fault;
