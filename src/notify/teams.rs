//! `teams`: a card to a workflow of Microsoft Teams ("when a Teams webhook request is received").

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::post::{Address, Message, Post, UrlSettings, Way};
use super::words::{
    description, footer, headline, more, own_labels, severity, state, summary, worst,
};
use super::{Context, Notification, Refusal, Tell, Told, fitting, to_json};
use crate::model::{Alert, AlertState, Problem, Secret, Severity};
use crate::net::TlsSettings;

/// Bytes that a message may have: Teams takes 28 KB.
const MAX_BYTES: usize = 24 << 10;
/// Characters of a text that are shown.
const MAX_TEXT: usize = 500;

/// The settings of `teams`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The workflow's URL, which is a secret.
    pub url: Option<Secret>,
    /// The file with the URL.
    pub url_file: Option<PathBuf>,
    /// The environment variable with the URL.
    pub url_env: Option<String>,
    /// How to speak TLS.
    pub tls: TlsSettings,
    /// The proxy to go through.
    pub proxy: Option<String>,
}

/// Sends cards to one workflow.
#[derive(Debug)]
pub(super) struct Teams {
    post: Post,
    to: Address,
}

impl Settings {
    pub(super) fn prepare(&self, context: &Context) -> Result<Told<Teams>, Vec<Problem>> {
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
        match post.address(url, &mut problems) {
            Some(to) if problems.is_empty() => Ok(Told(Teams { post, to })),
            _ => Err(problems),
        }
    }
}

impl Tell for Teams {
    async fn tell(&self, notification: &Notification) -> Result<String, Refusal> {
        let body = fitting(notification, MAX_BYTES, |alerts, left| {
            to_json(&message(notification, alerts, left))
        })?;
        let answer = self.post.deliver(&self.to, Message::json(body)).await?;
        Ok(answer.text())
    }
}

fn message(notification: &Notification, alerts: &[Arc<Alert>], left: usize) -> Value {
    let colour = if notification.firing {
        of_severity(worst(notification))
    } else {
        "Good"
    };
    let title = json!([{
        "type": "TextRun", "text": headline(notification), "weight": "Bolder", "size": "Medium",
        "color": colour,
    }]);
    let mut body = vec![block(&title)];
    body.extend(alerts.iter().flat_map(|alert| item(notification, alert)));
    let last = more(left).into_iter().chain([footer(notification)]);
    body.extend(last.map(|text| subtle(&text)));
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": { "width": "Full" },
        "body": body,
    });
    if let Some(url) = &notification.external_url {
        card["actions"] = json!([{ "type": "Action.OpenUrl", "title": "hotspare", "url": url }]);
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

/// Text of this kind is shown as it is, where that of others may have marks and links in it.
fn block(inlines: &Value) -> Value {
    json!({ "type": "RichTextBlock", "inlines": inlines })
}

/// An alert: what it says, and below it what more there is to say.
fn item(notification: &Notification, alert: &Alert) -> Vec<Value> {
    let colour = match alert.state {
        AlertState::Resolved => "Good",
        _ => of_severity(severity(alert)),
    };
    let title = format!("[{}] {} ", state(alert), alert.rule);
    let first = block(&json!([
        { "type": "TextRun", "text": title, "weight": "Bolder", "color": colour },
        { "type": "TextRun", "text": shortened(summary(alert)) },
    ]));
    let labels = own_labels(notification, alert);
    let labels: Vec<_> = labels
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let labels = Some(labels.join(", ")).filter(|labels| !labels.is_empty());
    let more = description(alert).map(shortened);
    let more = more
        .into_iter()
        .chain(labels.map(|labels| shortened(&labels)));
    [first]
        .into_iter()
        .chain(more.map(|text| subtle(&text)))
        .collect()
}

fn subtle(text: &str) -> Value {
    block(&json!([{ "type": "TextRun", "text": text, "isSubtle": true }]))
}

const fn of_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "Attention",
        Severity::Warning => "Warning",
        Severity::Info => "Accent",
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
