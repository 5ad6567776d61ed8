//! Opens stream connections, and says in our words why one failed.

use std::io;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Deserializer, de};
use tokio::net::{TcpSocket, TcpStream};

use super::Stopwatch;
use super::capped::{Capped, is_too_large};
use crate::model::{Failure, Phase, Reason};

/// Which addresses of a name a probe uses: `any`, `4` or `6` in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpVersion {
    /// Both, IPv4 first.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl<'de> Deserialize<'de> for IpVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A number when it is written without quotes.
        struct NumberOrText;
        impl de::Visitor<'_> for NumberOrText {
            type Value = IpVersion;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("any, 4 or 6")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<IpVersion, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<IpVersion, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<IpVersion, E> {
                match text {
                    "any" => Ok(IpVersion::Any),
                    "4" => Ok(IpVersion::V4),
                    "6" => Ok(IpVersion::V6),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(NumberOrText)
    }
}

/// A connection to a target whose reads are capped.
pub type Wire = Capped<TcpStream>;

/// How connections of a probe leave this host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dial {
    /// The local address to send from.
    pub source_address: Option<IpAddr>,
    /// The differentiated services code point, 0 to 63.
    pub dscp: Option<u8>,
}

impl Dial {
    /// Connects, in the phase [`Phase::Connect`]; at most `cap` bytes can be read from the result.
    ///
    /// The future may be dropped at any time: that closes the socket.
    pub async fn connect(
        &self,
        address: SocketAddr,
        cap: u64,
        watch: &mut Stopwatch,
    ) -> Result<Wire, Failure> {
        watch.enter(Phase::Connect);
        let stream = self
            .open(address)
            .await
            .map_err(|e| failure_of(&e, &format!("connect to {address}")))?;
        watch.leave();
        Ok(Capped::new(stream, cap))
    }

    async fn open(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.set_nodelay(true)?;
        if let Some(dscp) = self.dscp {
            let class = u32::from(dscp) << 2;
            let socket = socket2::SockRef::from(&socket);
            if address.is_ipv4() {
                socket.set_tos_v4(class)?;
            } else {
                socket.set_tclass_v6(class)?;
            }
        }
        if let Some(source) = self.source_address {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        socket.connect(address).await
    }
}

/// The failure for an error of a socket, `doing` something.
///
/// Errors of this host's own (no descriptor, no permission, no such source address) get reasons of
/// their own, so that they are never taken for the target's.
pub fn failure_of(error: &io::Error, doing: &str) -> Failure {
    Failure::new(reason_of(error), format_args!("{doing}: {error}"))
}

fn reason_of(error: &io::Error) -> Reason {
    if is_too_large(error) {
        return Reason::TooLarge;
    }
    let errno = error
        .raw_os_error()
        .map(rustix::io::Errno::from_raw_os_error);
    if let Some(reason) = errno.and_then(reason_of_errno) {
        return reason;
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Reason::Refused,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected => Reason::Reset,
        io::ErrorKind::UnexpectedEof => Reason::Eof,
        io::ErrorKind::TimedOut => Reason::TimeoutConnect,
        _ => Reason::Protocol,
    }
}

fn reason_of_errno(errno: rustix::io::Errno) -> Option<Reason> {
    use rustix::io::Errno;
    let reason = match errno {
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::AGAIN => {
            Reason::LocalResources
        }
        Errno::PERM | Errno::ACCESS => Reason::NoPermission,
        Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT | Errno::ADDRINUSE => Reason::LocalAddress,
        Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::NETDOWN | Errno::HOSTDOWN => {
            Reason::Unreachable
        }
        _ => return None,
    };
    Some(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ip_versions_are_read_with_and_without_quotes() {
        for (text, version) in [
            ("\"any\"", IpVersion::Any),
            ("\"4\"", IpVersion::V4),
            ("4", IpVersion::V4),
            ("6", IpVersion::V6),
        ] {
            let read: IpVersion = serde_json::from_str(text).expect(text);
            assert_eq!(read, version);
        }
        for text in ["5", "\"v4\"", "true"] {
            let error = serde_json::from_str::<IpVersion>(text).expect_err(text);
            assert!(
                error.to_string().contains("expected any, 4 or 6"),
                "{error}"
            );
        }
    }

    #[test]
    fn own_faults_are_told_from_the_targets() {
        for (errno, reason) in [
            (rustix::io::Errno::MFILE, Reason::LocalResources),
            (rustix::io::Errno::ADDRNOTAVAIL, Reason::LocalAddress),
            (rustix::io::Errno::PERM, Reason::NoPermission),
            (rustix::io::Errno::CONNREFUSED, Reason::Refused),
            (rustix::io::Errno::HOSTUNREACH, Reason::Unreachable),
            (rustix::io::Errno::CONNRESET, Reason::Reset),
            (rustix::io::Errno::TIMEDOUT, Reason::TimeoutConnect),
        ] {
            let error = io::Error::from_raw_os_error(errno.raw_os_error());
            assert_eq!(failure_of(&error, "connect").reason, reason, "{errno:?}");
        }
    }

    #[tokio::test]
    async fn connects_from_the_source_address_and_is_refused_where_nothing_listens() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("bind");
        let address = listener.local_addr().expect("bound");
        let dial = Dial {
            source_address: Some("127.0.0.9".parse().expect("address")),
            dscp: Some(46),
        };
        let mut watch = Stopwatch::start();
        let wire = dial
            .connect(address, 10, &mut watch)
            .await
            .expect("connected");
        let (_, peer) = listener.accept().await.expect("accepted");
        assert_eq!(peer.ip(), IpAddr::from([127, 0, 0, 9]));
        assert_eq!(wire.get_ref().peer_addr().expect("peer"), address);
        assert!(watch.laps().get(Phase::Connect).is_some());

        drop(listener);
        let failure = dial
            .connect(address, 10, &mut watch)
            .await
            .expect_err("refused");
        assert_eq!(failure.reason, Reason::Refused);
    }
}
