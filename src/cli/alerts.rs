//! `hotspare alerts`: what fires, what is about to, what nobody is told of, and who was not told yet.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::ask::{Client, Daemon};
use super::daemons::{Daemons, Each, Failed, each_as_json, finish, moment, read};
use super::terminal::{Ink, Tone, printable};
use super::written::{Format, Written};
use crate::model::{Alert, AlertState, Fingerprint, Mute, ReceiverStatus};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    daemons: Daemons,

    #[command(flatten)]
    written: Written,
}

/// What `GET /api/v1/alerts` answers.
#[derive(Deserialize, Serialize)]
struct Told {
    alerts: Vec<Alert>,
    receivers: Vec<ReceiverStatus>,
}

pub(super) fn print(arguments: &Arguments, ink: Ink) -> ExitCode {
    finish(text(arguments, ink))
}

fn text(arguments: &Arguments, ink: Ink) -> Result<String, Failed> {
    let each = arguments
        .daemons
        .each(&async |client: &Client, daemon: &Daemon| {
            let body = client.ask(daemon, &["alerts"]).await?;
            read::<Told>(&body)
        })?;
    match arguments.written.format() {
        Format::Json => each_as_json(&each),
        Format::Text => pages(&each, ink),
    }
}

/// What each daemon tells. One that does not answer, which may be what the alerts are about, hides no
/// other.
fn pages(each: &Each<Told>, ink: Ink) -> Result<String, Failed> {
    let is_whole = each.iter().all(|(_, came)| came.is_ok());
    let pages = each.iter().map(|(url, came)| match came {
        Ok(told) => page(url, told, ink),
        Err(why) => format!("{url}: {}\n", printable(why)),
    });
    let text: String = pages.collect();
    if is_whole {
        Ok(text)
    } else {
        Err(Failed::Daemon(text.trim_end().to_owned()))
    }
}

/// What one daemon tells, for people: what fires comes first.
fn page(url: &str, told: &Told, ink: Ink) -> String {
    let mut alerts: Vec<_> = told.alerts.iter().collect();
    alerts.sort_by_key(|alert| (place(alert), &alert.labels));
    let mut page = String::new();
    for alert in alerts {
        let _ = writeln!(page, "{url}: {}", line(alert, &untold(alert, told), ink));
    }
    for receiver in &told.receivers {
        if let Some(trouble) = trouble(receiver) {
            let _ = writeln!(page, "{url}: {}", ink.paint(Tone::Doubt, &trouble));
        }
    }
    page
}

fn place(alert: &Alert) -> u8 {
    match (alert.state, &alert.muted) {
        (AlertState::Firing, None) => 0,
        (AlertState::Firing, Some(_)) => 1,
        (AlertState::Pending, _) => 2,
        (AlertState::Resolved, _) => 3,
    }
}

/// The receivers that do not know of the alert what they are to know.
fn untold(alert: &Alert, told: &Told) -> Vec<String> {
    let fingerprint: Fingerprint = alert.fingerprint();
    let receivers = told.receivers.iter();
    let untold = receivers.filter(|of| of.undelivered.contains(&fingerprint));
    untold.map(name).collect()
}

/// A receiver by its name, one of several Alertmanagers also by where it is.
fn name(of: &ReceiverStatus) -> String {
    match &of.endpoint {
        None => of.receiver.to_string(),
        Some(endpoint) => format!("{} ({endpoint})", of.receiver),
    }
}

fn line(alert: &Alert, untold: &[String], ink: Ink) -> String {
    let state = ink.paint(tone(alert), alert.state.as_str());
    let own = ["alertname", "severity"];
    let labels = alert
        .labels
        .iter()
        .filter(|(name, _)| !own.contains(&&***name));
    let labels: Vec<_> = labels.map(|(k, v)| format!("{k}={v}")).collect();
    let severity = alert.labels.get("severity").map_or("", |severity| severity);
    let mut line = format!("  {severity}  {}", alert.rule);
    let _ = write!(line, "  {}", labels.join(","));
    let since = match alert.state {
        AlertState::Pending => Some(alert.active_timestamp_seconds),
        AlertState::Firing => alert.start_timestamp_seconds,
        AlertState::Resolved => alert.end_timestamp_seconds,
    };
    if let Some(since) = since {
        let _ = write!(line, ", since {}", moment(since));
    }
    let _ = match &alert.muted {
        Some(Mute::Maintenance(name)) => write!(line, ", muted by the maintenance {name}"),
        Some(Mute::Silence(id)) => write!(line, ", muted by the silence {id}"),
        Some(Mute::Dependency(rule)) => write!(line, ", muted by {rule}, which fires too"),
        None => Ok(()),
    };
    if !untold.is_empty() {
        let _ = write!(line, ", not told yet: {}", untold.join(", "));
    }
    if let Some(summary) = alert.annotations.get("summary") {
        let _ = write!(line, "\n    {summary}");
    }
    state + &printable(&line)
}

/// What its state says of an alert.
fn tone(alert: &Alert) -> Tone {
    match (alert.state, &alert.muted) {
        (AlertState::Firing, None) => Tone::Bad,
        (AlertState::Pending, None) => Tone::Doubt,
        (AlertState::Resolved, None) => Tone::Good,
        (_, Some(_)) => Tone::Faint,
    }
}

/// What keeps a receiver from being told, if anything does.
fn trouble(receiver: &ReceiverStatus) -> Option<String> {
    let error = receiver.last_error.as_deref()?;
    let mut line = format!("the receiver {} does not take it: {error}", name(receiver));
    if let Some(oldest) = receiver.oldest_timestamp_seconds {
        let _ = write!(
            line,
            "; the oldest of {} waits since {}",
            receiver.deliveries,
            moment(oldest)
        );
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_does_not_answer_hides_no_other() {
        let told = r#"{"alerts": [{"rule": "RegionLost", "labels": {}, "annotations": {},
            "state": "firing", "active_timestamp_seconds": 1.0, "start_timestamp_seconds": 1.0,
            "end_timestamp_seconds": null, "value": null, "threshold": null, "shared": true,
            "receivers": null}], "receivers": []}"#;
        let told = || read::<Told>(told.as_bytes());
        let dead = Err("no answer".to_owned());
        let each = vec![
            ("http://a".to_owned(), dead),
            ("http://b".to_owned(), told()),
        ];
        let Err(Failed::Daemon(text)) = pages(&each, Ink::NONE) else {
            panic!("it fails");
        };
        assert!(text.contains("http://a: no answer"), "{text}");
        assert!(text.contains("http://b: firing    RegionLost"), "{text}");
        let of_b = told().map(|told| Told {
            receivers: vec![ReceiverStatus {
                receiver: "am".into(),
                endpoint: Some("http://am-1:9093".into()),
                last_error: Some("connect: refused".to_owned()),
                undelivered: told.alerts.iter().map(Alert::fingerprint).collect(),
                ..ReceiverStatus::default()
            }],
            ..told
        });
        let text = page("http://b", &of_b.expect("good"), Ink::NONE);
        for said in [
            ", not told yet: am (http://am-1:9093)\n",
            "the receiver am (http://am-1:9093) does not take it: connect: refused\n",
        ] {
            assert!(text.contains(said), "{text}");
        }
        let text = pages(&vec![("http://b".to_owned(), told())], Ink::NONE);
        assert!(text.is_ok_and(|text| text.contains("RegionLost")));
    }
}
