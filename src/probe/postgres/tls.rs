//! From a connection to a transport: the request for TLS, and what its answer means.

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::model::{Facts, Failure, Phase, Reason};
use crate::net::{Stopwatch, TlsMode, TlsPolicy, Transport, Wire, failure_of};

/// Asks a server for TLS.
const REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Turns a connection into what the policy asks for, in the phase [`Phase::Tls`].
pub(super) async fn secure(
    policy: &TlsPolicy,
    mut wire: Wire,
    name: &ServerName<'static>,
    facts: &mut Facts,
    watch: &mut Stopwatch,
) -> Result<Transport, Failure> {
    watch.enter(Phase::Tls);
    if !offered(policy.mode(), &mut wire).await? {
        watch.leave();
        return Ok(Transport::Plain(wire));
    }
    // Only the one byte of the answer was read, so whatever the peer sent behind it is part of the
    // handshake and breaks it, rather than being taken for the server's words inside.
    policy.secure(wire, name, facts, watch).await
}

async fn offered(mode: TlsMode, wire: &mut Wire) -> Result<bool, Failure> {
    let broken = |e: std::io::Error| failure_of(&e, "ask for TLS");
    wire.write_all(&REQUEST).await.map_err(broken)?;
    match wire.read_u8().await.map_err(broken)? {
        b'S' => Ok(true),
        b'N' if mode == TlsMode::Prefer => Ok(false),
        b'N' => Err(Failure::new(
            Reason::TlsRefused,
            "the server does not offer TLS (ssl = off?)",
        )),
        // Its text comes from who knows whom, so it is not repeated.
        b'E' => Err(Failure::new(
            Reason::NotAccepting,
            "the server answered the request for TLS with an error",
        )),
        other => Err(Failure::new(
            Reason::Protocol,
            format_args!("the answer to the request for TLS was the byte {other:#04x}"),
        )),
    }
}
