//! A way through a proxy.

use http::HeaderValue;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::model::{Failure, Phase, Reason};
use crate::net::{Stopwatch, failure_of};

/// Bytes that a proxy's answer may have.
const MAX_ANSWER: usize = 8 << 10;

/// Asks the proxy at the other end of `stream` for a connection to `authority` (`host:port`), with
/// the credentials if it wants any, in the phase [`Phase::Connect`]. Afterwards the stream leads
/// there.
pub async fn tunnel<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    authority: &str,
    credentials: Option<&HeaderValue>,
    watch: &mut Stopwatch,
) -> Result<(), Failure> {
    watch.enter(Phase::Connect);
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(credentials) = credentials {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(credentials.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream
        .write_all(&request)
        .await
        .map_err(|e| failure_of(&e, "ask the proxy"))?;
    let status = read_status(stream).await?;
    if !(200..300).contains(&status) {
        let reason = match status {
            407 => Reason::Auth,
            _ => Reason::Unreachable,
        };
        return Err(Failure::new(
            reason,
            format_args!("the proxy answered {status} to CONNECT {authority}"),
        ));
    }
    watch.leave();
    Ok(())
}

async fn read_status<S: AsyncRead + Unpin>(stream: &mut S) -> Result<u16, Failure> {
    let protocol = |what| Failure::new(Reason::Protocol, what);
    let mut answer = Vec::with_capacity(512);
    let end = loop {
        let read = stream
            .read_buf(&mut answer)
            .await
            .map_err(|e| failure_of(&e, "wait for the proxy"))?;
        if read == 0 {
            return Err(Failure::new(Reason::Eof, "the proxy closed the connection"));
        }
        if let Some(at) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if answer.len() > MAX_ANSWER {
            return Err(protocol("the headers of the proxy do not end"));
        }
    };
    let status = status_of(&answer).ok_or_else(|| protocol("the proxy does not speak HTTP"))?;
    // Behind a tunnel the client speaks first.
    if answer.len() > end && (200..300).contains(&status) {
        return Err(protocol("the proxy sent more than headers"));
    }
    Ok(status)
}

fn status_of(answer: &[u8]) -> Option<u16> {
    let rest = answer.strip_prefix(b"HTTP/1.")?.get(1..)?;
    let digits = rest.strip_prefix(b" ")?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
