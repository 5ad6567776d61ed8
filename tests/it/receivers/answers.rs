//! What is made of the answers of receivers, whatever they do.

use std::sync::Arc;
use std::time::Duration;

use hotspare::notify::RefusalReason;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{firing, folder, prepare, refused, tell, write};
use crate::fault::soon;
use crate::http::server::{Server, read_request};

fn to(server: &Server) -> Value {
    json!({ "webhook": { "url": server.url("/path-canary?key=query-canary") } })
}

#[tokio::test]
async fn an_answer_says_whether_the_receiver_has_the_notification() {
    use RefusalReason::{Auth, RateLimited, Rejected, Server as Trouble};
    let folder = folder();
    for (head, line) in [
        ("200 OK\r\nContent-Length: 3\r\n\r\nok\n", "200 OK: ok"),
        ("204 No Content\r\n\r\n", "204 No Content"),
        ("202 Accepted\r\nContent-Length: 0\r\n\r\n", "202 Accepted"),
    ] {
        let server = Server::answering(format!("HTTP/1.1 {head}")).await;
        let notifier = prepare(to(&server), folder.path());
        let answer = tell(&notifier, &firing()).await.expect("taken");
        assert_eq!(answer, format!("http://{}: {line}", server.address));
        assert!(notifier.notify(&firing()).await.is_ok());
    }
    let wait = Some(Duration::from_secs(7));
    for (head, reason, line, wait) in [
        (
            "500 Oops\r\nContent-Length: 5\r\n\r\nwhy\n\n",
            Trouble,
            "500 Internal Server Error: why",
            None,
        ),
        ("503 Busy\r\nRetry-After: 7\r\n\r\n", Trouble, "503", wait),
        (
            "429 Slow\r\nRetry-After: 7\r\n\r\n",
            RateLimited,
            "429",
            wait,
        ),
        ("401 No\r\n\r\n", Auth, "401", None),
        (
            "400 No\r\nContent-Length: 2\r\n\r\n\x01x",
            Rejected,
            "400",
            None,
        ),
        // Apache's page for what it does not have.
        (
            "404 No\r\n\r\n<p>/path-canary is not here</p>",
            Rejected,
            "404 Not Found",
            None,
        ),
    ] {
        let server = Server::answering(format!("HTTP/1.1 {head}")).await;
        let notifier = prepare(to(&server), folder.path());
        let refusal = refused(tell(&notifier, &firing()).await, reason, line);
        assert_eq!(refusal.retry_after, wait, "{refusal}");
        assert_eq!(server.seen().len(), 1, "one attempt is one request");
    }
}

/// The key is a secret in the body, and no part of the request's head.
#[tokio::test]
async fn an_answer_that_repeats_the_routing_key_is_not_told() {
    let folder = folder();
    write(&folder, "key", "routing-key-canary");
    let server =
        Server::answering("HTTP/1.1 400 No\r\n\r\nno integration routing-key-canary").await;
    let settings = json!({ "routing_key_file": "key", "url": server.url("/") });
    let notifier = prepare(json!({ "pagerduty": settings }), folder.path());
    let told = tell(&notifier, &firing()).await;
    let refusal = refused(told, RefusalReason::Rejected, "400");
    assert!(!refusal.detail.contains("canary"), "{refusal}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_nothing_is_sent_there() {
    let folder = folder();
    write(&folder, "token", "token-canary");
    let other = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let there = other.url("/path-canary");
    for status in [301, 302, 307, 308] {
        let answer =
            format!("HTTP/1.1 {status} Moved\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n");
        let server = Server::answering(answer).await;
        let mut settings = to(&server);
        settings["webhook"]["bearer_token_file"] = json!("token");
        let notifier = prepare(settings, folder.path());
        let tried = tell(&notifier, &firing()).await;
        refused(tried, RefusalReason::Redirect, &status.to_string());
        assert!(server.seen()[0].contains("authorization: Bearer token-canary"));
    }
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_receiver_that_hangs_loses_its_connection_with_the_attempt() {
    let folder = folder();
    let server = Server::start(|mut stream, seen| async move {
        let request = read_request(&mut stream).await.expect("a request");
        seen.lock().expect("unpoisoned").push(request);
        let end = stream.read(&mut [0; 1]).await;
        seen.lock().expect("unpoisoned").push(format!("{end:?}"));
    })
    .await;
    let notifier = prepare(to(&server), folder.path());
    let asked = async {
        while server.seen().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let notification = firing();
    tokio::select! {
        tried = notifier.notify(&notification) => panic!("nobody answers: {tried:?}"),
        () = soon(asked) => {}
    }
    let closed = async {
        while server.seen().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(closed).await;
    assert_eq!(server.seen()[1], "Ok(0)");
}

#[tokio::test]
async fn what_comes_behind_a_good_status_does_not_matter() {
    let folder = folder();
    // Resets, sends without end, and does not end at all.
    for how in ["reset", "flood", "hang"] {
        let server = Server::start(move |mut stream, seen| async move {
            let request = read_request(&mut stream).await.expect("a request");
            seen.lock().expect("unpoisoned").push(request);
            let head = match how {
                "hang" => "HTTP/1.1 200 OK\r\n\r\nwell",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n",
            };
            let _ = stream.write_all(head.as_bytes()).await;
            match how {
                "reset" => stream.set_zero_linger().expect("linger"),
                "flood" => {
                    let mut sent = 0;
                    while stream.write_all(&[b'x'; 4096]).await.is_ok() {
                        sent += 4096;
                    }
                    // As much as the buffers of the connection hold.
                    assert!(sent < 100_000_000);
                    seen.lock().expect("unpoisoned").push("cut".to_owned());
                }
                _ => drop(stream.read(&mut [0; 1]).await),
            }
        })
        .await;
        let notifier = prepare(to(&server), folder.path());
        let answer = tell(&notifier, &firing()).await.expect(how);
        assert!(answer.contains("200 OK"), "{answer}");
        if how == "flood" {
            let cut = async {
                while server.seen().len() < 2 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            soon(cut).await;
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_told_from_a_receiver_that_is_not_there() {
    let folder = folder();
    for (answer, detail) in [
        ("", "closed"),
        ("SSH-2.0-OpenSSH\r\n\r\n", ""),
        ("HTTP/1.1 200", ""),
    ] {
        let server = Server::answering(answer).await;
        let notifier = prepare(to(&server), folder.path());
        refused(
            tell(&notifier, &firing()).await,
            RefusalReason::Protocol,
            detail,
        );
    }
    let flood = Server::start(|mut stream, _| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream
            .write_all(b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n")
            .await
            .is_ok()
        {}
    })
    .await;
    let notifier = prepare(to(&flood), folder.path());
    refused(
        tell(&notifier, &firing()).await,
        RefusalReason::Protocol,
        "headers",
    );

    let gone = Server::answering("").await;
    let notifier = prepare(to(&gone), folder.path());
    let address = gone.address;
    drop(gone);
    let notifier = Arc::clone(&notifier);
    let closed = async {
        loop {
            let tried = tell(&notifier, &firing())
                .await
                .expect_err("nobody is there");
            if tried.reason == RefusalReason::Connect {
                return tried;
            }
        }
    };
    let refusal = soon(closed).await;
    assert!(
        refusal.detail.starts_with(&format!("http://{address}: ")),
        "{refusal}"
    );
}
