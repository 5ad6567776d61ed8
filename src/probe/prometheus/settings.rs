//! What an operator can say about a `prometheus` probe.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::Prometheus;
use crate::files::SecretSource;
use crate::model::duration;
use crate::net::{IpVersion, TlsSettings};
use crate::probe::api::{Api, Way};
use crate::probe::headers::Wanted;
use crate::probe::{Context, Problem, Template};

/// Bytes that a query may have. Servers and proxies refuse long URLs.
const MAX_QUERY: usize = 4096;
const DEFAULT_MAX_AGE: Duration = Duration::from_mins(5);

/// The settings of `check: { prometheus: … }`. The target is a URL below which the API is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The instant query, in `PromQL`. Its answer is one number.
    pub query: Option<String>,
    /// How old the sample may be; 5 minutes unless set.
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub max_age: Option<Duration>,
    /// Headers to send. Those that hold a secret belong to `secret_headers`.
    pub headers: BTreeMap<String, String>,
    /// Headers to send whose values are read from elsewhere.
    pub secret_headers: BTreeMap<String, SecretSource>,
    /// The name under which the server is asked, instead of the URL's host.
    pub host: Option<String>,
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
    /// How to speak TLS, for `https` addresses.
    pub tls: TlsSettings,
    /// Which addresses of a name are used.
    pub ip_version: IpVersion,
    /// The local address to send from.
    pub source_address: Option<IpAddr>,
    /// The differentiated services code point of what is sent, 0 to 63.
    pub dscp: Option<u8>,
}

impl Settings {
    pub(in crate::probe) fn prepare(
        &self,
        context: &Context,
    ) -> Result<Box<dyn Template>, Vec<Problem>> {
        let mut problems = Vec::new();
        let query = self.query.clone().unwrap_or_default();
        if query.trim().is_empty() {
            let message = "a query is needed, like sum(node_cpus)";
            problems.push(Problem::new("query", message));
        }
        if query.len() > MAX_QUERY {
            let message =
                format!("the query is longer than {MAX_QUERY} bytes: let a recording rule have it");
            problems.push(Problem::new("query", message));
        }
        let max_age = self.max_age.unwrap_or(DEFAULT_MAX_AGE);
        if max_age.is_zero() {
            problems.push(Problem::new("max_age", "must be above 0"));
        }
        let headers = self.wanted().read(&context.files, &mut problems);
        let api = Api::new(&self.way(), headers, context, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Box::new(Arc::new(Prometheus {
            api,
            query,
            max_age: max_age.as_secs_f64(),
        })))
    }

    fn way(&self) -> Way<'_> {
        Way {
            host: self.host.as_deref(),
            tls: &self.tls,
            ip_version: self.ip_version,
            source_address: self.source_address,
            dscp: self.dscp,
        }
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            encoding: "identity",
            headers: &self.headers,
            secret_headers: &self.secret_headers,
            username: self.username.as_deref(),
            password_file: self.password_file.as_deref(),
            password_env: self.password_env.as_deref(),
            bearer_token_file: self.bearer_token_file.as_deref(),
            bearer_token_env: self.bearer_token_env.as_deref(),
        }
    }
}
