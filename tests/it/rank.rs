//! `hotspare rank`: with `--now` against servers of which one takes longer, and what a daemon says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hotspare::model::ranking::{Difference, Quantile, Row, Rows, Table, Verdict};
use hotspare::model::{GroupReport, RankingReport, ReadyState};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::api::group;
use crate::daemon::hotspare;
use crate::process::Process;
use crate::server::{HANG, Served};

/// How long to measure. A host that is too busy for as many runs as are needed gets more time.
const TIMES: [&str; 3] = ["24s", "90s", "300s"];

/// Answers every request after a while, on a port of its own, for as long as the tests run.
fn server(delay: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer(stream, delay));
        }
    });
    address
}

fn answer(mut stream: TcpStream, delay: Duration) {
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut part) {
            Ok(read) if read > 0 => request.extend_from_slice(&part[..read]),
            _ => return,
        }
    }
    std::thread::sleep(delay);
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
}

/// A group of four regions, the standbys `b` and `c` on one server and `d` on a slow one, with the
/// variants `green` (on `b` and `c`) and `blue` (on `d`).
fn folder() -> TempDir {
    let fast = server(Duration::ZERO);
    let slow = server(Duration::from_millis(20));
    let folder = tempfile::tempdir().expect("folder");
    let of =
        |address, variant| format!("[{{ address: \"http://{address}/\", variant: {variant} }}]");
    let file = format!(
        "region: a
regions: [{{ name: a }}, {{ name: b }}, {{ name: c }}, {{ name: d }}]
probes:
  - name: web
    check: {{ http: {{}} }}
    targets: {{ b: {green}, c: {green}, d: {blue} }}
  - {{ name: names, check: {{ dns: {{ name: example.com }} }}, targets: {{ b: 127.0.0.1 }} }}
groups:
  - {{ name: shop, primary: a, standbys: [d, c, b], probes: [web] }}
  - {{ name: names, primary: a, standbys: [b], probes: [names] }}
",
        green = of(fast, "green"),
        blue = of(slow, "blue"),
    );
    std::fs::write(folder.path().join("hotspare.yaml"), file).expect("written");
    folder
}

fn rank(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = hotspare();
    let file = folder.path().join("hotspare.yaml");
    command.arg("rank").args(arguments);
    command.arg("--config.file").arg(file);
    command
}

/// What it prints, and what it says beside that, once there were enough runs for every rank.
fn measured(
    folder: &TempDir,
    arguments: &[&str],
    ranked: impl Fn(&str) -> bool,
) -> (String, String) {
    let mut last = None;
    for time in TIMES {
        let mut command = rank(folder, arguments);
        let output = command.args(["--now", "--for", time]).output();
        let output = output.expect("started");
        assert!(output.status.success(), "{output:?}");
        let said = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let text = said(&output.stdout);
        if ranked(&text) {
            return (text, said(&output.stderr));
        }
        last = Some(output);
    }
    panic!("{last:?}")
}

#[test]
fn the_slower_standby_comes_after_equals_and_programs_read_why() {
    let folder = folder();
    let arguments = ["--group", "shop", "--format", "json"];
    let read = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };
    let (text, _) = measured(&folder, &arguments, |text| {
        let table = read(text);
        let rows = table["rows"].as_array().expect("rows");
        rows.iter().all(|row| !row["rank"].is_null())
    });
    let table = read(&text);
    let row = |row: &Value| format!("{} {} {}", row["name"], row["rank"], row["reason"]);
    let rows: Vec<_> = table["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(row)
        .collect();
    // The other two are equal: either may be the first.
    let behind = ["b", "c"].map(|first| format!(r#""d" 2 "behind {first} by latency""#));
    assert!(behind.contains(&rows[2]), "{rows:?}: {table:#}");
    assert_eq!(table["rows"][0]["rank"], 1);
    assert_eq!(table["rows"][1]["rank"], 1);
    assert_eq!(table["rows_are"], "standby");
    assert_eq!(table["probe"], "web");
    assert_eq!(table["lasting"], false);
    assert!(table["rows"][0]["state"].is_null(), "nobody was asked");
    let difference = &table["rows"][2]["difference"];
    let [low, median, high] = ["low_seconds", "median_seconds", "high_seconds"]
        .map(|bound| difference[bound].as_f64().expect("measured"));
    assert!(0.0 < low && low <= median && median <= high, "{difference}");
    assert_eq!(table["differences"].as_array().map(Vec::len), Some(3));
}

#[test]
fn variants_are_ranked_and_where_they_differ_in_place_that_is_said() {
    let folder = folder();
    let path = folder.path().join("table.txt");
    let file = path.to_str().expect("UTF-8");
    let arguments = ["--probe", "web", "--by", "variant", "--output", file];
    let table = || std::fs::read_to_string(&path).expect("written");
    let (text, said) = measured(&folder, &arguments, |_| !table().contains("not ranked"));
    assert_eq!(text, "", "it is in the file");
    let warning =
        "warning: the variants do not have the same number of targets in the same regions";
    assert!(said.contains(warning), "{said}");
    let table = table();
    let words: Vec<Vec<_>> = table
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(words[0][..3], ["RANK", "VARIANT", "MEDIAN"], "{table}");
    assert_eq!(words[1][..2], ["1", "green"], "{table}");
    assert_eq!(words[2][..2], ["2", "blue"], "{table}");
    assert!(
        words[2].ends_with(&["behind", "green", "by", "latency"]),
        "{table}"
    );
    assert!(table.contains("tell of now only"), "{table}");
}

#[test]
fn an_interrupt_ends_it_with_what_there_is() {
    let folder = folder();
    let path = folder.path().join("table.txt");
    let mut command = rank(&folder, &["--group", "shop", "--now", "--for", "1h"]);
    command.arg("--output").arg(&path);
    let mut process = Process::start(command);
    process.wait_for_line(|line| line.contains(" of 1h: ").then_some(()));
    process.signal(Signal::INT);
    assert!(process.wait().success(), "{:?}", process.output());
    let table = std::fs::read_to_string(&path).expect("written");
    assert_eq!(
        table.matches("not ranked: 0 of 24 batches").count(),
        3,
        "{table}"
    );
    assert!(!table.contains("STATE"), "{table}");
}

#[test]
fn what_cannot_be_ranked_is_refused_with_what_can() {
    let folder = folder();
    let now = "--now";
    for (arguments, said) in [
        (
            [now, "--group", "shops"].as_slice(),
            "there is no group shops; there are: shop, names",
        ),
        (
            &[now, "--group", "names"],
            "nothing of the group names can be timed from a",
        ),
        (&[now, "--probe", "web"], "--probe NAME needs --by variant"),
        (
            &[now, "--group", "shop", "--by", "variant"],
            "--by variant needs --probe",
        ),
        (
            &[now, "--probe", "webb", "--by", "variant"],
            "there is no probe webb; there are: web, names",
        ),
        (
            &[now, "--probe", "names", "--by", "variant"],
            "no target of the probe names has a `variant`",
        ),
        (&[now, "--group", "shop", "--for", "1s"], "from 8s to 1d"),
        (
            &[now, "--group", "shop", "--probe", "web"],
            "cannot be used with",
        ),
        (&[now], "--group <NAME>"),
        (
            &["--probe", "web", "--by", "variant"],
            "variants are ranked with --now only",
        ),
        (&["--group", "shop", "--for", "20s"], "--now"),
        (
            &["--group", "shop", "--url", "http://u:secret@h"],
            "--server, number 1: a password does not belong in a URL",
        ),
        (
            &["--group", "shop", "--url", "http://a:9887,http://b:9887"],
            "what one daemon saw: ask one of them",
        ),
    ] {
        let output: Output = rank(&folder, arguments)
            .stdin(Stdio::null())
            .output()
            .expect("started");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {told}");
        assert!(told.contains(said), "{arguments:?}: {told}");
    }
}

fn table() -> Table {
    let difference = Difference {
        name: "us-east".into(),
        other: "eu-central".into(),
        batches: 72,
        low_seconds: Some(0.012),
        median_seconds: Some(0.0135),
        high_seconds: Some(0.015),
        verdict: Verdict::After,
    };
    let first = Row {
        name: "eu-central".into(),
        rank: Some(1),
        state: Some(ReadyState::Ready),
        rpo_seconds: Some(0.8),
        rto_seconds: Some(342.0),
        latency_seconds: Some(0.0815),
        loss_ratio: Some(0.0),
        batches: 72,
        score_ratio: None,
        difference: None,
        reason: "first".to_owned(),
    };
    let second = Row {
        name: "us-east".into(),
        rank: Some(2),
        latency_seconds: Some(0.095),
        difference: Some(difference.clone()),
        reason: "behind eu-central by latency".to_owned(),
        ..first.clone()
    };
    Table {
        rows_are: Rows::Standby,
        probe: Some("checkout".into()),
        quantile: Quantile::Median,
        batch_seconds: 300.0,
        batches_needed: 24,
        lasting: true,
        rows: vec![first, second],
        differences: vec![difference],
    }
}

#[tokio::test]
async fn what_a_daemon_tells_is_shown_as_it_was_told() {
    let ranking = |table| {
        Some(RankingReport {
            changes: 1,
            table: Arc::new(table),
        })
    };
    let served = Served::judging(Box::new(move || {
        let ranked = GroupReport {
            ranking: ranking(table()),
            ..group("checkout", "eu-west", Vec::new())
        };
        vec![ranked, group("new", "eu-west", Vec::new())]
    }));
    let url = format!("http://{}", served.address);
    let rank = async |group: &str, format: &str| {
        let mut command = tokio::process::Command::from(hotspare());
        command.args(["rank", "--url", &url, "--group", group, "--format", format]);
        let output = command.kill_on_drop(true).output();
        let output = tokio::time::timeout(HANG, output).await.expect("it ends");
        let output = output.expect("started");
        let said = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (
            output.status.code(),
            said(output.stdout),
            said(output.stderr),
        )
    };
    let (code, text, _) = rank("checkout", "text").await;
    assert_eq!(code, Some(0));
    assert_eq!(text, table().to_string());
    assert!(text.contains("behind eu-central by latency"), "{text}");
    let (code, json, _) = rank("checkout", "json").await;
    assert_eq!(code, Some(0));
    assert_eq!(serde_json::from_str::<Table>(&json).expect("JSON"), table());

    let (code, text, said) = rank("new", "text").await;
    assert_eq!((code, &*text), (Some(1), ""));
    assert!(said.contains("nothing is ranked yet"), "{said}");
    let (code, _, said) = rank("old", "text").await;
    assert_eq!(code, Some(1));
    assert!(
        said.contains("there is no such group; there are: checkout, new"),
        "{said}"
    );
}
