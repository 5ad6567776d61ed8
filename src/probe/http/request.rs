//! The request of a probe, made once and copied for every run.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, CONNECTION, CONTENT_ENCODING,
    CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;

use super::destination::Destination;
use super::expect::header_name;
use super::settings::{Decompress, SecretSource, Settings};
use crate::files::Files;
use crate::model::Secret;
use crate::probe::{Problem, secret};

/// How the request names its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// HTTP/1 to the server itself: the path.
    Path,
    /// HTTP/1 to a proxy: the whole URL.
    Proxied,
    /// HTTP/2: the whole URL, and no headers about the connection.
    Http2,
}

/// A request without a destination.
#[derive(Debug)]
pub(super) struct Prototype {
    pub(super) method: Method,
    headers: HeaderMap,
    /// What the proxy is told, and nobody else.
    proxy_authorization: Option<HeaderValue>,
    body: Bytes,
}

impl Prototype {
    /// Reads what the settings name, credentials too.
    pub(super) fn new(settings: &Settings, files: &Files, problems: &mut Vec<Problem>) -> Self {
        let body = body(settings, files, problems);
        let method = method(settings, body.is_some(), problems);
        let mut headers = own_headers(settings);
        configured_headers(settings, files, &mut headers, problems);
        match authorization(settings, files) {
            Ok(Some(_)) if headers.contains_key(AUTHORIZATION) => problems.push(Problem::new(
                "secret_headers.authorization",
                "set either this header or username or bearer_token_file",
            )),
            Ok(Some(value)) => drop(headers.insert(AUTHORIZATION, value)),
            Ok(None) => (),
            Err(problem) => problems.push(problem),
        }
        let proxy_authorization = headers.remove(PROXY_AUTHORIZATION);
        if proxy_authorization.is_some() && settings.proxy.is_none() {
            problems.push(Problem::new(
                "secret_headers.proxy-authorization",
                "there is no `proxy` that it could be for",
            ));
        }
        Self {
            method,
            headers,
            proxy_authorization,
            body: body.unwrap_or_default(),
        }
    }

    /// Whether there is a body to send.
    pub(super) fn has_body(&self) -> bool {
        !self.body.is_empty()
    }

    /// The credentials for the proxy, in a request for a tunnel.
    pub(super) fn proxy_authorization(&self) -> Option<&HeaderValue> {
        self.proxy_authorization.as_ref()
    }

    /// The request for a destination. One that is not `trusted` sees nothing that could be meant
    /// for the target alone.
    pub(super) fn request(
        &self,
        to: &Destination,
        form: Form,
        method: &Method,
        trusted: bool,
    ) -> Request<Full<Bytes>> {
        let mut headers = self.headers.clone();
        let same_method = *method == self.method;
        if !trusted {
            headers = strangers_headers(headers);
        }
        if !same_method {
            for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE] {
                headers.remove(name);
            }
        }
        if form == Form::Http2 {
            headers.remove(HOST);
            headers.remove(CONNECTION);
        } else {
            headers.insert(HOST, to.host.clone());
        }
        if let (Form::Proxied, Some(credentials)) = (form, &self.proxy_authorization) {
            headers.insert(PROXY_AUTHORIZATION, credentials.clone());
        }
        let body = if same_method {
            self.body.clone()
        } else {
            Bytes::new()
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() = match form {
            Form::Path => to.path.clone(),
            Form::Proxied | Form::Http2 => to.uri.clone(),
        };
        *request.headers_mut() = headers;
        request
    }
}

/// What hotspare says of itself. `Host` has its place here, to be first in every request.
fn own_headers(settings: &Settings) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(HOST, HeaderValue::from_static(""));
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("hotspare/", env!("CARGO_PKG_VERSION"))),
    );
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    let encoding = match settings.decompress {
        Decompress::None => "identity",
        Decompress::Gzip => "gzip",
    };
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encoding));
    // One connection, one request: the server need not wait for another.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers
}

/// The headers that a destination may see which the operator did not name.
fn strangers_headers(mut headers: HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::with_capacity(8);
    for name in [
        HOST,
        USER_AGENT,
        ACCEPT,
        ACCEPT_ENCODING,
        ACCEPT_LANGUAGE,
        CONNECTION,
    ] {
        if let Some(value) = headers.remove(&name).filter(|value| !value.is_sensitive()) {
            kept.insert(name, value);
        }
    }
    kept
}

fn method(settings: &Settings, has_body: bool, problems: &mut Vec<Problem>) -> Method {
    let Some(text) = &settings.method else {
        if has_body {
            problems.push(Problem::new("method", "a body needs a method, like POST"));
        }
        return Method::GET;
    };
    match Method::from_bytes(text.as_bytes()) {
        Ok(Method::CONNECT) => {
            problems.push(Problem::new(
                "method",
                "CONNECT is for proxies; use `proxy`",
            ));
        }
        Ok(method) if method.as_str() == method.as_str().to_ascii_uppercase() => return method,
        Ok(_) => problems.push(Problem::new(
            "method",
            format!("methods are upper case: {}", text.to_ascii_uppercase()),
        )),
        Err(_) => problems.push(Problem::new("method", format!("`{text}` is not a method"))),
    }
    Method::GET
}

fn body(settings: &Settings, files: &Files, problems: &mut Vec<Problem>) -> Option<Bytes> {
    match (&settings.body, &settings.body_file) {
        (None, None) => None,
        (Some(text), None) => Some(Bytes::from(text.clone())),
        (None, Some(path)) => match files.read(path) {
            Ok(bytes) => Some(Bytes::from(bytes)),
            Err(why) => {
                problems.push(Problem::of_host("body_file", why));
                None
            }
        },
        (Some(_), Some(_)) => {
            problems.push(Problem::new("body_file", "set either body or body_file"));
            None
        }
    }
}

fn configured_headers(
    settings: &Settings,
    files: &Files,
    headers: &mut HeaderMap,
    problems: &mut Vec<Problem>,
) {
    for (name, text) in &settings.headers {
        let header = allowed_name(name, false)
            .and_then(|name| Ok((name, value(text).map_err(str::to_owned)?)));
        match header {
            Ok((name, value)) => drop(headers.insert(name, value)),
            Err(why) => problems.push(Problem::new(format!("headers.{name}"), why)),
        }
    }
    for (name, source) in &settings.secret_headers {
        let field = || format!("secret_headers.{name}");
        let header = allowed_name(name, true)
            .map_err(|why| Problem::new(field(), why))
            .and_then(|name| match read(source, files) {
                Ok(value) => Ok((name, value)),
                Err(why) => Err(Problem::of_host(field(), why)),
            });
        match header {
            Ok((name, value)) => drop(headers.insert(name, value)),
            Err(problem) => problems.push(problem),
        }
    }
}

fn read(source: &SecretSource, files: &Files) -> Result<HeaderValue, String> {
    let secret = match source {
        SecretSource::File(path) => files.secret(Some(path), None)?,
        SecretSource::Env(name) => files.secret(None, Some(name))?,
    };
    let mut value = value(secret.as_ref().map_or("", Secret::expose))?;
    value.set_sensitive(true);
    Ok(value)
}

fn value(text: &str) -> Result<HeaderValue, &'static str> {
    HeaderValue::from_bytes(text.as_bytes())
        .map_err(|_| "the value has a line end or another character that a header cannot have")
}

fn allowed_name(name: &str, secret: bool) -> Result<HeaderName, String> {
    let name = header_name(name)?;
    let instead = match &name {
        n if n == HOST => "use `host`",
        n if n == AUTHORIZATION && !secret => {
            "use username and password_file, bearer_token_file, or secret_headers"
        }
        n if n == PROXY_AUTHORIZATION && !secret => "use secret_headers",
        n if n == ACCEPT_ENCODING => "use `decompress`",
        n if [
            CONNECTION,
            CONTENT_LENGTH,
            EXPECT,
            TE,
            TRAILER,
            TRANSFER_ENCODING,
            UPGRADE,
        ]
        .contains(n)
            || n == "keep-alive" =>
        {
            "the probe sets it itself"
        }
        _ => return Ok(name),
    };
    Err(format!("this header cannot be set here: {instead}"))
}

/// The value of `Authorization`, if the settings have credentials.
fn authorization(settings: &Settings, files: &Files) -> Result<Option<HeaderValue>, Problem> {
    let password = secret(
        files,
        "password",
        settings.password_file.as_deref(),
        settings.password_env.as_deref(),
    )?;
    let token = secret(
        files,
        "bearer_token",
        settings.bearer_token_file.as_deref(),
        settings.bearer_token_env.as_deref(),
    )?;
    let text = match (&settings.username, password, token) {
        (None, None, None) => return Ok(None),
        (Some(user), _, _) if user.contains(':') => {
            return Err(Problem::new("username", "a user name cannot have a colon"));
        }
        (Some(user), Some(password), None) => {
            let pair = format!("{user}:{}", password.expose());
            format!("Basic {}", STANDARD.encode(pair))
        }
        (None, None, Some(token)) => format!("Bearer {}", token.expose()),
        (Some(_), None, None) => {
            return Err(Problem::new(
                "password_file",
                "username needs a password_file",
            ));
        }
        (None, Some(_), _) => {
            return Err(Problem::new("username", "password_file needs a username"));
        }
        (Some(_), _, Some(_)) => {
            return Err(Problem::new(
                "bearer_token_file",
                "set either username or bearer_token_file",
            ));
        }
    };
    let mut value = value(&text).map_err(|why| Problem::of_host("bearer_token_file", why))?;
    value.set_sensitive(true);
    Ok(Some(value))
}
