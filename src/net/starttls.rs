//! What protocols say in the clear before their TLS handshake.
//!
//! Each conversation reads not a byte further than the server's consent: what came behind it in
//! the clear would otherwise count as said inside the session.

use std::net::IpAddr;

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Stopwatch, failure_of};
use crate::model::{Failure, Phase, Reason};

/// A protocol that begins in the clear and changes to TLS when asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartTls {
    /// PostgreSQL's `SSLRequest`.
    Postgres,
    /// MySQL's and MariaDB's SSL request packet.
    Mysql,
    /// SMTP's `STARTTLS` (RFC 3207).
    Smtp,
}

/// Bytes of the server's part that are read at most.
const MAX_BYTES: usize = 8192;

impl StartTls {
    /// Asks the server for TLS, in the phase [`Phase::Tls`], which goes on with the handshake.
    ///
    /// `local` is this end's address: SMTP has to say it. [`Reason::TlsRefused`] when the server
    /// does not offer it, [`Reason::Answer`] when it does not want to talk at all.
    pub async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        stream: &mut S,
        local: IpAddr,
        watch: &mut Stopwatch,
    ) -> Result<(), Failure> {
        watch.enter(Phase::Tls);
        let mut talk = Talk {
            stream,
            read: MAX_BYTES,
        };
        match self {
            Self::Postgres => postgres(&mut talk).await,
            Self::Mysql => mysql(&mut talk).await,
            Self::Smtp => smtp(&mut talk, local).await,
        }
    }
}

async fn postgres<S: AsyncRead + AsyncWrite + Unpin>(
    talk: &mut Talk<'_, S>,
) -> Result<(), Failure> {
    // Length 8, then the number that no protocol version has.
    talk.send(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]).await?;
    let [answer] = talk.take().await?;
    match answer {
        b'S' => Ok(()),
        b'N' => Err(refused("PostgreSQL answered `N`: it offers no TLS here")),
        b'E' => Err(Failure::new(
            Reason::Answer,
            "PostgreSQL answered the request for TLS with an error",
        )),
        other => Err(protocol(format_args!(
            "byte 0x{other:02x} is no answer to PostgreSQL's request for TLS"
        ))),
    }
}

/// Capabilities that the request names: protocol 4.1, TLS, secure connection, authentication
/// plugins.
const MYSQL_CAPABILITIES: u32 = 0x0200 | MYSQL_TLS as u32 | 0x8000 | 0x0008_0000;
const MYSQL_TLS: u16 = 0x0800;

async fn mysql<S: AsyncRead + AsyncWrite + Unpin>(talk: &mut Talk<'_, S>) -> Result<(), Failure> {
    let [a, b, c, sequence] = talk.take().await?;
    let length = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
    let greeting = talk.take_bytes(length).await?;
    if greeting.first() == Some(&0xff) {
        let text = String::from_utf8_lossy(greeting.get(3..).unwrap_or_default());
        return Err(Failure::new(
            Reason::Answer,
            format_args!("MySQL does not want to talk: {text}"),
        ));
    }
    let offered = mysql_capabilities(&greeting)
        .filter(|_| sequence == 0)
        .ok_or_else(|| protocol("this is no greeting of MySQL"))?;
    if offered & MYSQL_TLS == 0 {
        return Err(refused("MySQL's greeting does not offer TLS"));
    }
    let mut request = [0; 36];
    // A body of 32 bytes, the second packet of the connection.
    request[..4].copy_from_slice(&[32, 0, 0, sequence + 1]);
    request[4..8].copy_from_slice(&MYSQL_CAPABILITIES.to_le_bytes());
    request[8..12].copy_from_slice(&(1_u32 << 24).to_le_bytes());
    request[12] = 45; // utf8mb4
    talk.send(&request).await
}

/// The lower half of the capabilities in the greeting of protocol 10.
fn mysql_capabilities(greeting: &[u8]) -> Option<u16> {
    let rest = greeting.strip_prefix(&[10])?;
    let version = rest.iter().position(|b| *b == 0)?;
    // The connection's number (4), a part of the challenge (8), a zero.
    let at = version + 1 + 4 + 8 + 1;
    let bytes = rest.get(at..at + 2)?;
    Some(u16::from_le_bytes([bytes[0], bytes[1]]))
}

async fn smtp<S: AsyncRead + AsyncWrite + Unpin>(
    talk: &mut Talk<'_, S>,
    local: IpAddr,
) -> Result<(), Failure> {
    let greeting = talk.smtp_reply().await?;
    if greeting.code != *b"220" {
        return Err(Failure::new(
            Reason::Answer,
            format_args!("SMTP does not want to talk: {}", greeting.text),
        ));
    }
    let hello = match local {
        IpAddr::V4(ip) => format!("EHLO [{ip}]\r\n"),
        IpAddr::V6(ip) => format!("EHLO [IPv6:{ip}]\r\n"),
    };
    talk.send(hello.as_bytes()).await?;
    let offer = talk.smtp_reply().await?;
    let offers = |line: &str| {
        line.get(4..)
            .is_some_and(|word| word.trim().eq_ignore_ascii_case("STARTTLS"))
    };
    if offer.code != *b"250" || !offer.text.lines().any(offers) {
        return Err(refused("SMTP's answer to EHLO does not offer STARTTLS"));
    }
    talk.send(b"STARTTLS\r\n").await?;
    let consent = talk.smtp_reply().await?;
    if consent.code == *b"220" {
        Ok(())
    } else {
        Err(refused(format_args!(
            "SMTP refused STARTTLS: {}",
            consent.text
        )))
    }
}

struct SmtpReply {
    code: [u8; 3],
    /// All lines.
    text: String,
}

/// A conversation that reads exactly what it was asked for, and not too much of it.
struct Talk<'a, S> {
    stream: &'a mut S,
    /// Bytes that may still be read.
    read: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<'_, S> {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let sent = self.stream.write_all(bytes).await;
        sent.map_err(|e| failure_of(&e, "ask for TLS"))
    }

    async fn take<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        let mut bytes = [0; N];
        self.fill(&mut bytes).await?;
        Ok(bytes)
    }

    async fn take_bytes(&mut self, length: usize) -> Result<Vec<u8>, Failure> {
        // Before there is a buffer of the size that the server names.
        self.allow(length)?;
        let mut bytes = vec![0; length];
        self.fill(&mut bytes).await?;
        Ok(bytes)
    }

    async fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Failure> {
        self.allow(bytes.len())?;
        self.read -= bytes.len();
        let read = self.stream.read_exact(bytes).await;
        read.map_err(|e| failure_of(&e, "ask for TLS"))?;
        Ok(())
    }

    fn allow(&self, length: usize) -> Result<(), Failure> {
        if length <= self.read {
            return Ok(());
        }
        Err(Failure::new(
            Reason::TooLarge,
            format_args!("the server says more than {MAX_BYTES} bytes before TLS"),
        ))
    }

    /// A reply of one or more lines, `250-` on all but the last, read byte by byte: there are few.
    async fn smtp_reply(&mut self) -> Result<SmtpReply, Failure> {
        let mut text = Vec::new();
        loop {
            let line = text.len();
            while text.last() != Some(&b'\n') || text.len() == line {
                let [byte] = self.take().await?;
                text.push(byte);
            }
            match text[line..] {
                [a, b, c, b'-', ..] if [a, b, c].iter().all(u8::is_ascii_digit) => {}
                [a, b, c, b' ' | b'\r' | b'\n', ..] if [a, b, c].iter().all(u8::is_ascii_digit) => {
                    return Ok(SmtpReply {
                        code: [a, b, c],
                        text: String::from_utf8_lossy(&text).into_owned(),
                    });
                }
                _ => {
                    let line = String::from_utf8_lossy(&text[line..]);
                    return Err(protocol(format_args!("`{line}` is no reply of SMTP")));
                }
            }
        }
    }
}

fn refused(why: impl std::fmt::Display) -> Failure {
    Failure::new(Reason::TlsRefused, why)
}

fn protocol(why: impl std::fmt::Display) -> Failure {
    Failure::new(Reason::Protocol, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a server that says `says`, whatever it hears; and what is left unread.
    async fn ask(kind: StartTls, says: &[u8]) -> (Result<(), Reason>, Vec<u8>) {
        let (mut ours, mut theirs) = tokio::io::duplex(1 << 16);
        theirs.write_all(says).await.expect("room");
        theirs.shutdown().await.expect("open");
        let mut watch = Stopwatch::start();
        let local = IpAddr::from([127, 0, 0, 1]);
        let result = kind.ask(&mut ours, local, &mut watch).await;
        assert_eq!(watch.current(), Some(Phase::Tls));
        let mut rest = Vec::new();
        ours.read_to_end(&mut rest).await.expect("ends");
        (result.map_err(|failure| failure.reason), rest)
    }

    fn greeting(capabilities: u16) -> Vec<u8> {
        let mut body = vec![10];
        body.extend(b"8.0.99\0");
        body.extend([1, 0, 0, 0]);
        body.extend(b"challeng\0");
        body.extend(capabilities.to_le_bytes());
        body.extend([45, 0, 0]);
        let length = u8::try_from(body.len()).expect("short");
        [&[length, 0, 0, 0], &*body].concat()
    }

    #[tokio::test]
    async fn consent_is_taken_and_nothing_behind_it_is_read() {
        let smtp = b"220-mx.example\r\n220 ready\r\n250-mx.example\r\n250-SIZE 1000\r\n\
            250 starttls\r\n220 go ahead\r\n";
        for (kind, says) in [
            (StartTls::Postgres, b"S".to_vec()),
            (StartTls::Mysql, greeting(0xffff)),
            (StartTls::Smtp, smtp.to_vec()),
        ] {
            let (result, rest) = ask(kind, &[&*says, b"injected"].concat()).await;
            assert_eq!((result, &*rest), (Ok(()), &b"injected"[..]), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn a_server_without_tls_and_one_that_breaks_the_rules_are_told_apart() {
        let endless = b"220-".repeat(5000);
        let error_packet = b"\x0b\0\0\0\xff\x10\x04too many".to_vec();
        let rows: [(StartTls, &[u8], Reason); 14] = [
            (StartTls::Postgres, b"N", Reason::TlsRefused),
            (StartTls::Postgres, b"E", Reason::Answer),
            (StartTls::Postgres, b"H", Reason::Protocol),
            (StartTls::Postgres, b"", Reason::Eof),
            (StartTls::Mysql, &greeting(0xf7ff), Reason::TlsRefused),
            (StartTls::Mysql, &error_packet, Reason::Answer),
            (StartTls::Mysql, b"\x05\0\0\0\x09hell", Reason::Protocol),
            (StartTls::Mysql, b"\xff\xff\xff\0", Reason::TooLarge),
            (StartTls::Mysql, b"\x05\0\0\0\x0a", Reason::Eof),
            (StartTls::Smtp, b"554 go away\r\n", Reason::Answer),
            (
                StartTls::Smtp,
                b"220 hi\r\n250-mx\r\n250 STARTTLSX\r\n",
                Reason::TlsRefused,
            ),
            (
                StartTls::Smtp,
                b"220 hi\r\n250 STARTTLS\r\n454 not now\r\n",
                Reason::TlsRefused,
            ),
            (StartTls::Smtp, b"HTTP/1.1 400\r\n", Reason::Protocol),
            (StartTls::Smtp, &endless, Reason::TooLarge),
        ];
        for (kind, says, reason) in rows {
            let (result, _) = ask(kind, says).await;
            assert_eq!(result, Err(reason), "{kind:?} {says:?}");
        }
    }
}
