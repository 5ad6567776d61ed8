//! The shipped dashboards of Grafana.

mod stage;
