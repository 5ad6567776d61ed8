//! How long a connection may go on as it is.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use super::Limits;
use super::listen::Io;

/// The deadline of a connection, which moves with what is going on.
///
/// ```text
/// start ─> Header ─ header read ─> Request ─ answer handed over ─> Sending ─ all written ─> Idle
///            ^                                                                             │
///            └───────────────────────────── first byte of the next request ───────────────┘
/// ```
pub(super) struct Patience {
    limits: Limits,
    now: Mutex<Now>,
}

struct Now {
    stage: Stage,
    since: Instant,
    deadline: Instant,
    /// Wakes the connection's task.
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Header,
    Request,
    Sending,
    Idle,
}

impl Patience {
    pub(super) fn new(limits: Limits) -> Self {
        let since = Instant::now();
        Self {
            limits,
            now: Mutex::new(Now {
                stage: Stage::Header,
                since,
                deadline: since + limits.header,
                waker: None,
            }),
        }
    }

    /// The TLS handshake is done.
    pub(super) fn shaken(&self) {
        let mut now = self.lock();
        // What has lost its place does not get it back.
        if now.deadline > now.since {
            now.enter(Stage::Header, self.limits.header);
        }
    }

    /// Whether it was told to make room.
    pub(super) fn is_lost(&self) -> bool {
        let now = self.lock();
        now.deadline == now.since
    }

    /// A request's header is complete.
    pub(super) fn request(&self) {
        self.lock().enter(Stage::Request, self.limits.request);
    }

    /// The whole answer is with the connection; its deadline stays until it is written.
    fn handed_over(&self) {
        self.lock().stage = Stage::Sending;
    }

    /// Nothing is left to be written.
    fn flushed(&self) {
        let mut now = self.lock();
        if now.stage == Stage::Sending {
            now.enter(Stage::Idle, self.limits.idle);
        }
    }

    /// Bytes came in.
    fn received(&self) {
        let mut now = self.lock();
        if now.stage == Stage::Idle {
            now.enter(Stage::Header, self.limits.header);
        }
    }

    /// Since when there has been nothing to do for the client; none while it is served, or about
    /// to be closed.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        let now = self.lock();
        let waiting = matches!(now.stage, Stage::Header | Stage::Idle);
        (waiting && now.deadline > now.since).then_some(now.since)
    }

    /// Ends the connection soon.
    pub(super) fn lose(&self) {
        let mut now = self.lock();
        now.deadline = now.since;
        if let Some(waker) = now.waker.take() {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Now {
    fn enter(&mut self, stage: Stage, limit: std::time::Duration) {
        self.stage = stage;
        self.since = Instant::now();
        self.deadline = self.since + limit;
    }
}

/// Done when the deadline has passed. It is to be polled in the connection's task after the
/// connection, since that is what moves the deadline.
pub(super) async fn expired(patience: Arc<Patience>) {
    let deadline = patience.lock().deadline;
    let mut sleep = pin!(sleep_until(deadline));
    poll_fn(|context| {
        let mut now = patience.lock();
        if sleep.deadline() != now.deadline {
            sleep.as_mut().reset(now.deadline);
        }
        now.waker = Some(context.waker().clone());
        drop(now);
        sleep.as_mut().poll(context)
    })
    .await;
}

/// The answer, telling when the connection has taken over the last of it.
pub(super) fn until_sent(answer: Response, patience: Arc<Patience>) -> Response<UntilSent> {
    answer.map(|body| UntilSent { body, patience })
}

/// A body that tells when it is dropped, which hyper does as soon as it has all of it.
pub(super) struct UntilSent {
    body: Body,
    patience: Arc<Patience>,
}

impl Drop for UntilSent {
    fn drop(&mut self) {
        self.patience.handed_over();
    }
}

impl hyper::body::Body for UntilSent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection that tells what it reads and writes.
pub(super) struct Watched {
    stream: Box<dyn Io>,
    patience: Arc<Patience>,
}

impl Watched {
    pub(super) fn new(stream: Box<dyn Io>, patience: Arc<Patience>) -> Self {
        Self { stream, patience }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buf);
        if buf.filled().len() > before {
            self.patience.received();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes only when all that it had has been written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        if polled.is_ready() {
            self.patience.flushed();
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
