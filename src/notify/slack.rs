//! `slack`: an incoming webhook of Slack, or of what takes its messages (Mattermost, Rocket.Chat).

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::post::{Address, Message, Post, UrlSettings, Way};
use super::words::{
    description, footer, headline, more, own_labels, severity, start, state, summary,
};
use super::{Context, Notification, Refusal, Tell, Told, fitting, to_json};
use crate::model::{Alert, AlertState, Problem, Secret, Severity};
use crate::net::TlsSettings;

/// Alerts that are shown at most: Slack asks for not more attachments.
const MAX_ALERTS: usize = 20;
/// Bytes that a message may have.
const MAX_BYTES: usize = 64 << 10;
/// Characters of a text that are shown.
const MAX_TEXT: usize = 600;
/// Labels of an alert that are shown.
const MAX_FIELDS: usize = 10;

/// The settings of `slack`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The webhook's URL, which is a secret.
    pub url: Option<Secret>,
    /// The file with the URL.
    pub url_file: Option<PathBuf>,
    /// The environment variable with the URL.
    pub url_env: Option<String>,
    /// The channel, where the webhook lets us choose.
    pub channel: Option<String>,
    /// How to speak TLS.
    pub tls: TlsSettings,
    /// The proxy to go through.
    pub proxy: Option<String>,
}

/// Writes to one channel.
#[derive(Debug)]
pub(super) struct Slack {
    post: Post,
    to: Address,
    channel: Option<String>,
}

impl Settings {
    pub(super) fn prepare(&self, context: &Context) -> Result<Told<Slack>, Vec<Problem>> {
        let mut problems = Vec::new();
        let way = Way {
            tls: self.tls.clone(),
            proxy: self.proxy.clone(),
            ..Way::default()
        };
        let post = Post::new(way, context, &mut problems);
        let url = UrlSettings {
            url: self.url.as_ref().map(Secret::expose),
            file: self.url_file.as_deref(),
            env: self.url_env.as_deref(),
        };
        let to = post.address(url, &mut problems);
        let channel = self.channel.clone();
        match to {
            Some(to) if problems.is_empty() => Ok(Told(Slack { post, to, channel })),
            _ => Err(problems),
        }
    }
}

impl Tell for Slack {
    async fn tell(&self, notification: &Notification) -> Result<String, Refusal> {
        let body = fitting(notification, MAX_BYTES, |alerts, left| {
            to_json(&self.message(notification, alerts, left))
        })?;
        let answer = self.post.deliver(&self.to, Message::json(body)).await?;
        Ok(answer.text())
    }
}

impl Slack {
    fn message(&self, notification: &Notification, alerts: &[Arc<Alert>], left: usize) -> Value {
        let shown = alerts.len().min(MAX_ALERTS);
        let left = left + alerts.len() - shown;
        let attachments = alerts[..shown].iter();
        let attachments: Vec<_> = attachments.map(|a| attachment(notification, a)).collect();
        let mut text = format!("*{}*", escaped(&headline(notification)));
        if let Some(more) = more(left) {
            text = format!("{text}\n{more}");
        }
        let mut message = json!({ "text": text, "attachments": attachments });
        if let Some(channel) = &self.channel {
            message["channel"] = json!(channel);
        }
        message
    }
}

fn attachment(notification: &Notification, alert: &Alert) -> Value {
    let title = format!("[{}] {}", state(alert), alert.rule);
    let mut text = shortened(summary(alert));
    if let Some(more) = description(alert) {
        text = format!("{text}\n{}", shortened(more));
    }
    let fields = own_labels(notification, alert).take(MAX_FIELDS);
    let fields = fields.map(
        |(name, value)| json!({ "title": escaped(name), "value": shortened(value), "short": true }),
    );
    let mut attachment = json!({
        "color": colour(alert),
        "fallback": format!("{title}: {}", summary(alert)),
        "title": escaped(&title),
        "text": text,
        "fields": fields.collect::<Vec<_>>(),
        "footer": escaped(&footer(notification)),
        "ts": start(alert).floor(),
    });
    if let Some(url) = &notification.external_url {
        attachment["title_link"] = json!(url);
    }
    attachment
}

fn colour(alert: &Alert) -> &'static str {
    match (alert.state, severity(alert)) {
        (AlertState::Resolved, _) => "good",
        (_, Severity::Critical) => "danger",
        (_, Severity::Warning) => "warning",
        (_, Severity::Info) => "#439fe0",
    }
}

/// The text as it is meant: these three are all that Slack takes for its own.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn shortened(text: &str) -> String {
    let Some((end, _)) = text.char_indices().nth(MAX_TEXT) else {
        return escaped(text);
    };
    escaped(&text[..end]) + "…"
}
