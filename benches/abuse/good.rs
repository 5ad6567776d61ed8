//! Who scrapes as Prometheus does, and an operator at the UNIX socket.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use crate::daemon::Daemon;

/// Between two good scrapes, each over a connection of its own.
const PAUSE: Duration = Duration::from_millis(100);
/// When a scraper gives up, as Prometheus does.
const PATIENCE: Duration = Duration::from_secs(10);

const SCRAPE: &str = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                      accept-encoding: gzip\r\n\r\n";
const HEALTHY: &str = "GET /-/healthy HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// How long good scrapes took, in seconds.
#[derive(Default)]
pub(crate) struct Scrapes {
    took: Vec<f64>,
    pub(crate) failed: usize,
    /// The longest that the operator at the socket waited.
    pub(crate) socket_max: f64,
}

impl Scrapes {
    /// Scrapes on this thread, for so long.
    pub(crate) fn collect(daemon: &Daemon, long: Duration) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let mut all = Self::default();
            let begun = Instant::now();
            while begun.elapsed() < long {
                all.ask_once(daemon).await;
                sleep(PAUSE).await;
            }
            all.took.sort_by(f64::total_cmp);
            all
        })
    }

    async fn ask_once(&mut self, daemon: &Daemon) {
        let asked = Instant::now();
        let answered = timeout(PATIENCE, async {
            // A host of its own, that no attack comes from.
            let stream = daemon.connect([127, 0, 0, 9]).await?;
            ask(stream, SCRAPE).await
        });
        self.failed += usize::from(!matches!(answered.await, Ok(Ok(true))));
        self.took.push(asked.elapsed().as_secs_f64());
        let asked = Instant::now();
        let answered = timeout(PATIENCE, async {
            let stream = UnixStream::connect(&daemon.socket).await?;
            ask(stream, HEALTHY).await
        });
        self.failed += usize::from(!matches!(answered.await, Ok(Ok(true))));
        self.socket_max = self.socket_max.max(asked.elapsed().as_secs_f64());
    }

    pub(crate) fn count(&self) -> usize {
        self.took.len()
    }

    /// Of the latencies, in seconds: so many of 100 are no longer.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let place = (self.took.len() * percent).div_ceil(100).max(1) - 1;
        self.took.get(place).copied().unwrap_or(f64::INFINITY)
    }
}

/// Whether a request was answered well, and whole.
async fn ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
) -> std::io::Result<bool> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(end) = end else { return Ok(false) };
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let length = format!("content-length: {}", answer.len() - end - 4);
    Ok(head.starts_with("http/1.1 200 ") && head.lines().any(|line| line == length))
}
