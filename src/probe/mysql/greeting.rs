//! What the server says first.

use mysql_common::constants::CapabilityFlags;
use mysql_common::io::ParseBuf;

use super::failure::{ERROR, ServerError};
use super::session::protocol;
use crate::model::Failure;

/// Bytes of the challenge of the two plugins that a greeting can begin.
pub(super) const CHALLENGE: usize = 20;

/// What cannot be done without: the protocol since 4.1, challenges, named plugins.
const NEEDED: CapabilityFlags = CapabilityFlags::CLIENT_PROTOCOL_41
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH);

/// The server's greeting. Whoever is on the way can have written it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    /// The version, without what `MariaDB` puts before it for old replicas.
    pub(super) version: String,
    pub(super) capabilities: CapabilityFlags,
    pub(super) challenge: [u8; CHALLENGE],
    /// The name of the plugin for which the challenge is.
    pub(super) plugin: Vec<u8>,
}

impl Greeting {
    /// Reads the first packet, or what the server has against a session at all.
    pub(super) fn parse(packet: &[u8]) -> Result<Self, Failure> {
        if packet.first() == Some(&ERROR) {
            let error = ServerError::parse(packet).ok_or_else(unreadable)?;
            return Err(error.of_login());
        }
        let greeting = Self::fields(packet).ok_or_else(unreadable)?;
        if greeting.capabilities.contains(NEEDED) {
            Ok(greeting)
        } else {
            Err(protocol("the server speaks a protocol that is too old"))
        }
    }

    fn fields(packet: &[u8]) -> Option<Self> {
        // The protocol's number; what a server speaks since 1998.
        let mut rest = ParseBuf(packet.strip_prefix(&[10])?);
        let version = until_zero(&mut rest)?;
        rest.checked_skip(4).then_some(())?; // the connection's number
        let first = rest.checked_eat(8)?;
        rest.checked_skip(1).then_some(())?;
        let low = rest.checked_eat_u16_le()?;
        rest.checked_skip(1 + 2).then_some(())?; // collation, status
        let high = rest.checked_eat_u16_le()?;
        let length = usize::from(rest.checked_eat_u8()?);
        rest.checked_skip(10).then_some(())?;
        // The second part has at least 13 bytes, with a zero at the end.
        let second = rest.checked_eat(length.saturating_sub(8).max(13))?;
        let challenge = [first, &second[..CHALLENGE - 8]].concat();
        let version = String::from_utf8_lossy(version);
        Some(Self {
            version: version
                .strip_prefix("5.5.5-")
                .unwrap_or(&version)
                .to_owned(),
            capabilities: CapabilityFlags::from_bits_truncate(
                u32::from(low) | u32::from(high) << 16,
            ),
            challenge: challenge.try_into().ok()?,
            plugin: rest.eat_null_str().to_vec(),
        })
    }
}

/// The bytes up to a zero, which must be there.
pub(super) fn until_zero<'a>(rest: &mut ParseBuf<'a>) -> Option<&'a [u8]> {
    let end = rest.0.iter().position(|byte| *byte == 0)?;
    let (text, behind) = rest.0.split_at(end);
    rest.0 = &behind[1..];
    Some(text)
}

fn unreadable() -> Failure {
    protocol("this is no greeting of MySQL or MariaDB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reason;

    fn packet(version: &[u8], capabilities: u32, length: u8) -> Vec<u8> {
        let [a, b, c, d] = capabilities.to_le_bytes();
        let parts: [&[u8]; 9] = [
            &[10],
            version,
            &[0, 1, 0, 0, 0],
            b"challeng\0",
            &[a, b, 45, 2, 0, c, d, length],
            &[0; 10],
            b"e of twenty!\0",
            b"caching_sha2_password\0",
            b"",
        ];
        parts.concat()
    }

    #[test]
    fn a_greeting_is_read_and_a_cut_one_is_not() {
        let whole = packet(b"5.5.5-10.11.2-MariaDB", u32::MAX, 21);
        let greeting = Greeting::parse(&whole).expect("read");
        assert_eq!(greeting.version, "10.11.2-MariaDB");
        assert_eq!(&greeting.challenge, b"challenge of twenty!");
        assert_eq!(greeting.plugin, b"caching_sha2_password");
        let end = whole.len() - b"caching_sha2_password\0".len();
        for length in 0..end {
            let failure = Greeting::parse(&whole[..length]).expect_err("cut");
            assert_eq!(failure.reason, Reason::Protocol, "{length}");
        }
        // Lengths that a library took for negative ones.
        for length in [0, 7, 8, 20, 127, 128, 135, 255] {
            let packet = packet(b"8.4.0", u32::MAX, length);
            let _ = Greeting::parse(&packet);
        }
        let old = packet(b"4.0.30", 0x0000_8200, 21);
        assert_eq!(
            Greeting::parse(&old).expect_err("old").reason,
            Reason::Protocol
        );
    }
}
