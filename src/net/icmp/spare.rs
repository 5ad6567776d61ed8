//! Raw sockets that are opened while this process still may open some.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use socket2::{Domain, Protocol, SockFilter, Type};

use super::{Family, IcmpOptions};

/// The sockets that no run has asked for yet.
#[derive(Debug, Default)]
pub(super) struct Spares(Mutex<Vec<(Family, socket2::Socket)>>);

impl Spares {
    /// Opens so many of a family, unless datagram sockets do without permission. What is refused is
    /// refused later as well, and told then.
    pub(super) fn open(&self, family: Family, count: usize) {
        let (domain, protocol) = kind_of(family);
        if socket2::Socket::new(domain, Type::DGRAM, Some(protocol)).is_ok() {
            return;
        }
        for _ in 0..count {
            match open(family) {
                Ok(socket) => self.lock().push((family, socket)),
                Err(_) => return,
            }
        }
    }

    /// One of them, with the options that a socket has before it is used.
    pub(super) fn take(&self, options: &IcmpOptions) -> Option<io::Result<socket2::Socket>> {
        let socket = {
            let mut spares = self.lock();
            let at = spares.iter().position(|(of, _)| *of == options.family)?;
            spares.swap_remove(at).1
        };
        let prepared = prepare(&socket, options);
        if let Err(error) = prepared {
            // It may do for other options, and there are few.
            self.lock().push((options.family, socket));
            return Some(Err(error));
        }
        Some(Ok(socket))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Family, socket2::Socket)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn kind_of(family: Family) -> (Domain, Protocol) {
    match family {
        Family::V4 => (Domain::IPV4, Protocol::ICMPV4),
        Family::V6 => (Domain::IPV6, Protocol::ICMPV6),
    }
}

/// A raw socket that receives nothing until it gets another filter.
fn open(family: Family) -> io::Result<socket2::Socket> {
    const RETURN: u16 = 0x06;
    let (domain, protocol) = kind_of(family);
    let socket = socket2::Socket::new(domain, Type::RAW, Some(protocol))?;
    socket.attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)])?;
    Ok(socket)
}

fn prepare(socket: &socket2::Socket, options: &IcmpOptions) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    if let Some(source) = options.source_address {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match (options.ttl.map(u32::from), options.family) {
        (Some(ttl), Family::V4) => socket.set_ttl_v4(ttl),
        (Some(ttl), Family::V6) => socket.set_unicast_hops_v6(ttl),
        (None, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    #[expect(clippy::print_stderr, reason = "says which tests did not run, and why")]
    fn a_socket_that_cannot_be_used_so_is_there_for_others() {
        let Ok(socket) = open(Family::V4) else {
            eprintln!("skipped: this test may not open raw sockets");
            return;
        };
        let spares = Spares::default();
        spares.lock().push((Family::V4, socket));
        // RFC 5737: an address of nobody.
        let options = |source: Option<Ipv4Addr>| IcmpOptions {
            source_address: source.map(Into::into),
            ..IcmpOptions::new(Family::V4)
        };
        let elsewhere = options(Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert!(spares.take(&elsewhere).expect("a socket").is_err());
        assert!(spares.take(&IcmpOptions::new(Family::V6)).is_none());
        assert!(spares.take(&options(None)).expect("a socket").is_ok());
        assert!(spares.take(&options(None)).is_none());
    }
}
