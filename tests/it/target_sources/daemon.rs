//! The daemon, and `hotspare check`, with sources of targets.

#![expect(clippy::float_cmp, reason = "counts, and flags of 0 and 1, are exact")]

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{HEAD, with_probe};
use crate::daemon::{Daemon, Series, hotspare};
use crate::process::wait_for;
use crate::scripted::Scripted;

fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a request");
        head.extend(byte);
    }
}

/// A server that says nothing at first, then has a list, and then is gone.
fn late_list() -> Scripted {
    Scripted::in_turn(vec![
        Box::new(read_head),
        Box::new(|stream| {
            read_head(stream);
            let list = r#"[{"targets": ["127.0.0.1:9", "nowhere"]}]"#;
            let length = list.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
            );
            stream.write_all((head + list).as_bytes()).expect("sent");
        }),
    ])
}

/// A daemon with that list, one in a file, and a target that is written down.
fn with_sources(server: &Scripted) -> Daemon {
    let keys = format!(
        "interval: 1s\n    timeout: 500ms\n    targets: {{ a: \"127.0.0.1:9\" }}\n    \
         targets_http: [{{ url: \"http://{}/\", region: b, refresh_interval: 5s }}]\n    \
         targets_file: [{{ files: [list.json] }}]",
        server.address
    );
    Daemon::start_with(
        &with_probe(&keys),
        |folder| {
            let list = r#"[{"targets": ["127.0.0.1:10", "none"], "labels": {"region": "c"}}]"#;
            std::fs::write(folder.join("list.json"), list).expect("write");
        },
        &[],
    )
}

#[test]
fn the_daemon_starts_without_a_source_and_is_not_ready_until_it_answers() {
    let server = late_list();
    let daemon = with_sources(&server);
    let http = &["source=\"targets_http[0]\""];
    let file = &["probe=\"p\"", "source=\"targets_file[0]\""];
    let series = daemon.wait_until("runs", |series| {
        series
            .all(
                "hotspare_probe_last_run_timestamp_seconds",
                &["target=\"127.0.0.1:10\""],
            )
            .count()
            == 1
    });
    assert_eq!(series.one("hotspare_sd_discovered_targets", file), 2.0);
    let refused = [file[1], "reason=\"address\""];
    assert_eq!(series.one("hotspare_sd_refused_targets", &refused), 1.0);
    assert_eq!(series.one("hotspare_sd_last_refresh_successful", file), 1.0);
    assert!(
        daemon.log().contains("targets cannot be discovered"),
        "{}",
        daemon.log()
    );
    assert!(
        daemon.log().contains("discovered targets are not probed"),
        "{}",
        daemon.log()
    );
    // Until it answers, which it may have done by now.
    let ready = daemon.get("/-/ready");
    let series = daemon.series();
    if series.one("hotspare_sd_last_refresh_timestamp_seconds", http) == 0.0 {
        assert_eq!(ready.status, 503);
        let why = "targets_http[0] of the probe p has given no targets yet";
        let run = "have not been run yet";
        let text = ready.text();
        assert!(text.contains(why) || text.contains(run), "{text}");
    }
    let series = daemon.wait_until("an answer", |series| {
        series.one("hotspare_sd_discovered_targets", http) == 2.0
    });
    assert!(series.one("hotspare_sd_refresh_failures_total", http) >= 1.0);
    server.end();
    daemon.wait_until("a failure", |series| {
        series.one("hotspare_sd_last_refresh_successful", http) == 0.0
    });
    // What was known stays, and so does that it was.
    assert_eq!(
        daemon.series().one("hotspare_sd_discovered_targets", http),
        2.0
    );
    daemon.wait_until("ready", |_| daemon.get("/-/ready").status == 200);
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert!(log.contains("other targets were discovered"), "{log}");
    // Whoever has a list is asked by a daemon that has nothing left to take.
    let line = |text: &str| log.lines().position(|line| line.contains(text));
    let in_order = [
        "gave up what is not needed",
        "targets cannot be discovered",
        "starting",
    ];
    assert!(in_order.map(line).is_sorted(), "{log}");
    assert!(in_order.map(line).iter().all(Option::is_some), "{log}");
}

#[test]
fn check_says_what_each_source_gave_and_what_of_it_is_not_probed() {
    let folder = tempfile::tempdir().expect("folder");
    let path = |name: &str| folder.path().join(name);
    let list = r#"[{"targets": ["h:80"], "labels": {"region": "d"}}, {"targets": ["i:80"], "labels": {"region": "b"}}]"#;
    std::fs::write(path("list.json"), list).expect("write");
    let keys = "targets_file: [{ files: [list.json] }, { files: [none.json] }]\n    \
                targets_http: [{ url: \"http://127.0.0.1:9/\", region: b }]\n  \
                - name: q\n    check: { tcp: }\n    from: [b]\n    \
                targets_dns: [{ names: [_pg._tcp.example], region: b }]";
    std::fs::write(path("hotspare.yaml"), with_probe(keys)).expect("write");
    let check = |more: &[&str]| {
        let mut command = hotspare();
        command
            .args(["check", "--config.file"])
            .arg(path("hotspare.yaml"));
        let output = command.args(more).output().expect("it runs");
        let told = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
        assert!(output.status.success(), "{told}");
        told.replace(&format!("{}/", folder.path().display()), "")
    };
    let told = check(&[]);
    for line in [
        "targets_file[0] of the probe p: 2 targets, 1 of them are probed\n  \
         not probed: list.json: [0].targets[0]: there is no region `d`\n",
        "targets_file[1] of the probe p: no targets\n  cannot read none.json: No such file",
        "targets_http[0] of the probe p: not asked: do so with --discover\n",
        "targets_dns[0] of the probe q: not asked from a\n",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let told = check(&["--discover"]);
    let line = "targets_http[0] of the probe p: no targets\n  http://127.0.0.1:9: ";
    assert!(told.contains(line), "{told}");
    let none = format!("{HEAD}probes:\n  - name: p\n    check: {{ tcp: }}\n");
    std::fs::write(path("hotspare.yaml"), none).expect("write");
    let mut command = hotspare();
    let output = command
        .args(["check", "--config.file"])
        .arg(path("hotspare.yaml"));
    let output = output.output().expect("it runs");
    assert_eq!(
        output.status.code(),
        Some(64),
        "a probe needs targets or a source of them"
    );
}

#[test]
fn what_was_discovered_and_cannot_be_taken_is_tried_again() {
    let keys = "interval: 1s\n    timeout: 500ms\n    \
                targets_file: [{ files: [list.json], region: b }]";
    let config = with_probe(keys).replace("tcp:", "http: { bearer_token_file: token }");
    let list = |last: &str| {
        format!(r#"[{{"targets": ["http://127.0.0.1:9/", "http://127.0.0.1:{last}/", "none"]}}]"#)
    };
    let daemon = Daemon::start_with(
        &config,
        |folder| {
            std::fs::write(folder.join("list.json"), list("10")).expect("write");
            std::fs::write(folder.join("token"), "secret").expect("write");
        },
        &[],
    );
    let target = |port: u16| format!("target=\"http://127.0.0.1:{port}/\"");
    daemon.wait_until("the first", |series| series.having(&target(10)).count() > 0);
    // A file that is about to be replaced, when the list changes.
    daemon.put("token", "");
    daemon.put("list.json", &list("11"));
    let told = || daemon.log().contains("what was discovered is not taken");
    wait_for(told, |told| *told);
    daemon.put("token", "another");
    daemon.wait_until("the second", |series| {
        series.having(&target(11)).count() > 0 && series.having(&target(10)).count() == 0
    });
    let log = daemon.log();
    assert_eq!(log.matches("what was discovered is not taken").count(), 1);
    // The address that is none is told of once, not with every change.
    assert_eq!(log.matches("discovered targets are not probed").count(), 1);
}

#[test]
fn a_list_behind_a_link_to_another_folder_is_followed() {
    let elsewhere = tempfile::tempdir().expect("folder");
    let list = |port: u16| format!(r#"[{{"targets": ["127.0.0.1:{port}"]}}]"#);
    let path = elsewhere.path().join("list.json");
    std::fs::write(&path, list(10)).expect("write");
    let keys = "interval: 1s\n    timeout: 500ms\n    \
                targets_file: [{ files: ['*.json'], region: b }]";
    let daemon = Daemon::start_with(
        &with_probe(keys),
        |folder| std::os::unix::fs::symlink(&path, folder.join("list.json")).expect("linked"),
        &[],
    );
    let has = |series: &Series, port: u16| {
        let target = format!("target=\"127.0.0.1:{port}\"");
        series.having(&target).count() > 0
    };
    daemon.wait_until("the first", |series| has(series, 10));
    let new = elsewhere.path().join("new");
    std::fs::write(&new, list(11)).expect("write");
    std::fs::rename(new, &path).expect("renamed");
    daemon.wait_until("the second", |series| has(series, 11));
}
