//! Web servers for the daemons to ask: one in each region, and the address that users know.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::regions::{Jitter, Region};

/// How long a client may take to ask.
const PATIENCE: Duration = Duration::from_secs(5);
/// What an answer takes at least.
const WORK: Duration = Duration::from_millis(3);

/// What a server answers, whatever it is asked, and how long it takes.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: String,
    pub(super) after: Duration,
}

/// Makes the answers of a server.
pub(super) type Answers = Arc<dyn Fn() -> Answer + Send + Sync>;

/// Serves on a free port of 127.0.0.1 for as long as the tasks live.
pub(super) async fn serve(tasks: &mut JoinSet<()>, answers: Answers) -> Result<SocketAddr, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.map_err(|e| format!("cannot listen on 127.0.0.1: {e}"))?;
    let address = listener.local_addr();
    tasks.spawn(take(listener, answers));
    address.map_err(|e| format!("cannot listen on 127.0.0.1: {e}"))
}

async fn take(listener: TcpListener, answers: Answers) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(answer(stream, Arc::clone(&answers)));
                }
                // No file descriptor, as a rule: those that are open end some time.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
        }
    }
}

/// Answers on one connection, to its end. What goes wrong is the client's to tell.
async fn answer(stream: TcpStream, answers: Answers) {
    let service = service_fn(|_| {
        let answer = answers();
        async move {
            sleep(answer.after).await;
            Ok::<_, Infallible>(response(answer))
        }
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(answer.body));
    *response.status_mut() = answer.status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// The service in a region.
pub(super) struct App {
    pub(super) address: SocketAddr,
    mood: Arc<Mood>,
}

/// What a script does to it.
#[derive(Default)]
struct Mood {
    slower_by_millis: AtomicU64,
    fails: AtomicBool,
}

impl App {
    pub(super) async fn open(
        tasks: &mut JoinSet<()>,
        region: Region,
        seed: u64,
    ) -> Result<Self, String> {
        let mood = Arc::new(Mood::default());
        let jitter = Mutex::new(Jitter::of(seed));
        let kept = Arc::clone(&mood);
        let answers = Arc::new(move || kept.answer(region, &jitter));
        let address = serve(tasks, answers).await?;
        Ok(Self { address, mood })
    }

    /// Takes that much longer for each answer.
    pub(super) fn slow(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.mood.slower_by_millis.store(millis, Ordering::Relaxed);
    }

    /// Fails, or works again.
    pub(super) fn fail(&self, fails: bool) {
        self.mood.fails.store(fails, Ordering::Relaxed);
    }
}

impl Mood {
    fn answer(&self, region: Region, jitter: &Mutex<Jitter>) -> Answer {
        let mut jitter = jitter.lock().unwrap_or_else(PoisonError::into_inner);
        let slower = self.slower_by_millis.load(Ordering::Relaxed);
        let (status, word) = if self.fails.load(Ordering::Relaxed) {
            (StatusCode::SERVICE_UNAVAILABLE, "failing")
        } else {
            (StatusCode::OK, "ok")
        };
        Answer {
            status,
            body: format!("{{\"region\":\"{region}\",\"status\":\"{word}\"}}\n"),
            after: jitter.next(WORK) + Duration::from_millis(slower),
        }
    }
}
