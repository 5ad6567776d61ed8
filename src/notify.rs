//! How notifications are told to receivers. A kind is one file in `notify/` and one line here.

// What several kinds have in common.
mod post;

// The kinds, written out, so that rustfmt finds them.
mod alertmanager;
mod heartbeat;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use self::alertmanager::{Denial, Member, Request, Settings as AlertmanagerSettings, Stated};
pub use self::heartbeat::{Heartbeat, Pulse, Settings as HeartbeatSettings};
use crate::files::Files;
use crate::model::{Alert, AlertState, Labels, one_line};
use crate::net::{Resolver, Roots};

/// What receivers share, and what they need to be prepared.
#[derive(Clone, Debug)]
pub struct Context {
    /// Turns names into addresses.
    pub resolver: Arc<Resolver>,
    /// The system's certificate authorities.
    pub roots: Arc<Roots>,
    /// Where files that the settings name are found.
    pub files: Files,
}

/// One attempt to tell a receiver something.
pub type Attempt<'a> = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send + 'a>>;

/// Tells one receiver. It knows no queue, no retry, no deadline and no log line.
pub trait Notifier: Send + Sync {
    /// Makes one attempt. `Ok` is an answer that means "it is with me now", as 2xx does.
    ///
    /// The future is dropped when the deadline passes, wherever it is: what it holds must end with it.
    fn notify<'a>(&'a self, notification: &'a Notification) -> Attempt<'a>;
}

/// What is told at once: the alerts of one group, some of them new.
///
/// It is the same at each attempt, also after a restart: who gets it twice can tell by its id.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// What names this notification for good, at every attempt.
    pub id: Arc<str>,
    /// The receiver's name.
    pub receiver: Arc<str>,
    /// The labels that make the group, with their values.
    pub group: Labels,
    /// The alerts: firing ones first, then those that are over and were not told to be.
    pub alerts: Vec<Arc<Alert>>,
    /// How many more there are, which have no room here.
    pub truncated: usize,
    /// Whether any alert of the group fires: also one that has no room here.
    pub firing: bool,
    /// When it was made, in seconds since 1970.
    pub timestamp_seconds: f64,
    /// The region of this daemon.
    pub source_region: Arc<str>,
    /// Where people find this daemon, if that is configured.
    pub external_url: Option<Arc<str>>,
}

impl Notification {
    /// What names the group for good, the same from every vantage: `{group="shop",target_region="b"}`.
    pub fn group_key(&self) -> String {
        let labels = self.group.iter();
        let labels: Vec<_> = labels.map(|(k, v)| format!("{k}={v:?}")).collect();
        format!("{{{}}}", labels.join(","))
    }

    /// The alerts that fire.
    pub fn firing(&self) -> impl Iterator<Item = &Arc<Alert>> {
        self.in_state(AlertState::Firing)
    }

    /// The alerts that are over.
    pub fn resolved(&self) -> impl Iterator<Item = &Arc<Alert>> {
        self.in_state(AlertState::Resolved)
    }

    fn in_state(&self, state: AlertState) -> impl Iterator<Item = &Arc<Alert>> {
        self.alerts.iter().filter(move |alert| alert.state == state)
    }
}

/// Why a receiver did not take a notification: a closed set, because it becomes a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalReason {
    /// Its name has no address.
    Dns,
    /// No connection: refused, unreachable.
    Connect,
    /// TLS: the handshake or the certificate.
    Tls,
    /// It did not answer in time.
    Timeout,
    /// The connection ended before the answer, or the answer was not one.
    Protocol,
    /// It asks to wait (429).
    RateLimited,
    /// It has trouble of its own (5xx, 408, 425).
    Server,
    /// It points somewhere else (3xx), where nothing is sent.
    Redirect,
    /// It does not let us (401, 403, a failed login).
    Auth,
    /// It does not want this (any other 4xx).
    Rejected,
    /// This host could not: no file descriptor, no permission, a secret that cannot be read.
    Local,
}

impl RefusalReason {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Protocol,
        Self::RateLimited,
        Self::Server,
        Self::Redirect,
        Self::Auth,
        Self::Rejected,
        Self::Local,
    ];

    /// The value of the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::RateLimited => "rate_limited",
            Self::Server => "server",
            Self::Redirect => "redirect",
            Self::Auth => "auth",
            Self::Rejected => "rejected",
            Self::Local => "local",
        }
    }

    /// Whether it will not do to try again soon: somebody has to change something first.
    pub const fn is_lasting(self) -> bool {
        matches!(self, Self::Redirect | Self::Auth | Self::Rejected)
    }
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", reason.as_str())]
pub struct Refusal {
    /// Why.
    pub reason: RefusalReason,
    /// For the log: one short line without a secret and without the path of the URL.
    pub detail: String,
    /// How long the receiver asks to wait.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal; control characters of the detail become spaces, and it is cut to 256 bytes.
    pub fn new(reason: RefusalReason, detail: impl std::fmt::Display) -> Self {
        Self {
            reason,
            detail: one_line(&detail.to_string()).into(),
            retry_after: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_different_names() {
        let names: std::collections::HashSet<_> = RefusalReason::ALL
            .iter()
            .map(|reason| reason.as_str())
            .collect();
        assert_eq!(names.len(), RefusalReason::ALL.len());
    }
}
