//! What can be set, and what is wrong with it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, SslNegotiation};

use super::query::Query;
use super::screen::Limits;
use super::{Postgres, Shared};
use crate::model::{Secret, duration};
use crate::net::{Connection, IpVersion, Route, TlsMode, TlsPolicy, TlsSettings};
use crate::probe::{Context, Problem, Template, text_password, tls_policy};

/// Bytes of one message of the server. Many small ones cost the driver more memory than they have
/// bytes, which [`super::MAX_BYTES`] bounds.
const MAX_MESSAGE: u32 = 1 << 20;
/// What the driver itself bears at most.
const MAX_SCRAM_ITERATIONS: u32 = 100_000;

/// The settings of `check: { postgres: … }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches that are independent of each other"
)]
pub struct Settings {
    /// The role to log in as.
    pub user: String,
    /// The database; the server takes the one named like the user when there is none here.
    #[serde(default)]
    pub database: Option<String>,
    /// The file with the role's password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The environment variable with the role's password.
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
    /// Give the password, in clear or as its MD5 hash, to a server that asks for it so although
    /// nobody vouches for the server (`tls` below `verify-ca`).
    #[serde(default)]
    pub allow_cleartext: bool,
    /// The most rounds of hashing that a server may ask for to prove the password; `PostgreSQL`
    /// asks for 4096 unless its `scram_iterations` was raised. At most 100000.
    #[serde(default = "default_scram_iterations")]
    pub max_scram_iterations: u32,
    /// The query; `SELECT 1` by default.
    #[serde(default)]
    pub query: Option<String>,
    /// What the first column of the query's first row must be, as text (`t` and `f` for truth
    /// values). Without it any answer but an error will do.
    #[serde(default)]
    pub expect: Option<String>,
    /// Run the query in a read-only transaction which the server itself ends after the probe's
    /// timeout: a query whose run was given up does not stay behind. Switch it off for what cannot
    /// run in a transaction, like the console of `pgbouncer`. `SELECT 1` needs and has neither.
    #[serde(default = "yes")]
    pub read_only: bool,
    /// Whether every run opens its own connection or uses that of the one before.
    #[serde(default)]
    pub connection: Connection,
    /// The age at which a connection that runs share is replaced; 5 minutes by default.
    #[serde(default, deserialize_with = "duration::deserialize_option")]
    pub max_connection_age: Option<Duration>,
    /// Ask also what there is to know of replication. Switch it off for what is no `PostgreSQL`
    /// behind its protocol.
    #[serde(default = "yes")]
    pub replication: bool,
    /// Write a row to the primary and look for it on the standbys: see `hotspare sql postgres`.
    #[serde(default)]
    pub canary: bool,
    /// How this client calls itself in `pg_stat_activity`.
    #[serde(default = "default_application_name")]
    pub application_name: String,
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

fn default_scram_iterations() -> u32 {
    20_000
}

fn default_application_name() -> String {
    "hotspare".to_owned()
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
        let age = self
            .connection
            .max_age(self.max_connection_age)
            .map_err(|why| problems.push(Problem::new("max_connection_age", why)));
        match (password, tls, route, age) {
            (Ok(password), Ok(tls), Ok(route), Ok(age)) if problems.is_empty() => {
                let mut shared = self.shared(context, password, tls, route);
                shared.max_connection_age = age;
                Ok(Box::new(Postgres {
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
        let texts = [
            ("user", Some(&self.user)),
            ("database", self.database.as_ref()),
            ("application_name", Some(&self.application_name)),
            ("query", self.query.as_ref()),
        ];
        for (field, text) in texts {
            if text.is_some_and(|text| text.contains('\0')) {
                wrong(field, "it has a NUL character, which no server takes");
            }
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
        if !(1..=MAX_SCRAM_ITERATIONS).contains(&self.max_scram_iterations) {
            wrong("max_scram_iterations", "it must be 1 to 100000");
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

    fn shared(
        &self,
        context: &Context,
        password: Option<Secret>,
        tls: Option<TlsPolicy>,
        route: Route,
    ) -> Shared {
        let mut login = Config::new();
        login
            .user(&self.user)
            .application_name(&self.application_name)
            // The channel is handed over as it is to be used, see `Established`.
            .ssl_mode(SslMode::Require)
            .ssl_negotiation(SslNegotiation::Direct);
        if let Some(database) = &self.database {
            login.dbname(database);
        }
        if let Some(password) = &password {
            login.password(password.expose());
        }
        Shared {
            route,
            tls,
            mode: self.tls,
            server_name: self.server_name.clone(),
            limits: Limits {
                message: MAX_MESSAGE,
                scram_iterations: self.max_scram_iterations,
                exposed_password: self.allow_cleartext || self.tls.verifies(),
            },
            login,
            password,
            query: Query::new(self, context.timeout),
            max_connection_age: None,
            replication: self.replication,
            canary: self.canary.then(|| context.canary.clone()),
            timeout: context.timeout,
        }
    }
}
