//! Sockets that systemd has opened for the daemon and hands over (`sd_listen_fds(3)`).

use std::ffi::OsString;
use std::io;
use std::os::fd::{OwnedFd, RawFd};

use rustix::net::sockopt::{socket_acceptconn, socket_domain, socket_type};
use rustix::net::{AddressFamily, SocketType};

use crate::net;
use crate::server::Listener;

/// The first of the descriptors; the others follow it.
const FIRST: RawFd = 3;

/// So many can be handed over; a unit has one or two.
const MOST: u32 = 64;

/// The sockets, in the order of the unit.
///
/// The error says that there is none, or one that cannot be served.
pub(super) fn handed_over() -> Result<Vec<Listener>, String> {
    let descriptors = descriptors(|name| std::env::var_os(name), std::process::id())?;
    if descriptors.is_empty() {
        return Err(
            "--web.systemd-socket: systemd handed no socket over; enable hotspare.socket, and name \
             it in the service (`Sockets=`)"
                .to_owned(),
        );
    }
    let sockets = descriptors.into_iter().map(|(descriptor, name)| {
        let socket = net::handle_of(descriptor).and_then(listener);
        socket.map_err(|error| format!("the socket {name} from systemd cannot be served: {error}"))
    });
    sockets.collect()
}

/// The descriptors that are meant for this process, with what the unit calls them.
fn descriptors(
    variable: impl Fn(&str) -> Option<OsString>,
    own_pid: u32,
) -> Result<Vec<(RawFd, String)>, String> {
    let number = |name: &str| match variable(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => {
            let number = text.to_str().and_then(|text| text.parse::<u32>().ok());
            let number = number.map(Some);
            number.ok_or_else(|| format!("{name} is {}, which is no number", text.display()))
        }
    };
    // Where another process was meant, its environment came down to this one.
    if number("LISTEN_PID")? != Some(own_pid) {
        return Ok(Vec::new());
    }
    let count = number("LISTEN_FDS")?.unwrap_or(0);
    if count > MOST {
        return Err(format!(
            "LISTEN_FDS is {count}: no more than {MOST} sockets are served"
        ));
    }
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let names = names.to_string_lossy();
    let mut names = names.split(':').filter(|name| !name.is_empty());
    let name = |descriptor: RawFd, name: Option<&str>| match name {
        Some(name) => (descriptor, format!("{name} (descriptor {descriptor})")),
        None => (descriptor, format!("descriptor {descriptor}")),
    };
    let descriptors = (FIRST..).zip(0..count);
    Ok(descriptors.map(|(n, _)| name(n, names.next())).collect())
}

fn listener(socket: OwnedFd) -> io::Result<Listener> {
    if socket_type(&socket)? == SocketType::STREAM && socket_acceptconn(&socket)? {
        rustix::io::ioctl_fionbio(&socket, true)?;
        match socket_domain(&socket)? {
            AddressFamily::INET | AddressFamily::INET6 => {
                return Ok(Listener::Tcp(socket.into()));
            }
            AddressFamily::UNIX => {
                return Ok(Listener::Unix(socket.into()));
            }
            _ => {}
        }
    }
    Err(io::Error::other(
        "it is no TCP or UNIX socket that listens (ListenStream=, Accept=no)",
    ))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::server::Address;

    fn of(variables: &[(&str, &str)]) -> Result<Vec<(RawFd, String)>, String> {
        let variable = |name: &str| {
            let mut variables = variables.iter();
            let (_, value) = variables.find(|(of, _)| *of == name)?;
            Some(OsString::from(value))
        };
        descriptors(variable, 7)
    }

    #[test]
    fn descriptors_for_another_process_are_none() {
        assert_eq!(of(&[]), Ok(Vec::new()));
        assert_eq!(of(&[("LISTEN_FDS", "1")]), Ok(Vec::new()));
        let another = [("LISTEN_PID", "8"), ("LISTEN_FDS", "1")];
        assert_eq!(of(&another), Ok(Vec::new()));
        for (pid, count) in [("me", "1"), ("7", "-1"), ("7", "65")] {
            let variables = [("LISTEN_PID", pid), ("LISTEN_FDS", count)];
            assert!(of(&variables).is_err(), "{pid} {count}");
        }
    }

    #[test]
    fn they_have_the_names_of_the_unit() {
        let mut variables = vec![("LISTEN_PID", "7"), ("LISTEN_FDS", "2")];
        let unnamed = vec![
            (3, "descriptor 3".to_owned()),
            (4, "descriptor 4".to_owned()),
        ];
        assert_eq!(of(&variables), Ok(unnamed));
        variables.push(("LISTEN_FDNAMES", "web:web"));
        let named = vec![
            (3, "web (descriptor 3)".to_owned()),
            (4, "web (descriptor 4)".to_owned()),
        ];
        assert_eq!(of(&variables), Ok(named));
    }

    #[test]
    fn only_streams_that_listen_are_served() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("s");
        let local = UnixListener::bind(&path).expect("bound");
        let good = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = good.local_addr().expect("bound");
        for (descriptor, at) in [
            (good.as_raw_fd(), Address::Tcp(address)),
            (local.as_raw_fd(), Address::Unix(path)),
        ] {
            let served = net::handle_of(descriptor).and_then(listener);
            assert_eq!(served.expect("served").address().expect("bound"), at);
        }
        let client = std::net::TcpStream::connect(address).expect("it listens");
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").expect("bound");
        for descriptor in [client.as_raw_fd(), udp.as_raw_fd()] {
            let refused = net::handle_of(descriptor).and_then(listener);
            let why = refused.expect_err("refused").to_string();
            assert!(why.contains("no TCP or UNIX socket that listens"), "{why}");
        }
        assert!(net::handle_of(9_999).is_err());
    }
}
