//! The pages in Chromium, against three real daemons.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use hotspare::model::ranking::{Difference, Quantile, Row, Rows, Table, Verdict};
use hotspare::model::{
    GroupReport, HoldReport, Promotability, RankingReport, ReadyState, Sight, SightReport,
    StageReport, StandbyReport,
};
use rustix::process::Signal;

use crate::api::{group, lag, standby};
use crate::daemon::Daemon;
use crate::npm;
use crate::process::free_port;
use crate::server::Served;

const FILES: [&str; 5] = [
    "drive.mjs",
    "kit.mjs",
    "states.mjs",
    "package.json",
    "package-lock.json",
];
const REGIONS: [&str; 3] = ["eu-west", "eu-central", "us-east"];

/// It is installed once.
static ONE: Mutex<()> = Mutex::new(());

/// The scripts with all that they need, outside of the repository's files.
fn install() -> PathBuf {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    npm::install("browser", "tests/it/browser", &FILES)
}

/// A service that answers every request with 200, until it ends; it can begin again.
struct Service {
    address: SocketAddr,
    running: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Service {
    fn begin_anywhere() -> Self {
        let mut service = Self {
            address: SocketAddr::from(([127, 0, 0, 1], free_port())),
            running: None,
        };
        service.begin();
        service
    }

    fn begin(&mut self) {
        let listener = TcpListener::bind(self.address).expect("a free port");
        let end = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&end);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                let Ok(mut stream) = stream else { continue };
                let mut lines = BufReader::new(&stream).lines();
                while lines
                    .next()
                    .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
                {}
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        self.running = Some((end, thread));
    }

    fn end(&mut self) {
        let Some((end, thread)) = self.running.take() else {
            return;
        };
        end.store(true, Ordering::Relaxed);
        // It wakes to see that.
        let _ = std::net::TcpStream::connect(self.address);
        thread.join().expect("no panic");
    }
}

fn config(services: &[Service; 3], ports: [u16; 3]) -> String {
    let regions = REGIONS.iter().zip(ports).map(|(region, port)| {
        format!("  - {{ name: {region}, daemon: \"http://127.0.0.1:{port}\" }}\n")
    });
    let targets = REGIONS
        .iter()
        .zip(services)
        .map(|(region, service)| format!("{region}: \"http://{}/\"", service.address));
    let targets: Vec<_> = targets.collect();
    format!(
        "regions:\n{}defaults: {{ interval: 1s, timeout: 900ms }}\nprobes:\n  - name: web\n    \
         check: {{ http: {{ valid_status: [200] }} }}\n    targets: {{ {} }}\ngroups:\n  - \
         {{ name: checkout, primary: eu-west, standbys: [eu-central, us-east], probes: [web], \
         objectives: {{ rto: 15m }} }}\nrules:\n  - {{ name: TargetFails, when: {{ failures: {{}} }}, \
         severity: warning }}\n",
        regions.collect::<String>(),
        targets.join(", "),
    )
}

/// What a program says, to its end.
fn said(mut by: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut all = String::new();
        by.read_to_string(&mut all).expect("text");
        all
    })
}

#[test]
fn the_pages_tell_what_happens_to_people_with_and_without_a_script() {
    let folder = install();
    let mut services = [(); 3].map(|()| Service::begin_anywhere());
    let ports = [(); 3].map(|()| free_port());
    let config = config(&services, ports);
    let mut places = 0..;
    let mut daemons = REGIONS.map(|region| {
        let port = ports[places.next().expect("endless")];
        let listen = format!("127.0.0.1:{port}");
        let arguments = ["--region", region, "--web.listen-address", &listen];
        Daemon::start_with(&config, |_| {}, &arguments)
    });
    let mut driver = Command::new("node")
        .current_dir(&folder)
        .arg("drive.mjs")
        .args(ports.map(|port| format!("http://127.0.0.1:{port}/")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node starts");
    let complaints = said(driver.stderr.take().expect("piped"));
    let mut answers = driver.stdin.take().expect("piped");
    let asked = BufReader::new(driver.stdout.take().expect("piped"));
    for line in asked.lines() {
        let line = line.expect("text");
        let Some(what) = line.strip_prefix("ask: ") else {
            panic!("not asked for: {line}");
        };
        match what {
            "the service in us-east ends" => services[2].end(),
            "the service in us-east begins" => services[2].begin(),
            "the first daemon stands still" => daemons[0].process().signal(Signal::STOP),
            "the first daemon goes on" => daemons[0].process().signal(Signal::CONT),
            "the first daemon is killed" => {
                daemons[0].process().signal(Signal::KILL);
                daemons[0].process().wait();
            }
            what => panic!("nobody can do this: {what}"),
        }
        answers.write_all(b"done\n").expect("it listens");
    }
    let status = driver.wait().expect("waitable");
    let complaints = complaints.join().expect("read");
    assert!(status.success(), "{complaints}\n{}", daemons[1].log());
    services.iter_mut().for_each(Service::end);
}

/// Longer than any name should be, with what HTML would take for its own.
const LONG: &str = "a-region-with-<b>-a-name-that-is-longer-than-any-name-of-a-region-should-be";

/// A ranked standby, so many milliseconds behind the first one.
fn ranked(name: &str, rank: u32, behind: f64) -> (Row, StandbyReport) {
    let difference = (rank > 1).then(|| Difference {
        name: name.into(),
        other: "eu-central".into(),
        batches: 72,
        low_seconds: Some((behind - 0.6) / 1e3),
        median_seconds: Some(behind / 1e3),
        high_seconds: Some((behind + 0.7) / 1e3),
        verdict: Verdict::After,
    });
    let row = Row {
        name: name.into(),
        rank: Some(rank),
        state: Some(ReadyState::Ready),
        rpo_seconds: Some(0.8),
        rto_seconds: Some(342.0),
        latency_seconds: Some(0.0815 + behind / 1e3),
        loss_ratio: Some(0.0004),
        batches: 72,
        score_ratio: Some(0.9),
        difference,
        reason: if rank > 1 {
            "behind eu-central by latency"
        } else {
            "first"
        }
        .to_owned(),
    };
    let stage = |stage, seconds, basis| StageReport {
        stage,
        seconds: Some(seconds),
        basis,
    };
    let report = StandbyReport {
        rpo_seconds: Some(0.8),
        rpo_bytes: Some(524_288),
        rto_seconds: Some(342.0),
        rto_stages: vec![
            stage("decide", 300.0, Some("assumed")),
            stage("apply", 42.0, Some("measured")),
            stage("total", 342.0, None),
        ],
        rank: Some(rank),
        ..standby(name, ReadyState::Ready, Vec::new())
    };
    (row, report)
}

/// A group in each state, one of which has long names.
fn every_state() -> Vec<GroupReport> {
    let standbys = [
        ranked("eu-central", 1, 0.0),
        ranked("eu-north", 1, 0.4),
        ranked(LONG, 2, 13.7),
    ];
    let (rows, standbys): (Vec<_>, Vec<_>) = standbys.into_iter().unzip();
    let table = Table {
        rows_are: Rows::Standby,
        probe: Some("checkout".into()),
        quantile: Quantile::Median,
        batch_seconds: 300.0,
        batches_needed: 24,
        lasting: true,
        rows,
        differences: Vec::new(),
    };
    let ranking = Some(RankingReport {
        changes: 0,
        table: Arc::new(table),
    });
    let held = StandbyReport {
        holds: vec![HoldReport {
            kind: "maintenance",
            reason: "disk swap".into(),
            expiry_timestamp_seconds: 4e9,
        }],
        ..standby("us-east", ReadyState::NotReady, vec![lag(), lag()])
    };
    let promoted = |promotion| StandbyReport {
        promotion,
        primary_sight: Sight::Lost,
        last_sight: Some(SightReport {
            timestamp_seconds: 1_795_261_197.0,
            rpo_seconds: Some(0.8),
            loss_bytes: Some(1),
        }),
        ..standby("us-west", ReadyState::PrimaryLost, Vec::new())
    };
    let unknown = standby("ap-south", ReadyState::Unknown, vec![lag()]);
    vec![
        GroupReport {
            ranking,
            ..group("checkout", "eu-west", standbys)
        },
        group(LONG, "eu-west", vec![held, unknown]),
        group("lost", "eu-west", vec![promoted(Promotability::Viable)]),
        group(
            "lost, too",
            "eu-west",
            vec![promoted(Promotability::NotViable)],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_is_readable_at_every_width_in_both_schemes() {
    let folder = install();
    let all = Served::judging(Box::new(every_state));
    let none = Served::judging(Box::new(Vec::new));
    let broken = Served::judging(Box::new(|| panic!("a mistake")));
    let urls = [&all, &none, &broken].map(|served| format!("http://{}/", served.address));
    let mut driver = tokio::process::Command::new("node");
    driver.current_dir(folder).arg("states.mjs").args(urls);
    let output = driver.output().await.expect("node starts");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    for served in [all, none, broken] {
        served.stop().await;
    }
}
