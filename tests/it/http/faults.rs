//! Every way in which a server can be broken or hostile ends in its own reason.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use hotspare::model::{Phase, Reason};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::server::{Server, finish, read_request};
use super::{probe, reaches, run};

/// A server that answers with `head` and then with `more` for ever.
async fn endless(head: &'static [u8], more: &'static [u8]) -> Server {
    Server::start(move |mut stream, _| async move {
        if read_request(&mut stream).await.is_none() {
            return;
        }
        let chunk = more.repeat(1 + 4096 / more.len());
        if stream.write_all(head).await.is_ok() {
            while stream.write_all(&chunk).await.is_ok() {}
        }
    })
    .await
}

fn reset(stream: &TcpStream) {
    socket2::SockRef::from(stream)
        .set_linger(Some(Duration::ZERO))
        .expect("linger");
}

#[tokio::test]
async fn fixed_answers_have_fixed_reasons() {
    const OK: &str = "HTTP/1.1 200 OK\r\n";
    for (answer, reason, detail) in [
        (String::new(), Reason::Eof, "wait for the answer"),
        ("HTTP/1.1 2".into(), Reason::Eof, "wait for the answer"),
        (
            "garbage\r\n\r\n".into(),
            Reason::Protocol,
            "wait for the answer",
        ),
        ("hello".into(), Reason::Protocol, "wait for the answer"),
        (
            "HTTP/1.1 503 Not\r\nContent-Length: 4\r\n\r\ngone".into(),
            Reason::Status,
            "status 503, expected 200-299",
        ),
        (
            format!("{OK}Content-Length: 100\r\n\r\nearly"),
            Reason::Eof,
            "read the body",
        ),
        (
            format!("{OK}Transfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n"),
            Reason::Eof,
            "read the body",
        ),
        (
            format!("{OK}Transfer-Encoding: chunked\r\n\r\nzz\r\nbad\r\n0\r\n\r\n"),
            Reason::Protocol,
            "read the body",
        ),
        (
            format!("{OK}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"),
            Reason::Protocol,
            "both Content-Length and Transfer-Encoding",
        ),
        (
            format!("{OK}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
            Reason::Protocol,
            "wait for the answer",
        ),
        (
            format!("{OK}Content-Length: 1048577\r\n\r\n"),
            Reason::TooLarge,
            "larger than max_body_bytes (1048576)",
        ),
        (
            format!("{OK}{}\r\n", "X: y\r\n".repeat(101)),
            Reason::Protocol,
            "more than 100 or larger than 64 KiB",
        ),
    ] {
        let server = Server::answering(answer.clone()).await;
        let ran = run(&probe(json!({}), &server.url("/"))).await;
        let failure = ran.failure();
        assert_eq!(failure.reason, reason, "{answer:?}: {failure}");
        assert!(failure.detail.contains(detail), "{answer:?}: {failure}");
        assert_eq!(server.seen().len(), 1, "{answer:?} was asked for once");
    }
}

#[tokio::test]
async fn endless_answers_end_at_their_caps() {
    for (head, more, reason, detail) in [
        (
            &b"HTTP/1.1 200 OK\r\n"[..],
            &b"X-Many: headers\r\n"[..],
            Reason::Protocol,
            "more than 100 or larger than 64 KiB",
        ),
        (
            b"HTTP/1.1 200 OK\r\nX-Long: ",
            b"a",
            Reason::Protocol,
            "more than 100 or larger than 64 KiB",
        ),
        (
            b"",
            b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
            Reason::Protocol,
            "the headers do not end",
        ),
        (
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"body",
            Reason::TooLarge,
            "larger than max_body_bytes (1048576)",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\na\r\n",
            Reason::TooLarge,
            "the target sent more than",
        ),
    ] {
        let server = endless(head, more).await;
        let ran = run(&probe(json!({}), &server.url("/"))).await;
        ran.failed(reason, detail);
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_leaves_its_status_and_size() {
    let server = endless(b"HTTP/1.1 200 OK\r\n\r\n", b"body").await;
    let ran = run(&probe(json!({ "max_body_bytes": 1000 }), &server.url("/"))).await;
    let failure = ran.failed(Reason::TooLarge, "max_body_bytes (1000)");
    let http = failure.facts.and_then(|facts| facts.http).expect("facts");
    assert_eq!(http.status, 200);
    assert!(http.body_bytes > 1000, "{http:?}");
}

#[tokio::test]
async fn a_gzip_bomb_ends_at_the_cap() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; 256 << 20]).expect("packed");
    let bomb = encoder.finish().expect("packed");
    assert!(bomb.len() < 1 << 20, "only the unpacked size is too large");
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        bomb.len()
    )
    .into_bytes();
    answer.extend(bomb);
    let server = Server::answering(answer).await;
    let ran = run(&probe(json!({ "decompress": "gzip" }), &server.url("/"))).await;
    ran.failed(Reason::TooLarge, "the decompressed body is larger");
    let ran = run(&probe(json!({}), &server.url("/"))).await;
    assert_eq!(ran.reply().facts.http.expect("facts").status, 200);
}

#[tokio::test]
async fn a_bad_status_counts_before_a_broken_body() {
    for (status, reason) in [(503, Reason::Status), (200, Reason::Protocol)] {
        let answer = format!(
            "HTTP/1.1 {status} Some\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\ncut"
        );
        let server = Server::answering(answer).await;
        let settings = json!({ "decompress": "gzip", "version": { "header": "Content-Encoding" } });
        let failure = run(&probe(settings, &server.url("/")))
            .await
            .failed(reason, "");
        let version = failure.facts.and_then(|facts| facts.version);
        assert_eq!(version.as_deref(), Some("gzip"), "of a bad answer too");
    }
}

#[tokio::test]
async fn silence_and_drips_are_timed_where_they_happen() {
    let silent =
        Server::start(
            |mut stream, _| async move { while read_request(&mut stream).await.is_some() {} },
        )
        .await;
    reaches(&probe(json!({}), &silent.url("/")), Phase::Processing).await;
    let url = format!("https://{}/", silent.address);
    let settings = json!({ "tls": { "insecure_skip_verify": true } });
    reaches(&probe(settings, &url), Phase::Tls).await;

    let dripping = |head: &'static str| {
        Server::start(move |mut stream, _| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(b"a").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    };
    let head = dripping("HTTP/1.1 200 OK\r\nX-Slow: ").await;
    reaches(&probe(json!({}), &head.url("/")), Phase::Processing).await;
    let body = dripping("HTTP/1.1 200 OK\r\n\r\n").await;
    reaches(&probe(json!({}), &body.url("/")), Phase::Transfer).await;
}

#[tokio::test]
async fn resets_and_closed_ports_are_told_apart() {
    let server = Server::start(|mut stream, _| async move {
        read_request(&mut stream).await;
        reset(&stream);
    })
    .await;
    let ran = run(&probe(json!({}), &server.url("/"))).await;
    ran.failed(Reason::Reset, "wait for the answer");

    let server = Server::start(|mut stream, _| async move {
        read_request(&mut stream).await;
        let half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
        let _ = stream.write_all(half).await;
        reset(&stream);
    })
    .await;
    let ran = run(&probe(json!({}), &server.url("/"))).await;
    let failure = ran.failed(Reason::Reset, "read the body");
    let http = failure.facts.and_then(|facts| facts.http).expect("facts");
    assert_eq!((http.status, http.body_bytes), (200, 4));

    let port = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bind")
        .local_addr()
        .expect("bound");
    let ran = run(&probe(json!({}), &format!("http://{port}/"))).await;
    assert_eq!(ran.phases(), []);
    ran.failed(Reason::Refused, "connect to 127.0.0.1");
}

#[tokio::test]
async fn a_half_closed_connection_is_not_an_answer() {
    let server = Server::start(|mut stream, _| async move {
        read_request(&mut stream).await;
        finish(stream).await;
    })
    .await;
    let ran = run(&probe(json!({}), &server.url("/"))).await;
    ran.failed(Reason::Eof, "wait for the answer");
}
