//! A list over HTTP, as Prometheus' `http_sd_configs` asks for one.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::timeout;

use super::settings::{HttpSettings, interval};
use super::{Answer, list};
use crate::model::Problem;
use crate::notify::Context;
use crate::notify::post::{Address, Post, UrlSettings, Way};

/// Bytes that an answer may have.
const MAX_BYTES: u64 = 8 << 20;
/// How often to ask, unless set; Prometheus has the same.
const INTERVAL: Duration = Duration::from_mins(1);
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Asks one URL.
#[derive(Debug)]
pub(super) struct List {
    post: Post,
    from: Address,
    /// Where the list is, for people.
    name: Arc<str>,
    headers: HeaderMap,
    pub(super) interval: Duration,
}

impl HttpSettings {
    pub(super) fn prepare(&self, context: &Context) -> Result<List, Vec<Problem>> {
        let mut problems = Vec::new();
        let post = Post::new(self.way(), context, &mut problems);
        let url = UrlSettings {
            url: self.url.as_deref(),
            file: self.url_file.as_deref(),
            env: self.url_env.as_deref(),
        };
        let from = post.address(url, &mut problems);
        let interval = interval(self.refresh_interval, INTERVAL, &mut problems);
        match from {
            Some(from) if problems.is_empty() => Ok(List {
                post,
                name: match &from {
                    Address::Known(to) => crate::notify::post::place(to).into(),
                    Address::Named(_) => "the URL".into(),
                },
                from,
                headers: headers(interval),
                interval,
            }),
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
}

/// What Prometheus sends, too.
fn headers(interval: Duration) -> HeaderMap {
    const REFRESH: HeaderName = HeaderName::from_static("x-prometheus-refresh-interval-seconds");
    HeaderMap::from_iter([
        (ACCEPT, JSON),
        (REFRESH, HeaderValue::from(interval.as_secs())),
    ])
}

impl List {
    pub(super) async fn ask(&self, patience: Duration) -> Answer {
        let fetched = self.post.fetch(&self.from, self.headers.clone(), MAX_BYTES);
        let Ok(fetched) = timeout(patience, fetched).await else {
            let (name, patience) = (&self.name, patience.as_secs());
            return Answer::fault(format!("{name}: no whole answer within {patience}s"));
        };
        let read = match fetched {
            Ok(answer) if is_json(&answer.headers) => {
                list::json(&answer.body, &self.name).map_err(|why| format!("{}: {why}", self.name))
            }
            Ok(_) => Err(format!(
                "{}: the answer's Content-Type is not application/json",
                self.name
            )),
            Err(refusal) => Err(refusal.detail),
        };
        match read {
            Ok(found) => Answer {
                targets: Some(list::all([&found])),
                faults: Vec::new(),
                read: true,
            },
            Err(why) => Answer::fault(why),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}
