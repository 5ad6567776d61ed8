//! What dashboards are made of. Each idiom of Grafana's stands in one place here: how a matrix is
//! sorted, what a cell that is not there looks like, which colour a state has.

mod annotation;
mod dashboard;
mod heatmap;
mod link;
mod look;
mod panel;
mod query;
mod stat;
mod table;
mod time_series;
mod timeline;
mod variable;

pub(crate) use annotation::Annotation;
pub(crate) use dashboard::{Dashboard, collapsed_row, row};
pub(crate) use look::{Colour, FLAG, Look, Thresholds};
pub(crate) use panel::Panel;
pub(crate) use query::{Query, among};
pub(crate) use variable::Variable;
