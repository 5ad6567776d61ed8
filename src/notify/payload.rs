//! The body that Alertmanager sends to a webhook (version 4), so that whatever takes its messages
//! takes ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::Notification;
use super::words::{NEVER, moment, start};
use crate::model::{Alert, AlertState, Fingerprint, Labels};

type Texts<'a> = BTreeMap<&'a str, &'a str>;

/// The body; the names and the order of the fields are Alertmanager's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payload<'a> {
    receiver: &'a str,
    status: &'static str,
    alerts: Vec<Item<'a>>,
    group_labels: &'a Labels,
    common_labels: Texts<'a>,
    common_annotations: Texts<'a>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'static str,
    group_key: String,
    truncated_alerts: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    status: &'static str,
    labels: &'a Labels,
    annotations: &'a BTreeMap<Arc<str>, Arc<str>>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: Fingerprint,
}

impl<'a> Payload<'a> {
    /// The body with these of the notification's alerts, of which so many are left out.
    pub(super) fn new(
        notification: &'a Notification,
        alerts: &'a [Arc<Alert>],
        left: usize,
    ) -> Self {
        let external_url = notification.external_url.as_deref().unwrap_or_default();
        let of_all = |of: fn(&Alert) -> &BTreeMap<Arc<str>, Arc<str>>| {
            common(notification.alerts.iter().map(|alert| of(alert)))
        };
        Self {
            receiver: &notification.receiver,
            status: status(notification.firing),
            alerts: alerts
                .iter()
                .map(|alert| Item::new(alert, external_url))
                .collect(),
            group_labels: &notification.group,
            common_labels: of_all(|alert| &alert.labels),
            common_annotations: of_all(|alert| &alert.annotations),
            external_url,
            version: "4",
            group_key: group_key(notification),
            truncated_alerts: left,
        }
    }
}

impl<'a> Item<'a> {
    fn new(alert: &'a Alert, external_url: &'a str) -> Self {
        let end = alert.end_timestamp_seconds;
        Self {
            status: status(alert.state != AlertState::Resolved),
            labels: &alert.labels,
            annotations: &alert.annotations,
            starts_at: moment(start(alert)),
            ends_at: end.map_or_else(|| NEVER.to_owned(), moment),
            generator_url: external_url,
            fingerprint: alert.fingerprint(),
        }
    }
}

/// The key as Alertmanager writes it, which has the place of the route before the labels.
fn group_key(notification: &Notification) -> String {
    let labels = notification.group.iter();
    let labels: Vec<_> = labels.map(|(k, v)| format!("{k}={v:?}")).collect();
    format!("{{}}:{{{}}}", labels.join(", "))
}

const fn status(firing: bool) -> &'static str {
    if firing { "firing" } else { "resolved" }
}

/// What all have, with the same value.
fn common<'a>(mut all: impl Iterator<Item = &'a BTreeMap<Arc<str>, Arc<str>>>) -> Texts<'a> {
    let Some(first) = all.next() else {
        return Texts::new();
    };
    let mut common: Texts<'a> = first.iter().map(|(k, v)| (&**k, &**v)).collect();
    for other in all {
        common.retain(|name, value| other.get(*name).is_some_and(|same| **same == **value));
    }
    common
}
