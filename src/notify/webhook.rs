//! `webhook`: a request of its own form. Without one, its body is that of Alertmanager's webhooks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;

use super::payload::Payload;
use super::post::{Address, Message, Post, UrlSettings, Way};
use super::sign::Signer;
use super::template::Template;
use super::{Context, Notification, Refusal, RefusalReason, Tell, Told, fitting, to_json};
use crate::files::SecretSource;
use crate::model::{Alert, AlertState, Labels, Problem, Secret};
use crate::net::TlsSettings;
use crate::net::http::header_value;

/// Bytes that a body may have.
const MAX_BYTES: usize = 256 << 10;

/// The settings of `webhook`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where to send.
    pub url: Option<Secret>,
    /// The file with the URL.
    pub url_file: Option<PathBuf>,
    /// The environment variable with the URL.
    pub url_env: Option<String>,
    /// The method; `POST` by default.
    pub method: Option<String>,
    /// More headers.
    pub headers: BTreeMap<String, String>,
    /// More headers, whose values are secret.
    pub secret_headers: BTreeMap<String, SecretSource>,
    /// The user of basic authentication.
    pub username: Option<String>,
    /// The file with the user's password.
    pub password_file: Option<PathBuf>,
    /// The environment variable with the user's password.
    pub password_env: Option<String>,
    /// The file with a bearer token.
    pub bearer_token_file: Option<PathBuf>,
    /// The environment variable with a bearer token.
    pub bearer_token_env: Option<String>,
    /// How to speak TLS.
    pub tls: TlsSettings,
    /// The proxy to go through.
    pub proxy: Option<String>,
    /// The file with the secret that requests are signed with.
    pub secret_file: Option<PathBuf>,
    /// The environment variable with that secret.
    pub secret_env: Option<String>,
    /// The file with the secret that will replace it: requests are signed with both.
    pub next_secret_file: Option<PathBuf>,
    /// The template of the body; Alertmanager's body by default.
    pub body: Option<String>,
    /// What the body is; `application/json` by default.
    pub content_type: Option<String>,
}

/// Sends requests to one URL.
#[derive(Debug)]
pub(super) struct Webhook {
    post: Post,
    to: Address,
    method: Method,
    headers: HeaderMap,
    signer: Signer,
    template: Option<Template>,
}

impl Settings {
    pub(super) fn prepare(&self, context: &Context) -> Result<Told<Webhook>, Vec<Problem>> {
        let mut problems = Vec::new();
        let post = Post::new(self.way(), context, &mut problems);
        let url = UrlSettings {
            url: self.url.as_ref().map(Secret::expose),
            file: self.url_file.as_deref(),
            env: self.url_env.as_deref(),
        };
        let to = post.address(url, &mut problems);
        let method = self.method(&mut problems);
        let headers = self.content_headers(&mut problems);
        let signer = Signer::new(self.keys(&mut problems), context, &mut problems);
        let template = self.template(&mut problems);
        match to {
            Some(to) if problems.is_empty() => Ok(Told(Webhook {
                post,
                to,
                method,
                headers,
                signer,
                template,
            })),
            _ => Err(problems),
        }
    }

    fn way(&self) -> Way {
        Way {
            tls: self.tls.clone(),
            proxy: self.proxy.clone(),
            headers: self.headers.clone(),
            secret_headers: self.secret_headers.clone(),
            username: self.username.clone(),
            password_file: self.password_file.clone(),
            password_env: self.password_env.clone(),
            bearer_token_file: self.bearer_token_file.clone(),
            bearer_token_env: self.bearer_token_env.clone(),
        }
    }

    fn method(&self, problems: &mut Vec<Problem>) -> Method {
        match self.method.as_deref() {
            None | Some("POST") => Method::POST,
            Some("PUT") => Method::PUT,
            Some("PATCH") => Method::PATCH,
            Some(other) => {
                let message = format!("`{other}`: expected POST, PUT or PATCH");
                problems.push(Problem::new("method", message));
                Method::POST
            }
        }
    }

    fn content_headers(&self, problems: &mut Vec<Problem>) -> HeaderMap {
        let text = self.content_type.as_deref();
        let value = header_value(text.unwrap_or("application/json"));
        let value = value.map_err(|why| problems.push(Problem::new("content_type", why)));
        let mut headers = HeaderMap::new();
        headers.extend(value.map(|value: HeaderValue| (CONTENT_TYPE, value)));
        headers
    }

    fn keys(&self, problems: &mut Vec<Problem>) -> Vec<(&'static str, SecretSource)> {
        let file = self.secret_file.clone().map(SecretSource::File);
        let env = self.secret_env.clone().map(SecretSource::Env);
        let next = self.next_secret_file.clone().map(SecretSource::File);
        if file.is_some() && env.is_some() {
            let message = "set either the file or the environment variable";
            problems.push(Problem::new("secret_env", message));
        }
        if next.is_some() && file.is_none() && env.is_none() {
            let message = "there is no secret that it could replace: set secret_file";
            problems.push(Problem::new("next_secret_file", message));
        }
        let current = file
            .map(|source| ("secret_file", source))
            .or(env.map(|source| ("secret_env", source)));
        let next = next.map(|source| ("next_secret_file", source));
        current.into_iter().chain(next).collect()
    }

    /// The template, if there is one and it can be written with the values of an example.
    fn template(&self, problems: &mut Vec<Problem>) -> Option<Template> {
        let text = self.body.as_deref()?;
        let tried = Template::new(text).and_then(|template| {
            let example = example();
            let payload = Payload::new(&example, &example.alerts, 0);
            let written = template.render(&payload, MAX_BYTES)?;
            if written.len() > MAX_BYTES {
                return Err(format!(
                    "it makes more than {MAX_BYTES} bytes of two alerts"
                ));
            }
            Ok(template)
        });
        let tried = tried.map_err(|why| problems.push(Problem::new("body", why)));
        tried.ok()
    }
}

impl Webhook {
    fn body(&self, notification: &Notification) -> Result<Vec<u8>, Refusal> {
        fitting(notification, MAX_BYTES, |alerts, left| {
            let payload = Payload::new(notification, alerts, left);
            let Some(template) = &self.template else {
                return to_json(&payload);
            };
            template.render(&payload, MAX_BYTES).map_err(|why| {
                let why = format!("the body's template: {why}");
                Refusal::new(RefusalReason::Local, why)
            })
        })
    }
}

impl Tell for Webhook {
    async fn tell(&self, notification: &Notification) -> Result<String, Refusal> {
        let body = self.body(notification)?;
        let mut headers = self.headers.clone();
        headers.extend(self.signer.headers(&notification.id, &body)?);
        let message = Message {
            method: self.method.clone(),
            headers,
            body: body.into(),
            secret: None,
        };
        let answer = self.post.deliver(&self.to, message).await?;
        Ok(answer.text())
    }
}

/// Values that a template is tried with.
fn example() -> Notification {
    let labels = |pairs: &[(&str, &str)]| -> Labels {
        let pairs = pairs.iter();
        pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
    };
    let alert = |state, end| {
        Arc::new(Alert {
            rule: "Example".into(),
            labels: labels(&[("alertname", "Example"), ("severity", "warning")]),
            annotations: labels(&[("summary", "An example."), ("description", "Of an alert.")]),
            state,
            active_timestamp_seconds: 0.0,
            start_timestamp_seconds: Some(60.0),
            end_timestamp_seconds: end,
            value: Some(2.0),
            threshold: Some(1.0),
            shared: false,
            receivers: None,
            muted: None,
        })
    };
    Notification {
        id: "example".into(),
        receiver: "example".into(),
        group: labels(&[("group", "shop"), ("target_region", "north")]),
        alerts: vec![
            alert(AlertState::Firing, None),
            alert(AlertState::Resolved, Some(120.0)),
        ],
        truncated: 0,
        firing: true,
        timestamp_seconds: 120.0,
        source_region: "south".into(),
        external_url: None,
    }
}
