//! What is written of a source.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::MAX_TARGETS;
use crate::files::SecretSource;
use crate::model::{Problem, duration};
use crate::net::TlsSettings;

/// Targets of one source that are taken, unless set.
const LIMIT: usize = 10_000;
/// The label with the region, unless set.
const REGION_LABEL: &str = "region";
const MIN_INTERVAL: Duration = Duration::from_secs(5);
const MAX_INTERVAL: Duration = Duration::from_hours(24);

/// An element of `targets_file`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileSettings {
    /// Paths and patterns of the files, relative to the file that names them.
    pub files: Vec<String>,
    /// The region of all targets.
    pub region: Option<String>,
    /// The label with the region of a target.
    pub region_label: Option<String>,
    /// The label with the name of a target.
    pub name_label: Option<String>,
    /// The address of a target, with `{}` where the source's text belongs.
    pub address: Option<String>,
    /// How many targets are taken.
    pub limit: Option<i64>,
}

/// An element of `targets_http`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Where the list is.
    pub url: Option<String>,
    /// The file with the URL.
    pub url_file: Option<PathBuf>,
    /// The environment variable with the URL.
    pub url_env: Option<String>,
    /// From one request to the next.
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub refresh_interval: Option<Duration>,
    /// More headers.
    pub headers: BTreeMap<String, String>,
    /// More headers, whose values are secret.
    pub secret_headers: BTreeMap<String, SecretSource>,
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
    /// The proxy to go through.
    pub proxy: Option<String>,
    /// The region of all targets.
    pub region: Option<String>,
    /// The label with the region of a target.
    pub region_label: Option<String>,
    /// The label with the name of a target.
    pub name_label: Option<String>,
    /// The address of a target, with `{}` where the source's text belongs.
    pub address: Option<String>,
    /// How many targets are taken.
    pub limit: Option<i64>,
}

/// An element of `targets_dns`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DnsSettings {
    /// The names whose SRV records are asked for.
    pub names: Vec<String>,
    /// From one question to the next.
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub refresh_interval: Option<Duration>,
    /// The region of all targets.
    pub region: Option<String>,
    /// The address of a target, with `{}` where its host and port belong.
    pub address: Option<String>,
    /// How many targets are taken.
    pub limit: Option<i64>,
}

/// What is written of a source of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settings {
    /// Files.
    File(FileSettings),
    /// A list over HTTP.
    Http(Box<HttpSettings>),
    /// Services in DNS.
    Dns(DnsSettings),
}

/// What becomes of the targets that a source gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taking {
    /// The region of all of them.
    pub region: Option<String>,
    /// The label with the region of each, where they have none in common.
    pub region_label: String,
    /// The label with the name of each.
    pub name_label: Option<String>,
    /// Their addresses, with `{}` where the source's text belongs.
    pub address: String,
    /// How many are taken.
    pub limit: usize,
}

impl Settings {
    /// What becomes of the targets. What is wrong is added to the problems.
    pub fn taking(&self, problems: &mut Vec<Problem>) -> Taking {
        let (region, region_label, name_label, address, limit) = match self {
            Self::File(s) => (
                &s.region,
                &s.region_label,
                &s.name_label,
                &s.address,
                s.limit,
            ),
            Self::Http(s) => (
                &s.region,
                &s.region_label,
                &s.name_label,
                &s.address,
                s.limit,
            ),
            Self::Dns(s) => {
                if s.region.is_none() {
                    let message = "SRV records do not tell a region: set it here";
                    problems.push(Problem::new("region", message));
                }
                (&s.region, &None, &None, &s.address, s.limit)
            }
        };
        if region.is_some() && region_label.is_some() {
            let message = "set either region or region_label";
            problems.push(Problem::new("region_label", message));
        }
        let address = address.clone().unwrap_or_else(|| "{}".to_owned());
        if address.matches("{}").count() != 1 {
            let message = "expected a text with `{}` once, like https://{}/healthz";
            problems.push(Problem::new("address", message));
        }
        let limit = limit.map_or(Some(LIMIT), |limit| usize::try_from(limit).ok());
        let limit = limit.filter(|limit| (1..=MAX_TARGETS).contains(limit));
        if limit.is_none() {
            let message = format!("must be from 1 to {MAX_TARGETS}");
            problems.push(Problem::new("limit", message));
        }
        Taking {
            region: region.clone(),
            region_label: region_label
                .clone()
                .unwrap_or_else(|| REGION_LABEL.to_owned()),
            name_label: name_label.clone(),
            address,
            limit: limit.unwrap_or(LIMIT),
        }
    }
}

/// How often to ask.
pub(super) fn interval(
    set: Option<Duration>,
    default: Duration,
    problems: &mut Vec<Problem>,
) -> Duration {
    let interval = set.unwrap_or(default);
    if !(MIN_INTERVAL..=MAX_INTERVAL).contains(&interval) {
        problems.push(Problem::new("refresh_interval", "must be from 5s to 1d"));
    }
    interval
}
