//! What can be set, and what is wrong with it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::canary::Canary;
use super::login::Login;
use super::query::{Bounds, Query};
use super::{Mysql, Shared};
use crate::model::{Secret, duration};
use crate::net::{Connection, IpVersion, Route, TlsMode, TlsPolicy, TlsSettings};
use crate::probe::{Context, Problem, Template, text_password, tls_policy};

/// Bytes of a query. A server takes less than 16 MiB at once, and less by its settings.
const MAX_QUERY: usize = 1 << 20;

/// The settings of `check: { mysql: … }`. The target is `host` or `host:port` (3306).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches that are independent of each other"
)]
pub struct Settings {
    /// The account to log in as.
    pub user: String,
    /// The database; none is chosen without it.
    #[serde(default)]
    pub database: Option<String>,
    /// The file with the account's password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The environment variable with the account's password.
    #[serde(default)]
    pub password_env: Option<String>,
    /// How much TLS a session must have.
    #[serde(default)]
    pub tls: TlsMode,
    /// The authorities to trust instead of the system's (PEM).
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The client certificate with its chain (PEM).
    #[serde(default)]
    pub cert_file: Option<PathBuf>,
    /// The client certificate's key (PEM).
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// The name to ask for and to verify, instead of the target's host.
    #[serde(default)]
    pub server_name: Option<String>,
    /// Give the password itself to a server that asks for it although nobody vouches for the server
    /// (`tls` below `verify-ca`).
    #[serde(default)]
    pub allow_cleartext: bool,
    /// The query; `SELECT 1` by default. One statement.
    #[serde(default)]
    pub query: Option<String>,
    /// What the first column of the query's first row must be, as text. Without it any answer but
    /// an error will do.
    #[serde(default)]
    pub expect: Option<String>,
    /// Make the session read-only, and have the server itself end what takes longer than the
    /// probe's timeout: a query whose run was given up does not stay behind (`MySQL` ends only
    /// `SELECT`). Switch it off for what knows no such variables, like the console of a proxy.
    #[serde(default = "yes")]
    pub read_only: bool,
    /// Ask also where the server stands in its cluster. Switch it off for what is neither `MySQL` nor
    /// `MariaDB` behind their protocol.
    #[serde(default = "yes")]
    pub replication: bool,
    /// Write a canary to the primary, and look for it on the standbys: see `hotspare sql mysql`.
    #[serde(default)]
    pub canary: bool,
    /// Whether every run connects anew.
    #[serde(default)]
    pub connection: Connection,
    /// The age at which a connection is replaced that runs share; 5 minutes by default.
    #[serde(default, deserialize_with = "duration::deserialize_option")]
    pub max_connection_age: Option<Duration>,
    /// Which addresses of a name are used.
    #[serde(default)]
    pub ip_version: IpVersion,
    /// The local address to send from.
    #[serde(default)]
    pub source_address: Option<IpAddr>,
    /// The differentiated services code point, 0 to 63.
    #[serde(default)]
    pub dscp: Option<u8>,
}

fn yes() -> bool {
    true
}

impl Settings {
    /// Whether there is a canary; `None` if nothing is told of replication.
    pub(in crate::probe) fn canary(&self) -> Option<bool> {
        self.replication.then_some(self.canary)
    }

    pub(in crate::probe) fn prepare(
        &self,
        context: &Context,
    ) -> Result<Box<dyn Template>, Vec<Problem>> {
        let mut problems = self.problems();
        let (file, env) = (self.password_file.as_deref(), self.password_env.as_deref());
        let password =
            text_password(&context.files, file, env).map_err(|problem| problems.push(problem));
        let tls = tls_policy(self.tls, &self.tls_settings(), context)
            .map_err(|problem| problems.push(problem));
        let resolver = &context.resolver;
        let route = Route::from_settings(resolver, self.source_address, self.dscp, self.ip_version)
            .map_err(|(field, why)| problems.push(Problem::new(field, why)));
        let max_age = self.connection.max_age(self.max_connection_age);
        let max_age = max_age.map_err(|why| problems.push(Problem::new("max_connection_age", why)));
        match (password, tls, route, max_age) {
            (Ok(password), Ok(tls), Ok(route), Ok(max_age)) if problems.is_empty() => {
                let shared = self.shared(context, self.login(password, tls), route, max_age);
                Ok(Box::new(Mysql {
                    shared: Arc::new(shared),
                }))
            }
            _ => Err(problems),
        }
    }

    /// What is wrong with the settings by themselves, before any file is read.
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |field: &str, why: &str| problems.push(Problem::new(field, why));
        if self.user.is_empty() {
            wrong("user", "it is empty");
        }
        for (field, text) in [
            ("user", Some(&self.user)),
            ("database", self.database.as_ref()),
        ] {
            if text.is_some_and(|text| text.contains('\0')) {
                wrong(field, "it has a NUL character, which no server takes");
            }
        }
        if self
            .query
            .as_ref()
            .is_some_and(|text| text.len() > MAX_QUERY)
        {
            wrong("query", "it has more than 1048576 bytes");
        }
        if self.expect.is_some() && self.query.is_none() {
            wrong("expect", "there is no query whose answer it could be");
        }
        if self.canary && !self.replication {
            wrong(
                "canary",
                "it needs replication: true, which tells the primary",
            );
        }
        for (field, why) in self.tls.problems(&self.tls_settings()) {
            wrong(field, why);
        }
        problems
    }

    fn tls_settings(&self) -> TlsSettings {
        TlsSettings {
            ca_file: self.ca_file.clone(),
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            server_name: self.server_name.clone(),
            ..TlsSettings::default()
        }
    }

    fn login(&self, password: Option<Secret>, tls: Option<TlsPolicy>) -> Login {
        Login {
            user: self.user.clone(),
            password,
            database: self.database.clone(),
            allow_cleartext: self.allow_cleartext,
            tls,
        }
    }

    fn shared(
        &self,
        context: &Context,
        login: Login,
        route: Route,
        max_age: Option<Duration>,
    ) -> Shared {
        Shared {
            route,
            server_name: self.server_name.clone(),
            login,
            bounds: Bounds {
                read_only: self.read_only,
                brief_waits: self.canary,
                timeout: context.timeout,
            },
            query: Query::new(self),
            replication: self.replication,
            canary: self.canary.then(|| Canary::new(context.canary.clone())),
            max_age,
        }
    }
}
