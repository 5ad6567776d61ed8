//! What the messages of a database travel through: a connection, plain or inside TLS.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::{Wire, failure_of};
use crate::model::{Failure, Reason};

/// A connection, as it is or inside TLS.
#[derive(Debug)]
pub enum Transport {
    /// Anyone on the way can read and change it.
    Plain(Wire),
    /// A TLS session.
    Tls(Box<TlsStream<Wire>>),
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

impl Transport {
    /// The failure for an error of this stream.
    pub fn failure_of(error: &io::Error) -> Failure {
        let tls = error
            .get_ref()
            .and_then(|e| e.downcast_ref::<rustls::Error>());
        match tls {
            // A server says only after the handshake that it does not like our certificate.
            Some(why) => Failure::new(Reason::TlsHandshake, why),
            None => failure_of(error, "talk to the server"),
        }
    }

    /// Makes room for the answers of another run, see [`super::Capped::renew`].
    pub fn renew(&mut self) {
        match self {
            Self::Plain(wire) => wire.renew(),
            Self::Tls(session) => session.get_mut().0.renew(),
        }
    }

    /// Whether the other end has neither closed nor said anything unasked, as far as is known now.
    pub fn is_quiet(&mut self) -> bool {
        let wire = match self {
            Self::Plain(wire) => wire,
            Self::Tls(session) => session.get_ref().0,
        };
        // Of what has just come, the runtime knows only after it had time to look.
        let peeked = SockRef::from(wire.get_ref()).peek(&mut [MaybeUninit::uninit()]);
        peeked.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock)
            && self.read(&mut [0]).now_or_never().is_none()
    }

    fn stream(&mut self) -> Pin<&mut dyn Stream> {
        match self {
            Self::Plain(wire) => Pin::new(wire),
            Self::Tls(session) => Pin::new(&mut **session),
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buf)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}
