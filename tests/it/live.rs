//! The events that pages follow, over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hotspare::model::ReadyState;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::api::{group, standby};
use crate::server::{HANG, Served};

/// Viewers at once, and those of one address, as docs/status-page.md has it.
const PLACES: u8 = 64;
const OF_ONE: u8 = 16;

/// One who listens.
struct Viewer {
    stream: TcpStream,
    heard: String,
}

impl Viewer {
    async fn of(mut stream: TcpStream) -> Self {
        let request = "GET /api/v1/live HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(request.as_bytes()).await.expect("sent");
        let heard = String::new();
        Self { stream, heard }
    }

    /// Reads until it has heard so much of something.
    async fn hear(&mut self, what: &str, times: usize) {
        let heard = async {
            let mut bytes = [0; 4096];
            while self.heard.matches(what).count() < times {
                let read = self.stream.read(&mut bytes).await.expect("readable");
                assert!(read > 0, "it ended: {}", self.heard);
                self.heard += std::str::from_utf8(&bytes[..read]).expect("text");
            }
        };
        tokio::time::timeout(HANG, heard).await.expect(what);
    }

    /// Reads to the end, which has to be a good one.
    async fn hear_out(mut self) {
        let mut rest = String::new();
        let read = self.stream.read_to_string(&mut rest);
        tokio::time::timeout(HANG, read)
            .await
            .expect("ends")
            .expect("readable");
        assert!(rest.ends_with("0\r\n\r\n"), "cut short: {rest:?}");
    }
}

/// A server with a standby that is ready once that is so.
fn served(is_ready: &Arc<AtomicBool>) -> Served {
    let is_ready = Arc::clone(is_ready);
    Served::judging(Box::new(move || {
        let state = if is_ready.load(Ordering::Relaxed) {
            ReadyState::Ready
        } else {
            ReadyState::Unknown
        };
        vec![group(
            "shop",
            "here",
            vec![standby("there", state, Vec::new())],
        )]
    }))
}

#[tokio::test]
async fn a_page_is_told_of_a_change_and_otherwise_that_nothing_has_changed() {
    let is_ready = Arc::default();
    let served = served(&is_ready);
    let mut viewer = Viewer::of(served.connect().await).await;
    viewer.hear("event: change\n", 1).await;
    assert!(viewer.heard.contains("content-type: text/event-stream"));
    viewer.hear("event: beat\n", 1).await;
    assert_eq!(
        viewer.heard.matches("event: change\n").count(),
        1,
        "{}",
        viewer.heard
    );
    is_ready.store(true, Ordering::Relaxed);
    viewer.hear("event: change\n", 2).await;
    assert_eq!(served.own.http_live_viewers.get(), 1);
    let fragment = served.get("/?fragment", "").await.text();
    assert!(fragment.contains("The standby can take over") && !fragment.contains("<html"));
    // The end of the server is a good end of what it was saying.
    tokio::join!(viewer.hear_out(), served.stop());
}

#[tokio::test]
async fn there_are_so_many_places_and_one_who_leaves_makes_room() {
    let served = served(&Arc::default());
    let mut viewers = Vec::new();
    for place in 0..PLACES {
        let from = [127, 0, 5, 1 + place / OF_ONE];
        let mut viewer = Viewer::of(served.connect_from(from).await).await;
        viewer.hear("event: change\n", 1).await;
        viewers.push(viewer);
    }
    assert_eq!(served.own.http_live_viewers.get(), i64::from(PLACES));
    let refused = served.get("/api/v1/live", "").await;
    assert_eq!(refused.status, 429);
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(served.get("/", "").await.status, 200);
    viewers.pop();
    let left = async {
        while served.own.http_live_viewers.get() == i64::from(PLACES) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(HANG, left).await.expect("a place");
    let mut next = Viewer::of(served.connect().await).await;
    next.hear("event: change\n", 1).await;
    drop((viewers, next));
    served.stop().await;
}

#[tokio::test]
async fn those_who_listen_behind_one_address_leave_room_there_for_who_asks() {
    let served = served(&Arc::default());
    let mut viewers = Vec::new();
    for _ in 0..OF_ONE {
        let mut viewer = Viewer::of(served.connect().await).await;
        viewer.hear("event: change\n", 1).await;
        viewers.push(viewer);
    }
    assert_eq!(served.get("/api/v1/live", "").await.status, 429);
    let mut elsewhere = Viewer::of(served.connect_from([127, 0, 5, 1]).await).await;
    elsewhere.hear("event: change\n", 1).await;
    // The others of the address are not kept out by those who listen.
    let others = (0..OF_ONE).map(|_| served.get("/?fragment", ""));
    for answer in futures_util::future::join_all(others).await {
        assert_eq!(answer.status, 200);
    }
    drop((viewers, elsewhere));
    served.stop().await;
}

#[tokio::test]
async fn pages_of_probes_that_nobody_has_are_one_page() {
    const ASKED: usize = 20;
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let served = Served::judging_always(Box::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
        Vec::new()
    }));
    for n in 0..ASKED {
        let page = served.get(&format!("/?probe=nobody-{n}"), "").await;
        assert_eq!(page.status, 200);
    }
    // A second later there is another one.
    let made = made.load(Ordering::Relaxed);
    assert!((1..ASKED).contains(&made), "{made}");
    served.stop().await;
}
