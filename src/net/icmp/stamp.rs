//! The one place where a packet's two times are taken.
//!
//! Both come from the monotonic clock in user space: the first right before the system call that
//! hands the packet to the kernel, the second right after the one that takes it back.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::net::{RecvFlags, SendFlags};
use tokio::net::UdpSocket;
use tokio::time::Instant;

/// A packet as it came in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    /// How many bytes of the buffer it fills.
    pub(super) bytes: usize,
    /// Who sent it.
    pub(super) from: IpAddr,
    /// When it came.
    pub(super) at: Instant,
}

/// Sends a packet; `sent` is told when, before the packet can be answered.
///
/// [`io::ErrorKind::WouldBlock`] means that the send buffer is full.
pub(super) fn send(
    socket: &UdpSocket,
    packet: &[u8],
    to: IpAddr,
    sent: impl FnOnce(Instant),
) -> io::Result<()> {
    sent(Instant::now());
    rustix::net::sendto(socket, packet, SendFlags::empty(), &SocketAddr::new(to, 0))?;
    Ok(())
}

/// Takes the next packet out of the socket.
///
/// [`io::ErrorKind::WouldBlock`] means that there is none.
pub(super) fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Received> {
    let (bytes, _, from) = rustix::net::recvfrom(socket, buffer, RecvFlags::empty())?;
    let at = Instant::now();
    let from = from.and_then(|from| SocketAddr::try_from(from).ok());
    let from = from.ok_or(io::ErrorKind::InvalidData)?.ip();
    Ok(Received { bytes, from, at })
}
