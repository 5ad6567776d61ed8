//! The ways to a receiver: certificates, credentials, proxies, and files that change meanwhile.

use hotspare::notify::RefusalReason;
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use super::{SECRETS, firing, folder, header_of, prepare, refused, tell, try_prepare, write};
use crate::http::pki::{Authority, Tls};
use crate::http::server::{Server, read_request};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn to(server: &Server, more: &Value) -> Value {
    let mut settings = json!({ "url": format!("https://{}/path-canary", server.address) });
    let settings_map = settings.as_object_mut().expect("an object");
    settings_map.extend(more.as_object().expect("an object").clone());
    json!({ "webhook": settings })
}

#[tokio::test]
async fn a_receiver_has_to_show_the_right_certificate() {
    let folder = folder();
    let authority = Authority::new();
    write(&folder, "ca.pem", &authority.pem());
    let tls = json!({ "tls": { "ca_file": "ca.pem" } });
    let good = authority.issue(&["127.0.0.1"]);
    let server = Tls::new(&good).sending(OK.to_owned()).await;
    let notifier = prepare(to(&server, &tls), folder.path());
    tell(&notifier, &firing()).await.expect("taken");

    let other = Authority::named("another authority").issue(&["127.0.0.1"]);
    let elsewhere = authority.issue(&["elsewhere.example"]);
    for identity in [
        other,
        elsewhere,
        authority.issue_until(&["127.0.0.1"], 2001),
    ] {
        let server = Tls::new(&identity).sending(OK.to_owned()).await;
        let notifier = prepare(to(&server, &tls), folder.path());
        refused(
            tell(&notifier, &firing()).await,
            RefusalReason::Tls,
            "certificate",
        );
        assert!(server.seen().is_empty());
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_may_change_meanwhile() {
    let folder = folder();
    let (authority, clients) = (Authority::new(), Authority::named("clients"));
    write(&folder, "ca.pem", &authority.pem());
    let identity = authority.issue(&["127.0.0.1"]);
    let tls = Tls {
        clients: Some(&clients),
        ..Tls::new(&identity)
    };
    let server = tls.sending(OK.to_owned()).await;
    let notifier = prepare(
        to(&server, &json!({ "tls": { "ca_file": "ca.pem" } })),
        folder.path(),
    );
    refused(tell(&notifier, &firing()).await, RefusalReason::Tls, "");

    let save = |authority: &Authority| {
        let client = authority.issue(&["hotspare"]);
        write(&folder, "client.pem", &client.certificate.pem());
        write(&folder, "client.key", &client.key.serialize_pem());
    };
    save(&Authority::named("strangers"));
    let tls = json!({ "ca_file": "ca.pem", "cert_file": "client.pem", "key_file": "client.key" });
    let notifier = prepare(to(&server, &json!({ "tls": tls })), folder.path());
    refused(tell(&notifier, &firing()).await, RefusalReason::Tls, "");
    save(&clients);
    tell(&notifier, &firing()).await.expect("taken");
}

#[tokio::test]
async fn what_is_secret_is_read_for_each_attempt_and_never_told() {
    let folder = folder();
    let server =
        Server::answering("HTTP/1.1 403 No\r\nContent-Length: 14\r\n\r\npassword-canary").await;
    let other = Server::answering(OK).await;
    write(&folder, "url", &server.url("/path-canary?key=query-canary"));
    write(&folder, "password", "password-canary");
    write(&folder, "header", "header-canary");
    let settings = json!({ "webhook": {
        "url_file": "url",
        "username": "me",
        "password_file": "password",
        "secret_headers": { "X-Api-Key": { "file": "header" } },
        "headers": { "X-Team": "db" },
    } });
    let notifier = prepare(settings, folder.path());
    refused(tell(&notifier, &firing()).await, RefusalReason::Auth, "403");
    let request = &server.seen()[0];
    assert!(request.starts_with("POST /path-canary?key=query-canary HTTP/1.1\r\n"));
    // me:password-canary
    let basic = "Basic bWU6cGFzc3dvcmQtY2FuYXJ5";
    assert_eq!(header_of(request, "authorization"), Some(basic));
    assert_eq!(header_of(request, "x-api-key"), Some("header-canary"));
    assert_eq!(header_of(request, "x-team"), Some("db"));
    let agent = concat!("hotspare/", env!("CARGO_PKG_VERSION"));
    assert_eq!(header_of(request, "user-agent"), Some(agent));

    write(&folder, "url", &other.url("/new"));
    write(&folder, "password", "changed");
    tell(&notifier, &firing()).await.expect("taken");
    let request = &other.seen()[0];
    assert_eq!(
        header_of(request, "authorization"),
        Some("Basic bWU6Y2hhbmdlZA==")
    );

    std::fs::remove_file(folder.path().join("password")).expect("removed");
    refused(
        tell(&notifier, &firing()).await,
        RefusalReason::Local,
        "password",
    );
    assert_eq!(other.seen().len(), 1, "nothing is sent without it");
    write(&folder, "password", "changed");
    write(&folder, "url", "password-canary://path-canary");
    refused(
        tell(&notifier, &firing()).await,
        RefusalReason::Local,
        "not an http or https URL",
    );
}

#[tokio::test]
async fn a_proxy_gets_what_is_its_own_and_leads_on() {
    let folder = folder();
    let authority = Authority::new();
    write(&folder, "ca.pem", &authority.pem());
    write(&folder, "proxy", "Basic header-canary");
    let identity = authority.issue(&["127.0.0.1"]);
    let server = Tls::new(&identity).sending(OK.to_owned()).await;
    let target = server.address;
    let proxy = Server::start(move |mut stream, seen| async move {
        let request = read_request(&mut stream).await.expect("a request");
        seen.lock().expect("unpoisoned").push(request);
        let mut onward = TcpStream::connect(target).await.expect("the receiver");
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        let _ = copy_bidirectional(&mut stream, &mut onward).await;
    })
    .await;
    let more = json!({
        "proxy": format!("http://{}", proxy.address),
        "tls": { "ca_file": "ca.pem" },
        "secret_headers": { "Proxy-Authorization": { "file": "proxy" } },
    });
    let notifier = prepare(to(&server, &more), folder.path());
    tell(&notifier, &firing()).await.expect("taken");
    let asked = &proxy.seen()[0];
    assert!(asked.starts_with(&format!("CONNECT {target} HTTP/1.1\r\n")));
    assert_eq!(
        header_of(asked, "proxy-authorization"),
        Some("Basic header-canary")
    );
    // The first is the name of the session.
    let received = &server.seen()[1];
    assert_eq!(header_of(received, "proxy-authorization"), None);

    let plain = Server::answering("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n").await;
    let settings = json!({ "webhook": {
        "url": "http://receiver.example/path-canary",
        "proxy": format!("http://{}", plain.address),
    } });
    let notifier = prepare(settings, folder.path());
    refused(tell(&notifier, &firing()).await, RefusalReason::Auth, "407");
    let asked = &plain.seen()[0];
    assert!(asked.starts_with("POST http://receiver.example/path-canary HTTP/1.1\r\n"));
}

/// The field at fault, and the settings.
const BAD: &[(&str, &str)] = &[
    ("webhook.url", r#"{ "webhook": {} }"#),
    (
        "webhook.url",
        r#"{ "webhook": { "url": "http://h", "url_file": "url" } }"#,
    ),
    (
        "webhook.url_file",
        r#"{ "webhook": { "url_file": "url" } }"#,
    ),
    (
        "webhook.url_file",
        r#"{ "webhook": { "url_file": "none" } }"#,
    ),
    (
        "webhook.url",
        r#"{ "webhook": { "url": "http://me:password-canary@h/" } }"#,
    ),
    (
        "webhook.password_file",
        r#"{ "webhook": { "url": "http://h", "username": "me" } }"#,
    ),
    (
        "webhook.method",
        r#"{ "webhook": { "url": "http://h", "method": "GET" } }"#,
    ),
    (
        "webhook.secret_file",
        r#"{ "webhook": { "url": "http://h", "secret_file": "key" } }"#,
    ),
    (
        "webhook.next_secret_file",
        r#"{ "webhook": { "url": "http://h", "next_secret_file": "url" } }"#,
    ),
    (
        "webhook.body",
        r#"{ "webhook": { "url": "http://h", "body": "{{ alerts" } }"#,
    ),
    (
        "webhook.body",
        r#"{ "webhook": { "url": "http://h", "body": "{{ alert.name }}" } }"#,
    ),
    (
        "webhook.body",
        r#"{ "webhook": { "url": "http://h", "body": "{{ alerts | nothing }}" } }"#,
    ),
    (
        "webhook.body",
        r#"{ "webhook": { "url": "http://h", "body":
            "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}" } }"#,
    ),
    (
        "webhook.headers.Host",
        r#"{ "webhook": { "url": "http://h", "headers": { "Host": "x" } } }"#,
    ),
    (
        "webhook.proxy",
        r#"{ "webhook": { "url": "http://h", "proxy": "https://p:1" } }"#,
    ),
    (
        "webhook.tls.ca_file",
        r#"{ "webhook": { "url": "https://h", "tls": { "ca_file": "none" } } }"#,
    ),
    ("slack.url", r#"{ "slack": {} }"#),
    ("teams.url", r#"{ "teams": { "url": "ftp://h" } }"#),
    (
        "pagerduty.routing_key_file",
        r#"{ "pagerduty": { "url": "http://h" } }"#,
    ),
    (
        "email.server",
        r#"{ "email": { "to": ["a@b.c"], "from": "d@e.f", "tls": { "insecure_skip_verify": true } } }"#,
    ),
    (
        "email.to[1]",
        r#"{ "email": { "to": ["a@b.c", "nobody"], "from": "d@e.f", "server": "127.0.0.1", "encryption": "none" } }"#,
    ),
    (
        "email.to",
        r#"{ "email": { "from": "d@e.f", "server": "127.0.0.1", "encryption": "none" } }"#,
    ),
    (
        "email.encryption",
        r#"{ "email": { "to": ["a@b.c"], "from": "d@e.f", "server": "mail.example", "encryption": "none" } }"#,
    ),
];

#[test]
fn settings_that_cannot_work_are_refused_with_their_field() {
    let folder = folder();
    write(&folder, "key", "whsec_password-canary!");
    write(&folder, "url", "hunter2 path-canary");
    for (field, text) in BAD {
        let settings = serde_json::from_str(text).expect("JSON");
        let Err(problems) = try_prepare(settings, folder.path()) else {
            panic!("{text} is taken");
        };
        let fields: Vec<_> = problems.iter().map(|problem| &*problem.field).collect();
        assert_eq!(fields, [*field], "{text}: {problems:?}");
        for secret in SECRETS {
            assert!(!format!("{problems:?}").contains(secret), "{problems:?}");
        }
    }
}
