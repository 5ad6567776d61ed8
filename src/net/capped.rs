//! A stream that gives out no more than its cap.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Marks the error of a stream that would have given more than its cap.
#[derive(Debug, thiserror::Error)]
#[error("the target sent more than {0} bytes")]
pub(super) struct TooLarge(pub u64);

/// Whether the error came from a cap.
pub(super) fn is_too_large(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<TooLarge>)
}

/// Counts what is read from a stream and ends it with [`TooLarge`] at the cap, so that no target
/// can make this process hold more than it was meant to.
#[derive(Debug)]
pub struct Capped<S> {
    stream: S,
    cap: u64,
    read: u64,
}

impl<S> Capped<S> {
    /// Gives out at most `cap` bytes of the stream.
    pub fn new(stream: S, cap: u64) -> Self {
        Self {
            stream,
            cap,
            read: 0,
        }
    }

    /// Gives out as much again: for another run over the same stream.
    pub fn renew(&mut self) {
        self.read = 0;
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Capped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read >= self.cap {
            return Poll::Ready(Err(io::Error::other(TooLarge(self.cap))));
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.read += (buf.filled().len() - before) as u64;
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Capped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn an_endless_stream_ends_at_the_cap_plus_one_buffer() {
        let mut capped = Capped::new(tokio::io::repeat(7), 1000);
        let mut sink = Vec::new();
        let error = capped.read_to_end(&mut sink).await.expect_err("capped");
        assert!(is_too_large(&error));
        assert!(sink.len() >= 1000);
    }

    #[tokio::test]
    async fn a_stream_below_the_cap_is_whole() {
        let mut capped = Capped::new(&b"hello"[..], 6);
        let mut text = String::new();
        capped.read_to_string(&mut text).await.expect("whole");
        assert_eq!((text.as_str(), capped.read), ("hello", 5));
    }
}
