//! A stream that remembers how it ended.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How a stream ended first: by the peer's close, or with an error.
pub(super) type Ending = Arc<OnceLock<io::Result<()>>>;

/// Keeps the first ending of a stream aside: the driver of HTTP/2 hands on only the kind of an error
/// and its text, and a clean close as an error of its own.
pub(super) struct Witness<S> {
    stream: S,
    ending: Ending,
}

impl<S> Witness<S> {
    pub(super) fn new(stream: S) -> (Self, Ending) {
        let ending = Ending::default();
        let kept = Arc::clone(&ending);
        (Self { stream, ending }, kept)
    }

    /// Keeps the error, and gives the driver one of its kind instead.
    fn keep<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        result.map_err(|error| {
            let kind = error.kind();
            // A later error is only an echo of the first.
            let _ = self.ending.set(Err(error));
            kind.into()
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Witness<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buf.remaining();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        let closed = matches!(result, Poll::Ready(Ok(()))) && room > 0 && buf.remaining() == room;
        if closed {
            let _ = self.ending.set(Ok(()));
        }
        self.keep(result)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Witness<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.keep(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.keep(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.keep(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.keep(result)
    }
}
