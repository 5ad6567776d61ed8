//! Drills, as an operator announces and ends them: what counts, what is refused, and what outlives
//! the daemon.
#![expect(clippy::float_cmp, reason = "what is compared are counts and switches")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use hotspare::store::{Entry, Store};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::TempDir;

use crate::daemon::{Daemon, Series, hotspare};
use crate::process::PATIENCE;
use crate::scripted::Scripted;

const GROUP: &str = "shop";

/// A group of two services, of which only connections are looked at.
struct Stage {
    primary: TcpListener,
    standby: Option<TcpListener>,
    at: SocketAddr,
    state: TempDir,
}

fn service() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a port")
}

impl Stage {
    fn set() -> Self {
        let standby = service();
        Self {
            primary: service(),
            at: standby.local_addr().expect("bound"),
            standby: Some(standby),
            state: tempfile::tempdir().expect("a folder"),
        }
    }

    fn daemon(&self) -> Daemon {
        let primary = self.primary.local_addr().expect("bound");
        let (state, standby) = (self.state.path().display(), self.at);
        Daemon::start(&format!(
            "region: here\n\
             regions: [{{ name: here }}, {{ name: north }}, {{ name: south }}]\n\
             state_dir: {state}\n\
             probes:\n\
             - name: web\n\
             \x20 check: {{ tcp: {{}} }}\n\
             \x20 interval: 1s\n\
             \x20 timeout: 900ms\n\
             \x20 from: [here]\n\
             \x20 targets: {{ north: \"{primary}\", south: \"{standby}\" }}\n\
             groups:\n\
             - {{ name: {GROUP}, primary: north, standbys: [south], probes: [web],\n\
             \x20   objectives: {{ rto: 5m }}, checks: [{{ check: drill_age, above: 90d }}] }}\n"
        ))
    }
}

/// What a command ended with, and what it said, on either stream.
fn drill(daemon: &Daemon, arguments: &[&str]) -> (Option<i32>, String) {
    let url = format!("http://{}", daemon.address);
    let mut command = hotspare();
    command.arg("drill").args(arguments).args(["--url", &url]);
    let output = command.output().expect("started");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8(said).expect("UTF-8"),
    )
}

fn of_group<'a>(what: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&[what, "--group", GROUP][..], more].concat()
}

fn ready(series: &Series) -> bool {
    series.one("hotspare_failover_ready", &[]) == 1.0
}

fn progress(series: &Series, kind: &str) -> f64 {
    let kind = format!("kind=\"{kind}\"");
    series.one("hotspare_drill_in_progress", &[&kind])
}

fn success(series: &Series, kind: &str) -> f64 {
    let kind = format!("kind=\"{kind}\"");
    series.one("hotspare_drill_last_success_timestamp_seconds", &[&kind])
}

#[test]
fn a_drill_succeeds_only_with_every_standby_ready_and_is_remembered() {
    let mut stage = Stage::set();
    let daemon = stage.daemon();
    let series = daemon.wait_until("a ready standby", ready);
    assert!(success(&series, "switchover").is_nan());
    assert_eq!(progress(&series, "switchover"), 0.0);

    let start = of_group(
        "start",
        &[
            "--kind",
            "switchover",
            "--note",
            "the yearly one",
            "--id",
            "d1",
        ],
    );
    let (code, said) = drill(&daemon, &start);
    assert_eq!(code, Some(0), "{said}");
    let series = daemon.wait_until("a drill", |series| progress(series, "switchover") == 1.0);
    let kind = ["kind=\"switchover\""];
    let deadline = series.one("hotspare_drill_deadline_timestamp_seconds", &kind);
    let now = series.one("hotspare_evaluation_timestamp_seconds", &[]);
    assert!((deadline - now - 4.0 * 3600.0).abs() < PATIENCE.as_secs_f64());

    drop(stage.standby.take());
    daemon.wait_until("a standby that is not ready", |series| !ready(series));
    let (code, said) = drill(&daemon, &of_group("finish", &[]));
    assert_eq!(code, Some(1));
    assert!(
        said.contains("the drill cannot succeed yet: south is"),
        "{said}"
    );
    assert!(said.contains("web reachable"), "{said}");
    let series = daemon.series();
    assert_eq!(progress(&series, "switchover"), 1.0, "it stays open");
    assert!(success(&series, "switchover").is_nan());

    stage.standby = Some(TcpListener::bind(stage.at).expect("its port"));
    daemon.wait_until("a ready standby", ready);
    let (code, said) = drill(&daemon, &of_group("finish", &[]));
    assert_eq!(code, Some(0), "{said}");
    let after = daemon.wait_until("a success", |series| {
        !success(series, "switchover").is_nan()
    });
    assert_eq!(progress(&after, "switchover"), 0.0);
    let age = ["check=\"drill_age\""];
    daemon.wait_until("its age", |series| {
        let mut values = series.all("hotspare_readiness_check_value", &age);
        values.any(|(_, value)| value >= 0.0)
    });
    reported(&daemon);

    remembered(&stage, daemon, &after);
}

/// The next daemon knows the success, and that another drill is under way.
fn remembered(stage: &Stage, daemon: Daemon, after: &Series) {
    let (code, said) = drill(&daemon, &of_group("start", &["--kind", "read_route"]));
    assert_eq!(code, Some(0), "{said}");
    daemon.stop();
    let daemon = stage.daemon();
    let again = daemon.series();
    assert_eq!(success(&again, "switchover"), success(after, "switchover"));
    assert_eq!(progress(&again, "read_route"), 1.0);

    // What is given up is no success.
    let (code, said) = drill(&daemon, &of_group("abort", &[]));
    assert_eq!(code, Some(0), "{said}");
    let series = daemon.wait_until("its end", |series| progress(series, "read_route") == 0.0);
    assert!(success(&series, "read_route").is_nan());
    let (code, said) = drill(&daemon, &["status"]);
    assert_eq!(code, Some(0));
    assert!(
        said.contains("succeeded at") && said.contains("aborted at"),
        "{said}"
    );
}

fn reported(daemon: &Daemon) {
    let (code, said) = drill(daemon, &["report", "--id", "d1"]);
    assert_eq!(code, Some(0), "{said}");
    for part in [
        "# Drill d1\n\nswitchover of shop: the yearly one. It succeeded at 1 of 1 vantages.",
        "| no writes (RTO) | not measured | 300.0s | not known |",
        "| writes lost (RPO) | not measured | none | not known |",
        "finished with every standby ready",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let (code, said) = drill(daemon, &["report", "--format", "json"]);
    assert_eq!(code, Some(0), "{said}");
    let report: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(report["drill"]["state"], "succeeded");
    let (code, said) = drill(daemon, &["report", "--id", "nobody"]);
    assert_eq!((code, &*said), (Some(1), "there is no such drill\n"));
}

#[test]
fn orders_that_make_no_sense_are_refused_with_the_reason() {
    let stage = Stage::set();
    let daemon = stage.daemon();
    for (arguments, why) in [
        (of_group("finish", &[]), "no drill of this group is open"),
        (of_group("abort", &[]), "no drill of this group is open"),
        (vec!["abort", "--group", "x"], "there is no such group"),
        (
            of_group("start", &["--kind", "failover", "--id", "a b"]),
            "an id is 1 to 64 letters",
        ),
        (
            of_group("start", &["--kind", "failover", "--for", "30d"]),
            "a drill takes up to a week",
        ),
    ] {
        let (code, said) = drill(&daemon, &arguments);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(why), "{said}");
    }
    let (code, _) = drill(&daemon, &of_group("start", &["--kind", "holiday"]));
    assert_eq!(code, Some(64));
}

/// The status line of the answer to a POST.
fn post(daemon: &Daemon, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(daemon.address).expect("it accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("settable");
    let length = body.len();
    let request = format!(
        "POST /api/v1/drills HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("written");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    let answer = String::from_utf8(answer).expect("UTF-8");
    answer.lines().next().expect("a status line").to_owned()
}

#[test]
fn what_a_page_or_a_proxy_sends_changes_nothing() {
    let stage = Stage::set();
    let daemon = stage.daemon();
    let json = "Content-Type: application/json\r\n";
    let order = "X-Hotspare-Order: drill\r\n";
    let body = r#"{"id":"d","group":"shop","kind":"failover","for_seconds":60}"#;
    let both = format!("{json}{order}");
    for (headers, body, status) in [
        (String::new(), body, "403"),
        (json.to_owned(), body, "403"),
        (order.to_owned(), body, "415"),
        (format!("{both}Origin: http://x\r\n"), body, "403"),
        (format!("{both}X-Forwarded-For: 10.0.0.1\r\n"), body, "403"),
        (both.clone(), "", "400"),
        (both.clone(), r#"{"id":"d","group":"shop","zzz":1}"#, "400"),
        (both.clone(), &"x".repeat(5000), "413"),
    ] {
        let answer = post(&daemon, &headers, body);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{headers} {answer}"
        );
        assert_eq!(progress(&daemon.series(), "failover"), 0.0);
    }
    let answer = post(&daemon, &both, body);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    daemon.wait_until("a drill", |series| progress(series, "failover") == 1.0);
}

/// A failover as a later version might write it.
#[derive(Serialize, Deserialize)]
struct Later {
    group: String,
    at: u64,
}

impl Entry for Later {
    const TABLE: &'static str = "failovers";

    fn id(&self) -> String {
        format!("{}\u{1f}{}", self.group, self.at)
    }
}

#[test]
fn what_another_version_kept_of_a_group_and_cannot_be_read_is_told_once_and_stays() {
    let stage = Stage::set();
    let (store, writer) = Store::open(stage.state.path()).expect("opened");
    for (group, at) in [(GROUP, 1), (GROUP, 2), ("shopping", 3)] {
        let group = group.to_owned();
        store.put(&Later { group, at }).expect("taken");
    }
    store.close();
    writer.run();
    let (status, log) = stage.daemon().stop();
    assert!(status.success(), "{log}");
    let told = log.lines().filter(|line| line.contains("cannot be read"));
    let told: Vec<_> = told.collect();
    assert_eq!(told.len(), 1, "{log}");
    for part in ["group=shop", "entries=2", "missing field"] {
        assert!(told[0].contains(part), "{log}");
    }
    let (store, _writer) = Store::open(stage.state.path()).expect("opened");
    assert_eq!(store.entries::<Later>().entries.len(), 3);
}

/// Some hundred groups have so much past.
#[test]
fn a_long_past_can_be_asked_for() {
    let daemon = Scripted::new(|stream| {
        let note = "n".repeat(250);
        let drills = (0..20_000).map(|nth| {
            format!(
                r#"{{"id":"d{nth}","group":"shop","kind":"failover","note":"{note}","start_timestamp_seconds":1,"deadline_timestamp_seconds":2,"rpo_objective_seconds":5,"rto_objective_seconds":300,"end_timestamp_seconds":2,"state":"succeeded"}}"#
            )
        });
        let drills: Vec<_> = drills.collect();
        let body = format!(r#"{{"drills":[{}]}}"#, drills.join(","));
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let _ = stream.read(&mut [0; 4096]).expect("asked");
        // Who does not want all of it goes.
        let _ = stream.write_all((head + &body).as_bytes());
    });
    let url = format!("http://{}", daemon.address);
    let mut command = hotspare();
    let output = command.args(["drill", "status", "--url", &url]).output();
    let output = output.expect("started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(output.stdout.split(|byte| *byte == b'\n').count(), 20_001);
    daemon.end();
}
