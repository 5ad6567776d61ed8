//! The dialogue with the server: lettre speaks it, on a stream of ours.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use lettre::Message;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::extension::ClientId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::{Email, Encryption};
use crate::model::{Failure, Reason, Secret};
use crate::net::{StartTls, Stopwatch, Transport, failure_of};
use crate::notify::reach::{connect, refusal, tls};
use crate::notify::{Refusal, RefusalReason};

/// Bytes that a server may say in a session, TLS included.
const MAX_BYTES: u64 = 256 << 10;
/// How long the server has to say good-bye, once it has the mail.
const PARTING: Duration = Duration::from_secs(1);
/// What a server says first. After STARTTLS it says nothing, and lettre waits for it.
const GREETING: &[u8] = b"220 after STARTTLS\r\n";

impl Email {
    /// Sends a mail; what the server said when it took it.
    pub(super) async fn send(&self, message: &Message) -> Result<String, Refusal> {
        let place = format!("smtp://{}", self.server);
        let credentials = self.credentials()?;
        let mut watch = Stopwatch::start();
        let opened = self.open(&mut watch).await;
        let (stream, hello) = opened.map_err(|failure| refusal(&place, &failure))?;
        let password = credentials.as_ref().map(|(_, password)| password);
        let refused = |error: Error| refused(&place, &error, password);
        let mut session = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello)
            .await
            .map_err(refused)?;
        if let Some((user, password)) = &credentials {
            let login = Credentials::new((*user).to_owned(), password.expose().to_owned());
            let ways = [Mechanism::Plain, Mechanism::Login];
            session.auth(&ways, &login).await.map_err(|error| {
                let refusal = refused(error);
                match refusal.reason {
                    RefusalReason::Rejected => Refusal {
                        reason: RefusalReason::Auth,
                        ..refusal
                    },
                    _ => refusal,
                }
            })?;
        }
        let sent = session.send(message.envelope(), &message.formatted()).await;
        let answer = sent.map_err(refused)?;
        let code = u16::from(answer.code());
        // Any good answer will do for lettre, also one to something else.
        if !(250..260).contains(&code) {
            let why = format_args!("{place}: {code} is no answer to a mail");
            return Err(Refusal::new(RefusalReason::Protocol, why));
        }
        // It has the mail, whatever comes now.
        let _ = timeout(PARTING, session.quit()).await;
        let line = answer.first_line().unwrap_or_default();
        Ok(format!("{place}: {code} {line}"))
    }

    /// A stream on which the server greets, and who we are there.
    async fn open(&self, watch: &mut Stopwatch) -> Result<(Stream, ClientId), Failure> {
        let mut wire = connect(&self.server, MAX_BYTES, &self.context, watch).await?;
        let addresses = wire.get_ref().local_addr().and_then(|local| {
            let peer = wire.get_ref().peer_addr()?;
            Ok((local.ip(), peer))
        });
        let (local, peer) = addresses.map_err(|error| failure_of(&error, "connect"))?;
        let mut greeting: &[u8] = &[];
        if self.encryption == Encryption::Starttls {
            StartTls::Smtp.ask(&mut wire, local, watch).await?;
            greeting = GREETING;
        }
        let transport = if self.encryption == Encryption::None {
            Transport::Plain(wire)
        } else {
            let client = tls(&self.tls, &self.context);
            let client = client.map_err(|why| Failure::new(Reason::LocalResources, why.message))?;
            let mut seen = None;
            let session = client
                .handshake(wire, &self.name, &[], &mut seen, watch)
                .await?;
            Transport::Tls(Box::new(session))
        };
        let hello = match local {
            std::net::IpAddr::V4(ip) => ClientId::Ipv4(ip),
            std::net::IpAddr::V6(ip) => ClientId::Ipv6(ip),
        };
        let stream = Stream {
            greeting,
            transport,
            peer,
        };
        Ok((stream, hello))
    }
}

/// What an error of the dialogue means. The server's text is left out if it has the password.
fn refused(place: &str, error: &Error, password: Option<&Secret>) -> Refusal {
    let code = error.status().map(u16::from);
    let reason = match code {
        Some(530 | 534 | 535 | 538) => RefusalReason::Auth,
        Some(code) if code < 500 => RefusalReason::Server,
        Some(_) => RefusalReason::Rejected,
        None if error.is_timeout() => RefusalReason::Timeout,
        // The server cannot do what is needed: no way to log in that we have.
        None if error.is_client() => RefusalReason::Rejected,
        None => RefusalReason::Protocol,
    };
    let text = error.to_string();
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    let text = text + &cause.unwrap_or_default();
    let private = password.is_some_and(|password| text.contains(password.expose()));
    if private {
        return Refusal::new(reason, format_args!("{place}: code {code:?}"));
    }
    Refusal::new(reason, format_args!("{place}: {text}"))
}

/// A stream that begins with a greeting.
#[derive(Debug)]
struct Stream {
    greeting: &'static [u8],
    transport: Transport,
    peer: SocketAddr,
}

impl AsyncTokioStream for Stream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.greeting.is_empty() {
            return Pin::new(&mut self.transport).poll_read(cx, buf);
        }
        let (now, later) = self
            .greeting
            .split_at(self.greeting.len().min(buf.remaining()));
        buf.put_slice(now);
        self.greeting = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }
}
