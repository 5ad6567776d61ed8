//! What may change a verdict and what may not: a start, a daemon that stood still, and an app that
//! answers every other time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use super::config;
use crate::daemon::Daemon;
use crate::http::server::{Server, answer_one};
use crate::vantages::{Said, wait_until};

/// Answers of an app that comes and goes, the first ones of which end with three bad ones in a row.
const FLAPS: &[u8] = b"+-+-+-+---++-++-+-++-++-+-++-++-+-++-++-";

/// An app that answers every request well, until it is told to flap once.
struct App {
    server: Server,
    /// How many of [`FLAPS`] were answered.
    flapped: Arc<AtomicUsize>,
}

impl App {
    async fn start() -> Self {
        let flapped = Arc::new(AtomicUsize::new(FLAPS.len()));
        let answers = Arc::clone(&flapped);
        let server = Server::start(move |stream, seen| {
            let place = answers.fetch_add(1, Ordering::Relaxed);
            let status = match FLAPS.get(place) {
                Some(b'-') => 500,
                _ => 200,
            };
            let answer = format!("HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n");
            async move { answer_one(stream, &seen, answer.as_bytes()).await }
        });
        Self {
            server: server.await,
            flapped,
        }
    }

    fn flap(&self) {
        self.flapped.store(0, Ordering::Relaxed);
    }

    fn is_done(&self) -> bool {
        self.flapped.load(Ordering::Relaxed) > FLAPS.len()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_changes_for_what_is_seen_and_not_for_a_start_a_stall_or_a_flap() {
    let (west, south) = (App::start().await, App::start().await);
    let times = "interval: 500ms, timeout: 490ms";
    let mut daemon = Daemon::start(&config(times, &west.server, &south.server, ""));
    start(&daemon);
    stall(&mut daemon);
    flap(&daemon, &south);
}

/// It is unknown, and not not ready, until it was good twice in a row.
fn start(daemon: &Daemon) {
    wait_until(daemon, "what is well", "south", |said| {
        let ready = said.state() == "ready";
        assert!(ready || said.state() == "unknown", "{said}");
        assert_eq!(transitions(said, "fail"), 0.0);
        ready
    });
    let series = daemon.series();
    let south = ["target_region=\"south\""];
    assert!(series.sum("hotspare_probe_attempts_total", &south) >= 2.0);
}

/// A daemon that stood still says nothing for half a minute, and then what it said before.
fn stall(daemon: &mut Daemon) {
    let [_, failures] = changes(daemon);
    daemon.process().signal(Signal::STOP);
    std::thread::sleep(Duration::from_secs(4));
    let since = Instant::now();
    daemon.process().signal(Signal::CONT);
    wait_until(daemon, "a tilt", "south", |said| {
        let unknown = said.state() == "unknown" && said.check("web/healthy") == "unknown tilt";
        assert!(said.is_tilted() || !unknown, "{said}");
        unknown
    });
    let series = daemon.series();
    assert!(series.one("hotspare_tilts_total", &["cause=\"stall\""]) >= 1.0);
    wait_until(daemon, "an end of it", "south", |said| {
        said.state() == "ready"
    });
    assert!(since.elapsed() >= Duration::from_secs(30));
    assert_eq!(changes(daemon)[1], failures, "stale is not bad");
}

/// It fails once, and does not pass before it is calm again. A host that is busy may let it grow
/// stale in between.
fn flap(daemon: &Daemon, app: &App) {
    let [_, failures] = changes(daemon);
    app.flap();
    wait_until(daemon, "what comes and goes", "south", |said| {
        said.check("web/healthy") == "fail flapping"
    });
    wait_until(daemon, "what stays", "south", |said| {
        let state = said.state();
        assert!(app.is_done() || state != "ready", "{said}");
        state == "ready"
    });
    assert_eq!(changes(daemon)[1], failures + 1.0);
}

/// How often the app's check came to pass, and to fail.
fn changes(daemon: &Daemon) -> [f64; 2] {
    let series = daemon.series();
    ["pass", "fail"].map(|to| transitions(&Said::of(&series, "south"), to))
}

fn transitions(said: &Said<'_>, to: &str) -> f64 {
    let to = format!("check=\"healthy\",to=\"{to}\"");
    said.figure_of("hotspare_readiness_check_transitions_total", &to)
}
