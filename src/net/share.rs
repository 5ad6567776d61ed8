//! Descriptors are one pool for the whole process: sockets of one use leave some to the others.
//!
//! The kernel hands out the lowest number that is free. A socket with a high number thus tells that
//! as many descriptors are open as its number, whoever has them, and costs no look at anything else.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;

/// What a socket is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Share {
    /// A run of a probe. These are many, so they are the first that go without.
    Run,
    /// A look-up of a name.
    Lookup,
    /// Everything else that goes out: notifications above all.
    #[default]
    Other,
}

/// How many descriptors may be open, whoever has them, when a socket of a use is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// For [`Share::Run`].
    pub runs: u32,
    /// For [`Share::Lookup`].
    pub lookups: u32,
    /// For [`Share::Other`].
    pub others: u32,
}

/// The shares of this process. There is one table of descriptors, so there is one of these.
static SHARES: [AtomicU32; 3] = [const { AtomicU32::new(u32::MAX) }; 3];

impl Shares {
    /// Divides the descriptors of this process so, from now on. Before, nothing is kept back.
    pub fn divide(self) {
        let all = [self.runs, self.lookups, self.others];
        for (share, most) in SHARES.iter().zip(all) {
            share.store(most, Ordering::Relaxed);
        }
    }
}

impl Share {
    /// The socket, unless it is one of those that are kept for other uses: then it is closed, and
    /// the error is the one of a process that has no descriptor left.
    pub(super) fn grant<S: AsFd>(self, socket: S) -> io::Result<S> {
        let most = SHARES[self as usize].load(Ordering::Relaxed);
        granted(socket, most)
    }
}

fn granted<S: AsFd>(socket: S, most: u32) -> io::Result<S> {
    let number = socket.as_fd().as_raw_fd().unsigned_abs();
    if number < most {
        return Ok(socket);
    }
    Err(Errno::MFILE.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_above_its_share_is_closed_and_told_as_a_lack_of_descriptors() {
        let socket = || std::net::UdpSocket::bind("127.0.0.1:0").expect("bound");
        let open = socket();
        let number = open.as_raw_fd().unsigned_abs();
        let error = granted(socket(), number).expect_err("above");
        assert_eq!(error.raw_os_error(), Some(Errno::MFILE.raw_os_error()));
        assert!(granted(open, number + 1).is_ok());
    }
}
