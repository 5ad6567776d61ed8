//! What several kinds say in the same words.

use std::sync::Arc;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Notification;
use crate::model::{Alert, AlertState, Severity};

/// What it is about, in a line: `[FIRING:2] shop eu-central`.
pub(super) fn headline(notification: &Notification) -> String {
    let (firing, resolved) = (
        notification.firing().count(),
        notification.resolved().count(),
    );
    let state = if !notification.firing {
        format!("RESOLVED:{resolved}")
    } else if resolved == 0 {
        format!("FIRING:{firing}")
    } else {
        format!("FIRING:{firing}, RESOLVED:{resolved}")
    };
    let test = if is_test(notification) { "[TEST] " } else { "" };
    let about = about(notification);
    format!("{test}[{state}] {about}")
}

/// The values of the group's labels, or the name of the only alert, or how many there are.
fn about(notification: &Notification) -> String {
    let values = notification.group.values().map(|value| &**value);
    let values: Vec<_> = values.filter(|value| !value.is_empty()).collect();
    match (&values[..], &notification.alerts[..]) {
        ([], [only]) => only.rule.to_string(),
        ([], all) => format!("{} alerts", all.len()),
        (values, _) => values.join(" "),
    }
}

/// Whether it is only to see whether it arrives.
fn is_test(notification: &Notification) -> bool {
    let mut alerts = notification.alerts.iter();
    alerts.any(|alert| {
        alert
            .labels
            .get("test")
            .is_some_and(|test| **test == *"true")
    })
}

/// What an alert says in a line.
pub(super) fn summary(alert: &Alert) -> &str {
    let annotations = &alert.annotations;
    let said = annotations
        .get("summary")
        .or_else(|| annotations.get("description"));
    said.unwrap_or(&alert.rule)
}

/// What an alert says beside its summary, if anything.
pub(super) fn description(alert: &Alert) -> Option<&str> {
    let said = alert.annotations.get("description")?;
    (**said != *summary(alert)).then_some(said)
}

/// `FIRING` or `RESOLVED`.
pub(super) fn state(alert: &Alert) -> &'static str {
    match alert.state {
        AlertState::Resolved => "RESOLVED",
        AlertState::Firing | AlertState::Pending => "FIRING",
    }
}

/// How bad an alert is. One that does not say so is not taken lightly.
pub(super) fn severity(alert: &Alert) -> Severity {
    alert.severity().unwrap_or(Severity::Warning)
}

/// How bad the worst of the alerts is that fire; if none does, of all.
pub(super) fn worst(notification: &Notification) -> Severity {
    let firing = notification.firing().map(|alert| severity(alert)).max();
    let any = || {
        notification
            .alerts
            .iter()
            .map(|alert| severity(alert))
            .max()
    };
    firing.or_else(any).unwrap_or(Severity::Warning)
}

/// The labels that tell an alert from the others of its group, without its name.
pub(super) fn own_labels<'a>(
    notification: &'a Notification,
    alert: &'a Alert,
) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<str>)> {
    let labels = alert.labels.iter();
    labels.filter(|(name, _)| ***name != *"alertname" && !notification.group.contains_key(*name))
}

/// What is said of the alerts that are not shown.
pub(super) fn more(left: usize) -> Option<String> {
    match left {
        0 => None,
        1 => Some("1 more alert is not shown.".to_owned()),
        _ => Some(format!("{left} more alerts are not shown.")),
    }
}

/// Where a notification comes from.
pub(super) fn footer(notification: &Notification) -> String {
    format!("hotspare in {}", notification.source_region)
}

/// Since when an alert fires, in seconds since 1970.
pub(super) fn start(alert: &Alert) -> f64 {
    let start = alert.start_timestamp_seconds;
    start.unwrap_or(alert.active_timestamp_seconds)
}

/// A moment in seconds since 1970 as RFC 3339 has it, to the millisecond.
pub(super) fn moment(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "far from any limit, and saturating"
    )]
    let milliseconds = (seconds * 1e3).round() as i64;
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000);
    let text = moment.ok().and_then(|moment| moment.format(&Rfc3339).ok());
    text.unwrap_or_else(|| NEVER.to_owned())
}

/// The moment that is none, as Go has it.
pub(super) const NEVER: &str = "0001-01-01T00:00:00Z";

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::Labels;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let pairs = pairs.iter();
        pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    fn alert(number: usize, state: AlertState) -> Arc<Alert> {
        Arc::new(Alert {
            rule: "StandbyNotReady".into(),
            labels: labels(&[
                ("alertname", "StandbyNotReady"),
                ("severity", "critical"),
                ("group", "shop"),
                ("target_region", "b"),
                ("standby", &format!("db-{number}")),
            ]),
            annotations: labels(&[
                ("summary", "b <is> not \"ready\" & late"),
                ("description", "It lags.\nBy much."),
            ]),
            state,
            active_timestamp_seconds: 1_800_000_000.0,
            start_timestamp_seconds: Some(1_800_000_060.25),
            end_timestamp_seconds: match state {
                AlertState::Resolved => Some(1_800_000_300.5),
                _ => None,
            },
            value: Some(12.5),
            threshold: Some(10.0),
            shared: true,
            receivers: None,
            muted: None,
        })
    }

    /// A notification of so many alerts that fire, and so many that are over.
    pub(in crate::notify) fn notification(firing: usize, resolved: usize) -> Notification {
        let over = (firing..firing + resolved).map(|n| alert(n, AlertState::Resolved));
        let alerts = (0..firing).map(|n| alert(n, AlertState::Firing));
        Notification {
            id: "b7f3c1e2".into(),
            receiver: "ops".into(),
            group: labels(&[("group", "shop"), ("target_region", "b")]),
            alerts: alerts.chain(over).collect(),
            truncated: 0,
            firing: firing > 0,
            timestamp_seconds: 1_800_000_400.0,
            source_region: "a".into(),
            external_url: Some("https://hotspare.example.com".into()),
        }
    }

    #[test]
    fn a_headline_says_how_many_and_of_what() {
        let line = |firing, resolved| headline(&notification(firing, resolved));
        assert_eq!(line(2, 0), "[FIRING:2] shop b");
        assert_eq!(line(1, 2), "[FIRING:1, RESOLVED:2] shop b");
        assert_eq!(line(0, 1), "[RESOLVED:1] shop b");
        let mut of_none = notification(1, 0);
        of_none.group = labels(&[("group", ""), ("target_region", "")]);
        assert_eq!(headline(&of_none), "[FIRING:1] StandbyNotReady");
        of_none.alerts = notification(2, 0).alerts;
        assert_eq!(headline(&of_none), "[FIRING:2] 2 alerts");
    }

    #[test]
    fn moments_are_to_the_millisecond() {
        assert_eq!(moment(1_800_000_060.25), "2027-01-15T08:01:00.25Z");
        assert_eq!(moment(1_800_000_000.0), "2027-01-15T08:00:00Z");
        assert_eq!(moment(f64::INFINITY), NEVER);
    }
}
