//! A connection to a server: packets go out and come in, with their numbers checked.

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};

use super::failure::ServerError;
use crate::model::{Failure, Reason};
use crate::net::Transport;

/// Bytes of one packet at most. A longer one, and with it one that goes on in the next packet
/// (16 MiB - 1), is refused before there is room for it.
const MAX_PACKET: usize = 1 << 20;
/// Room for what arrives at once. Nothing that a run asks has answers much longer.
const BUFFER: usize = 4 << 10;

/// Asks the server to end the session.
const QUIT: u8 = 0x01;

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The server answered with an error; the session goes on.
    Said(ServerError),
    /// The session is of no use any more.
    Broken(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure)
    }
}

/// A session, from after the greeting (and the TLS handshake) on.
#[derive(Debug)]
pub(super) struct Session {
    stream: BufReader<Transport>,
    /// The number of the next packet, whoever sends it.
    number: u8,
    /// Whether a packet came since the last command.
    answering: bool,
}

impl Session {
    /// Goes on with a packet of the given number.
    pub(super) fn new(transport: Transport, number: u8) -> Self {
        Self {
            stream: BufReader::with_capacity(BUFFER, transport),
            number,
            answering: false,
        }
    }

    /// Reads the next packet.
    pub(super) async fn read(&mut self) -> Result<Vec<u8>, Failure> {
        let packet = read(&mut self.stream, Some(self.number)).await?;
        self.number = self.number.wrapping_add(1);
        self.answering = true;
        Ok(packet)
    }

    /// Sends a packet that answers the last one.
    pub(super) async fn write(&mut self, payload: &[u8]) -> Result<(), Failure> {
        let packet = framed(payload, self.number);
        self.number = self.number.wrapping_add(1);
        let stream = &mut self.stream;
        let sent = async {
            stream.write_all(&packet).await?;
            stream.flush().await
        };
        match sent.await.map_err(|e| Transport::failure_of(&e)) {
            // What the server said before it closed tells more than that it did; reading that ends
            // with the same error.
            Err(failure) if failure.reason == Reason::Reset => Ok(()),
            sent => sent,
        }
    }

    /// Begins a command, with which the numbers begin anew.
    pub(super) async fn command(&mut self, code: u8, argument: &[u8]) -> Result<(), Failure> {
        self.number = 0;
        self.answering = false;
        self.write(&[&[code], argument].concat()).await
    }

    /// Whether the last command was not answered at all, not even by half a packet that is right.
    pub(super) fn was_gone(&self) -> bool {
        !self.answering
    }

    /// Makes room for another run's answers; whether the connection may be used for it: the other
    /// end has neither closed it nor said anything unasked.
    pub(super) fn renew(&mut self) -> bool {
        let transport = self.stream.get_mut();
        transport.renew();
        transport.is_quiet() && self.stream.buffer().is_empty()
    }

    /// Says good-bye, without waiting for the peer.
    pub(super) fn part(mut self) {
        // Goes out at once or not at all: a peer that takes nothing more learns it from the socket.
        let _ = self.command(QUIT, &[]).now_or_never();
        let _ = self.stream.shutdown().now_or_never();
    }
}

/// Reads one packet, and nothing behind it. `None` takes any number.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    number: Option<u8>,
) -> Result<Vec<u8>, Failure> {
    let broken = |e: std::io::Error| Transport::failure_of(&e);
    let mut header = [0; 4];
    stream.read_exact(&mut header).await.map_err(broken)?;
    let [a, b, c, numbered] = header;
    let length = u32::from_le_bytes([a, b, c, 0]) as usize;
    if let Some(number) = number.filter(|number| *number != numbered) {
        return Err(protocol(format_args!(
            "packet {numbered} came where packet {number} was due"
        )));
    }
    if length > MAX_PACKET {
        return Err(Failure::new(
            Reason::TooLarge,
            format_args!("a packet of {length} bytes, more than {MAX_PACKET}"),
        ));
    }
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet).await.map_err(broken)?;
    Ok(packet)
}

/// The payload as a packet. It must be shorter than 16 MiB.
pub(super) fn framed(payload: &[u8], number: u8) -> Vec<u8> {
    // The operator's query is the longest, and its length is checked.
    let [a, b, c, _] = u32::try_from(payload.len())
        .unwrap_or_default()
        .to_le_bytes();
    [&[a, b, c, number], payload].concat()
}

pub(super) fn protocol(why: impl std::fmt::Display) -> Failure {
    Failure::new(Reason::Protocol, why)
}
