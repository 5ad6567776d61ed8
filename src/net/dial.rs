//! Opens stream connections, and says in our words why one failed.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::AsFd;

use serde::Deserialize;
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use super::capped::{Capped, is_too_large};
use super::{Host, Share, Stopwatch};
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

    /// Says what is wrong with a literal address of the other version.
    pub fn check(self, host: &Host) -> Result<(), String> {
        match host {
            Host::Ip(ip) if !self.takes(*ip) => Err(format!(
                "{ip} is not of the family that ip_version or source_address asks for"
            )),
            _ => Ok(()),
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

/// How many of them are tried for one connection when all are in use. With a few hundred closing
/// connections to one target, the first nearly always does.
const SHARED_PORTS_TRIED: usize = 16;

/// A connection to a target whose reads are capped.
pub type Wire = Capped<TcpStream>;

/// How connections of a probe leave this host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dial {
    /// The local address to send from.
    pub source_address: Option<IpAddr>,
    /// The differentiated services code point, 0 to 63.
    pub dscp: Option<u8>,
    /// Whose descriptors its sockets are of.
    pub share: Share,
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
                share: Share::Run,
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
            .map_err(|e| failure_at(address, &e, "connect to"))?;
        watch.leave();
        Ok(Capped::new(stream, cap))
    }

    async fn open(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let Some(source) = self.source_address else {
            return self.stream(address)?.connect(address).await;
        };
        let socket = self.stream(address)?;
        // Bound without a port, a socket gets one that no other has from this address, closing ones
        // included: some hundred connections a second use all of them up, whoever they lead to.
        match socket.bind(SocketAddr::new(source, 0)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                self.open_on_shared_port(source, address).await
            }
            bound => {
                bound?;
                socket.connect(address).await
            }
        }
    }

    /// Connects from a port that connections to elsewhere may have too: together with the address
    /// at the other end it is still the only one.
    async fn open_on_shared_port(
        &self,
        source: IpAddr,
        address: SocketAddr,
    ) -> io::Result<TcpStream> {
        let ports = local_ports();
        let mut last = io::ErrorKind::AddrInUse.into();
        for _ in 0..SHARED_PORTS_TRIED {
            let socket = self.stream(address)?;
            let connected = match socket.bind(SocketAddr::new(source, fastrand::u16(ports.clone())))
            {
                Ok(()) => socket.connect(address).await,
                Err(error) => Err(error),
            };
            match connected {
                Err(error) if is_taken(&error) => last = error,
                other => return other,
            }
        }
        Err(last)
    }

    /// A stream socket with its options, for a connection to the address.
    fn stream(&self, address: SocketAddr) -> io::Result<TcpSocket> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        let socket = self.share.grant(socket)?;
        socket.set_nodelay(true)?;
        self.mark(&socket, address)?;
        if self.source_address.is_some() {
            // Both who has a port and who wants to share it must say so.
            socket.set_reuseaddr(true)?;
        }
        Ok(socket)
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
        let socket = self.share.grant(socket)?;
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

/// The ports that the system gives out; Linux's own default where that cannot be read.
fn local_ports() -> RangeInclusive<u16> {
    let parse = |text: String| {
        let mut ends = text.split_ascii_whitespace().map(str::parse);
        match (ends.next(), ends.next()) {
            (Some(Ok(first)), Some(Ok(last))) if first <= last => Some(first..=last),
            _ => None,
        }
    };
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(parse)
        .unwrap_or(32_768..=60_999)
}

/// Whether a port of ours cannot be had for this connection, but another one may.
fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
    )
}

/// The failure for an error of a socket that talks to `address`, `doing` something with it.
///
/// As [`failure_of`], but knows that "permission denied" over IPv6 is what a router says who does
/// not let packets through ("administratively prohibited"): no fault of this host's.
pub fn failure_at(address: SocketAddr, error: &io::Error, doing: &str) -> Failure {
    let failure = failure_of(error, &format!("{doing} {address}"));
    let prohibited = rustix::io::Errno::ACCESS.raw_os_error();
    if address.is_ipv6() && error.raw_os_error() == Some(prohibited) {
        return Failure {
            reason: Reason::Unreachable,
            ..failure
        };
    }
    failure
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
        // Invalid is a source address that cannot send there; above all a loopback one to elsewhere.
        Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT | Errno::ADDRINUSE | Errno::INVAL => {
            Reason::LocalAddress
        }
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
            (rustix::io::Errno::INVAL, Reason::LocalAddress),
            (rustix::io::Errno::PERM, Reason::NoPermission),
            (rustix::io::Errno::ACCESS, Reason::NoPermission),
            (rustix::io::Errno::CONNREFUSED, Reason::Refused),
            (rustix::io::Errno::HOSTUNREACH, Reason::Unreachable),
            (rustix::io::Errno::CONNRESET, Reason::Reset),
            (rustix::io::Errno::TIMEDOUT, Reason::TimeoutConnect),
        ] {
            let error = io::Error::from_raw_os_error(errno.raw_os_error());
            assert_eq!(failure_of(&error, "connect").reason, reason, "{errno:?}");
        }
    }

    #[test]
    fn a_router_that_prohibits_is_no_fault_of_ours() {
        use rustix::io::Errno;
        for (address, errno, reason) in [
            ("[::1]:1", Errno::ACCESS, Reason::Unreachable),
            ("[::1]:1", Errno::PERM, Reason::NoPermission),
            ("127.0.0.1:1", Errno::ACCESS, Reason::NoPermission),
        ] {
            let error = io::Error::from_raw_os_error(errno.raw_os_error());
            let address = address.parse().expect(address);
            let failure = failure_at(address, &error, "connect to");
            assert_eq!(failure.reason, reason, "{address} {errno:?}");
        }
    }

    #[tokio::test]
    async fn a_loopback_source_reaches_nobody_elsewhere_and_that_is_ours() {
        let dial = Dial {
            source_address: Some(Ipv4Addr::LOCALHOST.into()),
            dscp: None,
            ..Dial::default()
        };
        let away = "192.0.2.1:80".parse().expect("address");
        let mut watch = Stopwatch::start();
        let failure = dial.connect(away, 10, &mut watch).await;
        let failure = failure.expect_err("no way");
        assert!(failure.reason.is_own(), "{failure}");
    }

    #[tokio::test]
    async fn closing_connections_leave_ports_for_others() {
        let test = "net::dial::tests::closing_connections_leave_ports_for_others";
        let script = "echo 40000 40009 > /proc/sys/net/ipv4/ip_local_port_range";
        if !super::super::namespace::in_namespace(test, script) {
            return;
        }
        let dial = Dial {
            source_address: Some([127, 0, 0, 9].into()),
            dscp: None,
            ..Dial::default()
        };
        for round in 0..12 {
            // To an address of its own each round, for which nearly every port is free.
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", 5000 + round))
                .await
                .expect("bind");
            let address = listener.local_addr().expect("bound");
            for number in 0..3 {
                let mut watch = Stopwatch::start();
                let wire = dial.connect(address, 10, &mut watch).await;
                let wire = wire.unwrap_or_else(|e| panic!("{round} {number}: {e}"));
                let (accepted, _) = listener.accept().await.expect("accepted");
                // Whoever closes first keeps the port.
                drop(wire);
                drop(accepted);
            }
        }
    }

    #[tokio::test]
    async fn connects_from_the_source_address_and_is_refused_where_nothing_listens() {
        // An address of its own: at another one somebody may listen on the port a moment later.
        let listener = tokio::net::TcpListener::bind("127.31.7.1:0")
            .await
            .expect("bind");
        let address = listener.local_addr().expect("bound");
        let dial = Dial {
            source_address: Some("127.0.0.9".parse().expect("address")),
            dscp: Some(46),
            ..Dial::default()
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
