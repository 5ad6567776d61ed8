//! What can be set, and what is wrong with it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::canary::Canary;
use super::info;
use super::login::Login;
use super::query::Query;
use super::reply::packed;
use super::{Redis, Shared};
use crate::model::{Secret, duration};
use crate::net::{Connection, Host, IpVersion, Route, TlsClient, TlsSettings};
use crate::probe::{Context, Problem, Template, tls_client};

/// The settings of `check: { redis: … }`. The target is `host` or `host:port` (6379).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The user to log in as; the server's `default` user when there is only a password.
    pub username: Option<String>,
    /// The file with the password.
    pub password_file: Option<PathBuf>,
    /// The environment variable with the password.
    pub password_env: Option<String>,
    /// The number of the database; without it, the one that the server starts with.
    pub database: Option<u32>,
    /// Speak TLS on the connection.
    pub tls: Option<TlsSettings>,
    /// Give the password to a server that nobody vouches for (no TLS, or unverified). Redis has no
    /// other way than in clear.
    pub allow_cleartext: bool,
    /// The command to send, word by word; `PING` by default. It should only read: what protects the
    /// data is what the server lets the user do.
    pub query: Option<Vec<String>>,
    /// What the answer must be, as text. Without it any answer but an error will do.
    pub expect: Option<String>,
    /// Ask also what there is to know of the server and its replication.
    #[serde(default = "yes")]
    pub replication: bool,
    /// Write a canary to the primary, and look for it on the replicas.
    pub canary: bool,
    /// Whether every run connects anew.
    pub connection: Connection,
    /// The age at which a connection is replaced that runs share.
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub max_connection_age: Option<Duration>,
    /// Which addresses of a name are used.
    pub ip_version: IpVersion,
    /// The local address to send from.
    pub source_address: Option<IpAddr>,
    /// The differentiated services code point, 0 to 63.
    pub dscp: Option<u8>,
}

fn yes() -> bool {
    true
}

impl Settings {
    /// Whether there is a canary; `None` where nothing is asked about replication.
    pub(in crate::probe) fn canary(&self) -> Option<bool> {
        self.replication.then_some(self.canary)
    }

    pub(in crate::probe) fn prepare(
        &self,
        context: &Context,
    ) -> Result<Box<dyn Template>, Vec<Problem>> {
        let mut problems = self.problems();
        let password = self
            .password(context)
            .map_err(|problem| problems.push(problem));
        let tls = self
            .tls_client(context)
            .map_err(|problem| problems.push(problem.below("tls")));
        let resolver = &context.resolver;
        let route = Route::from_settings(resolver, self.source_address, self.dscp, self.ip_version)
            .map_err(|(field, why)| problems.push(Problem::new(field, why)));
        let max_age = self
            .connection
            .max_age(self.max_connection_age)
            .map_err(|why| problems.push(Problem::new("max_connection_age", why)));
        match (password, tls, route, max_age) {
            (Ok(password), Ok(tls), Ok(route), Ok(max_age)) if problems.is_empty() => {
                Ok(Box::new(Redis {
                    shared: Arc::new(self.shared(context, password, tls, route, max_age)),
                }))
            }
            _ => Err(problems),
        }
    }

    fn has_password(&self) -> bool {
        self.password_file.is_some() || self.password_env.is_some()
    }

    /// Whether a session counts only if an authority vouches for the server.
    fn verifies(&self) -> bool {
        self.tls
            .as_ref()
            .is_some_and(|tls| !tls.insecure_skip_verify)
    }

    fn password(&self, context: &Context) -> Result<Option<Secret>, Problem> {
        let (file, env) = (self.password_file.as_deref(), self.password_env.as_deref());
        context.files.secret_of("password", file, env)
    }

    fn tls_client(&self, context: &Context) -> Result<Option<TlsClient>, Problem> {
        let settings = self.tls.as_ref();
        settings.map(|tls| tls_client(tls, context)).transpose()
    }

    /// What is wrong with the settings by themselves, before any file is read.
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |field: &str, why: &str| problems.push(Problem::new(field, why));
        if self.username.is_some() && !self.has_password() {
            wrong(
                "username",
                "there is no password: see password_file, password_env",
            );
        }
        if self.has_password() && !self.verifies() && !self.allow_cleartext {
            wrong(
                "allow_cleartext",
                "the password would go in clear to a server that nobody vouches for: set `tls` \
                 without insecure_skip_verify, or accept it with allow_cleartext: true",
            );
        }
        if self
            .query
            .as_ref()
            .is_some_and(|words| words.first().is_none_or(String::is_empty))
        {
            wrong(
                "query",
                "it has no command: a list of words, like [\"GET\", \"key\"]",
            );
        }
        if self.canary && !self.replication {
            wrong(
                "canary",
                "it needs replication: true, which tells the primary",
            );
        }
        if self.expect.is_some() && self.query.is_none() {
            wrong("expect", "there is no query whose answer it could be");
        }
        let server_name = self.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
        let name =
            server_name.map(|name| Host::parse(name).and_then(|host| host.certified_name(None)));
        if let Some(Err(why)) = name {
            wrong("tls.server_name", &why);
        }
        problems
    }

    fn shared(
        &self,
        context: &Context,
        password: Option<Secret>,
        tls: Option<TlsClient>,
        route: Route,
        max_age: Option<Duration>,
    ) -> Shared {
        let canary = self.canary.then(|| Canary::new(&context.canary));
        Shared {
            route,
            tls,
            server_name: self.tls.as_ref().and_then(|tls| tls.server_name.clone()),
            replication: self.replication,
            inquiry: inquiry(canary.as_ref()),
            canary,
            timeout: context.timeout,
            login: Login {
                username: self.username.clone(),
                password,
                database: self.database,
            },
            query: Query::new(self),
            max_age,
        }
    }
}

/// What is asked beside the query, as one message.
fn inquiry(canary: Option<&Canary>) -> Vec<u8> {
    let questions = info::QUESTIONS.iter().map(|words| packed(words));
    questions
        .chain(canary.map(Canary::question))
        .flatten()
        .collect()
}
