//! The daemon's own server under abuse: what is refused and counted, and who is answered all the same.
//! `scripts/soak abuse` measures it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hotspare::server::{Limits, Web};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::daemon::{Daemon, Series};
use crate::process::wait_for;
use crate::server::{HANG, Served, ask, closed, long_page, patient};
use crate::web::{Folder, TLS, basic, certificates, refused};

const SCRAPE: &str = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
const HEALTHY: &str = "GET /-/healthy HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// No attack comes from here.
const GOOD: [u8; 4] = [127, 0, 2, 1];

#[tokio::test]
async fn what_is_no_request_is_answered_with_the_headers_of_all_and_counted() {
    let folder = Folder::new();
    let web = folder.web("http_server_config: {headers: {X-Frame-Options: deny}}\n");
    let served = Served::guarded(web, patient());
    let long_line = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(70_000));
    let large = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "a".repeat(20_000)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nhost: x\r\n{}\r\n",
        "x: a\r\n".repeat(100)
    );
    let order = "POST /api/v1/silences HTTP/1.1\r\nhost: x\r\nx-hotspare-order: 1\r\n\
                 content-type: application/json\r\nconnection: close\r\n";
    let body = format!("{order}content-length: 5000\r\n\r\n{}", "a".repeat(5_000));
    for (request, status, cause) in [
        ("GET /metrics\r\n\r\n", 400, "malformed"),
        ("\u{16}\u{3}\u{1}\u{2}\r\n\r\n", 400, "malformed"),
        ("GET / HTTP/1.1\r\nhost : x\r\n\r\n", 400, "malformed"),
        ("GET / HTTP/1.1\r\nx: \0\r\n\r\n", 400, "malformed"),
        (
            "GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            400,
            "malformed",
        ),
        (
            "GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
            400,
            "malformed",
        ),
        (
            "GET / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n",
            400,
            "malformed",
        ),
        (&large, 431, "large"),
        (&many, 431, "large"),
        (&long_line, 431, "large"),
        (&body, 413, "large"),
    ] {
        let before = refused(&served, cause);
        let shown = &request[..request.len().min(60)];
        let answer = ask(&mut served.connect().await, request).await;
        assert_eq!(answer.status, status, "{shown}");
        assert_eq!(answer.header("x-frame-options"), Some("deny"), "{shown}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let length = answer.body.len().to_string();
        assert_eq!(answer.header("content-length"), Some(&*length), "{shown}");
        served.connections(0).await;
        assert_eq!(refused(&served, cause), before + 1, "{shown}");
    }
    // HTTP/2 without TLS: whoever speaks it would not read an answer of HTTP/1.
    let before = refused(&served, "malformed");
    let mut second = served.connect().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    second.write_all(preface).await.expect("sent");
    closed(&mut second).await;
    served.connections(0).await;
    assert_eq!(refused(&served, "malformed"), before + 1);
    served.stop().await;
}

#[tokio::test]
async fn what_follows_an_answer_and_is_no_request_is_answered_too() {
    let served = Served::start(patient());
    let mut kept = served.connect().await;
    let request = "GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n";
    kept.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 4_096];
    let read = kept.read(&mut answer).await.expect("answered");
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
    let answer = ask(&mut kept, "GARBAGE\r\n\r\n").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.text(), "this is no request of HTTP/1\n");
    // Both at once, in whatever parts it goes out: an answer to each.
    let both = ask(
        &mut served.connect().await,
        &format!("{request}GARBAGE\r\n\r\n"),
    )
    .await;
    let (status, rest) = (both.status, both.text());
    assert_eq!(
        (status, rest.matches("HTTP/1.1 400").count()),
        (200, 1),
        "{rest}"
    );
    served.stop().await;
}

#[tokio::test]
async fn no_request_can_be_hidden_in_another() {
    let served = Served::start(patient());
    let hidden = "GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n";
    let length = hidden.len();
    // In chunks, whatever else is said of the length: refused, and nothing more is read.
    for lengths in [
        "transfer-encoding: chunked\r\n".to_owned(),
        "content-length: 4\r\ntransfer-encoding: chunked\r\n".to_owned(),
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n".to_owned(),
    ] {
        let before = refused(&served, "malformed");
        let request = format!("GET / HTTP/1.1\r\nhost: x\r\n{lengths}\r\n0\r\n\r\n{hidden}");
        let answer = ask(&mut served.connect().await, &request).await;
        assert_eq!(answer.status, 411, "{lengths}");
        assert_eq!(answer.header("connection"), Some("close"), "{lengths}");
        assert_eq!(answer.text().matches("HTTP/1.1").count(), 0, "{lengths}");
        assert_eq!(refused(&served, "malformed"), before + 1, "{lengths}");
    }
    // A body where none belongs is no request.
    let request = format!(
        "GET /-/healthy HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{hidden}"
    );
    let answer = ask(&mut served.connect().await, &request).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "healthy\n"));
    served.stop().await;
}

/// Connections from so many addresses, so many of each, that ask for a long page and read nothing.
async fn deaf(served: &Served, addresses: u16, of_each: usize) -> Vec<TcpStream> {
    let mut all = Vec::new();
    for n in 0..addresses {
        let [high, low] = n.to_be_bytes();
        for _ in 0..of_each {
            let mut stream = served.connect_from([127, 3, high, low]).await;
            stream.write_all(SCRAPE.as_bytes()).await.expect("sent");
            // It is being served once it is answered.
            stream.read_exact(&mut [0]).await.expect("answered");
            all.push(stream);
        }
    }
    all
}

#[tokio::test]
async fn a_mob_of_readers_that_read_nothing_makes_room_for_one_scrape() {
    let (served, _) = long_page(patient()).await;
    let mob = deaf(&served, 8, 32).await;
    served.connections(256).await;
    for _ in 0..3 {
        let mut good = served.connect_from(GOOD).await;
        assert_eq!(ask(&mut good, HEALTHY).await.status, 200);
    }
    assert!((1..=3).contains(&served.rejected("evicted")));
    drop(mob);
    served.connections(0).await;
    served.stop().await;
}

#[tokio::test]
async fn where_all_places_of_hosts_are_taken_an_operator_gets_in_by_the_socket() {
    let (served, _) = long_page(patient()).await;
    // One of each address: none has more than its share.
    let mob = deaf(&served, 256, 1).await;
    let full = ask(&mut served.connect_from(GOOD).await, "").await;
    assert_eq!((full.status, served.rejected("connections")), (503, 1));
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(
            UnixStream::connect(&served.socket)
                .await
                .expect("connected"),
        );
    }
    let mut operator = UnixStream::connect(&served.socket)
        .await
        .expect("connected");
    assert_eq!(ask(&mut operator, HEALTHY).await.status, 200);
    assert_eq!(served.rejected("evicted"), 40 + 1 - 32);
    drop((mob, held));
    served.stop().await;
}

#[tokio::test]
async fn the_rate_limit_of_hosts_is_none_for_the_socket() {
    let folder = Folder::new();
    let web = folder.web("rate_limit: {interval: 1h, burst: 1}\n");
    let served = Served::guarded(web, patient());
    assert_eq!(served.get("/-/healthy", "").await.status, 200);
    assert_eq!(served.get("/-/healthy", "").await.status, 429);
    for _ in 0..3 {
        let mut operator = UnixStream::connect(&served.socket)
            .await
            .expect("connected");
        assert_eq!(ask(&mut operator, HEALTHY).await.status, 200);
    }
    served.stop().await;
}

#[tokio::test]
async fn a_thousand_scrapes_at_once_are_answered_or_refused_and_leave_nothing() {
    let served = Served::start(patient());
    let mut mob = JoinSet::new();
    for n in 0..1_000u16 {
        let (to, from) = (
            served.address,
            [127, 0, 3, u8::try_from(n / 25).expect("40") + 1],
        );
        mob.spawn(async move {
            let mut stream = connect(to, from).await?;
            stream.write_all(SCRAPE.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            std::io::Result::Ok(answer)
        });
    }
    // Who asks over one connection is answered, whatever becomes of the others.
    for _ in 0..10 {
        let mut good = served.connect_from(GOOD).await;
        assert_eq!(ask(&mut good, SCRAPE).await.status, 200);
    }
    let ended = timeout(HANG, mob.join_all()).await.expect("no hang");
    let good = |answer: &&Vec<u8>| answer.starts_with(b"HTTP/1.1 200 ");
    let answered = ended.iter().flatten().filter(good).count();
    // A refusal may be lost on its way, since the request that came with it was not read.
    let refused: u64 = ["connections", "address", "evicted"]
        .map(|cause| served.rejected(cause))
        .iter()
        .sum();
    assert!(answered >= 256, "{answered}");
    assert!(answered as u64 + refused >= 1_000, "{answered} {refused}");
    served.connections(0).await;
    served.stop().await;
}

#[tokio::test]
async fn guesses_at_a_dear_password_hold_up_no_scrape() {
    let folder = Folder::new();
    // A second of work for each guess, and the one good comparison before.
    let hash = bcrypt::hash("hunter2", 14).expect("hashed");
    let web: Web = folder.web(&format!("basic_auth_users:\n  alice: {hash}\n"));
    let served = Served::guarded(web, patient());
    let scrape = SCRAPE.replace(
        "host: x\r\n",
        &format!("host: x\r\n{}", basic("alice:hunter2")),
    );
    let good = async || {
        let mut stream = served.connect_from(GOOD).await;
        ask(&mut stream, &scrape).await.status
    };
    assert_eq!(good().await, 200);
    let mut guesses = Vec::new();
    let guess = SCRAPE.replace(
        "host: x\r\n",
        &format!("host: x\r\n{}", basic("alice:guess")),
    );
    for n in 0..40u8 {
        let mut stream = served.connect_from([127, 0, 4, n + 1]).await;
        stream.write_all(guess.as_bytes()).await.expect("sent");
        guesses.push(stream);
    }
    // Sixteen may wait; the others are told at once.
    wait_until(|| refused(&served, "attempts") == 40 - 16).await;
    for _ in 0..20 {
        assert_eq!(good().await, 200);
    }
    let compared = refused(&served, "wrong");
    assert!(compared < 16, "they waited for all guesses: {compared}");
    drop(guesses);
    served.connections(0).await;
    served.stop().await;
}

async fn wait_until(reached: impl Fn() -> bool) {
    let wait = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(HANG, wait).await.expect("it comes");
}

async fn connect(to: SocketAddr, from: [u8; 4]) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::from(from), 0).into())?;
    socket.connect(to).await
}

/// What a client of TLS says first.
fn hello(authority: &str) -> Vec<u8> {
    let mut trusted = rustls::RootCertStore::empty();
    let pem = std::fs::read(authority).expect("there");
    let certificate = rustls::pki_types::CertificateDer::from_pem_slice(&pem);
    trusted
        .add(certificate.expect("PEM"))
        .expect("a certificate");
    let config = rustls::ClientConfig::builder().with_root_certificates(trusted);
    let name = ServerName::try_from("localhost").expect("a name");
    let client = rustls::ClientConnection::new(Arc::new(config.with_no_client_auth()), name);
    let mut bytes = Vec::new();
    let mut client = client.expect("a client");
    client.write_tls(&mut bytes).expect("written");
    bytes
}

/// So many handshakes from each of eight addresses; of how many the server has done its part.
async fn shake(to: SocketAddr, hello: &[u8], of_each: usize) -> u32 {
    let mut all = JoinSet::new();
    for n in 1..=8 {
        let hello = hello.to_owned();
        all.spawn(async move {
            let mut answered = 0;
            for _ in 0..of_each {
                let mut stream = connect(to, [127, 0, 5, n]).await.expect("connected");
                // Where there is no place for it, it may be closed at any time.
                let _ = stream.write_all(&hello).await;
                answered += u32::from(stream.read_exact(&mut [0]).await.is_ok());
            }
            answered
        });
    }
    let answered = timeout(HANG, all.join_all()).await.expect("no hang");
    answered.iter().sum()
}

/// A daemon with one target, that asks for TLS of hosts and for none over its socket.
fn daemon_with_tls(folder: &Folder) -> Daemon {
    let config = "region: here\nregions: [{ name: here }]\ndefaults: { interval: 1s, timeout: 500ms }\n\
                  probes: [{ name: p, check: { tcp: {} }, targets: { here: \"127.0.0.1:9\" } }]\n";
    folder.write("web.yml", TLS);
    let file = folder.path("web.yml");
    let socket = format!("--web.listen-address=unix:{}", folder.path("s"));
    Daemon::start_with(config, |_| {}, &["--web.config.file", &file, &socket])
}

async fn series(folder: &Folder) -> Series {
    let mut stream = UnixStream::connect(folder.path("s"))
        .await
        .expect("connected");
    Series::parse(&ask(&mut stream, SCRAPE).await.text())
}

/// What a thread of a process has used of processors so far, in ticks.
fn ticks(process: u32, thread: &str) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let stats = tasks.flatten().filter_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        let (name, rest) = stat.split_once(") ")?;
        let (_, name) = name.split_once(" (")?;
        let used = rest.split(' ').skip(11).take(2);
        (name == thread).then(|| used.map(|n| n.parse::<u64>().expect("a number")).sum())
    });
    let all: Vec<u64> = stats.collect();
    assert_eq!(all.len(), 1, "{thread}: {all:?}");
    all[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_handshakes_is_not_the_work_of_the_thread_that_evaluates() {
    let folder = Folder::new();
    certificates(std::path::Path::new(&folder.path("")));
    let mut daemon = daemon_with_tls(&folder);
    let (address, process) = (daemon.address, daemon.process().id());
    let hello = hello(&folder.path("ca.pem"));
    let attempts = |series: &Series| series.sum("hotspare_probe_attempts_total", &[]);
    let before = attempts(&series(&folder).await);
    let used = || ["hotspare", "server"].map(|thread| ticks(process, thread));
    let idle = used();
    // Until it is work that can be seen.
    let mut shaken = 0;
    let [main, server] = loop {
        shaken += shake(address, &hello, 100).await;
        let now = used();
        if now[1] >= idle[1] + 50 {
            break [now[0] - idle[0], now[1] - idle[1]];
        }
    };
    assert!(main < server / 2, "{main} of {}", main + server);
    let cause = ["cause=\"closed\""];
    let family = "hotspare_http_tls_handshake_failures_total";
    let left = wait_until_series(&folder, |s| s.one(family, &cause) >= f64::from(shaken));
    left.await;
    wait_until_series(&folder, |s| attempts(s) >= before + 2.0).await;
}

async fn wait_until_series(folder: &Folder, wanted: impl Fn(&Series) -> bool) {
    let wait = async {
        while !wanted(&series(folder).await) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(HANG, wait).await.expect("it comes");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_floods_descriptors_and_memory_are_as_before_and_probes_went_on() {
    let folder = Folder::new();
    certificates(std::path::Path::new(&folder.path("")));
    let mut daemon = daemon_with_tls(&folder);
    let (to, hello) = (daemon.address, hello(&folder.path("ca.pem")));
    let flood = async || {
        // More than there are places for, silent, with a part of a hello, and with handshakes.
        let mut held = Vec::new();
        for n in 0..1_200_u16 {
            let from = [127, 0, 6, u8::try_from(n % 60).expect("below 60") + 1];
            let mut stream = connect(to, from).await.expect("connected");
            if n % 2 == 0 {
                // It may have been closed by now.
                let _ = stream.write_all(&hello[..40]).await;
            }
            held.push(stream);
        }
        shake(to, &hello, 25).await;
        drop(held);
    };
    let family = "hotspare_http_connections";
    let settled = async || wait_until_series(&folder, |s| s.one(family, &[]) < 1.5).await;
    flood().await;
    settled().await;
    let process = &*daemon.process();
    let quiet = process.descriptors();
    let resident = process.status("VmRSS");
    for _ in 0..3 {
        flood().await;
    }
    settled().await;
    let after = wait_for(|| process.descriptors(), |open| *open <= quiet + 8);
    let grown = process.status("VmRSS").saturating_sub(resident);
    assert!(grown < 8 * 1024, "{grown} kB, {after} descriptors");
    let series = series(&folder).await;
    // A run ends by its deadline, half of its interval: the next one finds its place free.
    let missed = "hotspare_schedule_missed_slots_total";
    assert!(series.one(missed, &["cause=\"busy\""]) < 0.5);
    assert!(series.one(missed, &["cause=\"full\""]) < 0.5);
    assert!(series.sum("hotspare_probe_attempts_total", &[]) >= 1.0);
    assert!(
        series.one(
            "hotspare_http_connections_rejected_total",
            &["cause=\"evicted\""]
        ) >= 800.0
    );
}

#[tokio::test]
async fn a_silent_client_of_tls_costs_its_place_for_no_longer_than_a_handshake_may_take() {
    let folder = Folder::new();
    let limits = Limits {
        header: Duration::from_millis(300),
        ..patient()
    };
    let served = Served::guarded(folder.web(TLS), limits);
    let hello = hello(&folder.path("ca.pem"));
    let mut silent = served.connect().await;
    let mut part = served.connect().await;
    part.write_all(&hello[..hello.len() / 2])
        .await
        .expect("sent");
    let mut drip = served.connect().await;
    closed(&mut silent).await;
    closed(&mut part).await;
    let dripped = async {
        for byte in hello.iter().cycle() {
            if drip.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(HANG, dripped).await.expect("closed");
    served.connections(0).await;
    let failed = &served.own.http_tls_handshake_failures_total;
    assert_eq!(failed.with_label_values(&["timeout"]).get(), 3);
    served.stop().await;
}
