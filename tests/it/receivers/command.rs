//! `hotspare notify test`.

use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{SECRETS, body_of, folder, write};
use crate::daemon::hotspare;
use crate::http::server::Server;

const REST: &str = "region: a\nregions: [{ name: a }]\n\
    probes: [{ name: p, check: { tcp: {} }, targets: { a: \"127.0.0.1:9\" } }]\n";

async fn test(folder: &TempDir, receiver: &str) -> Output {
    let mut command = hotspare();
    command
        .args(["notify", "test", "--receiver", receiver, "--config.file"])
        .arg(folder.path().join("hotspare.yaml"));
    let ran = tokio::task::spawn_blocking(move || command.output());
    ran.await.expect("joined").expect("started")
}

fn configure(folder: &TempDir, receivers: &Value) {
    let text = format!("{REST}receivers: {receivers}\n");
    write(folder, "hotspare.yaml", &text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_is_marked_and_the_answer_is_printed() {
    let folder = folder();
    let good = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let bad = Server::answering("HTTP/1.1 403 No\r\nContent-Length: 11\r\n\r\nnot allowed").await;
    let gone = Server::answering("").await;
    let to = |name: &str, server: &Server| json!({ "name": name, "webhook": { "url": server.url("/path-canary") } });
    configure(
        &folder,
        &json!([to("good", &good), to("bad", &bad), to("gone", &gone)]),
    );
    for (receiver, code, said) in [
        (
            "good",
            0,
            format!("taken: http://{}: 200 OK: ok\n", good.address),
        ),
        (
            "bad",
            1,
            format!(
                "not taken: auth: http://{}: 403 Forbidden: not allowed\n",
                bad.address
            ),
        ),
        (
            "gone",
            2,
            format!("not taken: protocol: http://{}: ", gone.address),
        ),
        (
            "nobody",
            64,
            "there is no receiver `nobody`; there are: good, bad, gone\n".to_owned(),
        ),
    ] {
        let ran = test(&folder, receiver).await;
        let output = String::from_utf8([ran.stdout, ran.stderr].concat()).expect("text");
        assert!(output.starts_with(&said), "{output}");
        assert_eq!(ran.status.code(), Some(code), "{output}");
        for secret in SECRETS {
            assert!(!output.contains(secret), "{output}");
        }
    }
    let body = body_of(&good.seen()[0]);
    let alert = &body["alerts"][0];
    assert_eq!(body["receiver"], "good");
    let labels = json!({
        "alertname": "HotspareTest", "severity": "info", "source_region": "a", "test": "true",
    });
    assert_eq!(alert["labels"], labels);
    let summary = alert["annotations"]["summary"].as_str().expect("text");
    assert!(summary.contains("test"), "{summary}");
}
