//! The heartbeat, as the service that waits for it gets it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use hotspare::deliver::{Heart, Service as Waits};
use hotspare::files::Files;
use hotspare::metrics::Own;
use hotspare::model::Digest;
use hotspare::net::{Names, Resolver, Roots};
use hotspare::notify::{Context, HeartbeatSettings};
use serde_json::Value;
use tokio::sync::{oneshot, watch};

use crate::daemon::Daemon;
use crate::page::parse;
use crate::process::{PATIENCE, wait_for};

/// A service that takes beats, and the first lines and bodies of what it got.
struct Service {
    address: SocketAddr,
    got: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Service {
    /// Answers each request with this status.
    fn answering(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("bound");
        let got = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&got);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.expect("accepted"));
                let mut head = Vec::new();
                while head.last().is_none_or(|line: &String| !line.is_empty()) {
                    let mut line = String::new();
                    reader.read_line(&mut line).expect("a request");
                    head.push(line.trim_end().to_lowercase());
                }
                let length = head.iter().find_map(|l| l.strip_prefix("content-length: "));
                let length = length.expect("a length").parse().expect("a number");
                let mut body = vec![0; length];
                reader.read_exact(&mut body).expect("a body");
                let body = serde_json::from_slice(&body).expect("JSON");
                notes
                    .lock()
                    .expect("not poisoned")
                    .push((head[0].clone(), body));
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                reader
                    .get_mut()
                    .write_all(answer.as_bytes())
                    .expect("written");
            }
        });
        Self { address, got }
    }

    /// It waits for a beat so often.
    fn waits(&self, interval: Duration) -> Waits {
        let url = format!("http://{}/", self.address);
        let same = Digest::of(&[url.as_bytes()]);
        let settings = HeartbeatSettings {
            url: Some(url),
            ..HeartbeatSettings::default()
        };
        let context = Context {
            resolver: Arc::new(Resolver::new(Names::at([]))),
            roots: Arc::new(Roots::default()),
            files: Files::new(None, std::path::PathBuf::new()),
        };
        let mut heartbeat = settings.prepare(&context).expect("good settings");
        heartbeat.interval = interval;
        Waits {
            heartbeat: Arc::new(heartbeat),
            same,
        }
    }

    fn got(&self) -> Vec<(String, Value)> {
        self.got.lock().expect("not poisoned").clone()
    }
}

#[test]
fn the_daemon_beats_while_its_probes_run_and_tells_nobody_where() {
    let service = Service::answering("200 OK");
    let config = "region: eu-west\nregions: [{ name: eu-west }]\n\
         defaults: { interval: 1s, timeout: 500ms }\n\
         probes: [{ name: p, check: { tcp: {} }, targets: { eu-west: \"127.0.0.1:9\" } }]\n\
         heartbeat: { url_file: beat.url, interval: 5s }\n";
    let url = format!("http://{}/private/path\n", service.address);
    let write = |folder: &std::path::Path| {
        std::fs::write(folder.join("beat.url"), &url).expect("writable");
    };
    let daemon = Daemon::start_with(config, write, &[]);
    let got = wait_for(|| service.got(), |got| got.len() >= 2);
    for (sequence, (line, body)) in (1..).zip(&got) {
        assert_eq!(line, "post /private/path http/1.1");
        assert_eq!(body["source_region"], "eu-west");
        assert_eq!(body["sequence"], sequence);
        assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
        assert!(body["timestamp_seconds"].as_f64().expect("a number") > 1.7e9);
        assert!(body["last_probe_age_seconds"].as_f64().expect("a number") < 60.0);
    }
    let page = || {
        let text = daemon.get("/metrics").text();
        parse(&text, hotspare::metrics::Format::Text)
    };
    wait_for(
        || page().one("hotspare_heartbeats_total", &[]),
        |beats| *beats >= 2.0,
    );
    assert!(!daemon.log().contains("private"), "{}", daemon.log());
}

#[test]
fn what_is_not_taken_is_counted_and_nothing_is_sent_without_reason() {
    let service = Service::answering("500 Internal Server Error");
    let waits = service.waits(Duration::from_secs(1));
    let own = Arc::new(Own::new("1", "a", SystemTime::UNIX_EPOCH).expect("declared right"));
    let goes_on = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&goes_on);
    let heart = Heart {
        service: watch::channel(Some(waits)).1,
        source_region: "eu-west".into(),
        check: Box::new(move || {
            let goes_on = seen.load(Ordering::Relaxed);
            goes_on.then_some(None).ok_or("a lane is stuck".to_owned())
        }),
        own: Arc::clone(&own),
    };
    let running = start(heart);
    wait_for(|| own.heartbeats_withheld_total.get(), |held| *held >= 3);
    assert_eq!(service.got(), []);
    goes_on.store(true, Ordering::Relaxed);
    let failures = || {
        let failures = &own.heartbeat_failures_total;
        failures.with_label_values(&["server"]).get()
    };
    wait_for(failures, |failures| *failures >= 2);
    assert_eq!(own.heartbeats_total.get(), 0);
    let got = service.got();
    assert_eq!(got[0].1["sequence"], 1);
    assert_eq!(got[0].1["last_probe_age_seconds"], Value::Null);
    end(running);
}

#[test]
fn another_service_gets_a_beat_at_once_and_beats_are_counted_on() {
    let (one, other) = (Service::answering("200 OK"), Service::answering("200 OK"));
    // So long that only a change brings the next.
    let hour = Duration::from_hours(1);
    let (service, waits) = watch::channel(None);
    let own = Arc::new(Own::new("1", "a", SystemTime::UNIX_EPOCH).expect("declared right"));
    let running = start(Heart {
        service: waits,
        source_region: "eu-west".into(),
        check: Box::new(|| Ok(None)),
        own: Arc::clone(&own),
    });
    let sequences = |of: &Service, count: usize| -> Vec<Value> {
        let got = wait_for(|| of.got(), |got| got.len() >= count);
        let bodies = got.into_iter().map(|(_, body)| body);
        bodies.map(|body| body["sequence"].clone()).collect()
    };
    service.send_replace(Some(one.waits(hour)));
    assert_eq!(sequences(&one, 1), [1]);
    service.send_replace(Some(other.waits(hour)));
    assert_eq!(sequences(&other, 1), [2]);
    service.send_replace(None);
    service.send_replace(Some(one.waits(hour)));
    assert_eq!(sequences(&one, 2), [1, 3]);
    wait_for(|| own.heartbeats_total.get(), |beats| *beats == 3);
    end(running);
}

/// What ends the beats, and their thread.
type Running = (oneshot::Sender<()>, JoinHandle<()>);

fn start(heart: Heart) -> Running {
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().expect("a runtime");
        runtime.block_on(heart.beat(async { drop(stopped.await) }));
    });
    (stop, thread)
}

fn end((stop, thread): Running) {
    drop(stop);
    let since = tokio::time::Instant::now();
    while !thread.is_finished() {
        assert!(since.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}
