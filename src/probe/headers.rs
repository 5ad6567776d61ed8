//! The headers of a request, as the settings of a kind have them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use super::{Problem, secret};
use crate::files::Files;
use crate::model::Secret;

/// Where a secret value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

/// What settings say of the headers to send.
pub(super) struct Wanted<'a> {
    /// The value of `Accept-Encoding`.
    pub(super) encoding: &'static str,
    pub(super) headers: &'a BTreeMap<String, String>,
    pub(super) secret_headers: &'a BTreeMap<String, SecretSource>,
    pub(super) username: Option<&'a str>,
    pub(super) password_file: Option<&'a Path>,
    pub(super) password_env: Option<&'a str>,
    pub(super) bearer_token_file: Option<&'a Path>,
    pub(super) bearer_token_env: Option<&'a str>,
}

impl Wanted<'_> {
    /// hotspare's own headers and those of the settings, credentials too.
    pub(super) fn read(&self, files: &Files, problems: &mut Vec<Problem>) -> HeaderMap {
        let mut headers = own_headers(self.encoding);
        configured_headers(self, files, &mut headers, problems);
        match authorization(self, files) {
            Ok(Some(_)) if headers.contains_key(AUTHORIZATION) => problems.push(Problem::new(
                "secret_headers.authorization",
                "set either this header or username or bearer_token_file",
            )),
            Ok(Some(value)) => drop(headers.insert(AUTHORIZATION, value)),
            Ok(None) => (),
            Err(problem) => problems.push(problem),
        }
        headers
    }
}

/// A header's name, or what is wrong with it.
pub(super) fn header_name(name: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{name}` is not the name of a header"))
}

/// What hotspare says of itself, to a server that may use this encoding. `Host` has its place here,
/// to be first in every request.
pub(super) fn own_headers(encoding: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(HOST, HeaderValue::from_static(""));
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("hotspare/", env!("CARGO_PKG_VERSION"))),
    );
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encoding));
    // One connection, one request: the server need not wait for another.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers
}

fn configured_headers(
    settings: &Wanted<'_>,
    files: &Files,
    headers: &mut HeaderMap,
    problems: &mut Vec<Problem>,
) {
    for (name, text) in settings.headers {
        let header = allowed_name(name, false)
            .and_then(|name| Ok((name, value(text).map_err(str::to_owned)?)));
        match header {
            Ok((name, value)) => drop(headers.insert(name, value)),
            Err(why) => problems.push(Problem::new(format!("headers.{name}"), why)),
        }
    }
    for (name, source) in settings.secret_headers {
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
        n if n == ACCEPT_ENCODING => "see `decompress` of the kind `http`",
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
fn authorization(settings: &Wanted<'_>, files: &Files) -> Result<Option<HeaderValue>, Problem> {
    let password = secret(
        files,
        "password",
        settings.password_file,
        settings.password_env,
    )?;
    let token = secret(
        files,
        "bearer_token",
        settings.bearer_token_file,
        settings.bearer_token_env,
    )?;
    let text = match (settings.username, password, token) {
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
