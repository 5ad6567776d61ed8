//! From a delivery to the notification that a receiver gets.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Settings;
use super::entry::{Delivery, Kept, Known};
use crate::model::{Alert, Fingerprint};
use crate::notify::Notification;

/// Alerts that a message tells one by one.
pub(super) const MAX_ALERTS: usize = 100;

/// Bytes that these may have together, as JSON.
pub(super) const MAX_BYTES: usize = 256 << 10;

/// The notification of a delivery: the same whenever it is made, because the delivery does not
/// change, nor what the alerts of these states say.
///
/// What is new has room before what the receiver knows, and what fires before what is over.
/// `too_long` counts alerts that no message has room for.
pub(super) fn compose(
    lane: &Kept,
    delivery: &Delivery,
    alerts: &BTreeMap<Fingerprint, Arc<Alert>>,
    settings: &Settings,
    too_long: &mut u64,
) -> Notification {
    let states = &delivery.states.0;
    let mut all: Vec<_> = states
        .iter()
        .filter_map(|(f, known)| {
            let is_old = lane.told.0.get(f) == Some(known);
            let place = (is_old, !known.fires(), newest_first(*known), *f);
            alerts.get(f).map(|alert| (place, alert))
        })
        .collect();
    all.sort_unstable_by_key(|(place, _)| *place);
    let mut room = MAX_BYTES;
    let mut shown = Vec::new();
    for (place, alert) in all {
        if shown.len() == MAX_ALERTS {
            break;
        }
        let length = length(alert);
        if length > MAX_BYTES {
            *too_long += 1;
            continue;
        }
        let Some(left) = room.checked_sub(length) else {
            break;
        };
        room = left;
        shown.push((place, unmuted(alert)));
    }
    shown.sort_unstable_by_key(|((_, is_over, newest, f), _)| (*is_over, *newest, *f));
    Notification {
        id: Arc::clone(&delivery.id),
        receiver: Arc::clone(&lane.receiver),
        group: lane.group.labels(),
        truncated: states.len() - shown.len(),
        alerts: shown.into_iter().map(|(_, alert)| alert).collect(),
        firing: states.values().any(|known| known.fires()),
        timestamp_seconds: delivery.made_timestamp_seconds,
        source_region: Arc::clone(&settings.source_region),
        external_url: settings.external_url.clone(),
    }
}

fn newest_first(known: Known) -> std::cmp::Reverse<u64> {
    let (Known::Firing(start) | Known::Perhaps(start) | Known::Resolved(start)) = known;
    std::cmp::Reverse(start)
}

fn length(alert: &Alert) -> usize {
    // What has no form as JSON, which no alert lacks, has no room either.
    serde_json::to_vec(alert).map_or(usize::MAX, |json| json.len())
}

/// The alert without what has changed about it since the delivery was made.
fn unmuted(alert: &Arc<Alert>) -> Arc<Alert> {
    let mut alert = Arc::clone(alert);
    if alert.muted.is_some() {
        Arc::make_mut(&mut alert).muted = None;
    }
    alert
}
