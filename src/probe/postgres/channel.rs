//! The stream below the driver: plain or TLS, screened, with errors that are failures of ours.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Empty, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::client::TlsStream as RustlsStream;

use super::binding;
use super::screen::Screen;
use crate::model::{Failure, Reason};
use crate::net::{Wire, failure_of};

/// What the messages travel through.
#[derive(Debug)]
pub(super) enum Transport {
    Plain(Wire),
    Tls(Box<RustlsStream<Wire>>),
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// A transport whose incoming messages are screened. Every error that it gives holds a [`Failure`],
/// so that what happened survives its way through the driver; so does an end of the stream, which
/// is always too early here: it is this side that ends a session.
#[derive(Debug)]
pub(super) struct Channel {
    transport: Transport,
    screen: Screen,
}

impl Channel {
    pub(super) fn new(transport: Transport, screen: Screen) -> Self {
        Self { transport, screen }
    }

    fn stream(&mut self) -> Pin<&mut dyn Stream> {
        match &mut self.transport {
            Transport::Plain(wire) => Pin::new(wire),
            Transport::Tls(session) => Pin::new(&mut **session),
        }
    }
}

/// Marks the failure inside an error of the driver.
fn carried(failure: Failure) -> io::Error {
    io::Error::other(failure)
}

fn broken(error: &io::Error) -> io::Error {
    let tls = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    carried(match tls {
        // A server says only after the handshake that it does not like our certificate.
        Some(why) => Failure::new(Reason::TlsHandshake, why),
        None => failure_of(error, "talk to the server"),
    })
}

impl AsyncRead for Channel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.stream().poll_read(cx, buf)).map_err(|e| broken(&e))?;
        let new = &buf.filled()[before..];
        let verdict = if new.is_empty() && buf.remaining() > 0 {
            Err(Failure::new(
                Reason::Eof,
                "the server closed the connection",
            ))
        } else {
            self.screen.see(new)
        };
        Poll::Ready(verdict.map_err(carried))
    }
}

impl AsyncWrite for Channel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, buf).map_err(|e| broken(&e))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx).map_err(|e| broken(&e))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx).map_err(|e| broken(&e))
    }
}

impl TlsStream for Channel {
    fn channel_binding(&self) -> ChannelBinding {
        match &self.transport {
            Transport::Plain(_) => ChannelBinding::none(),
            Transport::Tls(session) => binding::of_session(session.get_ref().1),
        }
    }
}

/// Hands an established channel to the driver, which asks for a TLS session but need not know how
/// (or whether) it came about: that is done, timed and decided before.
pub(super) struct Established(pub Channel);

impl TlsConnect<Empty> for Established {
    type Stream = Channel;
    type Error = Infallible;
    type Future = Ready<Result<Channel, Infallible>>;

    fn connect(self, _: Empty) -> Self::Future {
        ready(Ok(self.0))
    }
}
