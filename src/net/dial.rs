//! Opens stream connections, and says in our words why one failed.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use serde::Deserialize;
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use super::Stopwatch;
use super::capped::{Capped, is_too_large};
use crate::model::{Failure, Phase, Reason};

/// Which addresses of a name a probe uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum IpVersion {
    /// Both, IPv4 first.
    #[default]
    #[serde(rename = "any")]
    Any,
    /// IPv4 only.
    #[serde(rename = "4")]
    V4,
    /// IPv6 only.
    #[serde(rename = "6")]
    V6,
}

impl IpVersion {
    /// Whether an address is of the version.
    pub fn takes(self, ip: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => ip.is_ipv4(),
            Self::V6 => ip.is_ipv6(),
        }
    }
}

/// How many addresses of a name a run tries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Addresses {
    /// The first one only, as the resolver orders them.
    #[default]
    First,
    /// Every one in turn; the first that fails fails the run.
    All,
}

impl Addresses {
    /// Those of the given addresses that a run tries.
    pub fn of(self, addresses: &[IpAddr]) -> &[IpAddr] {
        match self {
            Self::First => &addresses[..addresses.len().min(1)],
            Self::All => addresses,
        }
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
    /// How a probe's settings want it, with the version of addresses that they leave over: a source
    /// address decides it.
    ///
    /// The error is the setting's name and what is wrong with it.
    pub fn from_settings(
        source_address: Option<IpAddr>,
        dscp: Option<u8>,
        version: IpVersion,
    ) -> Result<(Self, IpVersion), (&'static str, String)> {
        if let Some(dscp) = dscp.filter(|d| *d > 63) {
            return Err(("dscp", format!("{dscp} is not a code point: 0 to 63")));
        }
        let version = match source_address {
            Some(source) if !version.takes(source) => {
                let why = format!("{source} is of the other IP version than `ip_version` asks for");
                return Err(("source_address", why));
            }
            Some(IpAddr::V4(_)) => IpVersion::V4,
            Some(IpAddr::V6(_)) => IpVersion::V6,
            None => version,
        };
        Ok((
            Self {
                source_address,
                dscp,
            },
            version,
        ))
    }

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
        self.mark(&socket, address)?;
        if let Some(source) = self.source_address {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        socket.connect(address).await
    }

    /// A datagram socket that talks to one address only: the kernel drops what others send, and
    /// reports when the other end sends back that nothing listens there.
    pub fn datagram(&self, address: SocketAddr) -> Result<UdpSocket, Failure> {
        self.open_datagram(address)
            .map_err(|e| failure_of(&e, &format!("send to {address}")))
    }

    pub(super) fn open_datagram(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        let any: IpAddr = if address.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        let source = self.source_address.unwrap_or(any);
        let socket = std::net::UdpSocket::bind(SocketAddr::new(source, 0))?;
        self.mark(&socket, address)?;
        socket.set_nonblocking(true)?;
        socket.connect(address)?;
        UdpSocket::from_std(socket)
    }

    fn mark(&self, socket: &impl AsFd, address: SocketAddr) -> io::Result<()> {
        let Some(dscp) = self.dscp else {
            return Ok(());
        };
        let class = u32::from(dscp) << 2;
        let socket = socket2::SockRef::from(socket);
        if address.is_ipv4() {
            socket.set_tos_v4(class)
        } else {
            socket.set_tclass_v6(class)
        }
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
