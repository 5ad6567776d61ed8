//! Good answers, what is asked of them and what is learned from them.

use std::net::IpAddr;

use hotspare::model::{FactSet, Phase, Reason};
use serde_json::json;

use super::server::Server;
use super::{context, hosts, probe, probe_in, run};

const OK: &str =
    "HTTP/1.1 200 OK\r\nContent-Length: 15\r\nX-Build: 1.2.3\r\n\r\n{\"status\":\"up\"}";

#[tokio::test]
async fn a_plain_answer_has_its_phases_and_facts() {
    let server = Server::answering(OK).await;
    let probe = probe(json!({}), &server.url("/healthz?full=1#top"));
    assert_eq!(
        probe.shape().facts,
        FactSet {
            http: true,
            ..FactSet::default()
        }
    );
    assert!(!probe.shape().reasons.contains(Reason::DnsFailed));
    assert!(!probe.shape().reasons.contains(Reason::TlsHandshake));
    assert!(!probe.shape().reasons.contains(Reason::Body));
    let ran = run(&probe).await;
    assert_eq!(
        ran.phases(),
        [Phase::Connect, Phase::Processing, Phase::Transfer]
    );
    let total = ran.laps.total();
    let reply = ran.reply();
    let [latency] = reply.latencies[..] else {
        panic!("one latency: {:?}", reply.latencies);
    };
    assert!(latency >= total, "{latency:?} covers {total:?}");
    let http = reply.facts.http.expect("facts");
    assert_eq!((http.status, http.version), (200, "1.1"));
    assert_eq!((http.body_bytes, http.redirects), (15, 0));
    let agent = concat!("user-agent: hotspare/", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        server.seen(),
        [format!(
            "GET /healthz?full=1 HTTP/1.1\r\nhost: {}\r\n{agent}\r\naccept: */*\r\n\
             accept-encoding: identity\r\nconnection: close\r\n\r\n",
            server.address
        )]
    );
}

#[tokio::test]
async fn bodies_end_as_their_framing_says() {
    for (answer, version, bytes) in [
        ("HTTP/1.0 200 OK\r\n\r\nuntil the end", "1.0", 13),
        ("HTTP/1.1 204 No Content\r\n\r\n", "1.1", 0),
        ("HTTP/1.1 200 OK\r\n\r\n", "1.1", 0),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Trailer: z\r\n\r\n",
            "1.1",
            11,
        ),
        (
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "1.1",
            2,
        ),
    ] {
        let server = Server::answering(answer).await;
        let reply = run(&probe(json!({}), &server.url("/"))).await.reply();
        let http = reply.facts.http.expect("facts");
        assert_eq!(
            (http.version, http.body_bytes),
            (version, bytes),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn sends_what_the_settings_say() {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("token"), "t0ken\n").expect("written");
    std::fs::write(folder.path().join("key"), "k3y\n").expect("written");
    std::fs::write(folder.path().join("pw"), "hunter2\n").expect("written");
    let context = context(hosts(), folder.path());
    let server = Server::answering(OK).await;
    let post = json!({
        "method": "POST",
        "headers": { "Content-Type": "application/json", "User-Agent": "me" },
        "secret_headers": { "X-Api-Key": { "file": "key" } },
        "bearer_token_file": "token",
        "host": "shop.example.com",
        "body": "{}",
        "decompress": "gzip",
    });
    run(&probe_in(post, &server.url("/x"), &context))
        .await
        .reply();
    let basic = json!({ "method": "HEAD", "username": "me", "password_file": "pw" });
    run(&probe_in(basic, &server.url("/"), &context))
        .await
        .reply();
    assert_eq!(
        server.seen()[0],
        "POST /x HTTP/1.1\r\nhost: shop.example.com\r\nuser-agent: me\r\naccept: */*\r\n\
         accept-encoding: gzip\r\nconnection: close\r\ncontent-type: application/json\r\n\
         x-api-key: k3y\r\nauthorization: Bearer t0ken\r\ncontent-length: 2\r\n\r\n{}"
    );
    let head = &server.seen()[1];
    assert!(head.starts_with("HEAD / HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains("\r\nauthorization: Basic bWU6aHVudGVyMg==\r\n"),
        "{head}"
    );
}

#[tokio::test]
async fn answers_are_judged_by_the_rules() {
    let server = Server::answering(OK).await;
    for (settings, failure) in [
        (json!({ "valid_status": ["2xx"] }), None),
        (
            json!({ "valid_status": [204, "400-499"] }),
            Some((Reason::Status, "status 200, expected 204, 400-499")),
        ),
        (json!({ "body_matches": ["^\\{.*\\}$"] }), None),
        (
            json!({ "body_not_matches": ["up"] }),
            Some((Reason::Body, "the body matches `up`")),
        ),
        (json!({ "headers_match": { "x-build": "^1\\." } }), None),
        (
            json!({ "headers_not_match": { "x-build": "^1\\." } }),
            Some((Reason::Header, "header x-build matches `^1\\.`")),
        ),
        (
            json!({ "json": [{ "pointer": "/status", "equals": "up" }] }),
            None,
        ),
        (
            json!({ "json": [{ "pointer": "/status", "equals": "down" }] }),
            Some((
                Reason::Body,
                "/status of the body is another text, expected \"down\"",
            )),
        ),
    ] {
        let ran = run(&probe(settings.clone(), &server.url("/"))).await;
        match failure {
            None => drop(ran.reply()),
            Some((reason, detail)) => {
                let failed = ran.failed(reason, detail);
                let facts = failed.facts.expect("facts");
                assert_eq!(facts.http.expect("facts").status, 200, "{settings}");
            }
        }
    }
}

#[tokio::test]
async fn the_version_is_told_by_good_and_bad_answers() {
    let server = Server::answering(OK).await;
    let version = |settings| {
        let probe = probe(settings, &server.url("/"));
        assert!(probe.shape().facts.version);
        async move {
            match run(&probe).await.result {
                Ok(reply) => reply.facts.version,
                Err(failure) => failure.facts.expect("facts").version,
            }
        }
    };
    let header = json!({ "version": { "header": "X-Build" } });
    assert_eq!(version(header).await.as_deref(), Some("1.2.3"));
    let bad = json!({ "version": { "json": "/status" }, "valid_status": [204] });
    assert_eq!(version(bad).await.as_deref(), Some("up"));
    let missing = json!({ "version": { "json": "/build" } });
    assert_eq!(version(missing).await, None);
}

#[tokio::test]
async fn a_compressed_body_is_judged_unpacked() {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"all is well").expect("packed");
    let packed = encoder.finish().expect("packed");
    let mut answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n".to_vec();
    answer.extend(&packed);
    let server = Server::answering(answer).await;
    let rule = json!({ "body_matches": ["^all is well$"], "decompress": "gzip" });
    let reply = run(&probe(rule, &server.url("/"))).await.reply();
    assert_eq!(
        reply.facts.http.expect("facts").body_bytes,
        packed.len() as u64
    );
    let raw = json!({ "body_matches": ["^all is well$"] });
    run(&probe(raw, &server.url("/")))
        .await
        .failed(Reason::Body, "");
}

#[tokio::test]
async fn leaves_from_the_source_address() {
    let server = Server::start(|stream, seen| async move {
        let peer = stream.peer_addr().expect("peer").ip();
        seen.lock().expect("unpoisoned").push(peer.to_string());
        super::server::answer_one(stream, &seen, OK.as_bytes()).await;
    })
    .await;
    let source: IpAddr = "127.0.0.77".parse().expect("address");
    let settings = json!({ "source_address": source, "dscp": 46 });
    run(&probe(settings, &server.url("/"))).await.reply();
    assert_eq!(server.seen()[0], "127.0.0.77");

    let settings = json!({ "source_address": "192.0.2.1" });
    let failure = run(&probe(settings, &server.url("/"))).await.failure();
    assert_eq!(failure.reason, Reason::LocalAddress, "{failure}");
}
