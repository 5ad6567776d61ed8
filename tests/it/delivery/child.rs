//! A process of its own that fires alerts, ends them and tells a receiver: this test binary once
//! more, with one test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hotspare::deliver::{Audience, Deliver, Receiver, Settings};
use hotspare::metrics::Own;
use hotspare::model::{Alert, AlertState, Digest, Labels};
use hotspare::notify::{Attempt, Notification, Notifier, Refusal, RefusalReason};
use hotspare::rule::Alerts;
use hotspare::store::Store;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const FOLDER: &str = "DELIVERY_CHILD_FOLDER";
const JOB: &str = "DELIVERY_CHILD_JOB";
const ADDRESS: &str = "DELIVERY_CHILD_ADDRESS";
const SEED: &str = "DELIVERY_CHILD_SEED";

/// Alerts that take turns, in groups of two.
const ALERTS: usize = 6;

/// The command that does a job with the state in a folder, under a program of the test's own, if any.
pub(super) fn command(
    job: &str,
    folder: &Path,
    address: SocketAddr,
    seed: u64,
    under: &[&str],
) -> Command {
    let own = std::env::current_exe().expect("a path");
    let mut command = match under {
        [] => Command::new(own),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(own);
            command
        }
    };
    command
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "delivery::child::the_job",
        ])
        .env(FOLDER, folder)
        .env(JOB, job)
        .env(ADDRESS, address.to_string())
        .env(SEED, seed.to_string());
    command
}

/// What a child says.
pub(super) struct Output(Lines<BufReader<ChildStdout>>);

pub(super) fn start(mut command: Command) -> (Child, Output) {
    let started = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = started.unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    let stdout = child.stdout.take().expect("piped");
    (child, Output(BufReader::new(stdout).lines()))
}

impl Output {
    /// The next state of an alert that it tells.
    pub(super) fn next(&mut self) -> Option<String> {
        let mut lines = self.0.by_ref().map_while(Result::ok);
        lines.find_map(|line| line.strip_prefix("book: ").map(ToOwned::to_owned))
    }

    /// What its book says, by alert: when it began to fire, and whether it is over.
    pub(super) fn states(&mut self) -> BTreeMap<String, (f64, bool)> {
        let mut states = BTreeMap::new();
        while let Some(line) = self.next().filter(|line| line != "all") {
            let (alert, state) = serde_json::from_str(&line).expect("JSON");
            states.insert(alert, state);
        }
        states
    }
}

#[test]
#[ignore = "not a test: other tests start it, as a process of its own"]
fn the_job() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let variable = |name| std::env::var(name).expect("set");
    let address = variable(ADDRESS).parse().expect("an address");
    let mut random = fastrand::Rng::with_seed(variable(SEED).parse().expect("a number"));
    let (store, writer) = Store::open(Path::new(&folder)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(store.counters().corruptions, 0);
    let writer = std::thread::spawn(move || writer.run());
    let book = Alerts::kept_in(&store);
    let deliver = deliver(&book, &store, address);
    say(&book);
    let job = async {
        match variable(JOB).as_str() {
            "change for ever" => change(&book, usize::MAX, &mut random).await,
            "change some" => change(&book, 60, &mut random).await,
            "deliver" => std::future::pending().await,
            job => panic!("no such job: {job}"),
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(deliver.run(job));
    store.close();
    writer.join().expect("no panic");
}

fn deliver(book: &Alerts, store: &Store, address: SocketAddr) -> Deliver {
    let settings = Settings {
        group_wait: Duration::from_millis(5),
        group_interval: Duration::from_millis(5),
        ..Settings::new("here".into())
    };
    let receiver = Receiver {
        name: "ops".into(),
        same: Digest::default(),
        notifier: Arc::new(Post(address)),
    };
    let own = Own::new("0", "0", SystemTime::now()).expect("metrics");
    let audience = Audience {
        receivers: vec![receiver],
        settings,
    };
    Deliver::new(book, store, audience, &own)
}

fn say(book: &Alerts) {
    let mut out = std::io::stdout();
    for (fingerprint, alert) in book.to_tell() {
        let state = (
            alert.start_timestamp_seconds,
            alert.state == AlertState::Resolved,
        );
        let line = json!([fingerprint, state]);
        writeln!(out, "\nbook: {line}").expect("somebody listens");
    }
    writeln!(out, "\nbook: all").expect("somebody listens");
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    (since.expect("after 1970").as_secs_f64() * 1e3).round() / 1e3
}

/// Fires alerts and ends them.
async fn change(book: &Alerts, times: usize, random: &mut fastrand::Rng) {
    for _ in 0..times {
        let mut alert = alert(random.usize(..ALERTS));
        let before = book.get(alert.fingerprint());
        match before.as_ref().map(|before| before.state) {
            Some(AlertState::Firing) => {
                alert.state = AlertState::Resolved;
                alert.start_timestamp_seconds = before.and_then(|b| b.start_timestamp_seconds);
                alert.end_timestamp_seconds = Some(now());
                book.put(alert);
            }
            Some(AlertState::Pending) if random.bool() => book.strike(alert.fingerprint()),
            Some(AlertState::Resolved) if random.bool() => book.put(alert),
            // Strictly later than the episode before.
            _ => {
                tokio::time::sleep(Duration::from_millis(2)).await;
                alert.state = AlertState::Firing;
                alert.start_timestamp_seconds = Some(now());
                alert.value = Some(random.f64());
                book.put(alert);
            }
        }
        tokio::time::sleep(Duration::from_micros(random.u64(..40_000))).await;
    }
}

fn alert(n: usize) -> Alert {
    let labels = [
        ("alertname", "A".to_owned()),
        ("group", (n / 2).to_string()),
        ("n", n.to_string()),
    ];
    let labels: Labels = labels.map(|(k, v)| (k.into(), v.into())).into();
    Alert {
        rule: "A".into(),
        labels,
        annotations: BTreeMap::new(),
        state: AlertState::Pending,
        active_timestamp_seconds: now(),
        start_timestamp_seconds: None,
        end_timestamp_seconds: None,
        value: None,
        threshold: None,
        shared: false,
        receivers: None,
        muted: None,
    }
}

/// Posts a notification as JSON.
struct Post(SocketAddr);

impl Post {
    async fn post(&self, told: &Notification) -> std::io::Result<bool> {
        let body = json!({
            "id": told.id,
            "group": told.group_key(),
            "alerts": told.alerts,
            "firing": told.firing,
            "timestamp": told.timestamp_seconds,
        });
        let body = body.to_string();
        let request = format!(
            "POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = tokio::net::TcpStream::connect(self.0).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer.starts_with("HTTP/1.1 200 "))
    }
}

impl Notifier for Post {
    fn notify<'a>(&'a self, notification: &'a Notification) -> Attempt<'a> {
        Box::pin(async move {
            let reason = match self.post(notification).await {
                Ok(true) => return Ok(()),
                Ok(false) => RefusalReason::Server,
                Err(_) => RefusalReason::Protocol,
            };
            Err(Refusal {
                reason,
                detail: String::new(),
                retry_after: None,
            })
        })
    }
}
