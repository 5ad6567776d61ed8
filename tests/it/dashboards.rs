//! The shipped dashboards of Grafana.

mod render;
mod stage;
