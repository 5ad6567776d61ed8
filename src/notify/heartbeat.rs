//! The heartbeat: a request that says that this daemon goes on, to a service that pages when none
//! comes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::post::{Address, Message, Post, UrlSettings, Way};
use super::{Attempt, Context};
use crate::model::{Problem, duration};

/// How often, unless set.
const INTERVAL: Duration = Duration::from_mins(1);
const MIN_INTERVAL: Duration = Duration::from_secs(5);
const MAX_INTERVAL: Duration = Duration::from_hours(1);

/// The settings of `heartbeat: { … }`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where to send it.
    pub url: Option<String>,
    /// The file with the URL, if that is a secret.
    pub url_file: Option<PathBuf>,
    /// The environment variable with the URL.
    pub url_env: Option<String>,
    /// How often: from 5 s to an hour, a minute unless set.
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub interval: Option<Duration>,
}

impl Settings {
    /// The errors are for the operator.
    pub fn prepare(&self, context: &Context) -> Result<Heartbeat, Vec<Problem>> {
        let mut problems = Vec::new();
        let post = Post::new(Way::default(), context, &mut problems);
        let url = UrlSettings {
            url: self.url.as_deref(),
            file: self.url_file.as_deref(),
            env: self.url_env.as_deref(),
        };
        let to = post.address(url, &mut problems);
        let interval = self.interval.unwrap_or(INTERVAL);
        if !(MIN_INTERVAL..=MAX_INTERVAL).contains(&interval) {
            problems.push(Problem::new("interval", "must be from 5s to 1h"));
        }
        match to {
            Some(to) if problems.is_empty() => Ok(Heartbeat { to, post, interval }),
            _ => Err(problems),
        }
    }
}

/// One beat.
#[derive(Clone, Debug, Serialize)]
pub struct Pulse {
    /// The region of this daemon.
    pub source_region: Arc<str>,
    /// Which beat it is since the daemon began, from 1: what is left out did not arrive.
    pub sequence: u64,
    /// When it was sent, in seconds since 1970.
    pub timestamp_seconds: f64,
    /// How long ago the outcome of a run was last taken in; none if nothing is probed from here.
    pub last_probe_age_seconds: Option<f64>,
    /// The version of this daemon.
    pub version: &'static str,
}

/// Where beats go. It knows no schedule, no deadline and no log line.
#[derive(Debug)]
pub struct Heartbeat {
    to: Address,
    post: Post,
    /// From one beat to the next.
    pub interval: Duration,
}

impl Heartbeat {
    /// Sends one beat.
    ///
    /// The future is dropped when the deadline passes, wherever it is.
    pub fn send(&self, pulse: &Pulse) -> Attempt<'_> {
        // Numbers and texts cannot fail to be JSON.
        let body = serde_json::to_vec(pulse).unwrap_or_default();
        Box::pin(async {
            let sent = self.post.deliver(&self.to, Message::json(body)).await;
            sent.map(drop)
        })
    }
}
