//! What an operator can say about an `http` probe.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::expect::{JsonRule, VersionSource};
use super::status::Statuses;
use crate::files::SecretSource;
use crate::net::{Addresses, IpVersion, TlsSettings};

/// The settings of `check: { http: … }`.
///
/// Without any, a run is a GET over a fresh connection that is answered with a status of 200 to
/// 299 and at most 1 MiB.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The method: `GET` unless set; a body needs one.
    pub method: Option<String>,
    /// Headers to send. Those that hold a secret belong to `secret_headers`.
    pub headers: BTreeMap<String, String>,
    /// Headers to send whose values are read from elsewhere.
    pub secret_headers: BTreeMap<String, SecretSource>,
    /// The name under which the service is asked, instead of the URL's host: `Host`, the TLS server
    /// name and the name to verify. It probes a standby's address under the production name.
    pub host: Option<String>,
    /// The request's body.
    pub body: Option<String>,
    /// The file with the request's body, at most 1 MiB.
    pub body_file: Option<PathBuf>,
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
    /// Whether to offer HTTP/2 beside HTTP/1.1 to a server that speaks TLS.
    pub http2: bool,
    /// The statuses that are good.
    pub valid_status: Statuses,
    /// Patterns of which each must be in the body. Like every rule for the body, they see its
    /// bytes, whatever their encoding.
    pub body_matches: Vec<String>,
    /// Patterns of which none may be in the body.
    pub body_not_matches: Vec<String>,
    /// For each header, the pattern that one of its values must match.
    pub headers_match: BTreeMap<String, String>,
    /// For each header, the pattern that none of its values may match.
    pub headers_not_match: BTreeMap<String, String>,
    /// Values that the body must have.
    pub json: Vec<JsonRule>,
    /// Where the answer says which version of the service gave it.
    pub version: Option<VersionSource>,
    /// How many redirects to follow, 0 to 10. A redirect whose status is valid is not followed.
    pub follow_redirects: u8,
    /// Bytes that the body may have, as sent and decompressed: 1 byte to 1 GiB, or to 8 MiB where
    /// it is decompressed or looked at.
    pub max_body_bytes: u64,
    /// The compression to ask for.
    pub decompress: Decompress,
    /// Which addresses of a name are used.
    pub ip_version: IpVersion,
    /// How many addresses of a name are probed.
    pub addresses: Addresses,
    /// The local address to send from.
    pub source_address: Option<IpAddr>,
    /// The differentiated services code point of what is sent, 0 to 63.
    pub dscp: Option<u8>,
    /// The proxy to go through: `http://host:port`. It alone is sent a `Proxy-Authorization` of
    /// `secret_headers`.
    pub proxy: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            method: None,
            headers: BTreeMap::new(),
            secret_headers: BTreeMap::new(),
            host: None,
            body: None,
            body_file: None,
            username: None,
            password_file: None,
            password_env: None,
            bearer_token_file: None,
            bearer_token_env: None,
            tls: TlsSettings::default(),
            http2: true,
            valid_status: Statuses::default(),
            body_matches: Vec::new(),
            body_not_matches: Vec::new(),
            headers_match: BTreeMap::new(),
            headers_not_match: BTreeMap::new(),
            json: Vec::new(),
            version: None,
            follow_redirects: 0,
            max_body_bytes: 1 << 20,
            decompress: Decompress::None,
            ip_version: IpVersion::Any,
            addresses: Addresses::First,
            source_address: None,
            dscp: None,
            proxy: None,
        }
    }
}

/// The compression that a probe asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decompress {
    /// None: what a body costs is what is measured.
    None,
    /// Gzip, decompressed before the body is judged.
    Gzip,
}
