//! The Grafana dashboards: a file for each, and the kit that they are made of. `cargo run --example
//! dashboards` writes them to `grafana/dashboards`; a test holds that what is there is what is made
//! here.
//!
//! It is one module for the example and for the tests, hence its name.

mod alerting;
mod daemon;
mod database;
mod kit;
mod overview;
mod readiness;
mod region_pair;
mod states;

pub(crate) use kit::Dashboard;

/// All of them, from the whole to the parts.
pub(crate) fn all() -> Vec<Dashboard> {
    vec![
        overview::dashboard(),
        region_pair::dashboard(),
        readiness::dashboard(),
        database::dashboard(),
        alerting::dashboard(),
        daemon::dashboard(),
    ]
}
