//! Receivers of notifications: servers of every kind, good and bad, at the other end.

mod answers;
mod bodies;
mod command;
mod mail;
mod ways;

use std::path::Path;
use std::sync::Arc;

use hotspare::files::Files;
use hotspare::model::{Alert, AlertState, Labels, Problem};
use hotspare::net::Roots;
use hotspare::notify::{
    Context, Notification, Notifier, Prepared, Refusal, RefusalReason, Settings,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::http::hosts;
use crate::process::PATIENCE;

/// The URL's path and the credentials of the tests: none of these may be told.
const SECRETS: [&str; 5] = [
    "path-canary",
    "query-canary",
    "password-canary",
    "token-canary",
    "header-canary",
];

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn write(folder: &TempDir, name: &str, text: &str) {
    std::fs::write(folder.path().join(name), text).expect("written");
}

fn try_prepare(settings: Value, folder: &Path) -> Result<Prepared, Vec<Problem>> {
    let context = Context {
        resolver: Arc::new(hosts()),
        roots: Arc::new(Roots::default()),
        files: Files::new(None, folder.to_owned()),
    };
    let settings: Settings = serde_json::from_value(settings).expect("settings");
    let debug = format!("{settings:?}");
    for secret in SECRETS {
        assert!(!debug.contains(secret), "{debug}");
    }
    settings.prepare(&context).expect("a kind")
}

fn prepare(settings: Value, folder: &Path) -> Arc<dyn Notifier> {
    match try_prepare(settings, folder) {
        Ok(Prepared::Notifier(notifier)) => notifier,
        Ok(Prepared::Alertmanager(_)) => panic!("it gets no notifications"),
        Err(problems) => panic!("{problems:?}"),
    }
}

/// Makes one attempt. Nothing that is told of it has a secret.
async fn tell(
    notifier: &Arc<dyn Notifier>,
    notification: &Notification,
) -> Result<String, Refusal> {
    let tried = tokio::time::timeout(PATIENCE, notifier.try_out(notification)).await;
    let tried = tried.expect("the attempt ends");
    let told = format!("{tried:?}");
    for secret in SECRETS {
        assert!(!told.contains(secret), "{told}");
    }
    if let Err(refusal) = &tried {
        assert!(refusal.detail.len() <= 256, "{refusal}");
        assert!(!refusal.detail.contains(char::is_control), "{refusal}");
    }
    tried
}

#[track_caller]
fn refused(tried: Result<String, Refusal>, reason: RefusalReason, detail: &str) -> Refusal {
    let refusal = tried.expect_err("a refusal");
    assert_eq!(refusal.reason, reason, "{refusal}");
    assert!(refusal.detail.contains(detail), "{refusal}");
    refusal
}

fn texts(pairs: &[(&str, &str)]) -> Labels {
    let pairs = pairs.iter();
    pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
}

/// When the alerts of the tests began to fire.
const START: f64 = 1_700_000_060.25;

fn alert(standby: &str, state: AlertState) -> Arc<Alert> {
    Arc::new(Alert {
        rule: "StandbyNotReady".into(),
        labels: texts(&[
            ("alertname", "StandbyNotReady"),
            ("group", "shop"),
            ("severity", "critical"),
            ("standby", standby),
            ("target_region", "b"),
        ]),
        annotations: texts(&[
            ("summary", &format!("<{standby}> & co are not \"ready\"")),
            ("description", "It lags."),
            ("source_region", "a"),
        ]),
        state,
        active_timestamp_seconds: START - 60.0,
        start_timestamp_seconds: Some(START),
        end_timestamp_seconds: (state == AlertState::Resolved).then_some(START + 100.5),
        value: Some(12.5),
        threshold: Some(10.0),
        shared: true,
        receivers: None,
        muted: None,
    })
}

fn notification(alerts: Vec<Arc<Alert>>) -> Notification {
    Notification {
        id: "b7f3c1e2".into(),
        receiver: "ops".into(),
        group: texts(&[("group", "shop"), ("target_region", "b")]),
        firing: alerts.iter().any(|alert| alert.state == AlertState::Firing),
        alerts,
        truncated: 0,
        timestamp_seconds: START + 200.0,
        source_region: "a".into(),
        external_url: Some("http://hotspare.example.com".into()),
    }
}

fn firing() -> Notification {
    notification(vec![alert("db-1", AlertState::Firing)])
}

/// The body of a request that a server has noted.
fn body_of(request: &str) -> Value {
    let (_, body) = request.split_once("\r\n\r\n").expect("a head");
    serde_json::from_str(body).expect("JSON")
}

fn header_of<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = request.split_once("\r\n\r\n").expect("a head");
    let headers = head.lines().filter_map(|line| line.split_once(": "));
    let mut values = headers.filter(|(header, _)| header.eq_ignore_ascii_case(name));
    values.next().map(|(_, value)| value)
}
