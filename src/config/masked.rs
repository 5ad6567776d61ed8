//! The configuration as it may be shown: what the files, the environment and the flags say together,
//! without what may be a secret.
//!
//! Secrets are in files and variables that the configuration only names. A token may stand in a header,
//! a body, a path or a query all the same. So a value is shown only if its key is one of those that are
//! known to be harmless.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use ::config::{Value, ValueKind};
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

use super::Document;
use super::schema::{INCLUDED, MAIN};

/// What stands in the place of what is not shown.
const MASK: &str = "<masked>";

/// The keys whose values are shown, URLs among them without user and query.
static SHOWN: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    "above address addresses allow_cleartext annotations answers answers_match application_name \
     at_least authoritative bearer_token_env bearer_token_file below block_after_failover body_file \
     buckets by ca_file canary cert_file changes channel check connection content_type count daemon \
     database decide decompress depends_on df drills dscp encryption env external_url fall file files \
     follow_redirects for from gate group group_interval group_wait header host http2 include \
     insecure_skip_verify interval ip_version json jurisdiction jurisdictions keep keep_firing_for key_file \
     labels lasts limit match max_age max_body_bytes max_connection_age max_in_flight \
     max_scram_iterations max_targets method min_answers name name_label names next_secret_file \
     objective of over password_env password_file phase_buckets pointer preference primary probe \
     probe_threads probes promote proxy quantile random_case read_only reason receivers recover \
     recursion_desired refresh_interval region region_label repeat_interval replication rise \
     routing_key_env routing_key_file rpo rto secret_env secret_file server server_name \
     severity size source_address spacing standby standbys starts starttls state state_dir step targets than \
     time_zone timeout tls to transport ttl type until url_env url_file urls user user_path username \
     valid_rcodes valid_status variant version waiting warm warn watchdog within"
        .split_whitespace()
        .collect()
});

/// Keys of URLs whose path may be a secret: of a service that takes whatever comes to it.
const ORIGIN_ONLY: &str = "url";

/// Keys of addresses and URLs, which are such also with one slash or none behind the scheme.
const ADDRESSES: [&str; 4] = ["address", "external_url", "targets", "urls"];

/// The key whose value may be any JSON: nothing below it is a key of ours.
const ANY: &str = "equals";

/// The keys whose values are mappings with names of the operator's own.
const NAMED: [&str; 8] = [
    "annotations",
    "headers",
    "headers_match",
    "headers_not_match",
    "labels",
    "match",
    "secret_headers",
    "targets",
];

/// All of a document, with what comes from included files in its lists.
pub struct Masked<'a>(&'a Document);

impl Document {
    /// What it says, as it may be shown.
    pub const fn masked(&self) -> Masked<'_> {
        Masked(self)
    }
}

impl Serialize for Masked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for key in MAIN {
            if INCLUDED.contains(&key) {
                let list: Vec<_> = self.0.list(key).map(Part::top(key)).collect();
                if !list.is_empty() {
                    map.serialize_entry(key, &list)?;
                }
            } else if let Some(value) = self.0.setting(key) {
                map.serialize_entry(key, &Part::top(key)(value))?;
            }
        }
        map.end()
    }
}

/// A value, and what it is called.
#[derive(Clone, Copy)]
struct Part<'a> {
    value: &'a Value,
    key: &'a str,
    /// Whether it is one of the entries below the key.
    entry: bool,
}

impl<'a> Part<'a> {
    fn top(key: &'a str) -> impl Fn(&'a Value) -> Self {
        move |value| Self {
            value,
            key,
            entry: false,
        }
    }

    /// What a mapping has under a name.
    fn below(self, name: &'a str, value: &'a Value) -> Self {
        if self.key == ANY {
            return Self { value, ..self };
        }
        let named = !self.entry && NAMED.contains(&self.key);
        Self {
            value,
            key: if named { self.key } else { name },
            entry: named,
        }
    }

    fn text(self, text: &str) -> Cow<'_, str> {
        if self.key == ORIGIN_ONLY {
            return origin(text).into();
        }
        if ADDRESSES.contains(&self.key) {
            return address(text);
        }
        if SHOWN.contains(self.key) {
            return without_secrets(text);
        }
        MASK.into()
    }
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value.kind {
            ValueKind::Table(table) => {
                let mut map = serializer.serialize_map(Some(table.len()))?;
                for (name, value) in table {
                    map.serialize_entry(name, &self.below(name, value))?;
                }
                map.end()
            }
            ValueKind::Array(list) => {
                let mut all = serializer.serialize_seq(Some(list.len()))?;
                for value in list {
                    all.serialize_element(&Self { value, ..*self })?;
                }
                all.end()
            }
            ValueKind::Nil => serializer.serialize_none(),
            ValueKind::String(text) => serializer.serialize_str(&self.text(text)),
            _ if !SHOWN.contains(self.key) => serializer.serialize_str(MASK),
            ValueKind::Boolean(truth) => serializer.serialize_bool(*truth),
            ValueKind::I64(number) => serializer.serialize_i64(*number),
            ValueKind::U64(number) => serializer.serialize_u64(*number),
            ValueKind::Float(number) => serializer.serialize_f64(*number),
            ValueKind::I128(_) | ValueKind::U128(_) => {
                serializer.serialize_str(&self.value.to_string())
            }
        }
    }
}

/// The scheme, the host and the port of a URL.
fn origin(text: &str) -> String {
    match url::Url::parse(text) {
        Ok(url) if url.has_host() => format!("{}/{MASK}", url.origin().ascii_serialization()),
        _ => MASK.to_owned(),
    }
}

/// An address without user, query and fragment, in whatever form.
fn address(text: &str) -> Cow<'_, str> {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    match &text[..end] {
        text if text.contains('@') && !text.contains("://") => MASK.into(),
        text => without_secrets(text),
    }
}

/// The text with every URL in it without its user, query and fragment.
fn without_secrets(text: &str) -> Cow<'_, str> {
    if !text.contains("://") {
        return text.into();
    }
    let words = text.split_inclusive(char::is_whitespace).map(|word| {
        let Some((scheme, rest)) = word.split_once("://") else {
            return Cow::Borrowed(word);
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let host = authority.rsplit('@').next().unwrap_or_default();
        let path = match path.find(['?', '#']) {
            Some(end) => &path[..end],
            None => path,
        };
        let space = word.trim_end().len();
        // A user may be one with a slash in it, as no URL has it: what has more of them is no URL.
        if path.contains(['@', ':']) {
            return format!("{MASK}{}", &word[space..]).into();
        }
        let url = format!("{scheme}://{host}{path}");
        format!("{}{}", url.trim_end(), &word[space..]).into()
    });
    words.collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Overrides;
    use super::*;

    /// Keys whose values are masked: what is sent to somebody, or compared with what is received.
    const MASKED: [&str; 9] = [
        "body",
        "body_matches",
        "body_not_matches",
        "dialogue",
        "expect",
        "headers",
        "headers_match",
        "headers_not_match",
        "query",
    ];

    fn masked(text: &str) -> serde_json::Value {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("hotspare.yaml");
        fs::write(&file, text).expect("written");
        let overrides = Overrides::new(Some("here".into()), std::iter::empty());
        let document = Document::read(&file, &overrides.expect("good"));
        serde_json::to_value(document.masked()).expect("JSON")
    }

    #[test]
    fn of_every_key_that_there_is_somebody_has_said_whether_it_is_shown() {
        let page = include_str!("../../docs/configuration.md");
        let mut in_table = false;
        let mut keys = 0;
        for line in page.lines() {
            in_table = line.starts_with("| key |") || in_table && line.starts_with('|');
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let Some(path) = cells.get(1).and_then(|cell| cell.strip_prefix('`')) else {
                continue;
            };
            if !in_table || cells[2].starts_with("mapping") {
                continue;
            }
            let key = path.trim_end_matches('`').rsplit('.').next();
            let key = key.expect("a key");
            let known = SHOWN.contains(key) || MASKED.contains(&key) || key == ORIGIN_ONLY;
            // A list of what has keys of its own needs no word.
            let list = MAIN.contains(&key) || ["checks", "holds", "when"].contains(&key);
            let list = list || key.starts_with("targets_");
            assert!(known || list, "{key}: is it to be shown by /api/v1/config?");
            keys += 1;
        }
        assert!(keys > 200, "{keys}");
        assert!(MASKED.iter().all(|key| !SHOWN.contains(key)));
    }

    #[test]
    fn what_is_harmless_is_shown_in_the_order_of_the_file() {
        let shown = masked(
            "defaults: { interval: 5s, buckets: [0.1, 1] }\n\
             regions: [{ name: here }, { name: a there }]\n\
             probes:\n- name: web\n  check: { http: { valid_status: [200, 2xx], method: GET, \
             follow_redirects: 3, json: [{ pointer: /a, equals: { x: S } }] } }\n  targets:\n    here: https://h/a\n    a there: \
             [https://i/b, { name: n, address: https://j/c, labels: { x: y } }]\n",
        );
        let expected = serde_json::json!({
            "region": "here",
            "regions": [{ "name": "here" }, { "name": "a there" }],
            "defaults": { "interval": "5s", "buckets": [0.1, 1] },
            "probes": [{
                "name": "web",
                "check": { "http": {
                    "valid_status": [200, "2xx"],
                    "method": "GET",
                    "follow_redirects": 3,
                    "json": [{ "pointer": "/a", "equals": { "x": MASK } }],
                } },
                "targets": {
                    "here": "https://h/a",
                    "a there": ["https://i/b", { "name": "n", "address": "https://j/c", "labels": { "x": "y" } }],
                },
            }],
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn nothing_is_shown_that_may_be_a_secret() {
        let shown = masked(
            "heartbeat: { url: \"https://u:SECRET@hc.example.com/SECRET?x=SECRET\" }\n\
             alerting: { external_url: \"https://u:SECRET@h/a?b=SECRET#SECRET\" }\n\
             regions: [{ name: here, jurisdiction: EU }]\n\
             probes:\n\
             - name: web\n  check: { http: { headers: { X-Key: SECRET, X-Pin: 90210, X-Yes: true }, \
             secret_headers: { X-Other: { file: name-of-a-file } }, body: SECRET, \
             headers_match: { X-Said: SECRET }, json: [{ pointer: /a, equals: SECRET }, \
             { pointer: /b, equals: { name: SECRET, user: [{ state: SECRET, limit: 90210 }] } }], \
             body_matches: [SECRET], unknown: SECRET, unknowns: [90210, { name: shown, x: SECRET }] } }\n  \
             targets: { here: \"https://u:SECRET@h/path?token=SECRET\", a: \"https:/h/b?token=SECRET\", \
             b: [{ address: 'https:\\\\h\\c?token=SECRET' }] }\n  \
             targets_http: [{ url: \"https:/h/SECRET\", address: \"u:SECRET@{}\" }]\n\
             - name: mail\n  check: { tcp: { dialogue: [{ send: SECRET }, { expect: SECRET }] } }\n\
             - name: db\n  check: { redis: { query: [AUTH, SECRET], expect: SECRET } }\n\
             rules:\n- name: r\n  annotations: { a: \"see https://u:SECRET@h/x?y=SECRET , and\\nhttp://u:SEC/SECRET@h\" }\n\
             receivers:\n- { name: a, webhook: { url: \"https://h:8443/SECRET\", body: SECRET, headers: { X: SECRET } } }\n\
             - { name: b, slack: { url: \"/SECRET\" } }\n",
        );
        let text = shown.to_string();
        assert!(
            !text.contains("SECRET") && !text.contains("90210") && !text.contains("true"),
            "{text}"
        );
        for part in [
            r#""url":"https://hc.example.com/<masked>""#,
            r#""external_url":"https://h/a""#,
            r#""X-Other":{"file":"name-of-a-file"}"#,
            r#""X-Pin":"<masked>""#,
            r#""here":"https://h/path""#,
            r#""a":"https:/h/b""#,
            r#""a":"see https://h/x , and\n<masked>""#,
            r#""url":"https://h:8443/<masked>""#,
            r#""url":"<masked>""#,
            r#""query":["<masked>","<masked>"]"#,
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
