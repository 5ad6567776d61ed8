//! The daemon's own server, over real sockets.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use hotspare::metrics::{Exposition, Format, Own, Store};
use hotspare::model::{
    Beat, Drill, DrillOrder, DrillRefusal, Failover, LastRun, MatrixReport, NoSuch, SamplesReport,
    Span, TargetGroup,
};
use hotspare::rule::{Alerts, Silences};
use hotspare::server::{
    self, Alerting, Configured, Events, History, Judge, Limits, Masked, Readiness, RegionReport,
    Standing, State, TargetReport, Web,
};
use hotspare::store as state;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::page::{FULL, filled, insert, parse, target};

/// Longer than anything here takes; only a hang lasts so long.
pub(crate) const HANG: Duration = Duration::from_mins(1);

/// Limits of time that no test reaches.
pub(crate) fn patient() -> Limits {
    Limits {
        header: HANG * 10,
        request: HANG * 10,
        idle: HANG * 10,
        grace: HANG,
        ..Limits::default()
    }
}

/// Nothing ever happened.
struct Uneventful;

impl Events for Uneventful {
    fn failovers(&self) -> Vec<Failover> {
        Vec::new()
    }

    fn drills(&self) -> Vec<Drill> {
        Vec::new()
    }

    fn order(&self, _: &DrillOrder) -> Result<Drill, DrillRefusal> {
        Err(DrillRefusal::NoGroup)
    }
}

/// Nothing was ever measured.
struct Unseen;

impl History for Unseen {
    fn last(&self, _: &str, _: &str) -> Option<LastRun> {
        None
    }

    fn samples(&self, _: &str, _: &str, _: Span) -> Result<SamplesReport, NoSuch> {
        Err(NoSuch::Probe(Vec::new()))
    }

    fn matrix(&self) -> Arc<MatrixReport> {
        Arc::new(MatrixReport {
            source_region: "eu-west".into(),
            timestamp_seconds: 0.0,
            line_step_seconds: 60,
            probes: Vec::new(),
        })
    }
}

/// The daemons of the example in docs/api.md.
fn daemons() -> Vec<TargetGroup> {
    let group = |address: &str, labels: &[(&'static str, &str)]| TargetGroup {
        targets: [address.to_owned()],
        labels: labels.iter().map(|(k, v)| (*k, (*v).to_owned())).collect(),
    };
    let us_east = [
        ("__meta_hotspare_region", "us-east"),
        ("__scheme__", "https"),
        ("__metrics_path__", "/hotspare/metrics"),
    ];
    vec![
        group("10.1.0.5:9887", &[("__meta_hotspare_region", "eu-west")]),
        group("monitoring.us-east.example.com:443", &us_east),
    ]
}

/// The daemon of the example in docs/api.md.
fn standing() -> Standing {
    Standing {
        start_timestamp_seconds: 1_795_174_800.0,
        unseen: 1,
        faults: vec!["ops has not taken a notification for 61s".to_owned()],
        state_durable: true,
    }
}

/// The configuration of the same.
fn configured() -> Configured {
    let region = |region: &str, daemon: Option<&str>| RegionReport {
        region: region.into(),
        daemon: daemon.map(str::to_owned),
    };
    let target = |probe: &str, region: &str, groups: &[&str]| TargetReport {
        probe: probe.into(),
        kind: "http",
        target: region.into(),
        target_region: region.into(),
        address: format!("https://{region}.example.com/healthz").into(),
        interval_seconds: 10.0,
        timeout_seconds: 3.0,
        labels: [("tier".to_owned(), "gold".to_owned())].into(),
        groups: groups.iter().map(|group| (*group).into()).collect(),
    };
    Configured {
        hash: "5f1c0a9be27d4436".to_owned(),
        regions: vec![
            region("eu-west", Some("10.1.0.5:9887")),
            region("us-east", None),
        ],
        probes: vec!["checkout".into(), "search".into(), "elsewhere".into()],
        groups: vec!["checkout".into()],
        targets: vec![
            target("checkout", "us-east", &["checkout"]),
            target("checkout", "eu-west", &["checkout"]),
            target("search", "us-east", &[]),
        ],
        config: Masked::new(|| Ok(r#"{"region":"eu-west"}"#.to_owned())),
    }
}

/// A server on loopback, stopped and awaited by `stop`.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    /// Where it listens for processes of this host.
    pub(crate) socket: PathBuf,
    _folder: tempfile::TempDir,
    exposition: Arc<Exposition>,
    pub(crate) own: Arc<Own>,
    ready: Arc<AtomicBool>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), String>>,
}

impl Served {
    pub(crate) fn start(limits: Limits) -> Self {
        Self::with(filled().0, limits)
    }

    fn with(store: Store, limits: Limits) -> Self {
        let nothing = Readiness::new(Box::new(Vec::new), Duration::ZERO);
        Self::showing(store, nothing, limits)
    }

    /// A server whose groups are judged so, as often as the daemon's are.
    pub(crate) fn judging(judge: Judge) -> Self {
        let readiness = Readiness::new(judge, Exposition::MAX_AGE);
        Self::showing(filled().0, readiness, patient())
    }

    /// A server that judges its groups anew for whatever needs it.
    pub(crate) fn judging_always(judge: Judge) -> Self {
        let readiness = Readiness::new(judge, Duration::ZERO);
        Self::showing(filled().0, readiness, patient())
    }

    /// A server that answers as a web configuration file asks for.
    pub(crate) fn guarded(web: Web, limits: Limits) -> Self {
        let nothing = Readiness::new(Box::new(Vec::new), Duration::ZERO);
        Self::answering(filled().0, nothing, limits, web)
    }

    fn showing(store: Store, readiness: Readiness, limits: Limits) -> Self {
        Self::answering(store, readiness, limits, Web::default())
    }

    #[expect(clippy::disallowed_methods, reason = "the test is what supervises")]
    #[expect(clippy::too_many_lines, reason = "a line for each part of the state")]
    fn answering(store: Store, readiness: Readiness, limits: Limits, web: Web) -> Self {
        let own = Own::new("1.2.3", "abc", SystemTime::UNIX_EPOCH).expect("declared right");
        let own = Arc::new(own);
        let exposition = Arc::new(Exposition::new(
            Arc::new(store),
            Arc::clone(&own),
            Box::new(|_| ()),
            Duration::from_hours(1),
        ));
        let ready = Arc::new(AtomicBool::new(false));
        let state = State {
            exposition: Arc::clone(&exposition),
            own: Arc::clone(&own),
            version: "1.2.3".into(),
            region: "<eu-west>".into(),
            healthy: Box::new(|| Ok(())),
            ready: {
                let ready = Arc::clone(&ready);
                Box::new(move || {
                    let ready = ready.load(Ordering::Relaxed);
                    ready
                        .then_some(())
                        .ok_or_else(|| "3 targets have not been probed yet".into())
                })
            },
            standing: Box::new(standing),
            configured: watch::channel(Arc::new(configured())).1,
            daemons: watch::channel(Arc::new(daemons())).1,
            reload: mpsc::channel(1).0,
            readiness: readiness.into(),
            events: Box::new(Uneventful),
            vantages: Arc::default(),
            overview: server::Overview {
                objectives: Box::new(Vec::new),
            },
            history: Box::new(Unseen),
            alerting: Alerting {
                alerts: Alerts::kept_in(&state::Store::in_memory()),
                silences: Silences::kept_in(&state::Store::in_memory()),
                receivers: Box::new(Vec::new),
            },
            web: watch::channel(Arc::new(web)).1,
            limits,
            beat: Arc::new(Beat::new(Instant::now().into_std())),
        };
        let any = SocketAddr::from(([0, 0, 0, 0], 0));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let socket = folder.path().join("s");
        let listeners = server::bind(&[any.into(), server::Address::Unix(socket.clone())]);
        let listeners = listeners.expect("bound");
        let Ok(server::Address::Tcp(address)) = listeners[0].address() else {
            panic!("no address: {listeners:?}")
        };
        let port = address.port();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(server::serve(listeners, Arc::new(state), async {
            let _ = stopped.await;
        }));
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            socket,
            _folder: folder,
            exposition,
            own,
            ready,
            stop,
            task,
        }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connected")
    }

    pub(crate) async fn connect_from(&self, from: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("socket");
        socket.bind((IpAddr::from(from), 0).into()).expect("bound");
        socket.connect(self.address).await.expect("connected")
    }

    pub(crate) async fn get(&self, path: &str, headers: &str) -> Answer {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
        ask(&mut self.connect().await, &request).await
    }

    pub(crate) fn rejected(&self, cause: &str) -> u64 {
        let rejected = &self.own.http_connections_rejected_total;
        rejected.with_label_values(&[cause]).get()
    }

    /// Waits until the number of open connections is as said.
    pub(crate) async fn connections(&self, wanted: i64) {
        let reached = async {
            while self.own.http_connections.get() != wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let hung = tokio::time::timeout(HANG, reached).await.is_err();
        assert!(!hung, "{} connections", self.own.http_connections.get());
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).expect("running");
        let ended = tokio::time::timeout(HANG, self.task).await.expect("ends");
        assert_eq!(ended.expect("no panic"), Ok(()));
        assert_eq!(self.own.http_connections.get(), 0);
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Lower case, one line each.
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }
}

/// Sends a request and reads until the server closes.
pub(crate) async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &str,
) -> Answer {
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut bytes = Vec::new();
    tokio::time::timeout(HANG, stream.read_to_end(&mut bytes))
        .await
        .expect("no hang")
        .expect("read");
    let end = bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("a header");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("UTF-8");
    Answer {
        status: head[9..12].parse().expect("a status"),
        head: head.to_lowercase().replace("\r\n", "\n"),
        body: bytes[end + 4..].to_vec(),
    }
}

/// Reads until the end of a connection that says nothing more.
pub(crate) async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(HANG, stream.read_to_end(&mut rest)).await;
    let _reset_or_end = ended.expect("closed by the server");
    assert_eq!(rest, b"", "said something");
}

#[tokio::test]
async fn metrics_are_served_in_both_formats_plain_and_compressed() {
    let served = Served::start(patient());
    for (accept, format) in [
        ("*/*", Format::Text),
        (
            "application/openmetrics-text;version=1.0.0",
            Format::OpenMetrics,
        ),
    ] {
        let plain = served
            .get("/metrics", &format!("accept: {accept}\r\n"))
            .await;
        assert_eq!(plain.status, 200);
        assert_eq!(plain.header("content-type"), Some(format.content_type()));
        assert_eq!(
            plain.header("content-length"),
            Some(&*plain.body.len().to_string())
        );
        assert_eq!(plain.header("content-encoding"), None);
        assert_eq!(plain.header("vary"), Some("accept, accept-encoding"));
        let page = parse(&plain.text(), format);
        assert_eq!(page.find("hotspare_probe_up", &[]), [0.0]);

        let headers = format!("accept: {accept}\r\naccept-encoding: gzip\r\n");
        let packed = served.get("/metrics", &headers).await;
        assert_eq!(packed.header("content-encoding"), Some("gzip"));
        let mut unpacked = String::new();
        flate2::read::GzDecoder::new(&packed.body[..])
            .read_to_string(&mut unpacked)
            .expect("valid gzip");
        parse(&unpacked, format);
    }
    served.stop().await;
}

#[tokio::test]
async fn each_path_answers_what_it_is_for() {
    let served = Served::start(patient());
    let landing = served.get("/", "").await;
    assert_eq!(
        landing.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let page = landing.text();
    assert!(
        page.contains("&lt;eu-west&gt;") && !page.contains("<eu-west>"),
        "{page}"
    );
    assert!(page.contains("1.2.3") && page.contains("1 targets") && page.contains("metrics"));

    let healthy = served.get("/-/healthy", "").await;
    assert_eq!(
        (healthy.status, healthy.text().as_str()),
        (200, "healthy\n")
    );
    let early = served.get("/-/ready", "").await;
    let why = "3 targets have not been probed yet\n";
    assert_eq!((early.status, early.text().as_str()), (503, why));
    served.ready.store(true, Ordering::Relaxed);
    assert_eq!(served.get("/-/ready", "").await.status, 200);
    assert_eq!(served.get("/nothing", "").await.status, 404);
    assert_eq!(served.get("/metrics/", "").await.status, 404);

    for answer in [landing, healthy, early] {
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
    }
    served.stop().await;
}

#[tokio::test]
async fn head_has_the_header_only_and_other_methods_are_refused() {
    let served = Served::start(patient());
    let got = served.get("/metrics", "").await;
    let request = "HEAD /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let head = ask(&mut served.connect().await, request).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in ["content-type", "content-length", "vary"] {
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
    for path in ["/metrics", "/sd", "/-/healthy", "/"] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi"
        );
        let post = ask(&mut served.connect().await, &request).await;
        assert_eq!(post.status, 405, "{path}");
        assert_eq!(post.header("allow"), Some("get,head"));
    }
    served.stop().await;
}

#[tokio::test]
async fn a_header_too_large_is_answered_so() {
    let served = Served::start(patient());
    for headers in [
        format!("x: {}\r\n", "a".repeat(20_000)),
        "x: a\r\n".repeat(100),
    ] {
        let request = format!("GET / HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        let answer = ask(&mut served.connect().await, &request).await;
        assert_eq!(answer.status, 431);
    }
    served.stop().await;
}

#[tokio::test]
async fn half_a_header_and_silence_are_closed() {
    let served = Served::start(Limits {
        header: Duration::from_millis(200),
        ..patient()
    });
    let mut silent = served.connect().await;
    let mut half = served.connect().await;
    half.write_all(b"GET / HTTP/1.1\r\nhos")
        .await
        .expect("sent");
    let mut drip = served.connect().await;
    closed(&mut silent).await;
    closed(&mut half).await;
    // One that sends a little all the time is no better.
    let dripped = async { while drip.write_all(b"a").await.is_ok() {} };
    tokio::time::timeout(HANG, dripped).await.expect("closed");
    served.connections(0).await;
    assert_eq!(served.rejected("header"), 3);
    served.stop().await;
}

#[tokio::test]
async fn a_connection_is_kept_between_requests_but_not_for_half_of_the_next() {
    let header = Duration::from_secs(2);
    let served = Served::start(Limits {
        header,
        ..patient()
    });
    let mut kept = served.connect().await;
    let mut answer = vec![0; 4_096];
    for _ in 0..2 {
        kept.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .expect("sent");
        let read = kept.read(&mut answer).await.expect("answered");
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
        // Longer than a header may take: between requests that is no limit.
        tokio::time::sleep(header.mul_f32(1.2)).await;
    }
    kept.write_all(b"GET /-/heal").await.expect("sent");
    closed(&mut kept).await;
    served.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let served = Served::start(Limits {
        idle: Duration::from_millis(200),
        ..patient()
    });
    let mut kept = served.connect().await;
    kept.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = vec![0; 4_096];
    assert!(kept.read(&mut answer).await.expect("answered") > 0);
    closed(&mut kept).await;
    // It did nothing wrong.
    served.connections(0).await;
    assert_eq!(
        (served.rejected("header"), served.rejected("request")),
        (0, 0)
    );
    served.stop().await;
}

/// A server whose page is far more than the sockets' buffers hold, and the page's length.
pub(crate) async fn long_page(limits: Limits) -> (Served, usize) {
    let store = Store::new();
    for i in 0..2_500 {
        insert(&store, &target("p", "http", &format!("t{i}")), &FULL);
    }
    let served = Served::with(store, limits);
    let page = served.exposition.page(Format::Text, false).await;
    let length = page.expect("made").len();
    assert!(length > 12_000_000, "{length}");
    (served, length)
}

#[tokio::test]
async fn a_reader_too_slow_for_the_answer_is_cut_off() {
    let (served, length) = long_page(Limits {
        request: Duration::from_millis(500),
        ..patient()
    })
    .await;
    let mut slow = served.connect().await;
    slow.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .expect("sent");
    served.connections(1).await;
    served.connections(0).await;
    let mut got = Vec::new();
    let _ = slow.read_to_end(&mut got).await;
    assert!(got.len() < length, "{} of {length}", got.len());
    assert_eq!(served.rejected("request"), 1);
    served.stop().await;
}

#[tokio::test]
async fn an_answer_under_way_is_finished_when_the_server_stops() {
    let (served, length) = long_page(patient()).await;
    let mut reader = served.connect().await;
    reader
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .expect("sent");
    let mut got = vec![0; 1_000];
    reader.read_exact(&mut got).await.expect("begun");
    let ((), ended) = tokio::join!(served.stop(), reader.read_to_end(&mut got));
    ended.expect("read");
    let head = got
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("a header");
    assert_eq!(got.len() - head - 4, length);
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let (served, _) = long_page(patient()).await;
    let mut busy = Vec::new();
    for _ in 0..32 {
        let mut reader = served.connect().await;
        reader
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .expect("sent");
        // It is being served once it is answered.
        reader.read_exact(&mut [0]).await.expect("answered");
        busy.push(reader);
    }
    served.connections(32).await;
    let over = ask(&mut served.connect().await, "").await;
    assert_eq!(
        (over.status, over.text().as_str()),
        (503, "too many connections\n")
    );
    assert_eq!(over.header("content-length"), Some("21"));
    assert_eq!(over.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(served.rejected("address"), 1);
    let request = "GET /-/healthy HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut other = served.connect_from([127, 0, 0, 9]).await;
    assert_eq!(ask(&mut other, request).await.status, 200);
    drop(busy.pop());
    served.connections(31).await;
    assert_eq!(ask(&mut served.connect().await, request).await.status, 200);
    drop(busy);
    served.stop().await;
}

#[tokio::test]
async fn behind_one_address_those_who_ask_nothing_keep_out_nobody() {
    let served = Served::start(patient());
    let mut idle = Vec::new();
    for _ in 0..32 {
        idle.push(served.connect().await);
    }
    served.connections(32).await;
    let request = "GET /-/healthy HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert_eq!(ask(&mut served.connect().await, request).await.status, 200);
    closed(&mut idle[0]).await;
    assert_eq!(
        (served.rejected("evicted"), served.rejected("address")),
        (1, 0)
    );
    served.stop().await;
}

#[tokio::test]
async fn five_hundred_idle_connections_of_many_addresses_do_not_stop_a_scrape() {
    // No deadline makes room: only their having nothing to ask does.
    let served = Served::start(patient());
    let mut idle = Vec::new();
    for i in 0..500u16 {
        let from = [127, 0, 1, u8::try_from(i % 20).expect("below 20") + 1];
        idle.push(served.connect_from(from).await);
    }
    let settled = async {
        while served.rejected("evicted") < 500 - 256 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(HANG, settled).await.expect("settled");
    served.connections(256).await;
    let request = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut good = served.connect_from([127, 0, 2, 1]).await;
    assert_eq!(ask(&mut good, request).await.status, 200);
    drop(idle);
    served.stop().await;
}

#[tokio::test]
async fn a_flood_from_one_address_leaves_room_for_a_scrape_at_once() {
    let served = Served::start(patient());
    let mut idle = Vec::new();
    for _ in 0..500 {
        idle.push(served.connect_from([127, 0, 1, 1]).await);
    }
    let request = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut good = served.connect_from([127, 0, 2, 1]).await;
    assert_eq!(ask(&mut good, request).await.status, 200);
    assert!(served.rejected("evicted") + served.rejected("address") >= 500 - 32);
    drop(idle);
    served.stop().await;
}

#[tokio::test]
async fn two_hundred_scrapes_over_sockets_cost_one_encoding() {
    let served = Served::start(patient());
    let scrapes = (0..200u8).map(|i| {
        let from = [127, 0, 3, i / 20 + 1];
        let served = &served;
        async move {
            let request = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
            ask(&mut served.connect_from(from).await, request).await
        }
    });
    let answers = futures_util::future::join_all(scrapes).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert!(answers.iter().all(|answer| answer.body == answers[0].body));
    assert_eq!(served.own.scrape_duration_seconds.get_sample_count(), 1);
    served.stop().await;
}

#[tokio::test]
async fn stopping_ends_idle_and_stuck_connections_and_frees_the_port() {
    let served = Served::start(Limits {
        grace: Duration::from_millis(100),
        ..patient()
    });
    let address = served.address;
    let mut idle = served.connect().await;
    let mut half = served.connect().await;
    half.write_all(b"GET / HTTP/1.1\r\n").await.expect("sent");
    served.connections(2).await;
    served.stop().await;
    closed(&mut idle).await;
    closed(&mut half).await;
    assert!(TcpStream::connect(address).await.is_err());
    let again = server::bind(&[SocketAddr::from(([0, 0, 0, 0], address.port())).into()]);
    assert!(again.is_ok(), "{again:?}");
}

#[tokio::test]
async fn an_address_that_cannot_be_listened_on_is_named_with_what_to_do() {
    let any = server::Address::from(SocketAddr::from(([127, 0, 0, 1], 0)));
    let bound = server::bind(std::slice::from_ref(&any)).expect("bound");
    let taken = bound[0].address().expect("bound");
    let error = server::bind(&[any, taken.clone()]).expect_err("taken");
    assert!(
        error.starts_with(&format!("cannot listen on {taken}: ")),
        "{error}"
    );
    assert!(error.ends_with("another process listens there: stop it, or choose another address"));
    // Set aside for documentation: no host has it.
    let foreign = SocketAddr::from(([192, 0, 2, 1], 0));
    let error = server::bind(&[foreign.into()]).expect_err("foreign");
    assert!(
        error.contains("no interface of this host has that address"),
        "{error}"
    );
}
