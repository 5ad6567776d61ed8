//! `pagerduty`: an event of PagerDuty's Events API (version 2) for each group: it is triggered while
//! any of its alerts fires.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::payload::Payload;
use super::post::{Address, Message, Post, UrlSettings, Way};
use super::words::{footer, headline, moment, summary, worst};
use super::{Context, Notification, Refusal, RefusalReason, Tell, Told, fitting, to_json};
use crate::files::SecretSource;
use crate::model::{Alert, Problem, Secret, Severity, stable_hash};
use crate::net::TlsSettings;

const URL: &str = "https://events.pagerduty.com/v2/enqueue";
/// Bytes that an event may have: PagerDuty takes 512 KB, and nobody reads as much.
const MAX_BYTES: usize = 256 << 10;
/// Characters that a summary may have.
const MAX_SUMMARY: usize = 1024;

/// The settings of `pagerduty`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The file with the integration's key.
    pub routing_key_file: Option<PathBuf>,
    /// The environment variable with the integration's key.
    pub routing_key_env: Option<String>,
    /// Where events go; PagerDuty's service in the USA by default.
    pub url: Option<Secret>,
    /// How to speak TLS.
    pub tls: TlsSettings,
    /// The proxy to go through.
    pub proxy: Option<String>,
}

/// Sends events to one integration.
#[derive(Debug)]
pub(super) struct PagerDuty {
    post: Post,
    to: Address,
    routing_key: SecretSource,
    context: Context,
}

impl Settings {
    pub(super) fn prepare(&self, context: &Context) -> Result<Told<PagerDuty>, Vec<Problem>> {
        let mut problems = Vec::new();
        let way = Way {
            tls: self.tls.clone(),
            proxy: self.proxy.clone(),
            ..Way::default()
        };
        let post = Post::new(way, context, &mut problems);
        let url = UrlSettings {
            url: Some(self.url.as_ref().map_or(URL, Secret::expose)),
            ..UrlSettings::default()
        };
        let to = post.address(url, &mut problems);
        let routing_key = self.routing_key(context, &mut problems);
        match (to, routing_key) {
            (Some(to), Some(routing_key)) if problems.is_empty() => Ok(Told(PagerDuty {
                post,
                to,
                routing_key,
                context: context.clone(),
            })),
            _ => Err(problems),
        }
    }

    fn routing_key(&self, context: &Context, problems: &mut Vec<Problem>) -> Option<SecretSource> {
        let (file, env) = (
            self.routing_key_file.as_deref(),
            self.routing_key_env.as_deref(),
        );
        match context.files.secret_of("routing_key", file, env) {
            Ok(Some(_)) => {}
            Ok(None) => {
                let message = "set routing_key_file or routing_key_env";
                problems.push(Problem::new("routing_key_file", message));
            }
            Err(problem) => problems.push(problem),
        }
        let file = self.routing_key_file.clone().map(SecretSource::File);
        file.or(self.routing_key_env.clone().map(SecretSource::Env))
    }
}

impl Tell for PagerDuty {
    async fn tell(&self, notification: &Notification) -> Result<String, Refusal> {
        let key = self.context.files.secret_from(&self.routing_key);
        let key = key.map_err(|why| Refusal::new(RefusalReason::Local, why))?;
        let body = fitting(notification, MAX_BYTES, |alerts, left| {
            to_json(&event(notification, alerts, left, &key))
        })?;
        let message = Message {
            secret: Some(key),
            ..Message::json(body)
        };
        let answer = self.post.deliver(&self.to, message).await?;
        Ok(answer.text())
    }
}

fn event(notification: &Notification, alerts: &[Arc<Alert>], left: usize, key: &Secret) -> Value {
    // The same from every vantage, so that all of them tell of one incident.
    let dedup_key = format!("hotspare-{:016x}", stable_hash(&notification.group_key()));
    if !notification.firing {
        return json!({
            "routing_key": key.expose(),
            "event_action": "resolve",
            "dedup_key": dedup_key,
        });
    }
    let label = |name: &str| {
        notification
            .group
            .get(name)
            .filter(|value| !value.is_empty())
    };
    let source = label("target_region").or(label("group"));
    let started = notification
        .firing()
        .map(|alert| super::words::start(alert));
    let started = started.fold(notification.timestamp_seconds, f64::min);
    let mut event = json!({
        "routing_key": key.expose(),
        "event_action": "trigger",
        "dedup_key": dedup_key,
        "client": footer(notification),
        "payload": {
            "summary": said(notification),
            "source": source.unwrap_or(&notification.source_region),
            "severity": of_severity(worst(notification)),
            "timestamp": moment(started),
            "group": label("group"),
            "component": label("target_region"),
            "class": notification.firing().next().map(|alert| &alert.rule),
            "custom_details": Payload::new(notification, alerts, left),
        },
    });
    if let Some(url) = &notification.external_url {
        event["client_url"] = json!(url);
    }
    event
}

fn said(notification: &Notification) -> String {
    let first = notification.firing().next();
    let text = match first {
        Some(alert) => format!("{}: {}", headline(notification), summary(alert)),
        None => headline(notification),
    };
    text.chars().take(MAX_SUMMARY).collect()
}

const fn of_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}
