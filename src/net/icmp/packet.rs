//! Echo requests as bytes, and what comes back.
//!
//! The payload of a request is its ticket (slot and generation, eight bytes) and then the socket's
//! secret, over and over: whoever did not see the request cannot make its reply.

use std::net::{IpAddr, Ipv4Addr};

use smallvec::SmallVec;
use surge_ping::{Icmpv4Packet, Icmpv6Packet};

use super::{Family, SocketType};

/// Bytes of an echo message before its payload.
pub(super) const HEADER: usize = 8;
/// Bytes of a payload that tell a packet from all others: the ticket and the secret once.
pub(super) const MARK: usize = TICKET + 16;
const TICKET: usize = 8;

const ECHO_REQUEST_V4: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;
const PROTOCOL_ICMP: u8 = 1;
const NEXT_HEADER_ICMPV6: u8 = 58;

/// What the payloads of one socket share and nobody else knows.
pub(super) type Secret = [u8; 16];

/// A packet on the wire; the default size of a ping needs no allocation.
pub(super) type Bytes = SmallVec<[u8; 128]>;

/// Which slot of the table a packet belongs to, and which use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// An echo request to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) ident: u16,
    pub(super) seq: u16,
    pub(super) ticket: Ticket,
    /// Bytes of payload, at least [`MARK`].
    pub(super) size: u16,
}

/// Writes the request. The kernel fills in the checksum, except on a raw IPv4 socket, and the
/// identifier on a datagram socket.
pub(super) fn write(request: &Request, family: Family, secret: &Secret) -> Bytes {
    let length = HEADER + usize::from(request.size);
    let mut bytes = Bytes::with_capacity(length);
    bytes.push(match family {
        Family::V4 => ECHO_REQUEST_V4,
        Family::V6 => ECHO_REQUEST_V6,
    });
    bytes.extend_from_slice(&[0, 0, 0]);
    bytes.extend_from_slice(&request.ident.to_be_bytes());
    bytes.extend_from_slice(&request.seq.to_be_bytes());
    bytes.extend_from_slice(&request.ticket.slot.to_be_bytes());
    bytes.extend_from_slice(&request.ticket.generation.to_be_bytes());
    while bytes.len() < length {
        let part = secret.len().min(length - bytes.len());
        bytes.extend_from_slice(&secret[..part]);
    }
    if family == Family::V4 {
        let sum = checksum(&bytes);
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

/// The Internet checksum (RFC 1071).
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    #[expect(clippy::cast_possible_truncation, reason = "folded to 16 bits above")]
    let folded = sum as u16;
    !folded
}

/// The ticket in the payload, if every byte behind it is the secret's.
pub(super) fn ticket_of(payload: &[u8], secret: &Secret) -> Option<Ticket> {
    let (ticket, rest) = payload.split_at_checked(TICKET)?;
    let ours = rest.len() >= secret.len()
        && rest
            .chunks(secret.len())
            .all(|chunk| *chunk == secret[..chunk.len()]);
    ours.then(|| Ticket {
        slot: u32::from_be_bytes([ticket[0], ticket[1], ticket[2], ticket[3]]),
        generation: u32::from_be_bytes([ticket[4], ticket[5], ticket[6], ticket[7]]),
    })
}

/// Why the network gave a packet back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bounce {
    /// The destination cannot be reached; the code says why.
    Unreachable(u8),
    /// The packet is larger than a link on the way allows.
    TooBig,
    /// Its time to live ended on the way.
    TtlExceeded,
}

impl Bounce {
    fn from_v4(kind: u8, code: u8) -> Option<Self> {
        match (kind, code) {
            (3, 4) => Some(Self::TooBig),
            (3, code) => Some(Self::Unreachable(code)),
            (11, 0) => Some(Self::TtlExceeded),
            _ => None,
        }
    }

    fn from_v6(kind: u8, code: u8) -> Option<Self> {
        match (kind, code) {
            (1, code) => Some(Self::Unreachable(code)),
            (2, _) => Some(Self::TooBig),
            (3, 0) => Some(Self::TtlExceeded),
            _ => None,
        }
    }
}

/// A message from the network, as far as it can concern us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// An echo reply.
    Reply {
        ident: u16,
        seq: u16,
        payload: &'a [u8],
    },
    /// An error about an echo request.
    Error {
        bounce: Bounce,
        /// Where the request was going.
        to: IpAddr,
        ident: u16,
        seq: u16,
        /// The mark of the request, where the error quotes that much of it.
        mark: Option<&'a [u8]>,
    },
    /// Anything else.
    Other,
}

/// Reads what a socket of the given type received.
pub(super) fn read(bytes: &[u8], socket: SocketType, from: IpAddr) -> Message<'_> {
    let message = match from {
        IpAddr::V4(from) => read_v4(bytes, socket, from),
        IpAddr::V6(from) => read_v6(bytes, from),
    };
    message.unwrap_or(Message::Other)
}

fn read_v4(bytes: &[u8], socket: SocketType, from: Ipv4Addr) -> Option<Message<'_>> {
    // A raw IPv4 socket receives the IP header too.
    let icmp = match socket {
        SocketType::Raw => bytes.get(header_length(bytes)?..)?,
        SocketType::Datagram => bytes,
    };
    let packet = Icmpv4Packet::decode(bytes, socket.into(), from, Ipv4Addr::UNSPECIFIED).ok()?;
    let (ident, seq) = (
        packet.get_identifier().into_u16(),
        packet.get_sequence().into_u16(),
    );
    if packet.get_icmp_type().0 == 0 {
        return Some(reply(icmp, ident, seq));
    }
    let quoted = icmp.get(HEADER..)?;
    let echo = quoted.get(header_length(quoted)?..)?;
    // The decoder takes any quoted protocol and any fragment for an echo request.
    let first_fragment =
        u16::from_be_bytes([*quoted.get(6)?, *quoted.get(7)?]).trailing_zeros() >= 13;
    if quoted[9] != PROTOCOL_ICMP || !first_fragment || *echo.first()? != ECHO_REQUEST_V4 {
        return None;
    }
    Some(Message::Error {
        bounce: Bounce::from_v4(packet.get_icmp_type().0, packet.get_icmp_code().0)?,
        to: packet.get_real_dest().into(),
        ident,
        seq,
        mark: mark_of(echo),
    })
}

/// Bytes of the IPv4 header that the bytes begin with.
fn header_length(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    let length = usize::from(first & 0xf) * 4;
    (first >> 4 == 4 && length >= 20 && bytes.len() >= length).then_some(length)
}

fn read_v6(bytes: &[u8], from: std::net::Ipv6Addr) -> Option<Message<'_>> {
    let packet = Icmpv6Packet::decode(bytes, from).ok()?;
    let (ident, seq) = (
        packet.get_identifier().into_u16(),
        packet.get_sequence().into_u16(),
    );
    if packet.get_icmpv6_type().0 == 129 {
        return Some(reply(bytes, ident, seq));
    }
    let quoted = bytes.get(HEADER..)?;
    // Behind extension headers (we send none but those of fragments) only the header is known.
    let echo = match *quoted.get(6)? {
        NEXT_HEADER_ICMPV6 => quoted.get(40..)?,
        _ => &[],
    };
    if echo.first().is_some_and(|kind| *kind != ECHO_REQUEST_V6) {
        return None;
    }
    Some(Message::Error {
        bounce: Bounce::from_v6(packet.get_icmpv6_type().0, packet.get_icmpv6_code().0)?,
        to: packet.get_real_dest().into(),
        ident,
        seq,
        mark: mark_of(echo),
    })
}

fn reply(icmp: &[u8], ident: u16, seq: u16) -> Message<'_> {
    Message::Reply {
        ident,
        seq,
        payload: icmp.get(HEADER..).unwrap_or_default(),
    }
}

/// The mark in a quoted echo request. Routers that add extensions (RFC 4884) pad a short quote
/// with zeros: those are no mark.
fn mark_of(echo: &[u8]) -> Option<&[u8]> {
    echo.get(HEADER..HEADER + MARK)
        .filter(|mark| mark.iter().any(|byte| *byte != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: Secret = *b"a secret of ours";
    const TO: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

    fn request() -> Request {
        Request {
            ident: 0x1234,
            seq: 7,
            ticket: Ticket {
                slot: 3,
                generation: 9,
            },
            size: 56,
        }
    }

    /// The request as its target would send it back.
    fn reply_v4() -> Vec<u8> {
        let mut bytes = write(&request(), Family::V4, &SECRET).to_vec();
        bytes[0] = 0;
        bytes
    }

    fn ip_header(protocol: u8, to: [u8; 4]) -> Vec<u8> {
        let mut header = vec![0x45, 0, 0, 84, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1];
        header.extend_from_slice(&to);
        header
    }

    /// An error from a router about the request, quoting `quote` bytes of it.
    fn error_v4(kind: u8, code: u8, protocol: u8, quote: usize) -> Vec<u8> {
        let mut bytes = ip_header(1, [10, 0, 0, 1]);
        bytes.extend_from_slice(&[kind, code, 0, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(&ip_header(protocol, [192, 0, 2, 1]));
        bytes.extend_from_slice(&write(&request(), Family::V4, &SECRET)[..quote]);
        let length = u16::try_from(bytes.len()).expect("short");
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes
    }

    #[test]
    fn a_request_has_the_checksum_that_its_own_bytes_make_zero() {
        for size in [24, 25, 56, 1400] {
            let request = Request { size, ..request() };
            let bytes = write(&request, Family::V4, &SECRET);
            assert_eq!(bytes.len(), HEADER + usize::from(size));
            assert_eq!(checksum(&bytes), 0, "{size}");
        }
    }

    #[test]
    fn a_reply_is_read_by_both_sockets() {
        let bytes = reply_v4();
        let expected = Message::Reply {
            ident: 0x1234,
            seq: 7,
            payload: &bytes[HEADER..],
        };
        assert_eq!(read(&bytes, SocketType::Datagram, TO), expected);
        let mut raw = ip_header(1, [10, 0, 0, 1]);
        raw.extend_from_slice(&bytes);
        assert_eq!(read(&raw, SocketType::Raw, TO), expected);
        assert_eq!(ticket_of(&bytes[HEADER..], &SECRET), Some(request().ticket));
    }

    #[test]
    fn every_byte_of_the_payload_behind_the_ticket_counts() {
        let payload = reply_v4().split_off(HEADER);
        for position in TICKET..payload.len() {
            let mut changed = payload.clone();
            changed[position] ^= 1;
            assert_eq!(ticket_of(&changed, &SECRET), None, "byte {position}");
        }
        for length in 0..MARK {
            assert_eq!(
                ticket_of(&payload[..length], &SECRET),
                None,
                "{length} bytes"
            );
        }
    }

    #[test]
    fn requests_and_other_messages_are_not_ours() {
        let mut raw = ip_header(1, [10, 0, 0, 1]);
        raw.extend_from_slice(&write(&request(), Family::V4, &SECRET));
        assert_eq!(read(&raw, SocketType::Raw, TO), Message::Other);
        // A redirect tells of a better way; the packet went on.
        assert_eq!(
            read(&error_v4(5, 1, 1, 64), SocketType::Raw, ROUTER),
            Message::Other
        );
        // An error about a TCP segment.
        assert_eq!(
            read(&error_v4(3, 1, 6, 64), SocketType::Raw, ROUTER),
            Message::Other
        );
    }

    #[test]
    fn an_error_names_the_request_even_when_it_quotes_little() {
        for (kind, code, bounce) in [
            (3, 1, Bounce::Unreachable(1)),
            (3, 4, Bounce::TooBig),
            (11, 0, Bounce::TtlExceeded),
        ] {
            for quote in [8, 64] {
                let bytes = error_v4(kind, code, 1, quote);
                let expected = Message::Error {
                    bounce,
                    to: TO,
                    ident: 0x1234,
                    seq: 7,
                    mark: (quote == 64).then(|| &bytes[20 + 8 + 20 + HEADER..][..MARK]),
                };
                assert_eq!(read(&bytes, SocketType::Raw, ROUTER), expected);
            }
        }
        // A fragment behind the first holds no echo header.
        let mut fragment = error_v4(11, 1, 1, 64);
        fragment[20 + 8 + 7] = 1;
        assert_eq!(read(&fragment, SocketType::Raw, ROUTER), Message::Other);
        // Extensions may follow a quote that is padded with zeros.
        let mut padded = error_v4(3, 1, 1, 8);
        padded.extend_from_slice(&[0; 100]);
        assert!(matches!(
            read(&padded, SocketType::Raw, ROUTER),
            Message::Error { mark: None, .. }
        ));
    }

    #[test]
    fn an_error_of_ipv6_names_the_request() {
        let target: IpAddr = "2001:db8::9".parse().expect("address");
        let mut bytes = vec![1, 3, 0, 0, 0, 0, 0, 0];
        bytes.extend_from_slice(&[0x60, 0, 0, 0, 0, 64, NEXT_HEADER_ICMPV6, 64]);
        bytes.extend_from_slice(&[0; 16]);
        if let IpAddr::V6(target) = target {
            bytes.extend_from_slice(&target.octets());
        }
        bytes.extend_from_slice(&write(&request(), Family::V6, &SECRET));
        let router = "2001:db8::1".parse().expect("address");
        let Message::Error {
            bounce,
            to,
            ident,
            seq,
            mark: Some(mark),
        } = read(&bytes, SocketType::Raw, router)
        else {
            panic!("no error read");
        };
        assert_eq!(
            (bounce, to, ident, seq),
            (Bounce::Unreachable(3), target, 0x1234, 7)
        );
        assert_eq!(ticket_of(mark, &SECRET), Some(request().ticket));
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            kind in prop::sample::select(vec![0u8, 1, 2, 3, 11, 129]),
            raw in any::<bool>(),
            v6 in any::<bool>(),
        ) {
            let from = if v6 { IpAddr::from([0; 16]) } else { TO };
            let socket = if raw { SocketType::Raw } else { SocketType::Datagram };
            let _ = read(&bytes, socket, from);
            // The same behind headers that lead further.
            let mut message = vec![];
            if !v6 && raw {
                message = ip_header(1, [10, 0, 0, 1]);
            }
            message.extend_from_slice(&[kind, 0, 0, 0, 0, 0, 0, 0]);
            message.extend_from_slice(&bytes);
            let _ = read(&message, socket, from);
        }

        #[test]
        fn a_short_error_is_read_or_left_but_never_past_its_end(length in 0usize..140) {
            let bytes = error_v4(3, 1, 1, 64);
            let _ = read(&bytes[..length.min(bytes.len())], SocketType::Raw, ROUTER);
        }
    }
}
