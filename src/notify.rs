//! How notifications are told to receivers. A kind is one file in `notify/` and one line here.

// What several kinds have in common.
mod payload;
pub(crate) mod post;
mod reach;
mod sign;
mod template;
mod words;

// The kinds, written out, so that rustfmt finds them.
mod alertmanager;
mod email;
mod pagerduty;
mod slack;
mod teams;
mod webhook;

// Each of them is configured by itself.
mod heartbeat;
mod peers;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

pub use self::alertmanager::{Denial, Member, Request, Settings as AlertmanagerSettings, Stated};
pub use self::heartbeat::{Heartbeat, Pulse, Settings as HeartbeatSettings};
pub use self::peers::{Peers, Settings as PeerSettings, may_have_login};
use crate::files::Files;
use crate::model::{Alert, AlertState, Labels, Problem, one_line};
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

    /// Does the same, and gives what the receiver answered, for people: one short line without a
    /// secret.
    fn try_out<'a>(&'a self, notification: &'a Notification) -> Trial<'a> {
        Box::pin(async {
            self.notify(notification).await?;
            Ok("it was taken".to_owned())
        })
    }
}

/// One attempt, with what the receiver answered.
pub type Trial<'a> = Pin<Box<dyn Future<Output = Result<String, Refusal>> + Send + 'a>>;

/// What a kind does: [`Told`] makes a notifier of it.
trait Tell: Send + Sync {
    /// As [`Notifier::try_out`].
    fn tell(
        &self,
        notification: &Notification,
    ) -> impl Future<Output = Result<String, Refusal>> + Send;
}

/// A notifier that does what its kind does.
struct Told<T>(T);

impl<T: Tell> Notifier for Told<T> {
    fn notify<'a>(&'a self, notification: &'a Notification) -> Attempt<'a> {
        Box::pin(async { self.0.tell(notification).await.map(drop) })
    }

    fn try_out<'a>(&'a self, notification: &'a Notification) -> Trial<'a> {
        Box::pin(self.0.tell(notification))
    }
}

/// The notification as bytes of at most `max`, with as many of its alerts as there is room for:
/// `make` gets those and how many are left out.
fn fitting(
    notification: &Notification,
    max: usize,
    make: impl Fn(&[Arc<Alert>], usize) -> Result<Vec<u8>, Refusal>,
) -> Result<Vec<u8>, Refusal> {
    let all = notification.alerts.len();
    let mut shown = all;
    loop {
        let left = notification.truncated + all - shown;
        let bytes = make(&notification.alerts[..shown], left)?;
        if bytes.len() <= max {
            return Ok(bytes);
        }
        if shown == 0 {
            let why = format!("the message is larger than {max} bytes, also without any alert");
            return Err(Refusal::new(RefusalReason::Local, why));
        }
        shown = (shown * max / bytes.len()).min(shown - 1);
    }
}

/// The value as JSON.
fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(value).map_err(|why| Refusal::new(RefusalReason::Local, why))
}

/// A receiver that can be told.
#[derive(Clone)]
pub enum Prepared {
    /// One that gets notifications.
    Notifier(Arc<dyn Notifier>),
    /// The members of a cluster of Alertmanagers, of which each is told what fires.
    Alertmanager(Vec<Arc<dyn Member>>),
}

impl<T: Tell + 'static> From<Told<T>> for Prepared {
    fn from(told: Told<T>) -> Self {
        Self::Notifier(Arc::new(told))
    }
}

impl From<Vec<Arc<dyn Member>>> for Prepared {
    fn from(members: Vec<Arc<dyn Member>>) -> Self {
        Self::Alertmanager(members)
    }
}

/// Declares the kinds: a receiver has one of these keys beside its name.
macro_rules! kinds {
    ($($(#[$doc:meta])* $module:ident,)*) => {
        /// A receiver as it is written.
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Settings {
            /// Its name.
            pub name: Option<String>,
            $($(#[$doc])* pub $module: Option<Box<$module::Settings>>,)*
        }

        impl Settings {
            /// The names of the kinds.
            pub const KINDS: &[&str] = &[$(stringify!($module),)*];

            /// The kinds that it has: it should be one.
            pub fn kinds(&self) -> Vec<&'static str> {
                let mut kinds = Vec::new();
                $(if self.$module.is_some() {
                    kinds.push(stringify!($module));
                })*
                kinds
            }

            /// Reads what the settings of the first kind name, and checks them against each other.
            /// `None` if there is no kind. The fields of problems begin with the kind.
            pub fn prepare(&self, context: &Context) -> Option<Result<Prepared, Vec<Problem>>> {
                let below = |kind: &str, problems: Vec<Problem>| {
                    let problems = problems.into_iter().map(|problem| problem.below(kind));
                    problems.collect()
                };
                $(if let Some(settings) = &self.$module {
                    let prepared = settings.prepare(context).map(Prepared::from);
                    return Some(prepared.map_err(|all| below(stringify!($module), all)));
                })*
                None
            }
        }
    };
}

kinds! {
    /// Alertmanager, told as Prometheus tells it.
    alertmanager,
    /// A request of its own form.
    webhook,
    /// An incoming webhook of Slack.
    slack,
    /// A workflow of Microsoft Teams.
    teams,
    /// The Events API of PagerDuty.
    pagerduty,
    /// Mail.
    email,
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
    fn as_many_alerts_are_shown_as_there_is_room_for() {
        let notification = words::tests::notification(10, 0);
        let shown = |max| {
            let made = fitting(&notification, max, |alerts, left| {
                assert_eq!(alerts.len() + left, 10);
                Ok(vec![b'x'; 5 + 10 * alerts.len()])
            });
            made.map(|bytes| bytes.len())
        };
        assert_eq!(shown(105), Ok(105));
        assert_eq!(shown(104), Ok(95));
        assert_eq!(shown(5), Ok(5));
        assert_eq!(
            shown(4).map_err(|why| why.reason),
            Err(RefusalReason::Local)
        );
    }

    #[test]
    fn reasons_have_different_names() {
        let names: std::collections::HashSet<_> = RefusalReason::ALL
            .iter()
            .map(|reason| reason.as_str())
            .collect();
        assert_eq!(names.len(), RefusalReason::ALL.len());
    }
}
