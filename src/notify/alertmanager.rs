//! `alertmanager`: states alerts to Alertmanager, as Prometheus does.
//!
//! It is not notified of news but told the state of alerts, again and again, so it is no
//! [`super::Notifier`]: a request is made of whatever alerts are due.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::post::{Address, Message, Post, UrlSettings, Way, place};
use super::words::{moment, start};
use super::{Context, Refusal};
use crate::model::{Alert, Fingerprint, Problem};
use crate::net::TlsSettings;

/// An alert as it is stated to an Alertmanager.
#[derive(Clone, Debug, PartialEq)]
pub struct Stated {
    /// What identifies it.
    pub fingerprint: Fingerprint,
    /// What it is.
    pub alert: Arc<Alert>,
    /// When it is over: a moment to come for one that fires. In seconds since 1970.
    pub end_timestamp_seconds: f64,
}

/// The settings of `alertmanager: { … }`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Every member of the cluster: `http://am-1:9093`, with the path before `/api` if there is one.
    /// A load balancer before them would tell only one of them.
    pub urls: Vec<String>,
    /// How to speak TLS.
    pub tls: TlsSettings,
    /// The user of basic authentication.
    pub username: Option<String>,
    /// The file with the user's password.
    pub password_file: Option<PathBuf>,
    /// The environment variable with the user's password.
    pub password_env: Option<String>,
    /// The file with the bearer token.
    pub bearer_token_file: Option<PathBuf>,
    /// The environment variable with the bearer token.
    pub bearer_token_env: Option<String>,
}

impl Settings {
    /// The members, in the order of `urls`. The errors are for the operator.
    pub fn prepare(&self, context: &Context) -> Result<Vec<Arc<dyn Member>>, Vec<Problem>> {
        let mut problems = Vec::new();
        let post = Arc::new(Post::new(self.way(), context, &mut problems));
        if self.urls.is_empty() {
            let message = "name at least one, like http://am-1:9093";
            problems.push(Problem::new("urls", message));
        }
        let mut taken = HashSet::new();
        let mut members: Vec<Arc<dyn Member>> = Vec::new();
        for (index, url) in self.urls.iter().enumerate() {
            let field = format!("urls[{index}]");
            match to(url, &post, &field) {
                Ok((_, name)) if !taken.insert(name.clone()) => {
                    problems.push(Problem::new(field, format!("{name} is named twice")));
                }
                Ok((to, name)) => members.push(Arc::new(Alertmanager {
                    name,
                    to,
                    post: Arc::clone(&post),
                })),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() {
            Ok(members)
        } else {
            Err(problems)
        }
    }

    fn way(&self) -> Way {
        Way {
            tls: self.tls.clone(),
            username: self.username.clone(),
            password_file: self.password_file.clone(),
            password_env: self.password_env.clone(),
            bearer_token_file: self.bearer_token_file.clone(),
            bearer_token_env: self.bearer_token_env.clone(),
            ..Way::default()
        }
    }
}

/// Where a member takes alerts, and what it is called.
fn to(url: &str, post: &Post, field: &str) -> Result<(Address, String), Vec<Problem>> {
    let problem = |message: &str| vec![Problem::new(field, message)];
    let (base, path) = (url.trim_end_matches('/'), "/api/v2/alerts");
    if base.ends_with(path) || base.contains(['?', '#']) {
        let message = "expected the address alone, like http://am-1:9093/path";
        return Err(problem(message));
    }
    let url = format!("{base}{path}");
    let mut found = Vec::new();
    let url = UrlSettings {
        url: Some(&url),
        ..UrlSettings::default()
    };
    if let Some(Address::Known(to)) = post.address(url, &mut found) {
        let name = place(&to);
        return Ok((Address::Known(to), name));
    }
    let found = found.into_iter().map(|mut problem| {
        if problem.field == "url" {
            field.clone_into(&mut problem.field);
        }
        problem
    });
    Err(found.collect())
}

/// One member.
struct Alertmanager {
    name: String,
    to: Address,
    post: Arc<Post>,
}

impl Member for Alertmanager {
    fn name(&self) -> &str {
        &self.name
    }

    fn state<'a>(&'a self, stated: &'a [Stated], external_url: Option<&'a str>) -> Request<'a> {
        Box::pin(async move {
            let message = Message::json(body(stated, external_url));
            let answer = self.post.send(&self.to, message).await;
            let answer = answer.map_err(Denial::Failed)?;
            let status = answer.status;
            match answer.taken() {
                Ok(_) => Ok(()),
                Err(refusal) if is_about_alerts(status) => Err(Denial::Invalid(refusal)),
                Err(refusal) => Err(Denial::Failed(refusal)),
            }
        })
    }
}

/// 400 where an alert is not valid, of which the valid ones are taken; 422 where the request does
/// not follow the API's description; 413 of a proxy.
fn is_about_alerts(status: StatusCode) -> bool {
    [
        StatusCode::BAD_REQUEST,
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::UNPROCESSABLE_ENTITY,
    ]
    .contains(&status)
}

/// Why an Alertmanager did not take a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// At least one of its alerts is not valid, or the request is too large.
    Invalid(Refusal),
    /// It took none, for a reason that has nothing to do with the alerts.
    Failed(Refusal),
}

/// One request to an Alertmanager.
pub type Request<'a> = Pin<Box<dyn Future<Output = Result<(), Denial>> + Send + 'a>>;

/// One Alertmanager. It knows no queue, no retry, no deadline and no log line.
pub trait Member: Send + Sync {
    /// What it is called in metrics and the log: `https://am-1:9093`, without path and credentials.
    fn name(&self) -> &str;

    /// Makes one request. The alerts point people to `external_url`.
    ///
    /// The future is dropped when the deadline passes, wherever it is: what it
    /// holds must end with it.
    fn state<'a>(&'a self, stated: &'a [Stated], external_url: Option<&'a str>) -> Request<'a>;
}

/// One alert of a request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    annotations: BTreeMap<&'a str, &'a str>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<&'a str>,
}

/// The body of a request to `/api/v2/alerts`.
fn body(stated: &[Stated], external_url: Option<&str>) -> Vec<u8> {
    let posted: Vec<_> = stated.iter().map(|s| posted(s, external_url)).collect();
    // Texts alone cannot fail to be JSON; if they did, the member would say what is missing.
    serde_json::to_vec(&posted).unwrap_or_default()
}

fn posted<'a>(stated: &'a Stated, external_url: Option<&'a str>) -> Posted<'a> {
    let alert = &*stated.alert;
    let start = start(alert);
    // An end before the start is refused. The wall clock may have been set back in between.
    let end = stated.end_timestamp_seconds.max(start);
    Posted {
        labels: texts(&alert.labels),
        annotations: texts(&alert.annotations),
        starts_at: moment(start),
        ends_at: moment(end),
        generator_url: external_url,
    }
}

/// To an Alertmanager, a label without a value is none.
fn texts(labels: &BTreeMap<Arc<str>, Arc<str>>) -> BTreeMap<&str, &str> {
    let labels = labels.iter().filter(|(_, value)| !value.is_empty());
    labels.map(|(name, value)| (&**name, &**value)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::files::Files;
    use crate::model::{AlertState, Labels};
    use crate::net::{Names, Resolver, Roots};

    fn alert(labels: &[(&str, &str)]) -> Arc<Alert> {
        let labels: Labels = labels
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        Arc::new(Alert {
            rule: "A".into(),
            annotations: labels.clone(),
            labels,
            state: AlertState::Firing,
            active_timestamp_seconds: 1.0,
            start_timestamp_seconds: Some(1_700_000_000.25),
            end_timestamp_seconds: None,
            value: None,
            threshold: None,
            shared: false,
            receivers: None,
            muted: None,
        })
    }

    fn posted(alert: &Arc<Alert>, end: f64, url: Option<&str>) -> Value {
        let stated = Stated {
            fingerprint: alert.fingerprint(),
            alert: Arc::clone(alert),
            end_timestamp_seconds: end,
        };
        let mut body: Value = serde_json::from_slice(&body(&[stated], url)).expect("JSON");
        body[0].take()
    }

    #[test]
    fn an_alert_is_posted_as_alertmanager_reads_it() {
        let alert = alert(&[("alertname", "A"), ("note", "\"\n\u{1f600}"), ("none", "")]);
        let url = Some("https://hotspare.example.com/");
        assert_eq!(
            posted(&alert, 1_700_000_240.0, url),
            json!({
                "labels": {"alertname": "A", "note": "\"\n\u{1f600}"},
                "annotations": {"alertname": "A", "note": "\"\n\u{1f600}"},
                "startsAt": "2023-11-14T22:13:20.25Z",
                "endsAt": "2023-11-14T22:17:20Z",
                "generatorURL": "https://hotspare.example.com/",
            })
        );
        assert_eq!(posted(&alert, 0.0, None).get("generatorURL"), None);
    }

    fn prepared(settings: &str) -> Result<Vec<String>, Vec<(String, String)>> {
        let context = Context {
            resolver: Arc::new(Resolver::new(Names::at([]))),
            roots: Arc::new(Roots::default()),
            files: Files::new(None, PathBuf::new()),
        };
        let settings: Settings = serde_json::from_str(settings).expect("settings");
        let names = |members: Vec<Arc<dyn Member>>| {
            let names = members.iter().map(|member| member.name().to_owned());
            names.collect()
        };
        let fields = |problems: Vec<Problem>| {
            let problems = problems.into_iter();
            problems.map(|p| (p.field, p.message)).collect()
        };
        settings.prepare(&context).map(names).map_err(fields)
    }

    #[test]
    fn members_are_named_without_their_path() {
        let names = prepared(r#"{"urls": ["http://am-1:9093/", "http://am-2:9093/am/x/"]}"#);
        let expected = ["http://am-1:9093", "http://am-2:9093"];
        assert_eq!(names, Ok(expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn each_bad_setting_is_told_with_its_place() {
        for (settings, field, message) in [
            ("{}", "urls", "name at least one"),
            (r#"{"urls": ["am-1"]}"#, "urls[0]", ""),
            (
                r#"{"urls": ["http://a", "http://b/api/v2/alerts"]}"#,
                "urls[1]",
                "the address alone",
            ),
            (
                r#"{"urls": ["http://a/?x=y"]}"#,
                "urls[0]",
                "the address alone",
            ),
            (
                r#"{"urls": ["http://a/x", "http://a/y"]}"#,
                "urls[1]",
                "named twice",
            ),
            (
                r#"{"urls": ["http://a"], "username": "u"}"#,
                "password_file",
                "needs a password_file",
            ),
        ] {
            let problems = prepared(settings).expect_err("a problem");
            let [(found, why)] = &problems[..] else {
                panic!("{settings}: {problems:?}");
            };
            assert_eq!(found, field, "{settings}");
            assert!(why.contains(message), "{settings}: {why}");
        }
    }

    #[test]
    fn no_alert_ends_before_it_began() {
        let alert = alert(&[("alertname", "A")]);
        let posted = posted(&alert, 1_600_000_000.0, None);
        assert_eq!(posted["endsAt"], posted["startsAt"]);
    }
}
