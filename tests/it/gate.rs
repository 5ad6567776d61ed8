//! `hotspare gate` as a pipeline starts it, against servers on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hotspare::model::{GroupReport, ReadyState};
use hotspare::server::Judge;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::api::{group, lag, standby};
use crate::authority::Authority;
use crate::daemon::hotspare;
use crate::server::{HANG, Served};

/// Nothing listens there.
const SILENT: &str = "http://127.0.0.1:1";

/// How a gate ended.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::from(hotspare());
    command.arg("gate").args(arguments).kill_on_drop(true);
    command
}

async fn run(mut command: Command) -> Ended {
    let output = tokio::time::timeout(HANG, command.output()).await;
    let output = output.expect("it ends").expect("started");
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

async fn gate(arguments: &[&str]) -> Ended {
    run(command(arguments)).await
}

fn url(served: &Served) -> String {
    format!("http://{}", served.address)
}

/// A daemon in that region which sees the group `checkout` so.
fn vantage(region: &'static str, states: &'static [(&'static str, ReadyState)]) -> Judge {
    Box::new(move || {
        let standbys = states.iter().map(|(region, state)| {
            let reasons = match state {
                ReadyState::Ready => Vec::new(),
                _ => vec![lag()],
            };
            standby(region, *state, reasons)
        });
        vec![group("checkout", region, standbys.collect())]
    })
}

const GOOD: &[(&str, ReadyState)] = &[
    ("eu-central", ReadyState::Unknown),
    ("us-east", ReadyState::Ready),
];
const BAD: &[(&str, ReadyState)] = &[
    ("eu-central", ReadyState::PrimaryLost),
    ("us-east", ReadyState::NotReady),
];

#[tokio::test]
async fn the_exit_code_is_the_answer_and_the_text_says_why() {
    let served = Served::judging(vantage("eu-west", GOOD));
    let url = url(&served);
    let lag = "  orders lag: threshold: 7.2s, limit 5s, seen 3s ago\n";
    let ready = "checkout/us-east: ready (seen from eu-west)\n";
    let unknown = format!("checkout/eu-central: unknown (seen from eu-west)\n{lag}");
    for (standby, code, text) in [
        (Some("us-east"), 0, format!("{ready}gate: ready: us-east\n")),
        (Some("eu-central"), 2, format!("{unknown}gate: unknown\n")),
        (None, 0, format!("{unknown}{ready}gate: ready: us-east\n")),
        (
            Some("ap-south"),
            2,
            "checkout/ap-south: unknown (seen from eu-west)\n  the group has no such standby; \
             there are: eu-central, us-east\ngate: unknown\n"
                .to_owned(),
        ),
    ] {
        let mut arguments = vec!["--group", "checkout", "--url", &url];
        arguments.extend(standby.map(|region| ["--standby", region]).iter().flatten());
        let ended = gate(&arguments).await;
        assert_eq!(
            (ended.code, &*ended.out),
            (Some(code), &*text),
            "{}",
            ended.err
        );
    }
    let ended = gate(&["--group", "chekout", "--url", &url]).await;
    let text = format!(
        "chekout: unknown (asked {url})\n  there is no such group; there are: checkout\n\
         gate: unknown\n"
    );
    assert_eq!((ended.code, ended.out), (Some(2), text));
    served.stop().await;
}

#[tokio::test]
async fn every_vantage_that_is_asked_has_to_say_ready() {
    let good = Served::judging(vantage("eu-west", GOOD));
    let bad = Served::judging(vantage("us-east", BAD));
    let silent = SILENT.to_owned();
    let asked = ["--group", "checkout", "--standby", "us-east"];
    for (urls, code) in [
        (vec![url(&good), url(&good)], 0),
        (vec![url(&good), url(&bad)], 1),
        (vec![url(&bad), silent.clone()], 1),
        (vec![url(&good), silent.clone()], 2),
        (vec![silent], 2),
    ] {
        let given = urls.iter().flat_map(|url| ["--url", url]);
        let by_flag = gate(&asked.into_iter().chain(given).collect::<Vec<_>>()).await;
        assert_eq!(by_flag.code, Some(code), "{}{}", by_flag.out, by_flag.err);
        assert_eq!(by_flag.out.lines().last().map(|l| &l[..5]), Some("gate:"));

        let mut command = command(&asked);
        command.env("HOTSPARE_URL", urls.join(","));
        let by_environment = run(command).await;
        assert_eq!(by_environment.code, Some(code));
        assert_eq!(by_environment.out, by_flag.out);
    }
    let ended = gate(&["--group", "checkout", "--url", &url(&bad)]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.out);
    assert!(
        ended
            .out
            .contains("checkout/eu-central: primary lost (seen from us-east)\n")
    );
    assert!(
        ended
            .out
            .contains("checkout/us-east: not ready (seen from us-east)\n")
    );
    good.stop().await;
    bad.stop().await;
}

#[tokio::test]
async fn json_has_the_verdict_and_all_that_was_said() {
    let good = Served::judging(vantage("eu-west", GOOD));
    let arguments = ["--group", "checkout", "--format", "json", "--url"];
    let one = gate(&[&arguments[..], &[&url(&good)]].concat()).await;
    assert_eq!(one.code, Some(0), "{}", one.err);
    let json: Value = serde_json::from_str(&one.out).expect("JSON");
    assert_eq!(json["verdict"], "ready");
    assert_eq!(json["standbys"][0]["verdict"], "unknown");
    assert_eq!(json["standbys"][1]["standby"], "us-east");
    assert_eq!(json["standbys"][1]["verdict"], "ready");
    assert_eq!(json["vantages"][0]["url"], url(&good));
    let report = &json["vantages"][0]["report"];
    assert_eq!(report["source_region"], "eu-west");
    assert_eq!(report["standbys"][0]["checks"][0]["check"], "lag");

    let two = gate(&[&arguments[..], &[&url(&good), "--url", SILENT]].concat()).await;
    assert_eq!(two.code, Some(2), "{}", two.err);
    let json: Value = serde_json::from_str(&two.out).expect("JSON");
    assert_eq!(json["verdict"], "unknown");
    assert_eq!(json["vantages"][1]["report"], Value::Null);
    let why = json["vantages"][1]["error"].as_str().expect("a reason");
    assert!(why.starts_with("connect to 127.0.0.1:"), "{why}");
    good.stop().await;
}

#[tokio::test]
async fn a_score_can_be_asked_for() {
    let scored = |score| -> Judge {
        Box::new(move || {
            let mut standby = standby("us-east", ReadyState::Ready, Vec::new());
            standby.score_ratio = score;
            vec![group("checkout", "eu-west", vec![standby])]
        })
    };
    for (score, code, line) in [
        (Some(0.8), 0, "checkout/us-east: ready"),
        (Some(0.5), 1, "  score: 0.5, at least 0.8 is asked for"),
        (None, 2, "  score: not known, at least 0.8 is asked for"),
    ] {
        let served = Served::judging(scored(score));
        let url = url(&served);
        let ended = gate(&["--group", "checkout", "--min-score", "0.8", "--url", &url]).await;
        assert_eq!(ended.code, Some(code), "{}", ended.out);
        assert!(ended.out.contains(line), "{}", ended.out);
        served.stop().await;
    }
}

/// A daemon whose standby is ready once it is told so, and how often it was asked.
fn in_time() -> (Served, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let ready = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicUsize::new(0));
    let (state, count) = (Arc::clone(&ready), Arc::clone(&asked));
    let judge = move || {
        count.fetch_add(1, Ordering::Relaxed);
        let state = if state.load(Ordering::Relaxed) {
            ReadyState::Ready
        } else {
            ReadyState::NotReady
        };
        let standbys = vec![standby("us-east", state, Vec::new())];
        vec![group("checkout", "eu-west", standbys)]
    };
    (Served::judging(Box::new(judge)), ready, asked)
}

#[tokio::test]
async fn it_waits_until_the_standby_is_ready() {
    let (served, ready, asked) = in_time();
    let url = url(&served);
    let mut waiting = command(&["--group", "checkout", "--wait", "10m", "--url", &url]);
    let mut waiting = waiting
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("started");
    let twice = async {
        while asked.load(Ordering::Relaxed) < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(HANG, twice)
        .await
        .expect("it asks again");
    assert!(waiting.try_wait().expect("waitable").is_none());
    ready.store(true, Ordering::Relaxed);
    let output = tokio::time::timeout(HANG, waiting.wait_with_output()).await;
    let output = output.expect("it ends").expect("waited for");
    assert_eq!(output.status.code(), Some(0));
    let text = "checkout/us-east: ready (seen from eu-west)\ngate: ready: us-east\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), text);
    served.stop().await;
}

#[tokio::test]
async fn when_the_time_is_over_the_last_answer_decides() {
    let (served, _, _) = in_time();
    let url = url(&served);
    let ended = gate(&["--group", "checkout", "--wait", "100ms", "--url", &url]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    let text = "checkout/us-east: not ready (seen from eu-west)\ngate: not ready\n";
    assert_eq!(ended.out, text);
    served.stop().await;
}

#[tokio::test]
async fn an_old_answer_is_unknown() {
    let judge = || -> Vec<GroupReport> {
        let standbys = vec![standby("us-east", ReadyState::Ready, Vec::new())];
        let mut old = group("checkout", "eu-west", standbys);
        old.timestamp_seconds -= 3600.0;
        vec![old]
    };
    let served = Served::judging(Box::new(judge));
    let ended = gate(&["--group", "checkout", "--url", &url(&served)]).await;
    assert_eq!(ended.code, Some(2), "{}", ended.out);
    assert!(
        ended
            .out
            .contains("\n  it was judged 3600s before now by this host's clock")
    );
    served.stop().await;
}

#[tokio::test]
async fn whatever_a_server_sends_is_no_ready() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let long = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", u64::MAX);
    let drip = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
    for answer in [
        "",
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nready",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 503 \x1b[31m\r\ncontent-length: 0\r\n\r\n",
        &long,
        drip,
    ] {
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.expect("asked");
            let head = String::from_utf8_lossy(&request[..read]).into_owned();
            stream.write_all(answer.as_bytes()).await.expect("answered");
            if answer == drip {
                // It says nothing more; who asks has to go.
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {}
            }
            head
        };
        let arguments = ["--group", "a/../b", "--url", &url];
        let (head, ended) = tokio::join!(server, gate(&arguments));
        assert!(
            head.starts_with("GET /api/v1/groups/a%2F..%2Fb HTTP/1.1\r\n"),
            "{head}"
        );
        assert_eq!(ended.code, Some(2), "{answer}: {}", ended.out);
        assert!(!ended.out.contains('\x1b'));
    }
}

#[tokio::test]
async fn a_wrong_command_line_is_neither_ready_nor_not() {
    for arguments in [
        &[] as &[&str],
        &["--standby", "a"],
        &["--group", "g", "--min-score", "1.1"],
        &["--group", "g", "--min-score", "NaN"],
        &["--group", "g", "--wait", "5"],
        &["--group", "g", "--format", "xml"],
        &["--group", "g", "--url", "localhost:9887"],
        &["--group", "g", "--url", "http://u:hush@h"],
        &["--group", "g", "--url", ""],
    ] {
        let ended = gate(arguments).await;
        assert_eq!(ended.code, Some(64), "{arguments:?}");
        assert!(
            !ended.err.is_empty() && ended.out.is_empty(),
            "{arguments:?}"
        );
        assert!(!ended.err.contains("hush"), "{}", ended.err);
    }
    let mut command = command(&["--help"]);
    command.env("HOTSPARE_URL", "http://u:hush@h");
    let help = run(command).await;
    assert_eq!(help.code, Some(0));
    assert!(
        help.out.contains("--min-score") && !help.out.contains("hush"),
        "{}",
        help.out
    );
}

/// Lets TLS clients through to the server, until it is dropped.
async fn behind_tls(authority: &Authority, served: &Served) -> (u16, JoinSet<()>) {
    let identity = authority.identity(&["127.0.0.1"]);
    let chain = CertificateDer::from_pem_slice(identity.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![chain.expect("a certificate")], key)
        .expect("they belong together");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("bound").port();
    let to = served.address;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("accepted");
            if let Ok(mut session) = acceptor.accept(stream).await {
                let mut far = TcpStream::connect(to).await.expect("connected");
                let _ = tokio::io::copy_bidirectional(&mut session, &mut far).await;
            }
        }
    });
    (port, tasks)
}

#[tokio::test]
async fn a_daemon_behind_tls_is_trusted_by_this_hosts_authorities() {
    let served = Served::judging(vantage("eu-west", GOOD));
    let authority = Authority::new("the host's");
    let (port, _tasks) = behind_tls(&authority, &served).await;
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join("own.pem");
    let other = folder.path().join("other.pem");
    std::fs::write(&own, &authority.pem).expect("written");
    std::fs::write(&other, Authority::new("another").pem).expect("written");
    let url = format!("https://127.0.0.1:{port}");
    for (trusted, code) in [(&own, 0), (&other, 2)] {
        let mut command = command(&["--group", "checkout", "--url", &url]);
        command
            .env("SSL_CERT_FILE", trusted)
            .env_remove("SSL_CERT_DIR");
        let ended = run(command).await;
        assert_eq!(ended.code, Some(code), "{}{}", ended.out, ended.err);
    }
    served.stop().await;
}
