//! What the web configuration file asks for, in force: TLS, users, headers of every answer, and how many
//! requests are answered.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS, X_XSS_PROTECTION,
};
use axum::http::{HeaderMap, HeaderValue};
use rustls::ServerConfig;
use tokio::time::Instant;

use super::passwords::Users;
use super::rate::Bucket;
use super::tls;
use crate::model::{
    ClientAuth, FrameOptions, NoSniff, Problem, RateLimit, WebHeaders, WebSettings,
};

/// What the web configuration file asks for. Without such a file: nothing.
#[derive(Default)]
pub struct Web {
    tls: Option<Tls>,
    pub(super) users: Users,
    headers: Vec<(HeaderName, HeaderValue)>,
    limit: Option<Mutex<Bucket>>,
}

struct Tls {
    config: Arc<ServerConfig>,
    clients: ClientAuth,
}

impl Web {
    /// Makes of the settings what the server works with. The files that they name are read through
    /// `read`. The error has the field at fault.
    pub fn new(
        settings: &WebSettings,
        read: impl Fn(&Path) -> Result<Vec<u8>, String>,
    ) -> Result<Self, Problem> {
        let tls = settings.tls_server_config.as_ref().map(|of| {
            Ok(Tls {
                config: Arc::new(tls::session_config(of, read)?),
                clients: of.client_auth_type,
            })
        });
        if settings
            .basic_auth_users
            .keys()
            .any(|name| name.contains(':'))
        {
            let message =
                "a user's name cannot have a colon: the password comes behind the first one";
            return Err(Problem::new("basic_auth_users", message));
        }
        Ok(Self {
            tls: tls.transpose()?,
            users: settings.basic_auth_users.clone(),
            headers: headers(&settings.http_server_config.headers)?,
            limit: limit(settings.rate_limit)?,
        })
    }

    /// What a session is opened with; none without TLS.
    pub(super) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.as_ref().map(|tls| Arc::clone(&tls.config))
    }

    /// Whether connections are encrypted.
    pub const fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// How many users there are.
    pub fn users(&self) -> usize {
        self.users.len()
    }

    /// Whether a certificate that a client shows is a good one.
    pub(super) fn verifies(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| {
            matches!(
                tls.clients,
                ClientAuth::VerifyClientCertIfGiven | ClientAuth::RequireAndVerifyClientCert
            )
        })
    }

    /// Whether everybody has to say who they are, by a password or by a certificate.
    pub fn asks_who(&self) -> bool {
        let certificate = ClientAuth::RequireAndVerifyClientCert;
        !self.users.is_empty()
            || self
                .tls
                .as_ref()
                .is_some_and(|tls| tls.clients == certificate)
    }

    /// What of this the other has not, if anything that keeps strangers out: a file that is being
    /// written, or a mistake, must not open a daemon that runs.
    pub fn lost_in(&self, other: &Self) -> Option<&'static str> {
        if self.has_tls() && !other.has_tls() {
            return Some("TLS");
        }
        let lost = self.asks_who() && !other.asks_who();
        lost.then_some("authentication")
    }

    /// Whether one more request may be answered.
    pub(super) fn admits(&self) -> bool {
        self.limit.as_ref().is_none_or(|limit| {
            let mut bucket = limit.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.take(Instant::now())
        })
    }

    /// Gives an answer its headers, in place of the server's own.
    pub(super) fn dress(&self, answer: &mut HeaderMap) {
        for (name, value) in &self.headers {
            answer.insert(name, value.clone());
        }
    }
}

fn headers(settings: &WebHeaders) -> Result<Vec<(HeaderName, HeaderValue)>, Problem> {
    let sniff = settings
        .content_type_options
        .map(|NoSniff::NoSniff| "nosniff");
    let frame = settings.frame_options.map(|of| match of {
        FrameOptions::Deny => "deny",
        FrameOptions::SameOrigin => "sameorigin",
    });
    let named = [
        (
            "Content-Security-Policy",
            CONTENT_SECURITY_POLICY,
            settings.content_security_policy.as_deref(),
        ),
        (
            "Strict-Transport-Security",
            STRICT_TRANSPORT_SECURITY,
            settings.strict_transport_security.as_deref(),
        ),
        ("X-Content-Type-Options", X_CONTENT_TYPE_OPTIONS, sniff),
        ("X-Frame-Options", X_FRAME_OPTIONS, frame),
        (
            "X-XSS-Protection",
            X_XSS_PROTECTION,
            settings.xss_protection.as_deref(),
        ),
    ];
    let set = named
        .into_iter()
        .filter_map(|(field, name, value)| Some((field, name, value?)));
    set.filter(|(.., value)| !value.is_empty())
        .map(|(field, name, value)| match HeaderValue::from_str(value) {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(Problem::new(
                format!("http_server_config.headers.{field}"),
                "a header is one line of visible characters",
            )),
        })
        .collect()
}

fn limit(settings: RateLimit) -> Result<Option<Mutex<Bucket>>, Problem> {
    let RateLimit { interval, burst } = settings;
    if interval.is_zero() {
        return Ok(None);
    }
    if burst == 0 {
        let message = "set it to 1 or more: with 0, no request at all would be answered";
        return Err(Problem::new("rate_limit.burst", message));
    }
    Ok(Some(Mutex::new(Bucket::new(
        interval,
        burst,
        Instant::now(),
    ))))
}

impl std::fmt::Debug for Web {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Web")
            .field("tls", &self.has_tls())
            .field("users", &self.users.len())
            .finish_non_exhaustive()
    }
}
