//! A connection to a server: questions go out, replies come in.

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::reply::{Replies, Reply};
use crate::model::{Failure, Reason, TlsFacts};
use crate::net::Transport;

/// Room that is made for what arrives.
const PIECE: usize = 4 << 10;

/// A connection, and what came over it and is not read yet.
pub(super) struct Session {
    transport: Transport,
    replies: Replies,
    /// Whether anything came since the last question.
    answering: bool,
    /// What the handshake told.
    pub(super) tls: Option<Box<TlsFacts>>,
}

impl Session {
    pub(super) fn new(transport: Transport, tls: Option<Box<TlsFacts>>) -> Self {
        Self {
            transport,
            replies: Replies::default(),
            answering: false,
            tls,
        }
    }

    /// Asks one question, and reads its answer.
    pub(super) async fn ask(&mut self, question: &[u8]) -> Result<Reply, Failure> {
        self.send(question).await?;
        let reply = self.reply().await?;
        self.settle()?;
        Ok(reply)
    }

    /// Sends questions, each of which has one reply.
    pub(super) async fn send(&mut self, questions: &[u8]) -> Result<(), Failure> {
        self.answering = false;
        let stream = &mut self.transport;
        stream
            .write_all(questions)
            .await
            .map_err(|e| Transport::failure_of(&e))?;
        stream.flush().await.map_err(|e| Transport::failure_of(&e))
    }

    /// Reads the next reply.
    pub(super) async fn reply(&mut self) -> Result<Reply, Failure> {
        loop {
            if let Some(reply) = self.replies.take()? {
                return Ok(reply);
            }
            let buffer = self.replies.buffer();
            buffer.reserve(PIECE);
            let stream = &mut self.transport;
            match stream
                .read_buf(buffer)
                .await
                .map_err(|e| Transport::failure_of(&e))?
            {
                0 => {
                    return Err(Failure::new(
                        Reason::Eof,
                        "the server closed the connection",
                    ));
                }
                _ => self.answering = true,
            }
        }
    }

    /// Every question has its reply. A server that said more cannot be understood any further.
    pub(super) fn settle(&self) -> Result<(), Failure> {
        if self.replies.is_empty() {
            return Ok(());
        }
        let why = "the server said more than it was asked";
        Err(Failure::new(Reason::Protocol, why))
    }

    /// Whether the failure of a question was the end of the connection, before any answer.
    pub(super) fn was_gone(&self, failure: &Failure) -> bool {
        !self.answering && matches!(failure.reason, Reason::Eof | Reason::Reset)
    }

    /// Makes the connection ready for another run; whether that may use it.
    pub(super) fn is_ready(&mut self) -> bool {
        self.transport.renew();
        self.transport.is_quiet()
    }

    /// Says good-bye, without waiting for the peer. Without TLS, the closed socket says it.
    pub(super) fn part(mut self) {
        let _ = self.transport.shutdown().now_or_never();
    }
}
