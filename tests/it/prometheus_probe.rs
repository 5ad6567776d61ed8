//! The `prometheus` probe against the real server, and against answers that this seldom gives.

use std::path::Path;
use std::time::{Duration, SystemTime};

use hotspare::model::{NoValue, Phase, Reason, ValueFacts};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::http::pki::{Authority, Tls};
use crate::http::server::Server;
use crate::http::{Ran, context, hosts, prepare_kind, run};
use crate::process::PATIENCE;
use crate::prometheus::Prometheus;

async fn ask_from(folder: &Path, settings: Value, url: &str) -> Ran {
    let context = context(hosts(), folder);
    let template = prepare_kind("prometheus", settings, &context).expect("valid settings");
    run(&template.target(url).expect("a valid address")).await
}

async fn ask(settings: Value, url: &str) -> Ran {
    ask_from(Path::new("/"), settings, url).await
}

fn value(ran: Ran) -> ValueFacts {
    ran.reply().facts.value.expect("what the query came to")
}

fn http(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// What an exporter shows: a sample without a time, and one that it calls a minute old.
fn exporter() -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
    let old = now.saturating_sub(Duration::from_mins(1)).as_millis();
    let samples = format!("fresh 6\nold 5 {old}\nmany{{n=\"1\"}} 1\nmany{{n=\"2\"}} 2\n");
    http("200 OK\r\nContent-Type: text/plain", &samples)
}

/// A server that has scraped the exporter.
async fn scraping(exporter: &Server) -> Prometheus {
    let address = exporter.address;
    tokio::task::spawn_blocking(move || {
        let prometheus = Prometheus::start(&[address]);
        prometheus.wait_for("many", "n", |found| found.len() == 2);
        prometheus
    })
    .await
    .expect("scraped")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_server_answers_with_a_number_or_why_there_is_none() {
    let exporter = Server::answering(exporter()).await;
    let prometheus = scraping(&exporter).await;
    let known = ValueFacts::Known;
    let unknown = ValueFacts::Unknown;
    for (query, max_age, expected) in [
        ("1 + 1", "5m", known(2.0)),
        ("fresh", "5m", known(6.0)),
        ("sum(many) # of all", "5m", known(3.0)),
        ("-max(many) * 1e6", "5m", known(-2e6)),
        ("old", "5m", known(5.0)),
        ("nowhere", "5m", unknown(NoValue::Empty)),
        ("many", "5m", unknown(NoValue::Many)),
        ("fresh / 0", "5m", unknown(NoValue::NotANumber)),
        ("scalar(nowhere)", "5m", unknown(NoValue::NotANumber)),
    ] {
        let settings = json!({ "query": query, "max_age": max_age });
        let ran = ask(settings, &prometheus.url()).await;
        assert_eq!(value(ran), expected, "{query}");
    }
    // A server that takes the lookback from its client does not even see it.
    let ran = ask(
        json!({ "query": "old", "max_age": "20s" }),
        &prometheus.url(),
    )
    .await;
    let value = value(ran);
    assert!(
        [unknown(NoValue::Old), unknown(NoValue::Empty)].contains(&value),
        "{value:?}"
    );
    for (query, reason, detail) in [
        ("sum(", Reason::Query, "bad_data: invalid parameter"),
        ("fresh[1m]", Reason::Answer, "`matrix`"),
        ("\"text\"", Reason::Answer, "`string`"),
    ] {
        let ran = ask(json!({ "query": query }), &prometheus.url()).await;
        ran.failed(reason, detail);
    }
    let elsewhere = format!("{}/prefix", prometheus.url());
    ask(json!({ "query": "fresh" }), &elsewhere)
        .await
        .failed(Reason::Status, "404");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_that_is_no_longer_scraped_has_no_value_long_before_its_age_is_up() {
    let exporter = Server::answering(exporter()).await;
    let prometheus = scraping(&exporter).await;
    let settings = json!({ "query": "fresh", "max_age": "1h" });
    let first = ask(settings.clone(), &prometheus.url()).await;
    assert_eq!(value(first), ValueFacts::Known(6.0));
    drop(exporter);
    let since = Instant::now();
    while value(ask(settings.clone(), &prometheus.url()).await)
        != ValueFacts::Unknown(NoValue::Empty)
    {
        assert!(since.elapsed() < PATIENCE, "it still has a value");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The answer with one sample of this value at 1000.
fn sample(value: &str) -> String {
    let sample = format!("{{\"metric\":{{}},\"value\":[1000.5,\"{value}\"]}}");
    http("200 OK", &vector(&sample))
}

fn vector(samples: &str) -> String {
    format!(
        "{{\"status\":\"success\",\"data\":{{\"resultType\":\"vector\",\"result\":[{samples}]}}}}"
    )
}

#[tokio::test]
async fn both_questions_carry_what_the_settings_say() {
    let server = Server::answering(sample("990")).await;
    let settings = json!({
        "query": "a{b=\"c d\"} + 1 # é",
        "max_age": "1m30s",
        "headers": { "X-Scope-OrgID": "shop" },
        "username": "me",
        "password_env": "PATH",
        "host": "prometheus.example",
    });
    let ran = ask(settings, &server.url("/prefix/")).await;
    let phases: Vec<_> = ran.laps.iter().map(|(phase, _)| phase).collect();
    assert_eq!(phases, [Phase::Connect, Phase::Processing, Phase::Transfer]);
    assert_eq!(ran.laps.total(), ran.reply().latencies[0]);
    let query = "a%7Bb%3D%22c+d%22%7D+%2B+1+%23+%C3%A9";
    let seen = server.seen();
    let lines: Vec<_> = seen.iter().filter_map(|head| head.lines().next()).collect();
    assert_eq!(
        lines,
        [
            format!("GET /prefix/api/v1/query?query={query}&lookback_delta=90 HTTP/1.1"),
            format!(
                "GET /prefix/api/v1/query?query=timestamp%28%0A{query}%0A%29&lookback_delta=90 \
                 HTTP/1.1"
            ),
        ]
    );
    for head in seen {
        for header in [
            "host: prometheus.example",
            "x-scope-orgid: shop",
            "authorization: Basic ",
        ] {
            assert!(head.contains(header), "{header}: {head}");
        }
    }
}

#[tokio::test]
async fn a_sample_may_be_as_old_as_it_may_be_and_no_older() {
    for (time, max_age, expected) in [
        ("990.5", "10s", ValueFacts::Known(990.5)),
        ("990.4", "10s", ValueFacts::Unknown(NoValue::Old)),
        // The clock of whoever wrote the sample is ahead.
        ("2000", "1ms", ValueFacts::Known(2000.0)),
    ] {
        let server = Server::answering(sample(time)).await;
        let settings = json!({ "query": "q", "max_age": max_age });
        let ran = ask(settings, &server.url("")).await;
        assert_eq!(value(ran), expected, "{time}");
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_a_failure() {
    let error = |kind: &str| {
        format!("{{\"status\":\"error\",\"errorType\":\"{kind}\",\"error\":\"too much\"}}")
    };
    let large = vector(&"{\"metric\":{}},".repeat(80_000));
    for (answer, reason, detail) in [
        (
            http("503 Service Unavailable", "wait"),
            Reason::Status,
            "503",
        ),
        (http("302 Found\r\nLocation: /", ""), Reason::Status, "302"),
        (http("401 Unauthorized", "who?"), Reason::Auth, "401"),
        (http("403 Forbidden", ""), Reason::Auth, "403"),
        (
            http("422 Unprocessable Entity", &error("execution")),
            Reason::Query,
            "execution: too much",
        ),
        (http("200 OK", &error("timeout")), Reason::Query, "timeout"),
        (http("200 OK", "<html>"), Reason::Answer, "line 1"),
        (http("200 OK", ""), Reason::Answer, "EOF"),
        (http("200 OK", "{}"), Reason::Answer, "status"),
        (
            http("200 OK", &("{\"data\":".to_owned() + &"[".repeat(100_000))),
            Reason::Answer,
            "recursion",
        ),
        (sample("six"), Reason::Answer, "`six` is not a number"),
        (http("200 OK", &large), Reason::TooLarge, "1048576"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_owned(),
            Reason::Eof,
            "",
        ),
        ("SSH-2.0\r\n\r\n".to_owned(), Reason::Protocol, ""),
    ] {
        let server = Server::answering(answer).await;
        let ran = ask(json!({ "query": "q" }), &server.url("/")).await;
        let failure = ran.failed(reason, detail);
        let facts = failure.facts.expect("facts");
        assert_eq!(facts.value, None);
    }
    let histogram = vector("{\"metric\":{},\"histogram\":[1000,{\"count\":\"1\",\"sum\":\"2\"}]}");
    let server = Server::answering(http("200 OK", &histogram)).await;
    let ran = ask(json!({ "query": "q" }), &server.url("/")).await;
    assert_eq!(value(ran), ValueFacts::Unknown(NoValue::NotANumber));
}

#[tokio::test]
async fn a_server_with_tls_tells_of_its_certificate() {
    let authority = Authority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    let server = Tls::new(&identity).sending(sample("1000")).await;
    let url = format!("https://{}", server.address);
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("written");
    let settings = json!({ "query": "q", "tls": { "ca_file": "ca.pem" } });
    let ran = ask_from(folder.path(), settings, &url).await;
    assert!(ran.laps.get(Phase::Tls).is_some());
    let facts = ran.reply().facts;
    assert_eq!(facts.value, Some(ValueFacts::Known(1000.0)));
    assert_eq!(facts.tls.expect("a session").verified, Some(true));
    let stranger = Authority::named("stranger");
    std::fs::write(folder.path().join("ca.pem"), stranger.pem()).expect("written");
    let settings = json!({ "query": "q", "tls": { "ca_file": "ca.pem" } });
    let failed = ask_from(folder.path(), settings, &url).await;
    let failure = failed.failed(Reason::TlsCertificate, "");
    let tls = failure
        .facts
        .and_then(|facts| facts.tls)
        .expect("its certificate");
    assert_eq!(tls.verified, Some(false));
}
