//! The configuration: bad files against their exact messages, good ones against what they mean.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod bad;
mod check;
mod docs;
mod fixture;
mod groups;
mod layers;
mod plan;
mod readiness;
mod succession;
