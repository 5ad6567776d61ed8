//! Lists over HTTP, from servers good and bad.

use hotspare::config::{Document, Overrides};
use tokio::io::AsyncWriteExt;

use super::{Fleet, with_probe};
use crate::http::server::Server;

fn asking(url: &str, more: &str) -> String {
    let keys =
        format!("targets_http: [{{ url: \"{url}\", region: b, refresh_interval: 5s{more} }}]");
    with_probe(&keys)
}

fn answer(head: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n{body}")
}

const JSON: &str = "200 OK\r\nContent-Type: application/json; charset=utf-8";

#[tokio::test]
async fn a_list_is_asked_for_as_prometheus_asks_and_with_our_credentials() {
    let server = Server::answering(answer(JSON, r#"[{"targets": ["one:80"]}]"#)).await;
    let url = server.url("/sd?site=7");
    let token = ", secret_headers: { authorization: { file: token } }";
    let fleet = Fleet::new(&asking(&url, token), |folder| {
        std::fs::write(folder.join("token"), "Token hunter2\n").expect("write");
    });
    let fleet = fleet.first().await;
    assert_eq!(fleet.targets(), ["b one:80 one:80"]);
    let seen = server.seen().join("\n").to_lowercase();
    for line in [
        "get /sd?site=7 http/1.1",
        "accept: application/json",
        "x-prometheus-refresh-interval-seconds: 5",
        "authorization: token hunter2",
    ] {
        assert!(seen.contains(line), "{line}: {seen}");
    }
}

#[tokio::test]
async fn a_bad_answer_is_refused_and_says_why_without_a_secret() {
    let huge = format!("[{{\"targets\": [\"{}\"]}}]", "x".repeat(9 << 20));
    let elsewhere = Server::answering(answer(JSON, "[]")).await;
    let redirect = format!("302 Found\r\nLocation: {}", elsewhere.url("/"));
    for (head, body, why) in [
        (JSON, &*huge, "larger than max_body_bytes"),
        (JSON, "<html>hunter2", "not JSON"),
        (JSON, "{\"targets\": []}", "expected a list of groups"),
        (JSON, "[{\"targets\": [7]}]", "expected a list of groups"),
        ("200 OK\r\nContent-Type: text/html", "[]", "Content-Type"),
        ("200 OK", "[]", "Content-Type"),
        ("204 No Content", "", "expected the status 200"),
        ("401 Unauthorized", "no hunter2", "401"),
        ("500 Internal Server Error", "", "500"),
        (&*redirect, "", "302"),
    ] {
        let server = Server::answering(answer(head, body)).await;
        let config = asking(&server.url("/sd"), ", bearer_token_file: token");
        let fleet = Fleet::new(&config, |folder| {
            std::fs::write(folder.join("token"), "hunter2\n").expect("write");
        });
        let fleet = fleet.first().await;
        let fault = fleet.fault();
        assert!(fault.contains(why), "{head}: {fault}");
        assert!(!fault.contains("hunter2"), "{fault}");
        assert_eq!(fleet.plan().discovered[0].given, None);
        assert!(fleet.discovery.figures().unanswered().is_some());
    }
    assert_eq!(elsewhere.seen(), [""; 0], "a redirect is not followed");
}

#[tokio::test]
async fn a_server_that_drips_is_not_waited_for() {
    let server = Server::start(|mut stream, _| async move {
        let head = format!("HTTP/1.1 {JSON}\r\nContent-Length: 1000\r\n\r\n");
        if stream.write_all(head.as_bytes()).await.is_err() {
            return;
        }
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
    .await;
    let fleet = Fleet::new(&asking(&server.url("/"), ""), |_| {});
    let first = tokio::time::timeout(crate::process::PATIENCE, fleet.first());
    let fleet = first.await.expect("an end");
    assert!(
        fleet.fault().contains("no whole answer within 5s"),
        "{}",
        fleet.fault()
    );
}

#[tokio::test]
async fn the_last_good_answer_stays_until_there_is_another() {
    let answers = [
        answer(JSON, r#"[{"targets": ["one:80", "two:80"]}]"#),
        answer("503 Service Unavailable", ""),
        answer(JSON, r#"[{"targets": ["two:80"]}]"#),
    ];
    let turn = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let server = Server::start(move |stream, seen| {
        let at = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let answer = answers[at.min(answers.len() - 1)].clone();
        async move { crate::http::server::answer_one(stream, &seen, answer.as_bytes()).await }
    })
    .await;
    let mut fleet = Fleet::new(&asking(&server.url("/"), ""), |_| {})
        .first()
        .await;
    assert_eq!(fleet.targets().len(), 2);
    fleet
        .until("a failure", |of| of.failures == 1 && !of.good)
        .await;
    assert_eq!(fleet.targets().len(), 2);
    assert_eq!(fleet.changed().await, ["b two:80 two:80"]);
}

#[tokio::test]
async fn other_sources_keep_what_is_known_of_those_that_are_the_same() {
    let server = Server::answering(answer(JSON, r#"[{"targets": ["one:80"]}]"#)).await;
    let config = asking(&server.url("/"), "");
    let mut fleet = Fleet::new(&config, |_| {}).first().await;
    fleet
        .discovery
        .replace(fleet.document.sources(&fleet.shared));
    assert_eq!(fleet.targets(), ["b one:80 one:80"]);
    let other = Fleet::new(&asking(&server.url("/other"), ""), |_| {});
    fleet
        .discovery
        .replace(other.document.sources(&other.shared));
    assert_eq!(fleet.targets(), [""; 0]);
    assert_eq!(fleet.figures().last_good_timestamp_seconds, None);
}

#[tokio::test]
async fn a_source_is_the_same_wherever_among_the_others_it_stands() {
    let server = Server::answering(answer(JSON, r#"[{"targets": ["one:80"]}]"#)).await;
    let config = asking(&server.url("/"), "");
    let mut fleet = Fleet::new(&config, |_| {}).first().await;
    let first = "targets_http: [{ url: \"http://127.0.0.1:9/\", region: b }, {";
    let path = fleet.path("hotspare.yaml");
    std::fs::write(&path, config.replace("targets_http: [{", first)).expect("write");
    fleet.document = Document::read(&path, &Overrides::default());
    fleet
        .discovery
        .replace(fleet.document.sources(&fleet.shared));
    assert_eq!(
        fleet.targets(),
        ["b one:80 one:80"],
        "nobody was asked again"
    );
}
