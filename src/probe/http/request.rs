//! The request of a probe, made once and copied for every run.

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONNECTION, CONTENT_ENCODING, CONTENT_LANGUAGE,
    CONTENT_TYPE, HOST, PROXY_AUTHORIZATION, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::Full;

use super::settings::{Decompress, Settings};
use crate::files::Files;
use crate::net::http::Destination;
use crate::probe::Problem;
use crate::probe::headers::Wanted;

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
        let mut headers = wanted(settings).read(files, problems);
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

/// What the settings say of the headers.
fn wanted(settings: &Settings) -> Wanted<'_> {
    Wanted {
        encoding: match settings.decompress {
            Decompress::None => "identity",
            Decompress::Gzip => "gzip",
        },
        headers: &settings.headers,
        secret_headers: &settings.secret_headers,
        username: settings.username.as_deref(),
        password_file: settings.password_file.as_deref(),
        password_env: settings.password_env.as_deref(),
        bearer_token_file: settings.bearer_token_file.as_deref(),
        bearer_token_env: settings.bearer_token_env.as_deref(),
    }
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
