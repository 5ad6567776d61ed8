//! How long a connection may go on as it is.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Limits;
use super::last_word::LastWord;
use super::listen::Io;
use super::web::Web;
use crate::metrics::Rejection;

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
    /// Whether it was told to make room: it does not get its place back.
    lost: bool,
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
                lost: false,
                waker: None,
            }),
        }
    }

    /// The TLS handshake is done.
    pub(super) fn shaken(&self) {
        self.lock().enter(Stage::Header, self.limits.header);
    }

    /// Whether it was told to make room.
    pub(super) fn is_lost(&self) -> bool {
        self.lock().lost
    }

    /// Whether no request is under way, nor an answer.
    pub(super) fn is_between(&self) -> bool {
        matches!(self.lock().stage, Stage::Header | Stage::Idle)
    }

    /// What took too long, once its time is over; nothing did where the connection has to make room, or
    /// was kept for a next request.
    pub(super) fn overdue(&self) -> Option<Rejection> {
        let now = self.lock();
        match now.stage {
            _ if now.lost => None,
            Stage::Header => Some(Rejection::Header),
            Stage::Request | Stage::Sending => Some(Rejection::Request),
            Stage::Idle => None,
        }
    }

    /// A request's header is complete.
    pub(super) fn request(&self) {
        self.lock().enter(Stage::Request, self.limits.request);
    }

    /// The answer takes so long to be made, beside what any may take.
    pub(super) fn longer(&self, by: Duration) {
        let limit = self.limits.request.saturating_add(by);
        self.lock().enter(Stage::Request, limit);
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

    /// Whether it is served, and since when that is so or not; none once it was told to make room.
    pub(super) fn served_since(&self) -> Option<(bool, Instant)> {
        let now = self.lock();
        let served = matches!(now.stage, Stage::Request | Stage::Sending);
        (!now.lost).then_some((served, now.since))
    }

    /// Ends the connection soon.
    pub(super) fn lose(&self) {
        let mut now = self.lock();
        now.lost = true;
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
    fn enter(&mut self, stage: Stage, limit: Duration) {
        if self.lost {
            return;
        }
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
    web: watch::Receiver<Arc<Web>>,
    last_word: Option<LastWord>,
}

impl Watched {
    pub(super) fn new(
        stream: Box<dyn Io>,
        patience: Arc<Patience>,
        web: watch::Receiver<Arc<Web>>,
    ) -> Self {
        Self {
            stream,
            patience,
            web,
            last_word: None,
        }
    }

    /// What hyper writes while there is no request is its own answer to what is none: whether it was one,
    /// so that another one is sent.
    fn replaces(&mut self, bytes: &[u8]) -> bool {
        let replaces = self.patience.is_between();
        if replaces && self.last_word.is_none() {
            self.last_word = Some(LastWord::instead_of(bytes, &self.web.borrow()));
        }
        replaces
    }

    fn poll_last_word(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.last_word {
            Some(word) => word.poll_send(Pin::new(&mut self.stream), context),
            None => Poll::Ready(Ok(())),
        }
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
        if self.replaces(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.replaces(parts.first().map_or(&[], |part| &**part)) {
            return Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes only when all that it had has been written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_last_word(context))?;
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        if polled.is_ready() {
            self.patience.flushed();
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_last_word(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
