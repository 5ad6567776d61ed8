//! The stream below the driver: plain or TLS, screened, with errors that are failures of ours.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Empty, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use super::binding;
use super::screen::Screen;
use crate::model::{Failure, Reason};
use crate::net::Transport;

/// A transport whose incoming messages are screened. Every error that it gives holds a [`Failure`],
/// so that what happened survives its way through the driver; so does an end of the stream, which
/// is always too early here: it is this side that ends a session.
#[derive(Debug)]
pub(super) struct Channel {
    transport: Transport,
    screen: Screen,
    renewed: Renewed,
}

impl Channel {
    pub(super) fn new(transport: Transport, screen: Screen, renewed: Renewed) -> Self {
        Self {
            transport,
            screen,
            renewed,
        }
    }
}

/// Word that another run begins on a channel that the driver has: each run has the whole cap of
/// bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Renewed(Arc<AtomicBool>);

impl Renewed {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Marks the failure inside an error of the driver.
fn carried(failure: Failure) -> io::Error {
    io::Error::other(failure)
}

fn broken(error: &io::Error) -> io::Error {
    carried(Transport::failure_of(error))
}

impl AsyncRead for Channel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.renewed.take() {
            self.transport.renew();
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.transport).poll_read(cx, buf)).map_err(|e| broken(&e))?;
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
        Pin::new(&mut self.transport)
            .poll_write(cx, buf)
            .map_err(|e| broken(&e))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport)
            .poll_flush(cx)
            .map_err(|e| broken(&e))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport)
            .poll_shutdown(cx)
            .map_err(|e| broken(&e))
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
