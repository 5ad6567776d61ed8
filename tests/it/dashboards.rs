//! The shipped dashboards of Grafana.

mod board;
mod cases;
mod colour;
mod conventions;
mod interpolate;
mod layout;
mod links;
mod lint;
mod live;
mod names;
mod parse;
mod promql;
mod render;
mod sample;
mod stage;
mod types;
mod viewer;
