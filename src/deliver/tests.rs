//! Alerts, receivers and disks for the tests of this module.

mod changes;
mod fake;
mod model;
mod tasks;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::receiver::moment;
use super::*;
use crate::model::{Alert, AlertState, Labels};

/// An alert of a group, number so and so.
fn alert(group: &str, n: usize, state: AlertState, start: f64) -> Alert {
    let labels = [
        ("alertname", "A"),
        ("group", group),
        ("target", &n.to_string()),
    ];
    let labels: Labels = labels.map(|(k, v)| (k.into(), v.into())).into();
    let over = state == AlertState::Resolved;
    let pending = state == AlertState::Pending;
    Alert {
        rule: "A".into(),
        labels,
        annotations: BTreeMap::from([("summary".into(), format!("{state:?} {start}").into())]),
        state,
        active_timestamp_seconds: start,
        start_timestamp_seconds: (!pending).then_some(start),
        end_timestamp_seconds: over.then_some(start + 0.5),
        value: Some(start),
        threshold: None,
        shared: false,
        receivers: None,
        muted: None,
    }
}

fn settings() -> Settings {
    Settings::new("here".into())
}

/// Now, as it is written down.
fn wall() -> f64 {
    // To the millisecond, as starts are.
    (moment().wall_seconds * 1e3).round() / 1e3
}
