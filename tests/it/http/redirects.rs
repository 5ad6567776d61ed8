//! Redirects: off unless asked for, and then on a short leash.

use std::sync::{Arc, OnceLock};

use hotspare::model::{Phase, Reason};
use serde_json::{Value, json};

use super::pki::{Authority, Tls};
use super::server::{Server, answer_one};
use super::{context, hosts, probe, probe_in, run};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn to(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

fn follow(limit: u8) -> Value {
    json!({ "follow_redirects": limit })
}

/// Answers `/` with the given answer, and every other path well.
async fn leading(answer: String) -> Server {
    Server::start(move |stream, seen| {
        let answer = answer.clone();
        async move {
            let mut peeked = [0; 64];
            let length = stream.peek(&mut peeked).await.expect("request");
            let is_root = peeked[..length]
                .split(|b| *b == b' ')
                .nth(1)
                .is_some_and(|path| path == b"/");
            let answer = if is_root { answer } else { OK.to_owned() };
            answer_one(stream, &seen, answer.as_bytes()).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_redirect_is_a_status_unless_asked_for() {
    let server = leading(to(302, "/next")).await;
    let ran = run(&probe(json!({}), &server.url("/"))).await;
    ran.failed(Reason::Status, "status 302, expected 200-299");
    let valid = json!({ "valid_status": [302], "follow_redirects": 5 });
    let reply = run(&probe(valid, &server.url("/"))).await.reply();
    assert_eq!(reply.facts.http.expect("facts").status, 302);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_followed_redirect_adds_to_the_phases_and_is_counted() {
    let server = leading(to(301, "/next")).await;
    let ran = run(&probe(follow(1), &server.url("/"))).await;
    assert_eq!(
        ran.phases(),
        [Phase::Connect, Phase::Processing, Phase::Transfer]
    );
    let total = ran.laps.total();
    let reply = ran.reply();
    let http = reply.facts.http.expect("facts");
    assert_eq!((http.status, http.redirects), (200, 1));
    assert_eq!(reply.latencies.len(), 1);
    assert!(reply.latencies[0] >= total);
    assert!(server.seen()[1].starts_with("GET /next HTTP/1.1\r\n"));
}

#[tokio::test]
async fn redirects_are_counted_where_the_run_fails_too() {
    let cut = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
    let server = leading(to(302, &cut.url("/"))).await;
    let ran = run(&probe(follow(1), &server.url("/"))).await;
    let failure = ran.failed(Reason::Eof, "read the body");
    let http = failure.facts.and_then(|facts| facts.http).expect("facts");
    assert_eq!((http.status, http.redirects), (200, 1));

    let server = leading(to(302, "http://127.0.0.1:1/")).await;
    let ran = run(&probe(follow(1), &server.url("/"))).await;
    let failure = ran.failed(Reason::Refused, "connect to 127.0.0.1:1");
    let http = failure.facts.and_then(|facts| facts.http).expect("facts");
    assert_eq!((http.status, http.redirects), (302, 1));
}

#[tokio::test]
async fn a_loop_ends_at_the_limit() {
    let server = Server::answering(to(307, "/")).await;
    let failure = run(&probe(follow(3), &server.url("/")))
        .await
        .failed(Reason::Redirect, "more than 3 redirects");
    assert_eq!(server.seen().len(), 4);
    let http = failure.facts.and_then(|facts| facts.http).expect("facts");
    assert_eq!((http.status, http.redirects), (307, 3));
}

#[tokio::test]
async fn what_is_meant_for_the_target_stays_there() {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("token"), "t0ken").expect("written");
    std::fs::write(folder.path().join("key"), "k3y").expect("written");
    let context = context(hosts(), folder.path());
    let settings = json!({
        "follow_redirects": 3,
        "bearer_token_file": "token",
        "secret_headers": { "X-Api-Key": { "file": "key" } },
        "headers": { "Cookie": "session=1", "Accept-Language": "en" },
    });
    let secrets = ["t0ken", "k3y", "session=1"];

    // The same origin sees it all.
    let same = leading(to(302, "/next")).await;
    run(&probe_in(settings.clone(), &same.url("/"), &context))
        .await
        .reply();
    for secret in secrets {
        assert!(same.seen()[1].contains(secret), "{:?}", same.seen());
    }

    // Another port is another origin, and the way back does not restore the trust.
    let home = Arc::new(OnceLock::new());
    let back = Arc::clone(&home);
    let other = Server::start(move |stream, seen| {
        let back = Arc::clone(&back);
        async move {
            let back: &String = back.get().expect("known before the run");
            answer_one(stream, &seen, to(302, back).as_bytes()).await;
        }
    })
    .await;
    let first = leading(to(302, &other.url("/"))).await;
    home.set(first.url("/back")).expect("set once");
    run(&probe_in(settings, &first.url("/"), &context))
        .await
        .reply();
    assert_eq!(first.seen().len(), 2);
    assert!(first.seen()[1].starts_with("GET /back HTTP/1.1\r\n"));
    for secret in secrets {
        assert!(first.seen()[0].contains(secret), "{:?}", first.seen());
        assert!(!other.seen()[0].contains(secret), "{:?}", other.seen());
        assert!(!first.seen()[1].contains(secret), "{:?}", first.seen());
    }
    assert!(
        other.seen()[0].contains("accept-language: en"),
        "{:?}",
        other.seen()
    );
}

#[tokio::test]
async fn a_post_is_not_repeated_elsewhere() {
    let other = Server::answering(OK).await;
    let post = |limit: u8| json!({ "method": "POST", "body": "x=1", "follow_redirects": limit });

    let repeated = leading(to(307, &other.url("/"))).await;
    let ran = run(&probe(post(2), &repeated.url("/"))).await;
    ran.failed(Reason::Redirect, "with a body to another origin");
    assert_eq!(other.seen().len(), 0);

    let seen_other = leading(to(303, &other.url("/"))).await;
    run(&probe(post(2), &seen_other.url("/"))).await.reply();
    let request = &other.seen()[0];
    assert!(request.starts_with("GET / HTTP/1.1\r\n"), "{request}");
    assert!(
        !request.contains("x=1") && !request.contains("content-length"),
        "{request}"
    );

    let same = leading(to(308, "/next")).await;
    run(&probe(post(2), &same.url("/"))).await.reply();
    assert!(same.seen()[1].starts_with("POST /next HTTP/1.1\r\n"));
    assert!(same.seen()[1].ends_with("\r\n\r\nx=1"));
}

#[tokio::test]
async fn forbidden_places_are_not_dialled() {
    for (location, detail) in [
        (
            "http://169.254.169.254/latest/meta-data/",
            "a redirect to 169.254.169.254",
        ),
        ("http://[fe80::1]/", "a redirect to fe80::1"),
        ("http://0.0.0.0:1/", "a redirect to 0.0.0.0"),
        ("file:///etc/passwd", "the scheme is `file`"),
        ("gopher://127.0.0.1/", "the scheme is `gopher`"),
        ("http://me:pw@127.0.0.1/", "credentials do not belong"),
    ] {
        let server = Server::answering(to(302, location)).await;
        let ran = run(&probe(follow(2), &server.url("/"))).await;
        // Denied at once: a dialled address would have been refused, unreachable or silent.
        ran.failed(Reason::Redirect, detail);
        assert_eq!(server.seen().len(), 1, "{location}");
    }
    let nowhere = Server::answering("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n").await;
    let ran = run(&probe(follow(2), &nowhere.url("/"))).await;
    ran.failed(Reason::Redirect, "without Location");
}

#[tokio::test]
async fn https_is_not_left_for_http_but_may_be_entered() {
    let authority = Authority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("written");
    let context = context(hosts(), folder.path());
    let settings = json!({ "follow_redirects": 2, "tls": { "ca_file": "ca.pem" } });

    let secure = Tls::new(&identity).answering("ok").await;
    let secure_url = format!("https://{}/", secure.address);
    let plain = Server::answering(to(301, &secure_url)).await;
    let ran = run(&probe_in(settings.clone(), &plain.url("/"), &context)).await;
    assert!(ran.phases().contains(&Phase::Tls));
    assert!(ran.reply().facts.tls.is_some());

    let mut downgrading = Tls::new(&identity);
    downgrading.alpn = &[b"http/1.1"];
    let target = plain.url("/");
    let server = downgrading.sending(to(301, &target)).await;
    let url = format!("https://{}/", server.address);
    let before = plain.seen().len();
    let ran = run(&probe_in(settings, &url, &context)).await;
    ran.failed(Reason::Redirect, "a redirect from https to http");
    assert_eq!(plain.seen().len(), before);
}
