//! Headers that more than one kind of request has.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::model::{Problem, Secret};

/// A header's name, or what is wrong with it.
pub fn header_name(name: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{name}` is not the name of a header"))
}

/// A header's value, or what is wrong with it, without the value.
pub fn header_value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| {
        "the value has a line end or another character that a header cannot have".to_owned()
    })
}

/// Whether a header is about the connection or the length of the body: who sends the request sets
/// these.
pub fn is_of_connection(name: &HeaderName) -> bool {
    let own = [
        CONNECTION,
        CONTENT_LENGTH,
        EXPECT,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    own.contains(name) || name == "keep-alive"
}

/// What hotspare says of itself, to a server that may use this encoding. `Host` has its place here,
/// to be first in every request.
pub fn own_headers(encoding: &'static str) -> HeaderMap {
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

/// The value of `Authorization` that the settings `username`, `password_…` and `bearer_token_…` make,
/// if they are set.
pub fn authorization(
    username: Option<&str>,
    password: Option<&Secret>,
    token: Option<&Secret>,
) -> Result<Option<HeaderValue>, Problem> {
    let text = match (username, password, token) {
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
            let message = "username needs a password_file";
            return Err(Problem::new("password_file", message));
        }
        (None, Some(_), _) => {
            return Err(Problem::new("username", "password_file needs a username"));
        }
        (Some(_), _, Some(_)) => {
            let message = "set either username or bearer_token_file";
            return Err(Problem::new("bearer_token_file", message));
        }
    };
    let value = header_value(&text);
    let mut value = value.map_err(|why| Problem::of_host("bearer_token_file", why))?;
    value.set_sensitive(true);
    Ok(Some(value))
}
