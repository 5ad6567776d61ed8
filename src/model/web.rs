//! Who may reach the daemon's own server, and how: the web configuration file as the programs of the
//! Prometheus project read it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{Secret, duration};

/// A web configuration file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebSettings {
    /// How the server speaks TLS; without it, it does not.
    pub tls_server_config: Option<TlsServerSettings>,
    /// What every answer has, and which versions of HTTP.
    pub http_server_config: HttpServerSettings,
    /// The users with the bcrypt hashes of their passwords; without any, nobody is asked.
    pub basic_auth_users: BTreeMap<String, PasswordHash>,
    /// How many requests are answered, whoever sends them.
    pub rate_limit: RateLimit,
}

/// How the server speaks TLS.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsServerSettings {
    /// The server's certificate with its chain, PEM.
    pub cert: Option<String>,
    /// The file that it is in.
    pub cert_file: Option<PathBuf>,
    /// The certificate's key, PEM.
    pub key: Option<Secret>,
    /// The file that it is in.
    pub key_file: Option<PathBuf>,
    /// Which certificates clients have to show.
    pub client_auth_type: ClientAuth,
    /// The authorities that clients' certificates are verified against, PEM.
    pub client_ca: Option<String>,
    /// The file that they are in.
    pub client_ca_file: Option<PathBuf>,
    /// A client's certificate has to have one of these alternative names; any will do where there are none.
    pub client_allowed_sans: Vec<String>,
    /// The oldest version of TLS.
    pub min_version: TlsBound<false>,
    /// The newest version of TLS.
    pub max_version: TlsBound<true>,
    /// The cipher suites of TLS 1.2, by their IANA names; those of TLS 1.3 are always on.
    pub cipher_suites: Vec<String>,
    /// The groups for key exchange, by their names in Go's crypto/tls.
    pub curve_preferences: Vec<String>,
    /// Whether the server's order of suites decides; `None`: yes.
    pub prefer_server_cipher_suites: Option<bool>,
}

/// Which certificates clients have to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ClientAuth {
    /// They are not asked for any.
    #[default]
    NoClientCert,
    /// They are asked, may have none, and nobody verifies it.
    RequestClientCert,
    /// They have to show one, and nobody verifies it.
    #[serde(alias = "RequireClientCert")]
    RequireAnyClientCert,
    /// They are asked and may have none; one that they show has to be good.
    VerifyClientCertIfGiven,
    /// They have to show a good one.
    RequireAndVerifyClientCert,
}

/// A version of TLS, as the file names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum WebTlsVersion {
    /// 1.0.
    TLS10,
    /// 1.1.
    TLS11,
    /// 1.2.
    TLS12,
    /// 1.3.
    TLS13,
}

/// The oldest or the newest version of TLS, which are 1.2 and 1.3 unless they are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct TlsBound<const NEWEST: bool>(pub WebTlsVersion);

impl<const NEWEST: bool> Default for TlsBound<NEWEST> {
    fn default() -> Self {
        Self(if NEWEST {
            WebTlsVersion::TLS13
        } else {
            WebTlsVersion::TLS12
        })
    }
}

/// What every answer has, and which versions of HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpServerSettings {
    /// Whether HTTP/2 would be served; this server speaks HTTP/1.1 only, whatever this says.
    pub http2: Option<bool>,
    /// Headers of every answer.
    pub headers: WebHeaders,
}

/// Headers of every answer; those that the file may set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebHeaders {
    /// `Content-Security-Policy`, in place of the server's own.
    #[serde(rename = "Content-Security-Policy")]
    pub content_security_policy: Option<String>,
    /// `Strict-Transport-Security`.
    #[serde(rename = "Strict-Transport-Security")]
    pub strict_transport_security: Option<String>,
    /// `X-Content-Type-Options`: `nosniff`, which every answer has anyway.
    #[serde(rename = "X-Content-Type-Options")]
    pub content_type_options: Option<NoSniff>,
    /// `X-Frame-Options`.
    #[serde(rename = "X-Frame-Options")]
    pub frame_options: Option<FrameOptions>,
    /// `X-XSS-Protection`.
    #[serde(rename = "X-XSS-Protection")]
    pub xss_protection: Option<String>,
}

/// The one value of `X-Content-Type-Options`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoSniff {
    /// Browsers do not guess types.
    NoSniff,
}

/// The values of `X-Frame-Options`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FrameOptions {
    /// No page may frame the answer.
    Deny,
    /// Pages of the same origin may.
    SameOrigin,
}

/// How many requests are answered, whoever sends them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimit {
    /// From one request to the next, on average; 0: there is no limit.
    #[serde(deserialize_with = "duration::deserialize")]
    pub interval: Duration,
    /// How many may come at once, after a rest.
    pub burst: u32,
}

/// The bcrypt hash of a password: `$2y$10$` and 53 characters.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct PasswordHash {
    text: Secret,
    cost: u32,
}

impl PasswordHash {
    /// The highest cost that is taken: each step doubles the time, and this one takes seconds.
    pub const MAX_COST: u32 = 15;

    /// The hash as it is written.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// The base-2 logarithm of the rounds, from 4 to [`Self::MAX_COST`].
    pub const fn cost(&self) -> u32 {
        self.cost
    }
}

impl TryFrom<String> for PasswordHash {
    type Error = String;

    /// The error does not repeat the text: it may be a password that somebody forgot to hash.
    fn try_from(text: String) -> Result<Self, String> {
        let cost = cost(&text).ok_or(
            "not a bcrypt hash; make one by `htpasswd -nBC 10 \"\"`, and leave out the colon before it",
        )?;
        if !(4..=Self::MAX_COST).contains(&cost) {
            return Err(format!(
                "the cost of the bcrypt hash is {cost}, but has to be from 4 to {}",
                Self::MAX_COST
            ));
        }
        let text = Secret::new(text);
        Ok(Self { text, cost })
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<hash>")
    }
}

/// The cost in a bcrypt hash; none if it is not one.
fn cost(text: &str) -> Option<u32> {
    let mut parts = text.strip_prefix('$')?.splitn(3, '$');
    let version = parts.next()?;
    let cost = parts.next()?;
    let rest = parts.next()?;
    let good = matches!(version, "2a" | "2b" | "2y")
        && cost.len() == 2
        && rest.len() == 53
        && rest
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'/');
    good.then(|| cost.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bcrypt_hash_of_a_bearable_cost_is_one_and_it_is_not_repeated() {
        let rest = "X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";
        let good = PasswordHash::try_from(format!("$2y$10${rest}")).expect("a hash");
        assert_eq!((good.cost(), format!("{good:?}").as_str()), (10, "<hash>"));
        for text in [
            "hunter2".to_owned(),
            format!("$2y$10${}", &rest[1..]),
            format!("$2x$10${rest}"),
            format!("$2y$1${rest}"),
            format!("$2y$03${rest}"),
            format!("$2y$16${rest}"),
            format!("$2y$10${}!", &rest[1..]),
        ] {
            let why = PasswordHash::try_from(text.clone()).expect_err("refused");
            assert!(!why.contains(&text), "{why}");
        }
    }
}
