//! What is wrong with settings is said before anything runs, all at once.

use std::path::Path;

use hotspare::model::Reason;
use hotspare::probe::Check;
use serde_json::{Value, json};

use super::{context, hosts, prepare, probe};

/// Problems as `field: message` lines.
fn problems(settings: Value) -> Vec<String> {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("secret"), "s3cret\n").expect("written");
    std::fs::write(folder.path().join("lines"), "a\nb").expect("written");
    std::fs::write(folder.path().join("not.pem"), "hello").expect("written");
    let Err(problems) = prepare(settings, &context(hosts(), folder.path())) else {
        return Vec::new();
    };
    let folder = folder.path().display().to_string();
    problems
        .into_iter()
        .map(|p| format!("{}: {}", p.field, p.message).replace(&folder, "FOLDER"))
        .collect()
}

/// Asserts that each settings have one problem, as told.
#[track_caller]
fn assert_problems(cases: impl IntoIterator<Item = (Value, &'static str)>) {
    for (settings, message) in cases {
        assert_eq!(problems(settings.clone()), [message], "{settings}");
    }
}

#[test]
fn mistakes_in_the_request_have_their_messages() {
    assert_problems([
        (
            json!({ "method": "get" }),
            "method: methods are upper case: GET",
        ),
        (json!({ "method": "G T" }), "method: `G T` is not a method"),
        (
            json!({ "method": "CONNECT" }),
            "method: CONNECT is for proxies; use `proxy`",
        ),
        (
            json!({ "body": "x" }),
            "method: a body needs a method, like POST",
        ),
        (
            json!({ "method": "HEAD", "body_matches": ["x"] }),
            "method: the answer to HEAD has no body to look at; use GET",
        ),
        (
            json!({ "method": "POST", "body": "x", "body_file": "secret" }),
            "body_file: set either body or body_file",
        ),
        (
            json!({ "method": "POST", "body_file": "absent" }),
            "body_file: cannot read FOLDER/absent: No such file or directory (os error 2)",
        ),
        (
            json!({ "headers": { "Host": "x" } }),
            "headers.Host: this header cannot be set here: use `host`",
        ),
        (
            json!({ "headers": { "Authorization": "x" } }),
            "headers.Authorization: this header cannot be set here: use username and \
             password_file, bearer_token_file, or secret_headers",
        ),
        (
            json!({ "headers": { "Accept-Encoding": "br" } }),
            "headers.Accept-Encoding: this header cannot be set here: see `decompress` of the kind `http`",
        ),
        (
            json!({ "secret_headers": { "Connection": { "file": "secret" } } }),
            "secret_headers.Connection: this header cannot be set here: the probe sets it itself",
        ),
        (
            json!({ "headers": { "X Y": "x" } }),
            "headers.X Y: `X Y` is not the name of a header",
        ),
        (
            json!({ "headers": { "X": "a\r\nb" } }),
            "headers.X: the value has a line end or another character that a header cannot have",
        ),
        (
            json!({ "secret_headers": { "X": { "file": "lines" } } }),
            "secret_headers.X: the value has a line end or another character that a header cannot \
             have",
        ),
    ]);
}

#[test]
fn mistakes_in_credentials_have_their_messages() {
    assert_problems([
        (
            json!({ "username": "me" }),
            "password_file: username needs a password_file",
        ),
        (
            json!({ "password_file": "secret" }),
            "username: password_file needs a username",
        ),
        (
            json!({ "username": "m:e", "password_file": "secret" }),
            "username: a user name cannot have a colon",
        ),
        (
            json!({ "username": "me", "password_file": "secret", "bearer_token_file": "secret" }),
            "bearer_token_file: set either username or bearer_token_file",
        ),
        (
            json!({ "username": "me", "password_env": "HOTSPARE_TEST_ABSENT" }),
            "password_env: the environment variable HOTSPARE_TEST_ABSENT is not set",
        ),
        (
            json!({ "bearer_token_file": "absent" }),
            "bearer_token_file: cannot read FOLDER/absent: No such file or directory (os error 2)",
        ),
        (
            json!({
                "bearer_token_file": "secret",
                "secret_headers": { "authorization": { "file": "secret" } },
            }),
            "secret_headers.authorization: set either this header or username or bearer_token_file",
        ),
    ]);
}

#[test]
fn mistakes_in_names_and_tls_have_their_messages() {
    assert_problems([
        (
            json!({ "host": "a b" }),
            "host: `a b` is neither an address nor a host name; expected a name like \
             shop.example.com",
        ),
        (
            json!({ "tls": { "server_name": "a b" } }),
            "tls.server_name: `a b` is not a name that a certificate can have",
        ),
        (
            json!({ "tls": { "ca_file": "absent" } }),
            "tls.ca_file: cannot read FOLDER/absent: No such file or directory (os error 2)",
        ),
        (
            json!({ "tls": { "ca_file": "not.pem" } }),
            "tls.ca_file: the file has no PEM certificate",
        ),
        (
            json!({ "tls": { "insecure_skip_verify": true, "cert_file": "not.pem" } }),
            "tls.key_file: cert_file needs a key_file",
        ),
        (
            json!({ "tls": { "insecure_skip_verify": true, "cert_file": "not.pem", "key_file": "x" } }),
            "tls.cert_file: the file has no PEM certificate",
        ),
    ]);
}

#[test]
fn mistakes_in_the_rules_have_their_messages() {
    assert_problems([
        (
            json!({ "valid_status": [] }),
            "valid_status: no status would be valid; leave it out for 2xx",
        ),
        (
            json!({ "body_matches": ["ok", "("] }),
            "body_matches[1]: regex parse error:\n    (\n    ^\nerror: unclosed group",
        ),
        (
            json!({ "body_not_matches": ["\\w{1000}{1000}"] }),
            "body_not_matches[0]: the pattern needs more than 1048576 bytes; use smaller \
             repetitions",
        ),
        (
            json!({ "headers_match": { "X Y": "x" } }),
            "headers_match.X Y: `X Y` is not the name of a header",
        ),
        (
            json!({ "headers_not_match": { "X": "[" } }),
            "headers_not_match.X: regex parse error:\n    [\n    ^\nerror: unclosed character class",
        ),
        (
            json!({ "json": [{ "pointer": "a.b", "equals": 1 }] }),
            "json[0].pointer: `a.b` is not a JSON pointer; write it like /a/b",
        ),
        (
            json!({ "version": { "json": "sha" } }),
            "version.json: `sha` is not a JSON pointer; write it like /sha",
        ),
        (
            json!({ "version": { "header": "" } }),
            "version.header: `` is not the name of a header",
        ),
    ]);
}

#[test]
fn mistakes_in_limits_and_ways_have_their_messages() {
    assert_problems([
        (
            json!({ "follow_redirects": 11 }),
            "follow_redirects: at most 10 redirects can be followed",
        ),
        (
            json!({ "max_body_bytes": 0 }),
            "max_body_bytes: expected 1 to 1073741824 (1 GiB)",
        ),
        (
            json!({ "secret_headers": { "Proxy-Authorization": { "file": "secret" } } }),
            "secret_headers.proxy-authorization: there is no `proxy` that it could be for",
        ),
        (
            json!({ "max_body_bytes": 8_388_609, "decompress": "gzip" }),
            "max_body_bytes: a body that is decompressed or looked at may have 8388608 bytes (8 MiB) at most",
        ),
        (
            json!({ "max_body_bytes": 8_388_609, "version": { "json": "/sha" } }),
            "max_body_bytes: a body that is decompressed or looked at may have 8388608 bytes (8 MiB) at most",
        ),
        (
            json!({ "dscp": 64 }),
            "dscp: 64 is not a code point: 0 to 63",
        ),
        (
            json!({ "ip_version": "6", "source_address": "127.0.0.1" }),
            "source_address: 127.0.0.1 is of the other IP version than `ip_version` asks for",
        ),
        (
            json!({ "proxy": "https://proxy:3128" }),
            "proxy: it has more or other parts; expected http://host:port",
        ),
        (
            json!({ "proxy": "http://me:pw@proxy:3128" }),
            "proxy: credentials do not belong in a URL; expected http://host:port",
        ),
        (
            json!({ "proxy": "proxy:3128" }),
            "proxy: the scheme is `proxy`, expected http or https; expected http://host:port",
        ),
    ]);
}

#[test]
fn all_mistakes_are_told_at_once_and_secrets_never() {
    let told = problems(json!({
        "dscp": 99,
        "follow_redirects": 99,
        "bearer_token_file": "lines",
        "json": [{ "pointer": "x", "equals": null }],
    }));
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told.iter().all(|line| !line.contains("a\nb")), "{told:?}");
}

#[test]
fn unknown_and_malformed_fields_are_refused() {
    for (settings, message) in [
        (json!({ "methd": "GET" }), "unknown field `methd`"),
        (json!({ "password": "x" }), "unknown field `password`"),
        (json!({ "tls": { "ca": "x" } }), "unknown field `ca`"),
        (json!({ "valid_status": ["ok"] }), "`ok` is not a status"),
        (json!({ "decompress": "br" }), "unknown variant `br`"),
        (json!({ "addresses": "any" }), "unknown variant `any`"),
        (
            json!({ "json": [{ "pointer": "/a" }] }),
            "missing field `equals`",
        ),
        (
            json!({ "secret_headers": { "X": "plain" } }),
            "unknown variant `plain`",
        ),
    ] {
        let error = serde_json::from_value::<Check>(json!({ "http": settings }))
            .expect_err("refused")
            .to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn targets_are_checked_against_the_settings() {
    for (settings, address, message) in [
        (
            json!({}),
            "https://me:pw@10.1.0.20/",
            "credentials do not belong in a URL; use username and password_file, or \
             bearer_token_file",
        ),
        (
            json!({ "ip_version": "6" }),
            "http://10.1.0.20/",
            "10.1.0.20 is not of the family that ip_version or source_address asks for",
        ),
        (
            json!({ "source_address": "::1" }),
            "http://10.1.0.20/",
            "10.1.0.20 is not of the family that ip_version or source_address asks for",
        ),
        (
            json!({ "proxy": "http://proxy:3128", "host": "shop.example" }),
            "http://10.1.0.20/",
            "`host` cannot be used for plain http through a proxy: it goes by the URL",
        ),
    ] {
        let template = prepare(settings, &context(hosts(), Path::new("/"))).expect("valid");
        let Err(error) = template.target(address) else {
            panic!("{address} is accepted");
        };
        assert_eq!(error, message);
    }
}

#[test]
fn the_shape_follows_the_settings_and_the_target() {
    let reasons = |settings, address| probe(settings, address).shape().reasons;
    let plain = reasons(json!({}), "http://127.0.0.1/");
    for absent in [
        Reason::DnsNotFound,
        Reason::TlsCertificate,
        Reason::Header,
        Reason::Body,
        Reason::Redirect,
        Reason::Auth,
    ] {
        assert!(!plain.contains(absent), "{absent:?}");
    }
    assert!(plain.contains(Reason::Status) && plain.contains(Reason::TooLarge));
    let off = json!({ "insecure_skip_verify": true });
    for (settings, address, reason) in [
        (json!({}), "http://name/", Reason::DnsNotFound),
        (
            json!({ "tls": off }),
            "https://127.0.0.1/",
            Reason::TlsCertificate,
        ),
        (
            json!({ "headers_match": { "x": "y" } }),
            "http://127.0.0.1/",
            Reason::Header,
        ),
        (
            json!({ "body_matches": ["y"] }),
            "http://127.0.0.1/",
            Reason::Body,
        ),
        (
            json!({ "follow_redirects": 1, "tls": off }),
            "http://127.0.0.1/",
            Reason::Redirect,
        ),
        (
            json!({ "proxy": "http://10.0.0.1:3128", "tls": off }),
            "https://127.0.0.1/",
            Reason::Auth,
        ),
    ] {
        assert!(reasons(settings, address).contains(reason), "{reason:?}");
    }
}

#[test]
fn everything_can_be_written_in_yaml() {
    let yaml = r#"
http:
  method: POST
  headers: { X-Number: 7, Accept-Language: en }
  secret_headers: { X-Api-Key: { file: secret } }
  host: shop.example.com
  body: "{}"
  bearer_token_file: secret
  tls: { server_name: tls.example.com, insecure_skip_verify: true }
  http2: false
  valid_status: [200, "300-307", 4xx]
  body_matches: ["ok"]
  headers_match: { X-Role: primary }
  json:
    - { pointer: /lag, equals: 0 }
    - { pointer: /ok, equals: true }
    - { pointer: /name, equals: "x" }
    - { pointer: /list, equals: [1, "a", null] }
  version: { json: /build/sha }
  follow_redirects: 3
  max_body_bytes: 65536
  decompress: gzip
  ip_version: "4"
  addresses: all
  source_address: 127.0.0.1
  dscp: 46
"#;
    let check: Check = config::Config::builder()
        .add_source(config::File::from_str(yaml, config::FileFormat::Yaml))
        .build()
        .expect("YAML")
        .try_deserialize()
        .expect("settings");
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("secret"), "s3cret\n").expect("written");
    let template = check
        .prepare(&context(hosts(), folder.path()))
        .expect("valid");
    let shape = template
        .target("https://10.1.0.20/")
        .expect("valid")
        .shape();
    assert!(shape.facts.version && shape.facts.tls_unverified);
    for reason in [Reason::Header, Reason::Body, Reason::Redirect] {
        assert!(shape.reasons.contains(reason), "{reason:?}");
    }
}
