//! One timed HTTP exchange over an open connection.
//!
//! It stands on hyper's connection API: there is no pool, no retry and no redirect in it that could
//! hide what a single request met. The connection is driven by the task that waits for the answer,
//! so that dropping the exchange drops everything it started.

mod destination;
mod headers;
mod tasks;
mod tunnel;
mod witness;

use std::error::Error as _;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use self::tasks::Tasks;
use self::witness::{Ending, Witness};
use super::capped::is_too_large;
use super::{Stopwatch, failure_of};
use crate::model::{Facts, Failure, HttpFacts, Phase, Reason};

pub use self::destination::{Destination, Names};
pub use self::headers::{authorization, header_name, header_value, is_of_connection, own_headers};
pub use self::tunnel::tunnel;

/// Bytes that the status line and the headers of an answer may have together.
const MAX_HEAD_BYTES: u32 = 64 << 10;
/// Bytes of certificates and other parts of a TLS session beside its data.
const SESSION_BYTES: u64 = 64 << 10;

/// The most that a connection may give for a body of at most `body` bytes: room for the headers,
/// for the session, and twice the body for the framing: a server that sends chunks of only 16 bytes
/// in a TLS record each (22 bytes, and 6 for the chunk) may still have a good answer.
pub const fn wire_cap(body: u64) -> u64 {
    body.saturating_mul(3)
        .saturating_add(MAX_HEAD_BYTES as u64 + SESSION_BYTES)
}

/// One request, and how much of its answer is wanted.
#[derive(Debug)]
pub struct Exchange {
    /// The request. HTTP/1 needs the target's path and a `Host`, HTTP/2 the absolute URI.
    pub request: Request<Full<Bytes>>,
    /// Bytes that the body of the answer may have.
    pub max_body_bytes: u64,
    /// Whether the body is wanted, or only its length.
    pub keep_body: bool,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as received; empty when it was not wanted.
    pub body: Vec<u8>,
    /// The same for the metrics.
    pub facts: HttpFacts,
}

impl Exchange {
    /// Does the exchange in HTTP/1, in the phases [`Phase::Processing`] and [`Phase::Transfer`].
    ///
    /// The failure carries the status, if there was one.
    pub async fn http1<S>(self, stream: S, watch: &mut Stopwatch) -> Result<Answer, Failure>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let limits = self.limits();
        self.over_http1(stream, limits, watch).await
    }

    /// As [`Self::http1`], for the sake of the status: of the body there is what came whole within
    /// `patience` and the cap, and it is no failure if that is not all.
    pub async fn http1_status<S>(
        self,
        stream: S,
        patience: Duration,
        watch: &mut Stopwatch,
    ) -> Result<Answer, Failure>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let limits = Limits {
            patience: Some(patience),
            ..self.limits()
        };
        self.over_http1(stream, limits, watch).await
    }

    async fn over_http1<S>(
        self,
        stream: S,
        limits: Limits,
        watch: &mut Stopwatch,
    ) -> Result<Answer, Failure>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD_BYTES as usize)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|e| failure(&e, Phase::Processing))?;
        let mut connection = pin!(connection);
        let mut open = true;
        let drive = |cx: &mut Context<'_>| {
            if open && connection.as_mut().poll(cx).is_ready() {
                open = false;
            }
        };
        watch.enter(Phase::Processing);
        let response = sender.send_request(self.request);
        receive(response, drive, failure, limits, watch).await
    }

    /// Does the exchange in HTTP/2; otherwise as [`Self::http1`].
    pub async fn http2<S>(self, stream: S, watch: &mut Stopwatch) -> Result<Answer, Failure>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (stream, ending) = Witness::new(stream);
        let explain = |error: &hyper::Error, phase| failure_of_http2(error, &ending, phase);
        let mut tasks = Tasks::default();
        let (mut sender, connection) = http2::Builder::new(tasks.executor())
            .max_header_list_size(MAX_HEAD_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|e| explain(&e, Phase::Processing))?;
        let mut connection = pin!(connection);
        let mut open = true;
        let drive = |cx: &mut Context<'_>| {
            if open && connection.as_mut().poll(cx).is_ready() {
                open = false;
            }
            tasks.poll(cx);
        };
        let limits = self.limits();
        watch.enter(Phase::Processing);
        let response = sender.send_request(self.request);
        receive(response, drive, explain, limits, watch).await
    }

    fn limits(&self) -> Limits {
        Limits {
            max_body_bytes: self.max_body_bytes,
            keep_body: self.keep_body,
            patience: None,
        }
    }
}

#[derive(Clone, Copy)]
struct Limits {
    max_body_bytes: u64,
    keep_body: bool,
    /// For how long the body is waited for, where not all of it is needed.
    patience: Option<Duration>,
}

/// Waits for the answer while `drive` moves the connection on; `explain` says what an error means.
async fn receive(
    response: impl Future<Output = hyper::Result<Response<Incoming>>>,
    mut drive: impl FnMut(&mut Context<'_>),
    explain: impl Fn(&hyper::Error, Phase) -> Failure,
    limits: Limits,
    watch: &mut Stopwatch,
) -> Result<Answer, Failure> {
    let response = driven(&mut drive, response).await;
    let (head, mut body) = response
        .map_err(|e| explain(&e, Phase::Processing))?
        .into_parts();
    watch.enter(Phase::Transfer);
    let mut answer = Answer {
        facts: HttpFacts {
            status: head.status.as_u16(),
            version: label(head.version),
            body_bytes: 0,
            redirects: 0,
        },
        status: head.status,
        headers: head.headers,
        body: Vec::new(),
    };
    let read = read_body(&mut body, &mut drive, &explain, limits, &mut answer);
    let read = match limits.patience {
        None => read.await,
        Some(patience) => {
            let _ = timeout(patience, read).await;
            Ok(())
        }
    };
    match read {
        Ok(()) => {
            watch.leave();
            Ok(answer)
        }
        Err(failure) => Err(failure.with_facts(Facts {
            http: Some(answer.facts),
            ..Facts::default()
        })),
    }
}

async fn read_body(
    body: &mut Incoming,
    drive: &mut impl FnMut(&mut Context<'_>),
    explain: &impl Fn(&hyper::Error, Phase) -> Failure,
    limits: Limits,
    answer: &mut Answer,
) -> Result<(), Failure> {
    let cap = limits.max_body_bytes;
    let too_large = || {
        Failure::new(
            Reason::TooLarge,
            format_args!("the body is larger than max_body_bytes ({cap})"),
        )
    };
    if ambiguous(&answer.headers) {
        return Err(Failure::new(
            Reason::Protocol,
            "the answer has both Content-Length and Transfer-Encoding",
        ));
    }
    if body.size_hint().lower() > cap {
        return Err(too_large());
    }
    while !body.is_end_stream() {
        let frame = driven(drive, poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx))).await;
        let Some(frame) = frame else {
            return ended(body, answer);
        };
        let frame = frame.map_err(|e| explain(&e, Phase::Transfer))?;
        if let Ok(data) = frame.into_data() {
            answer.facts.body_bytes += data.len() as u64;
            if answer.facts.body_bytes > cap {
                return Err(too_large());
            }
            if limits.keep_body {
                answer.body.extend_from_slice(&data);
            }
        }
        // A body in tiny pieces must not hold up the other runs on this thread.
        tokio::task::coop::consume_budget().await;
    }
    Ok(())
}

/// The driver takes a stream of HTTP/2 for complete that the server gave up without calling it an
/// error; only the mark of its end tells. An early answer, whose server gives up the rest of the
/// request (RFC 9113, 8.1), has that mark.
fn ended(body: &Incoming, answer: &Answer) -> Result<(), Failure> {
    if answer.facts.version == label(Version::HTTP_2) && !body.is_end_stream() {
        return Err(Failure::new(
            Reason::Eof,
            "read the body: the server gave it up before its end",
        ));
    }
    Ok(())
}

/// Two ways of saying where the body ends are how requests are smuggled: such an answer cannot be
/// trusted, whichever way one reads it.
fn ambiguous(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH)
}

/// Polls the future, and the connection below it whenever the future waits. The future is asked
/// again right after, so that nothing that just arrived waits for another turn of the runtime.
async fn driven<F: Future>(drive: &mut impl FnMut(&mut Context<'_>), future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(output);
        }
        drive(cx);
        future.as_mut().poll(cx)
    })
    .await
}

const fn label(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

const fn doing_in(phase: Phase) -> &'static str {
    match phase {
        Phase::Transfer => "read the body",
        _ => "wait for the answer",
    }
}

fn failure_of_http2(error: &hyper::Error, ending: &Ending, phase: Phase) -> Failure {
    let doing = doing_in(phase);
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<h2::Error>())
        .filter(|cause| !cause.is_io());
    if let Some(cause) = cause {
        let reason = match cause.reason() {
            Some(h2::Reason::NO_ERROR) if cause.is_go_away() && cause.is_remote() => Reason::Eof,
            _ if cause.is_reset() && cause.is_remote() => Reason::Reset,
            _ => Reason::Protocol,
        };
        return Failure::new(reason, format_args!("{doing}: {cause}"));
    }
    match ending.get() {
        Some(Err(error)) => io_failure(error, phase, doing),
        Some(Ok(())) => Failure::new(
            Reason::Eof,
            format_args!("{doing}: the server closed the connection"),
        ),
        None => failure(error, phase),
    }
}

fn failure(error: &hyper::Error, phase: Phase) -> Failure {
    let doing = doing_in(phase);
    if error.is_parse_too_large() {
        return Failure::new(
            Reason::Protocol,
            "the headers are more than 100 or larger than 64 KiB",
        );
    }
    if let Some(cause) = io_cause(error) {
        return io_failure(cause, phase, doing);
    }
    let reason = if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        Reason::Eof
    } else {
        Reason::Protocol
    };
    let cause = error.source().map(|e| format!(": {e}")).unwrap_or_default();
    Failure::new(reason, format_args!("{doing}: {error}{cause}"))
}

fn io_failure(error: &io::Error, phase: Phase, doing: &str) -> Failure {
    if phase == Phase::Processing {
        if is_too_large(error) {
            return Failure::new(
                Reason::Protocol,
                format_args!("{doing}: the headers do not end: {error}"),
            );
        }
        // Before the answer only the TLS session finds data invalid: with TLS 1.3 a server refuses
        // the client's certificate after the handshake.
        if error.kind() == io::ErrorKind::InvalidData {
            return Failure::new(Reason::TlsHandshake, format_args!("{doing}: {error}"));
        }
    }
    failure_of(error, doing)
}

fn io_cause(error: &hyper::Error) -> Option<&io::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref() {
            return Some(io);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn exchange() -> Exchange {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = http::Uri::from_static("https://a.example/");
        Exchange {
            request,
            max_body_bytes: 100,
            keep_body: false,
        }
    }

    /// Reads from the far end until the exchange has sent something, and drops it then; what is
    /// left to read must end.
    async fn drop_when_sent(run: impl Future<Output = Result<Answer, Failure>>, far: &mut Far) {
        let mut bytes = [0; 1024];
        tokio::select! {
            result = run => panic!("nobody answers: {result:?}"),
            read = far.read(&mut bytes) => assert!(read.expect("request") > 0),
        }
        while far.read(&mut bytes).await.expect("the rest") > 0 {}
    }

    type Far = tokio::io::DuplexStream;

    #[tokio::test]
    async fn a_dropped_exchange_closes_its_connection() {
        let mut watch = Stopwatch::start();
        let (near, mut far) = tokio::io::duplex(1 << 16);
        drop_when_sent(exchange().http1(near, &mut watch), &mut far).await;
        assert_eq!(watch.current(), Some(Phase::Processing));

        let mut watch = Stopwatch::start();
        let (near, mut far) = tokio::io::duplex(1 << 16);
        drop_when_sent(exchange().http2(near, &mut watch), &mut far).await;
        assert_eq!(watch.current(), Some(Phase::Processing));
    }

    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    const STATUS_200: &[u8] = &[0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88];
    const HALF: &[u8] = b"\0\0\x04\0\0\0\0\0\x01half";

    fn go_away(code: u8) -> Vec<u8> {
        vec![0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, code]
    }

    fn reset(code: u8) -> Vec<u8> {
        vec![0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, code]
    }

    /// Reads frames up to the head of a request.
    async fn read_head(far: &mut Far) {
        far.read_exact(&mut [0; 24]).await.expect("the preface");
        loop {
            let mut frame = [0; 9];
            far.read_exact(&mut frame).await.expect("a frame");
            let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]);
            let mut payload = vec![0; length as usize];
            far.read_exact(&mut payload).await.expect("its payload");
            if frame[3] == 1 {
                return;
            }
        }
    }

    /// What becomes of an exchange whose server sends this and closes; at most `cap` bytes of it.
    async fn http2_result(
        exchange: Exchange,
        parts: &[&[u8]],
        cap: u64,
    ) -> Result<Answer, Failure> {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let near = crate::net::capped::Capped::new(near, cap);
        let mut watch = Stopwatch::start();
        let server = async {
            far.write_all(SETTINGS).await.expect("written");
            read_head(&mut far).await;
            far.write_all(&parts.concat()).await.expect("written");
            far.shutdown().await.expect("closed");
        };
        let (result, ()) = tokio::join!(exchange.http2(near, &mut watch), server);
        result
    }

    async fn fails(parts: &[&[u8]], cap: u64, reason: Reason, detail: &str) {
        let result = http2_result(exchange(), parts, cap).await;
        let failure = result.expect_err("a failure");
        assert_eq!(failure.reason, reason, "{parts:?}: {failure}");
        assert!(failure.detail.contains(detail), "{parts:?}: {failure}");
    }

    #[tokio::test]
    async fn the_ends_of_http_2_have_the_reasons_of_http_1() {
        let (no_error, refused) = (0, 7);
        let closed = "wait for the answer: the server closed";
        for (answer, reason, detail) in [
            (vec![], Reason::Eof, closed),
            (go_away(no_error), Reason::Eof, "wait for the answer"),
            (go_away(refused), Reason::Protocol, "wait for the answer"),
            (reset(refused), Reason::Reset, "wait for the answer"),
            (b"HTTP/1.1 400 Bad".to_vec(), Reason::Protocol, "wait for"),
        ] {
            fails(&[&answer], u64::MAX, reason, detail).await;
        }
        for (rest, reason, detail) in [
            (vec![], Reason::Eof, "read the body: the server closed"),
            (reset(refused), Reason::Reset, "read the body"),
            (reset(no_error), Reason::Eof, "gave it up"),
            (go_away(no_error), Reason::Eof, "gave it up"),
        ] {
            fails(&[STATUS_200, HALF, &rest], u64::MAX, reason, detail).await;
        }
        let capped = "the target sent more than 32 bytes";
        fails(&[STATUS_200, HALF], 32, Reason::TooLarge, capped).await;
    }

    #[tokio::test]
    async fn an_early_answer_in_http_2_is_whole() {
        let mut upload = exchange();
        *upload.request.method_mut() = http::Method::POST;
        *upload.request.body_mut() = Full::new(vec![0; 1 << 18].into());
        let mut whole = HALF.to_vec();
        whole[4] = 1; // END_STREAM
        let parts = [STATUS_200, &whole, &reset(0)];
        let answer = http2_result(upload, &parts, u64::MAX).await;
        assert_eq!(answer.expect("an answer").facts.body_bytes, 4);
    }

    /// A stream on which nothing can be read, by this host's own fault.
    struct Faulty(Far);

    impl AsyncRead for Faulty {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let errno = rustix::io::Errno::NOBUFS.raw_os_error();
            Poll::Ready(Err(io::Error::from_raw_os_error(errno)))
        }
    }

    impl AsyncWrite for Faulty {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, buf)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_fault_of_this_host_is_not_the_targets_in_http_2_either() {
        let (near, _far) = tokio::io::duplex(1 << 16);
        let result = exchange()
            .http2(Faulty(near), &mut Stopwatch::start())
            .await;
        let failure = result.expect_err("a failure");
        assert_eq!(failure.reason, Reason::LocalResources, "{failure}");
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_the_exchange_ends_with_a_reason(
            head in "(HTTP/1\\.[01] [0-9]{3} [a-z]{0,3}\r\n)?([a-zA-Z-]{1,9}: ?[a-z0-9,]{0,9}\r?\n){0,4}(\r?\n)?",
            framing in "|Transfer-Encoding: chunked\r\n\r\n|Content-Length: [0-9]{1,3}\r\n\r\n",
            body in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
            let result = runtime.block_on(async {
                let (near, mut far) = tokio::io::duplex(1 << 16);
                let bytes = [head.as_bytes(), framing.as_bytes(), &body].concat();
                far.write_all(&bytes).await.expect("written");
                far.shutdown().await.expect("closed");
                exchange().http1(near, &mut Stopwatch::start()).await
            });
            match result {
                Ok(answer) => assert!(answer.facts.body_bytes <= 100),
                Err(failure) => assert!(
                    [Reason::Eof, Reason::Protocol, Reason::TooLarge].contains(&failure.reason),
                    "{failure}"
                ),
            }
        }
    }

    #[test]
    fn the_cap_of_the_wire_leaves_room_and_never_overflows() {
        assert_eq!(wire_cap(0), 128 << 10);
        assert_eq!(wire_cap(1 << 20), (3 << 20) + (128 << 10));
        assert_eq!(wire_cap(u64::MAX), u64::MAX);
    }
}
