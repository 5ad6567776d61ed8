//! Keeps what is private out of what is told of an answer: error pages repeat the path of a URL, and
//! some servers all that they were sent.

use super::{Credentials, Destination};
use crate::model::Secret;

/// Shorter parts of a path say nothing, and are in every other text.
const MIN_PART: usize = 6;

/// What of a request is private.
pub(super) struct Private(Vec<String>);

impl Private {
    /// The path and the query of the URL and their parts, the values of secret headers, and a secret
    /// of the body.
    pub(super) fn new(to: &Destination, credentials: &Credentials, body: Option<&Secret>) -> Self {
        let path = to.path.to_string();
        let is_part = |part: &&str| part.len() >= MIN_PART;
        let parts = path.split(['/', '?', '&', '=']).filter(is_part);
        let values = credentials.receiver.values().chain(&credentials.proxy);
        let values = values.filter_map(|value| value.to_str().ok());
        let values = values.flat_map(|value| value.split_whitespace());
        let mut all: Vec<String> = parts
            .chain(values.filter(is_part))
            .chain(body.map(Secret::expose).filter(is_part))
            .map(str::to_owned)
            .collect();
        if path != "/" {
            all.push(path);
        }
        Self(all)
    }

    /// Whether the text has any of it.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.0.iter().any(|private| text.contains(private.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::http::Names;
    use http::HeaderValue;

    #[test]
    fn a_line_with_a_part_of_the_url_or_a_secret_is_private() {
        let url = "https://hooks.example.com/services/T0001/hunter2hunter2?key=topsecret";
        let to = Destination::parse(url, &Names::default()).expect("a URL");
        let mut credentials = Credentials::default();
        let value = HeaderValue::from_static("Bearer token-of-ours");
        credentials.receiver.insert("authorization", value);
        let private = Private::new(&to, &credentials, None);
        for line in [
            "no service at /services/T0001/hunter2hunter2",
            "hunter2hunter2 is revoked",
            "bad key topsecret",
            "token-of-ours expired",
        ] {
            assert!(private.is_in(line), "{line}");
        }
        for line in ["ok", "invalid_payload", "the key is not known"] {
            assert!(!private.is_in(line), "{line}");
        }
    }

    #[test]
    fn a_path_of_nothing_hides_nothing() {
        let to = Destination::parse("http://h/", &Names::default()).expect("a URL");
        let private = Private::new(&to, &Credentials::default(), None);
        assert!(!private.is_in("see http://help/"));
    }
}
