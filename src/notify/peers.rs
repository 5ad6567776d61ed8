//! How the daemons of other regions are asked what they say. Nobody is told anything by it, but it goes
//! the same way as what is told.

use std::fmt;
use std::path::PathBuf;

use http::HeaderMap;
use serde::Deserialize;
use url::Url;

use super::post::{Post, UrlSettings, Way};
use super::{Context, Refusal, RefusalReason};
use crate::model::Problem;
use crate::net::{Host, TlsSettings};

/// The settings of `peers: { … }`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
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
}

impl Settings {
    /// The errors are for the operator.
    pub fn prepare(&self, context: &Context) -> Result<Peers, Vec<Problem>> {
        let mut problems = Vec::new();
        let peers = Peers {
            known: Post::new(self.way(), context, &mut problems),
            unknown: Post::new(Way::default(), context, &mut problems),
            has_login: self.has_login(),
        };
        if problems.is_empty() {
            Ok(peers)
        } else {
            Err(problems)
        }
    }

    /// Whether they say who asks, beside what a certificate says.
    pub fn has_login(&self) -> bool {
        let tokens = [&self.username, &self.bearer_token_env];
        tokens.into_iter().any(Option::is_some) || self.bearer_token_file.is_some()
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

/// Asks the daemons of other regions. It knows no schedule, no deadline and no log line.
pub struct Peers {
    /// As the settings say.
    known: Post,
    /// As nobody.
    unknown: Post,
    has_login: bool,
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Peers");
        shown.field("has_login", &self.has_login);
        shown.finish_non_exhaustive()
    }
}

/// Whether a login may go there: over TLS, or to this host.
pub fn may_have_login(daemon: &Url) -> bool {
    let host = daemon.host_str().map(Host::parse);
    daemon.scheme() == "https" || host.is_some_and(|host| host.is_ok_and(|host| host.is_here()))
}

impl Peers {
    /// What the daemon whose pages are below the URL answers at the path: the body of at most so many bytes.
    ///
    /// The future is dropped when the deadline passes, wherever it is.
    pub async fn get(&self, daemon: &Url, path: &str, max_bytes: u64) -> Result<Vec<u8>, Refusal> {
        let may_have_login = may_have_login(daemon);
        let post = if may_have_login {
            &self.known
        } else {
            &self.unknown
        };
        let url = format!("{}{path}", daemon.as_str().trim_end_matches('/'));
        let settings = UrlSettings {
            url: Some(&url),
            ..UrlSettings::default()
        };
        let mut problems = Vec::new();
        let Some(address) = post.address(settings, &mut problems) else {
            let why = problems.into_iter().next().map(|problem| problem.message);
            return Err(Refusal::new(RefusalReason::Local, why.unwrap_or_default()));
        };
        let answer = post.fetch(&address, HeaderMap::new(), max_bytes).await;
        match answer {
            Ok(answer) => Ok(answer.body),
            Err(refusal) if refusal.reason == RefusalReason::Auth => {
                let why = match (self.has_login, may_have_login) {
                    (true, true) => "it refused the login",
                    (true, false) => "it needs a login, which goes to other hosts over https only",
                    (false, _) => "it needs a login, and `peers` has none",
                };
                Err(Refusal::new(RefusalReason::Auth, why))
            }
            Err(refusal) => Err(refusal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_goes_to_other_hosts_over_tls_only() {
        for (daemon, may) in [
            ("https://10.1.0.5:9887", true),
            ("https://h/hotspare", true),
            ("http://127.0.0.1:9887", true),
            ("http://[::1]:9887", true),
            ("http://localhost:9887", true),
            ("http://10.1.0.5:9887", false),
            ("http://localhost.example.com", false),
            ("http://[2001:db8::1]:9887", false),
        ] {
            let url = Url::parse(daemon).expect("a URL");
            assert_eq!(may_have_login(&url), may, "{daemon}");
        }
    }
}
