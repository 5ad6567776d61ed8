//! The configuration: bad files against their exact messages, good ones against what they mean.

mod bad;
mod fixture;
