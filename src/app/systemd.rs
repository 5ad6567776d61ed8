//! The protocol in which a service tells systemd how it is (`sd_notify(3)`): datagrams to a socket
//! that `NOTIFY_SOCKET` names.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The socket of whoever started this daemon, and what it wants to hear.
#[derive(Debug)]
pub(super) struct Systemd {
    socket: UnixDatagram,
    address: SocketAddr,
    /// Without a beat for so long it starts the daemon anew; `None` if it does not watch.
    pub(super) watchdog: Option<Duration>,
}

impl Systemd {
    /// What the environment says; `None` if nobody wants to hear anything.
    pub(super) fn from_environment() -> Result<Option<Self>, String> {
        Self::of(|name| std::env::var_os(name), std::process::id())
    }

    /// What this environment says to the process of that number.
    pub(super) fn of(
        variable: impl Fn(&str) -> Option<OsString>,
        own_pid: u32,
    ) -> Result<Option<Self>, String> {
        let variable = |name| variable(name).filter(|text: &OsString| !text.is_empty());
        let Some(address) = variable("NOTIFY_SOCKET") else {
            return Ok(None);
        };
        let address = address_of(&address)?;
        let watchdog = watchdog(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), own_pid)?;
        let socket = UnixDatagram::unbound();
        // Whoever does not read is not waited for.
        let socket = socket.and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
        let socket =
            socket.map_err(|error| format!("cannot open a socket for systemd: {error}"))?;
        Ok(Some(Self {
            socket,
            address,
            watchdog,
        }))
    }

    /// Sends assignments (`READY=1`), one a line.
    pub(super) fn send(&self, assignments: &str) -> io::Result<()> {
        let sent = self
            .socket
            .send_to_addr(assignments.as_bytes(), &self.address);
        sent.map(|_| ())
    }
}

/// The assignment of the moment by the monotonic clock, which belongs to `RELOADING=1`.
pub(super) fn moment() -> String {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    format!(
        "MONOTONIC_USEC={}",
        now.tv_sec * 1_000_000 + now.tv_nsec / 1000
    )
}

/// An assignment of a text, which is kept from being another assignment.
pub(super) fn status(text: &str) -> String {
    format!("STATUS={}", text.replace(char::is_control, " "))
}

fn address_of(text: &OsStr) -> Result<SocketAddr, String> {
    let address = match text.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(text),
        _ => Err(io::Error::other(
            "neither a path from / nor an abstract name from @",
        )),
    };
    address.map_err(|error| {
        let text = text.display();
        format!("NOTIFY_SOCKET is {text}, which is no socket that this daemon can talk to: {error}")
    })
}

/// Without a beat for how long systemd restarts this process.
fn watchdog(
    microseconds: Option<OsString>,
    pid: Option<OsString>,
    own_pid: u32,
) -> Result<Option<Duration>, String> {
    let Some(microseconds) = microseconds else {
        return Ok(None);
    };
    if let Some(pid) = pid
        && number("WATCHDOG_PID", &pid)? != u64::from(own_pid)
    {
        // Another process was meant, and passed its environment on.
        return Ok(None);
    }
    let microseconds = number("WATCHDOG_USEC", &microseconds)?;
    Ok(Some(Duration::from_micros(microseconds)))
}

fn number(name: &str, text: &OsStr) -> Result<u64, String> {
    let number = text.to_str().and_then(|text| text.parse().ok());
    let number = number.filter(|number| *number > 0);
    number.ok_or_else(|| format!("{name} is {}, which is no positive number", text.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<Systemd>, String> {
        let variable = |name: &str| {
            let mut variables = variables.iter();
            let (_, value) = variables.find(|(of, _)| *of == name)?;
            Some(OsString::from(value))
        };
        Systemd::of(variable, 7)
    }

    #[test]
    fn it_speaks_to_paths_and_to_abstract_names() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("notify");
        let name = format!("hotspare-test-{}", fastrand::u64(..));
        let listening = [
            (path.display().to_string(), UnixDatagram::bind(&path)),
            (
                format!("@{name}"),
                SocketAddr::from_abstract_name(&name).and_then(|a| UnixDatagram::bind_addr(&a)),
            ),
        ];
        for (address, socket) in listening {
            let socket = socket.expect("bound");
            let systemd = of(&[("NOTIFY_SOCKET", &address)])
                .expect("good")
                .expect("somebody");
            assert_eq!(systemd.watchdog, None);
            let said = format!("READY=1\n{}", status("a\nWATCHDOG=trigger"));
            systemd.send(&said).expect("sent");
            let mut bytes = [0; 100];
            let length = socket.recv(&mut bytes).expect("received");
            assert_eq!(&bytes[..length], b"READY=1\nSTATUS=a WATCHDOG=trigger");
        }
    }

    #[test]
    fn who_does_not_read_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("notify");
        let _socket = UnixDatagram::bind(&path).expect("bound");
        let systemd = of(&[("NOTIFY_SOCKET", path.to_str().expect("UTF-8"))]);
        let systemd = systemd.expect("good").expect("somebody");
        let refused = (0..100_000).find_map(|_| systemd.send("WATCHDOG=1").err());
        let refused = refused.expect("a full queue");
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn the_watchdog_is_of_this_process_only() {
        let watchdog = |usec: &str, pid: &str| {
            let variables = [
                ("NOTIFY_SOCKET", "/n"),
                ("WATCHDOG_USEC", usec),
                ("WATCHDOG_PID", pid),
            ];
            of(&variables).map(|systemd| systemd.expect("somebody").watchdog)
        };
        let half_a_minute = Ok(Some(Duration::from_secs(30)));
        assert_eq!(watchdog("30000000", "7"), half_a_minute);
        assert_eq!(watchdog("30000000", ""), half_a_minute);
        assert_eq!(watchdog("30000000", "8"), Ok(None));
        assert_eq!(watchdog("", "7"), Ok(None));
        for (usec, pid) in [("0", "7"), ("soon", "7"), ("1", "me")] {
            assert!(watchdog(usec, pid).is_err(), "{usec} {pid}");
        }
    }

    #[test]
    fn without_a_socket_nobody_is_told_and_a_strange_one_is_refused() {
        assert!(of(&[("WATCHDOG_USEC", "1")]).expect("good").is_none());
        assert!(of(&[("NOTIFY_SOCKET", "")]).expect("good").is_none());
        let long = format!("/{}", "n".repeat(200));
        for address in ["vsock:2:1234", "run/notify", &long] {
            let why = of(&[("NOTIFY_SOCKET", address)]).expect_err("refused");
            assert!(why.contains(address), "{why}");
        }
    }
}
