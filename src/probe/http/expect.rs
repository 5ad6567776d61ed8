//! What a good answer looks like.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName};
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::Value;

use super::settings::Settings;
use super::status::Statuses;
use crate::model::{Failure, Reason};
use crate::net::http::header_name;
use crate::probe::Problem;

/// Bytes that a compiled pattern may have, and as many for its cache.
const PATTERN_BYTES: usize = 1 << 20;
/// Characters of a version that are kept.
const VERSION_CHARS: usize = 64;

/// A value that the body, read as JSON, must have.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonRule {
    /// Where: a JSON pointer (RFC 6901) like `/status`.
    pub pointer: String,
    /// What must be there.
    pub equals: Value,
}

/// Where an answer says which version of the service gave it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionSource {
    /// A JSON pointer into the body.
    Json(String),
    /// A header's name.
    Header(String),
}

/// The rules, ready to be applied.
#[derive(Debug)]
pub(super) struct Expectations {
    statuses: Statuses,
    headers: Vec<HeaderRule>,
    body: Vec<BodyRule>,
    json: Vec<JsonRule>,
    version: Option<Version>,
}

#[derive(Debug)]
struct HeaderRule {
    name: HeaderName,
    pattern: Regex,
    wanted: bool,
}

#[derive(Debug)]
struct BodyRule {
    pattern: Regex,
    wanted: bool,
}

#[derive(Debug)]
enum Version {
    Json(String),
    Header(HeaderName),
}

impl Expectations {
    /// Compiles what the settings ask for.
    pub(super) fn new(settings: &Settings, problems: &mut Vec<Problem>) -> Self {
        if settings.valid_status.is_empty() {
            problems.push(Problem::new(
                "valid_status",
                "no status would be valid; leave it out for 2xx",
            ));
        }
        let mut headers = Vec::new();
        let mut body = Vec::new();
        for (field, rules, wanted) in [
            ("headers_match", &settings.headers_match, true),
            ("headers_not_match", &settings.headers_not_match, false),
        ] {
            header_rules(field, rules, wanted, &mut headers, problems);
        }
        for (field, patterns, wanted) in [
            ("body_matches", &settings.body_matches, true),
            ("body_not_matches", &settings.body_not_matches, false),
        ] {
            for (i, text) in patterns.iter().enumerate() {
                match compile(text) {
                    Ok(pattern) => body.push(BodyRule { pattern, wanted }),
                    Err(why) => problems.push(Problem::new(format!("{field}[{i}]"), why)),
                }
            }
        }
        for (i, rule) in settings.json.iter().enumerate() {
            if let Err(why) = check_pointer(&rule.pointer) {
                problems.push(Problem::new(format!("json[{i}].pointer"), why));
            }
        }
        Self {
            statuses: settings.valid_status.clone(),
            headers,
            body,
            json: settings.json.clone(),
            version: settings
                .version
                .as_ref()
                .and_then(|source| version(source, problems)),
        }
    }

    /// Whether the status needs no redirect to be good.
    pub(super) fn accepts(&self, status: u16) -> bool {
        self.statuses.contains(status)
    }

    /// Whether a header can be wrong.
    pub(super) fn judges_headers(&self) -> bool {
        !self.headers.is_empty()
    }

    /// Whether the body can be wrong.
    pub(super) fn judges_body(&self) -> bool {
        !self.body.is_empty() || !self.json.is_empty()
    }

    /// Whether the version is asked for.
    pub(super) fn tells_version(&self) -> bool {
        self.version.is_some()
    }

    /// Whether the body is looked at, good or bad.
    pub(super) fn reads_body(&self) -> bool {
        self.judges_body() || matches!(self.version, Some(Version::Json(_)))
    }

    /// Applies the rule for the status.
    pub(super) fn judge_status(&self, status: u16) -> Result<(), Failure> {
        if self.accepts(status) {
            return Ok(());
        }
        Err(Failure::new(
            Reason::Status,
            format_args!("status {status}, expected {}", self.statuses),
        ))
    }

    /// Applies the rules for headers. What a header holds is not told: it may be a secret.
    pub(super) fn judge_headers(&self, headers: &HeaderMap) -> Result<(), Failure> {
        for HeaderRule {
            name,
            pattern,
            wanted,
        } in &self.headers
        {
            let mut values = headers.get_all(name).iter();
            let matches = values.any(|value| pattern.is_match(value.as_bytes()));
            if matches == *wanted {
                continue;
            }
            let detail = match (wanted, headers.contains_key(name)) {
                (true, false) => format!("header {name} is missing"),
                (true, true) => format!("header {name} does not match `{pattern}`"),
                (false, _) => format!("header {name} matches `{pattern}`"),
            };
            return Err(Failure::new(Reason::Header, detail));
        }
        Ok(())
    }

    /// Applies the rules for the body. What the body holds is not told: it may be a secret.
    ///
    /// `json` is the body read as JSON, see [`Self::parse`].
    pub(super) fn judge_body(&self, body: &[u8], json: Option<&Value>) -> Result<(), Failure> {
        for BodyRule { pattern, wanted } in &self.body {
            if pattern.is_match(body) != *wanted {
                let what = if *wanted { "does not match" } else { "matches" };
                return Err(Failure::new(
                    Reason::Body,
                    format_args!("the body {what} `{pattern}`"),
                ));
            }
        }
        for rule in &self.json {
            let value = json
                .ok_or_else(|| Failure::new(Reason::Body, "the body is not JSON"))?
                .pointer(&rule.pointer);
            if value.is_some_and(|found| equal(found, &rule.equals)) {
                continue;
            }
            return Err(Failure::new(
                Reason::Body,
                format_args!(
                    "{} of the body is {}, expected {}",
                    rule.pointer,
                    describe(value),
                    rule.equals
                ),
            ));
        }
        Ok(())
    }

    /// The body as JSON, if any rule needs that.
    pub(super) fn parse(&self, body: &[u8]) -> Option<Value> {
        let needed = !self.json.is_empty() || matches!(self.version, Some(Version::Json(_)));
        needed.then(|| serde_json::from_slice(body).ok()).flatten()
    }

    /// The version that the answer tells; `None` when it tells none.
    pub(super) fn version(&self, headers: &HeaderMap, json: Option<&Value>) -> Option<Box<str>> {
        let text = match self.version.as_ref()? {
            Version::Header(name) => headers.get(name)?.to_str().ok()?.to_owned(),
            Version::Json(pointer) => match json?.pointer(pointer)? {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return None,
            },
        };
        let text: String = text
            .trim()
            .chars()
            .filter(|c| !c.is_control())
            .take(VERSION_CHARS)
            .collect();
        (!text.is_empty()).then(|| text.into())
    }
}

fn header_rules(
    field: &str,
    texts: &BTreeMap<String, String>,
    wanted: bool,
    rules: &mut Vec<HeaderRule>,
    problems: &mut Vec<Problem>,
) {
    for (name, text) in texts {
        let rule = header_name(name).and_then(|name| Ok((name, compile(text)?)));
        match rule {
            Ok((name, pattern)) => rules.push(HeaderRule {
                name,
                pattern,
                wanted,
            }),
            Err(why) => problems.push(Problem::new(format!("{field}.{name}"), why)),
        }
    }
}

fn version(source: &VersionSource, problems: &mut Vec<Problem>) -> Option<Version> {
    let (field, source) = match source {
        VersionSource::Json(pointer) => (
            "version.json",
            check_pointer(pointer).map(|()| Version::Json(pointer.clone())),
        ),
        VersionSource::Header(name) => ("version.header", header_name(name).map(Version::Header)),
    };
    source
        .map_err(|why| problems.push(Problem::new(field, why)))
        .ok()
}

fn compile(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text)
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => {
                format!("the pattern needs more than {limit} bytes; use smaller repetitions")
            }
            other => other.to_string(),
        })
}

fn check_pointer(pointer: &str) -> Result<(), String> {
    if pointer.is_empty() || pointer.starts_with('/') {
        return Ok(());
    }
    Err(format!(
        "`{pointer}` is not a JSON pointer; write it like /{}",
        pointer.replace('.', "/")
    ))
}

/// Numbers are equal by value: JSON does not tell 1 from 1.0. Two whole numbers are compared as such:
/// not each has a place among the floating ones.
fn equal(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(found), Value::Number(expected)) if found.is_f64() || expected.is_f64() => {
            found.as_f64().partial_cmp(&expected.as_f64()) == Some(Ordering::Equal)
        }
        _ => found == expected,
    }
}

fn describe(value: Option<&Value>) -> String {
    match value {
        None => "missing".to_owned(),
        Some(Value::String(_)) => "another text".to_owned(),
        Some(Value::Array(_)) => "a list".to_owned(),
        Some(Value::Object(_)) => "an object".to_owned(),
        Some(plain) => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expectations(settings: &str) -> Expectations {
        let settings = serde_json::from_str(settings).expect("settings");
        let mut problems = Vec::new();
        let expectations = Expectations::new(&settings, &mut problems);
        assert_eq!(problems, []);
        expectations
    }

    fn body_verdict(settings: &str, body: &[u8]) -> Option<String> {
        let expectations = expectations(settings);
        let json = expectations.parse(body);
        expectations
            .judge_body(body, json.as_ref())
            .err()
            .map(|failure| {
                assert_eq!(failure.reason, Reason::Body);
                failure.detail.into()
            })
    }

    #[test]
    fn bodies_are_judged_as_bytes() {
        let rules = r#"{"body_matches": ["(?i)ok"], "body_not_matches": ["maintenance"]}"#;
        assert_eq!(body_verdict(rules, b"\xff\xfe OK"), None);
        assert_eq!(
            body_verdict(rules, b"fine").as_deref(),
            Some("the body does not match `(?i)ok`")
        );
        assert_eq!(
            body_verdict(rules, b"ok, but in maintenance").as_deref(),
            Some("the body matches `maintenance`")
        );
    }

    #[test]
    fn json_values_are_compared_by_value_and_texts_are_not_told() {
        let rules = r#"{"json": [{"pointer": "/db/lag", "equals": 0}]}"#;
        assert_eq!(body_verdict(rules, br#"{"db": {"lag": 0.0}}"#), None);
        for (body, detail) in [
            (&b"{"[..], "the body is not JSON"),
            (b"{}", "/db/lag of the body is missing, expected 0"),
            (
                br#"{"db": {"lag": 3}}"#,
                "/db/lag of the body is 3, expected 0",
            ),
            (
                br#"{"db": {"lag": "hunter2"}}"#,
                "/db/lag of the body is another text, expected 0",
            ),
        ] {
            assert_eq!(body_verdict(rules, body).as_deref(), Some(detail));
        }
    }

    #[test]
    fn numbers_are_equal_when_their_values_are() {
        for (found, expected, same) in [
            ("1", "1.0", true),
            ("-0.0", "0", true),
            ("0.0", "-0.0", true),
            ("-1", "1", false),
            ("9007199254740993", "9007199254740992", false),
            ("9007199254740993", "9007199254740993", true),
            ("18446744073709551615", "-1", false),
            ("1", "true", false),
        ] {
            let rules = format!(r#"{{"json": [{{"pointer": "/n", "equals": {expected}}}]}}"#);
            let body = format!(r#"{{"n": {found}}}"#);
            let verdict = body_verdict(&rules, body.as_bytes());
            assert_eq!(verdict.is_none(), same, "{found} and {expected}");
        }
    }

    #[test]
    fn headers_match_when_any_value_does_and_values_are_not_told() {
        let rules = expectations(
            r#"{"headers_match": {"X-Role": "^primary$"}, "headers_not_match": {"warning": "stale"}}"#,
        );
        let verdict = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, http::HeaderValue::from_static(value));
            }
            let failure = rules.judge_headers(&headers).err()?;
            assert_eq!(failure.reason, Reason::Header);
            Some(String::from(failure.detail))
        };
        assert_eq!(verdict(&[("x-role", "x"), ("x-role", "primary")]), None);
        for (headers, detail) in [
            (&[][..], "header x-role is missing"),
            (
                &[("x-role", "hunter2")],
                "header x-role does not match `^primary$`",
            ),
            (
                &[("x-role", "primary"), ("warning", "110 stale")],
                "header warning matches `stale`",
            ),
        ] {
            assert_eq!(verdict(headers).as_deref(), Some(detail));
        }
    }

    #[test]
    fn a_version_is_a_short_text_without_control_characters() {
        let rules = expectations(r#"{"version": {"json": "/build/sha"}}"#);
        let version =
            |body: &str| rules.version(&HeaderMap::new(), rules.parse(body.as_bytes()).as_ref());
        assert_eq!(
            version(r#"{"build": {"sha": " a\u001bbc "}}"#).as_deref(),
            Some("abc")
        );
        assert_eq!(version(r#"{"build": {"sha": 7}}"#).as_deref(), Some("7"));
        assert_eq!(version(r#"{"build": {"sha": ""}}"#), None);
        assert_eq!(version("not json"), None);
        let long = format!(r#"{{"build": {{"sha": "{}"}}}}"#, "ü".repeat(100));
        assert_eq!(version(&long).expect("version").chars().count(), 64);
    }
}
