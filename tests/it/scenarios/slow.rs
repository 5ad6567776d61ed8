//! A standby that became slow: it is worth less and could still take over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::config;
use crate::daemon::Daemon;
use crate::http::server::{Server, answer_one};
use crate::vantages::wait_until;

/// An app that takes so many milliseconds for an answer.
async fn app(millis: &Arc<AtomicU64>) -> Server {
    let millis = Arc::clone(millis);
    Server::start(move |stream, seen| {
        let wait = Duration::from_millis(millis.load(Ordering::Relaxed));
        async move {
            tokio::time::sleep(wait).await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            answer_one(stream, &seen, answer).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_standby_is_worth_less_and_stays_ready() {
    let (west, south) = (Arc::default(), Arc::default());
    let (primary, standby) = (app(&west).await, app(&south).await);
    let daemon = Daemon::start(&config(
        "interval: 1s, timeout: 900ms",
        &primary,
        &standby,
        "{ probe: web, check: latency, quantile: 0.5, over: 25s, above: 250ms }",
    ));
    wait_until(&daemon, "enough quick runs", "south", |said| {
        said.check("web/latency") == "pass" && said.state() == "ready"
    });
    let score = |said: &crate::vantages::Said<'_>| {
        said.figure_of("hotspare_readiness_score_ratio", "standby=\"south\"")
    };
    wait_until(&daemon, "a full score", "south", |said| score(said) == 1.0);
    south.store(400, Ordering::Relaxed);
    wait_until(&daemon, "slow runs", "south", |said| {
        assert_eq!(said.state(), "ready", "{said}");
        said.check("web/latency") == "fail threshold" && score(said) == 0.0
    });
}
