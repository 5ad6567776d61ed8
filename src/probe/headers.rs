//! The headers of a request, as the settings of a kind have them.

use std::collections::BTreeMap;
use std::path::Path;

use http::header::{ACCEPT_ENCODING, AUTHORIZATION, HOST, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Problem;
use crate::files::{Files, SecretSource};
use crate::net::http::{authorization, header_name, header_value, is_of_connection, own_headers};

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
        match credentials(self, files) {
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

fn configured_headers(
    settings: &Wanted<'_>,
    files: &Files,
    headers: &mut HeaderMap,
    problems: &mut Vec<Problem>,
) {
    for (name, text) in settings.headers {
        let header = allowed_name(name, false).and_then(|name| Ok((name, header_value(text)?)));
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
    let mut value = header_value(files.secret_from(source)?.expose())?;
    value.set_sensitive(true);
    Ok(value)
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
        n if is_of_connection(n) => "the probe sets it itself",
        _ => return Ok(name),
    };
    Err(format!("this header cannot be set here: {instead}"))
}

/// The value of `Authorization`, if the settings have credentials.
fn credentials(settings: &Wanted<'_>, files: &Files) -> Result<Option<HeaderValue>, Problem> {
    let (file, env) = (settings.password_file, settings.password_env);
    let password = files.secret_of("password", file, env)?;
    let (file, env) = (settings.bearer_token_file, settings.bearer_token_env);
    let token = files.secret_of("bearer_token", file, env)?;
    authorization(settings.username, password.as_ref(), token.as_ref())
}
