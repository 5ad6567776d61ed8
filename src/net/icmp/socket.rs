//! Opens a socket for echo requests and gives it its options.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::sockopt;
use socket2::{SockFilter, SockRef};
use surge_ping::{AsyncSocket, Config, ICMP};
use tokio::net::UdpSocket;

use super::super::handle::handle_of;
use super::spare::Spares;
use super::{Family, IcmpOptions, SocketType};
use crate::model::{Failure, Reason};

/// Bytes for packets that wait to be read. The system's default holds 256 echo replies, so that a
/// burst of more would be lost on this host.
const RECEIVE_BUFFER: usize = 4 << 20;

const PERMISSION: &str = "not permitted; allow it with `sysctl -w \
    net.ipv4.ping_group_range=\"0 2147483647\"`, or give the service \
    AmbientCapabilities=CAP_NET_RAW";

/// An open socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) udp: UdpSocket,
    pub(super) kind: SocketType,
    pub(super) family: Family,
    /// The identifier of echo requests on a raw socket; on a datagram socket the kernel has its
    /// own.
    pub(super) ident: u16,
    inode: u64,
}

impl Socket {
    /// Opens a datagram socket, or a raw one where that is not permitted, or takes a spare one where
    /// that is not either. The failure is this
    /// host's own, and says what to do.
    pub(super) fn open(options: &IcmpOptions, spares: &Spares) -> Result<Self, Failure> {
        let name = match options.family {
            Family::V4 => "open an ICMP socket",
            Family::V6 => "open an ICMPv6 socket",
        };
        // Without a runtime the socket could not be registered, and tokio would panic.
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Failure::new(
                Reason::LocalResources,
                format_args!("{name}: no tokio runtime"),
            ));
        }
        open(options, spares).map_err(|error| {
            // surge-ping words this one itself, so that it has no number.
            if error.kind() == io::ErrorKind::PermissionDenied {
                return Failure::new(Reason::NoPermission, format_args!("{name}: {PERMISSION}"));
            }
            let failure = crate::net::failure_of(&error, name);
            if failure.reason.is_own() {
                failure
            } else {
                Failure::new(Reason::LocalAddress, failure.detail)
            }
        })
    }

    /// Packets that the kernel dropped because the buffer was full; 0 where that cannot be read.
    pub(super) fn drops(&self) -> u64 {
        self.listed_drops().unwrap_or(0)
    }

    fn listed_drops(&self) -> Option<u64> {
        let table = match (self.family, self.kind) {
            (Family::V4, SocketType::Datagram) => "/proc/thread-self/net/icmp",
            (Family::V4, SocketType::Raw) => "/proc/thread-self/net/raw",
            (Family::V6, SocketType::Datagram) => "/proc/thread-self/net/icmp6",
            (Family::V6, SocketType::Raw) => "/proc/thread-self/net/raw6",
        };
        drops_of(&std::fs::read_to_string(table).ok()?, self.inode)
    }
}

/// The column `drops` of the socket's line.
fn drops_of(table: &str, inode: u64) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(9);
        let found = fields.next()?.parse() == Ok(inode);
        found.then(|| fields.nth(2)?.parse().ok()).flatten()
    })
}

fn open(options: &IcmpOptions, spares: &Spares) -> io::Result<Socket> {
    let (handle, kind) = match open_new(options) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let spare = spares.take(options).unwrap_or(Err(error))?;
            (spare.into(), SocketType::Raw)
        }
        opened => opened?,
    };
    let inode = rustix::fs::fstat(&handle)?.st_ino;
    let socket = Socket {
        udp: UdpSocket::from_std(handle.into())?,
        kind,
        family: options.family,
        ident: fastrand::u16(..),
        inode,
    };
    set_options(&socket, options)?;
    Ok(socket)
}

fn open_new(options: &IcmpOptions) -> io::Result<(OwnedFd, SocketType)> {
    let mut config = Config::builder()
        .kind(match options.family {
            Family::V4 => ICMP::V4,
            Family::V6 => ICMP::V6,
        })
        .sock_type_hint(socket2::Type::DGRAM);
    if let Some(ttl) = options.ttl {
        config = config.ttl(u32::from(ttl));
    }
    if let Some(source) = options.source_address {
        config = config.bind(SocketAddr::new(source, 0));
    }
    let opened = AsyncSocket::new(&config.build())?;
    // The hint is no promise: surge-ping takes a raw socket where a datagram one is refused.
    let kind = match opened.get_type() {
        socket2::Type::DGRAM => SocketType::Datagram,
        _ => SocketType::Raw,
    };
    // surge-ping shows its number only.
    Ok((handle_of(opened.get_native_sock())?, kind))
}

fn set_options(socket: &Socket, options: &IcmpOptions) -> io::Result<()> {
    let udp = &socket.udp;
    // Only CAP_NET_ADMIN may go beyond net.core.rmem_max; without it the kernel gives what it may.
    if sockopt::set_socket_recv_buffer_size_force(udp, RECEIVE_BUFFER).is_err() {
        sockopt::set_socket_recv_buffer_size(udp, RECEIVE_BUFFER)?;
    }
    match (options.family, options.dont_fragment) {
        // Never what the system learned of the path: every run is to send the same packets.
        (Family::V4, false) => {
            sockopt::set_ip_mtu_discover(udp, sockopt::Ipv4PathMtuDiscovery::DONT)?;
        }
        (Family::V4, true) => {
            sockopt::set_ip_mtu_discover(udp, sockopt::Ipv4PathMtuDiscovery::DO)?;
        }
        (Family::V6, false) => {}
        (Family::V6, true) => {
            sockopt::set_ipv6_mtu_discover(udp, sockopt::Ipv6PathMtuDiscovery::DO)?;
        }
    }
    if let Some(dscp) = options.dscp {
        let class = u32::from(dscp) << 2;
        match options.family {
            Family::V4 => SockRef::from(udp).set_tos_v4(class)?,
            Family::V6 => SockRef::from(udp).set_tclass_v6(class)?,
        }
    }
    if socket.kind == SocketType::Raw {
        // A raw socket receives all messages of the host, those of other programs too.
        SockRef::from(udp).attach_filter(&filter(options.family, socket.ident))?;
    }
    Ok(())
}

/// A program for the kernel (classic BPF) that passes echo replies with our identifier, and errors.
fn filter(family: Family, ident: u16) -> [SockFilter; 10] {
    const LOAD_HEADER_LENGTH: u16 = 0xb1;
    const LOAD_ZERO: u16 = 0x01;
    const LOAD_BYTE: u16 = 0x50;
    const LOAD_HALF: u16 = 0x48;
    const IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    // IPv4 packets come with their header, of variable length; IPv6 ones without.
    let (start, reply, errors) = match family {
        Family::V4 => (LOAD_HEADER_LENGTH, 0, [3, 11, 11]),
        Family::V6 => (LOAD_ZERO, 129, [1, 2, 3]),
    };
    [
        SockFilter::new(start, 0, 0, 0),
        SockFilter::new(LOAD_BYTE, 0, 0, 0),
        SockFilter::new(IF_EQUAL, 3, 0, reply),
        SockFilter::new(IF_EQUAL, 4, 0, errors[0]),
        SockFilter::new(IF_EQUAL, 3, 0, errors[1]),
        SockFilter::new(IF_EQUAL, 2, 3, errors[2]),
        SockFilter::new(LOAD_HALF, 0, 0, 4),
        SockFilter::new(IF_EQUAL, 0, 1, u32::from(ident)),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drops_of_a_socket_are_those_of_its_line() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   \
            uid  timeout inode ref pointer drops\n   \
            1: 00000000:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        \
            0 4711 2 0000000000000000 9744\n   \
            1: 00000000:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        \
            0 4712 2 0000000000000000 0\n";
        assert_eq!(drops_of(table, 4711), Some(9744));
        assert_eq!(drops_of(table, 4712), Some(0));
        assert_eq!(drops_of(table, 1), None);
    }

    #[tokio::test]
    async fn the_kernel_lists_the_socket() {
        for family in [Family::V4, Family::V6] {
            let Ok(socket) = Socket::open(&IcmpOptions::new(family), &Spares::default()) else {
                continue;
            };
            assert!(socket.listed_drops().is_some(), "{socket:?}");
        }
    }
}
