//! From a connection to a session: the greeting, TLS, and the login.

use std::collections::HashMap;

use mysql_common::constants::CapabilityFlags;
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthPlugin, HandshakeResponse, SslRequest};
use mysql_common::proto::MySerialize;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;

use super::failure::{ERROR, ServerError};
use super::greeting::{Greeting, until_zero};
use super::password::{Plugin, Privacy, Proof};
use super::session::{Session, framed, protocol, read};
use crate::model::{Facts, Failure, Phase, Reason, Secret};
use crate::net::{Stopwatch, TlsMode, TlsPolicy, Transport, Wire, failure_of};

/// What begins the packets of a login, beside [`ERROR`].
const GRANTED: u8 = 0x00;
const MORE: u8 = 0x01;
const SWITCH: u8 = 0xfe;

/// Packets of the server that may pass before it has decided. The longest login that a server
/// really asks for, with one change of the plugin and a public key, has six.
const MAX_PACKETS: usize = 16;

/// Announced as the longest packet that this client takes.
const MAX_PACKET: u32 = 1 << 20;
/// `utf8mb4_general_ci`: the character set of everything that is said.
const COLLATION: u8 = 45;

/// What this client can do. Never `CLIENT_LOCAL_FILES`: no server shall ask for a file here. Never
/// `CLIENT_MULTI_STATEMENTS`: a query is one.
const OFFERED: CapabilityFlags = CapabilityFlags::CLIENT_LONG_PASSWORD
    .union(CapabilityFlags::CLIENT_LONG_FLAG)
    .union(CapabilityFlags::CLIENT_PROTOCOL_41)
    .union(CapabilityFlags::CLIENT_TRANSACTIONS)
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH)
    .union(CapabilityFlags::CLIENT_CONNECT_ATTRS);

/// Who logs in, and how.
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: Option<Secret>,
    pub(super) database: Option<String>,
    pub(super) allow_cleartext: bool,
    pub(super) tls: Option<TlsPolicy>,
}

impl Login {
    /// Logs in over a new connection; also what the server says of its version.
    ///
    /// The greeting belongs to the phase [`Phase::Tls`] if there is to be TLS: it is how the server
    /// offers it.
    pub(super) async fn perform(
        &self,
        mut wire: Wire,
        name: &ServerName<'static>,
        facts: &mut Facts,
        watch: &mut Stopwatch,
    ) -> Result<(Session, String), Failure> {
        watch.enter(if self.tls.is_some() {
            Phase::Tls
        } else {
            Phase::Auth
        });
        // An error instead of a greeting has another number in some versions.
        let greeting = Greeting::parse(&read(&mut wire, None).await?)?;
        let mut number = 1;
        let transport = match &self.tls {
            Some(policy) if offers_tls(&greeting, policy.mode())? => {
                let request =
                    SslRequest::new(self.capabilities(&greeting, true), MAX_PACKET, COLLATION);
                let request = framed(&serialized(&request), number);
                number += 1;
                let sent = wire.write_all(&request).await;
                sent.map_err(|e| failure_of(&e, "ask for TLS"))?;
                // Only the greeting was read, so whatever the peer sent behind it is part of the
                // handshake and breaks it.
                policy.secure(wire, name, facts, watch).await?
            }
            _ => Transport::Plain(wire),
        };
        watch.enter(Phase::Auth);
        let mut session = Session::new(transport, number);
        self.authenticate(&mut session, &greeting, number > 1)
            .await?;
        watch.leave();
        Ok((session, greeting.version))
    }

    fn capabilities(&self, greeting: &Greeting, encrypted: bool) -> CapabilityFlags {
        let mut capabilities = OFFERED & greeting.capabilities;
        capabilities.set(CapabilityFlags::CLIENT_SSL, encrypted);
        capabilities.set(
            CapabilityFlags::CLIENT_CONNECT_WITH_DB,
            self.database.is_some(),
        );
        capabilities
    }

    async fn authenticate(
        &self,
        session: &mut Session,
        greeting: &Greeting,
        encrypted: bool,
    ) -> Result<(), Failure> {
        let verified = encrypted
            && self
                .tls
                .as_ref()
                .is_some_and(|policy| policy.mode().verifies());
        let privacy = Privacy {
            encrypted,
            trusted: verified || self.allow_cleartext,
        };
        let begin = |plugin, challenge: &[u8]| {
            Proof::begin(plugin, challenge, self.password.as_ref(), privacy)
        };
        let plugin = Plugin::named(&greeting.plugin).filter(|p| p.takes_first_challenge());
        let plugin = plugin.unwrap_or(Plugin::Native);
        let (mut proof, answer) = begin(plugin, &greeting.challenge)?;
        let capabilities = self.capabilities(greeting, encrypted);
        session
            .write(&self.response(plugin, answer, capabilities))
            .await?;
        for _ in 0..MAX_PACKETS {
            let packet = session.read().await?;
            let answer = match packet.split_first() {
                Some((&GRANTED, _)) => return Ok(()),
                Some((&ERROR, _)) => {
                    let error = ServerError::parse(&packet);
                    return Err(error.map_or_else(unknown, |error| error.of_login()));
                }
                Some((&MORE, said)) => proof.more(said)?,
                Some((&SWITCH, request)) => {
                    let (plugin, challenge) = switch(request)?;
                    let (next, answer) = begin(plugin, challenge)?;
                    proof = next;
                    Some(answer)
                }
                _ => return Err(unknown()),
            };
            if let Some(answer) = answer {
                session.write(&answer).await?;
            }
        }
        Err(protocol("the login does not come to an end"))
    }

    fn response(&self, plugin: Plugin, answer: Vec<u8>, capabilities: CapabilityFlags) -> Vec<u8> {
        let plugin = match plugin {
            Plugin::CachingSha2 => AuthPlugin::CachingSha2Password,
            _ => AuthPlugin::MysqlNativePassword,
        };
        let attributes = capabilities
            .contains(CapabilityFlags::CLIENT_CONNECT_ATTRS)
            .then(|| HashMap::from([("program_name".to_owned(), "hotspare".to_owned())]));
        serialized(&HandshakeResponse::new(
            Some(answer),
            (8, 0, 0),
            Some(self.user.as_bytes()),
            self.database.as_deref().map(str::as_bytes),
            Some(plugin),
            capabilities,
            attributes,
            MAX_PACKET,
        ))
    }
}

fn offers_tls(greeting: &Greeting, mode: TlsMode) -> Result<bool, Failure> {
    if greeting.capabilities.contains(CapabilityFlags::CLIENT_SSL) {
        return Ok(true);
    }
    if mode == TlsMode::Prefer {
        return Ok(false);
    }
    Err(Failure::new(
        Reason::TlsRefused,
        "the server does not offer TLS (no ssl_cert and ssl_key?)",
    ))
}

/// The plugin that the server asks for, and its challenge.
fn switch(request: &[u8]) -> Result<(Plugin, &[u8]), Failure> {
    if request.is_empty() {
        return Err(unsupported(b"mysql_old_password"));
    }
    let mut rest = ParseBuf(request);
    let name = until_zero(&mut rest).ok_or_else(unknown)?;
    let plugin = Plugin::named(name).ok_or_else(|| unsupported(name))?;
    Ok((plugin, rest.0))
}

fn unsupported(plugin: &[u8]) -> Failure {
    Failure::new(
        Reason::Auth,
        format_args!(
            "the server asks for the authentication plugin `{}`, which is not supported: use an \
             account with a password (it may also ask so because it does not know the account)",
            String::from_utf8_lossy(plugin)
        ),
    )
}

fn unknown() -> Failure {
    protocol("the server's part of the login cannot be understood")
}

fn serialized(packet: &impl MySerialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.serialize(&mut bytes);
    bytes
}
