//! A handle on a descriptor of which only the number is known.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use sendfd::SendWithFd;

/// A handle of our own on an open descriptor, which stays open; the handle is closed on exec.
///
/// The kernel makes the handle, as it would for another process that we send the descriptor to.
pub fn handle_of(descriptor: RawFd) -> io::Result<OwnedFd> {
    let (ours, theirs) = UnixDatagram::pair()?;
    ours.send_with_fd(b"fd", &[descriptor])?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    rustix::net::recvmsg(
        &theirs,
        &mut [io::IoSliceMut::new(&mut [0; 2])],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    control
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut handles) => handles.next(),
            _ => None,
        })
        .ok_or_else(|| io::Error::other("the kernel handed no socket over"))
}
