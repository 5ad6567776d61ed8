//! The daemon of this host: where it is asked unless another one is named.

use std::io;
use std::path::Path;

/// The socket that the service makes; it needs neither a port nor a password.
const SOCKET: &str = "/run/hotspare/hotspare.sock";

/// Where a daemon listens that is not told otherwise.
pub(super) const URL: &str = "http://127.0.0.1:9887";

/// Where the daemon of this host is asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Local {
    /// Its URL.
    pub(super) url: String,
    /// What to say if it does not answer there: where else it was looked for, and what to do.
    pub(super) advice: Option<String>,
}

/// By its socket if that is there and this user may open it; otherwise by the port.
pub(super) fn daemon() -> Local {
    by(Path::new(SOCKET))
}

fn by(socket: &Path) -> Local {
    let shown = socket.display();
    match reachable(socket) {
        Ok(()) => Local {
            url: format!("unix:{shown}"),
            advice: None,
        },
        Err(error) => Local {
            url: URL.to_owned(),
            advice: Some(format!(
                "unix:{shown} was tried first: {}; is the daemon running (`systemctl status hotspare`)? \
                 One that is elsewhere is named by --server or HOTSPARE_URL",
                why_not(&error)
            )),
        },
    }
}

/// Whether somebody listens there who may be asked.
fn reachable(socket: &Path) -> io::Result<()> {
    let probe = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    // One whose queue is full is somebody, too.
    probe.set_nonblocking(true)?;
    match probe.connect(&socket2::SockAddr::unix(socket)?) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}

fn why_not(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it is not there".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "this user may not open it, but root may (`sudo`)".to_owned()
        }
        io::ErrorKind::ConnectionRefused => "nobody listens on it".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn the_socket_is_taken_only_while_somebody_listens_on_it() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("s");
        let without = by(&path);
        assert_eq!(without.url, URL);
        let advice = without.advice.expect("advice");
        assert!(advice.contains("s was tried first: it is not there; is the daemon"));

        let listener = UnixListener::bind(&path).expect("bound");
        let url = format!("unix:{}", path.display());
        assert_eq!(by(&path), Local { url, advice: None });

        drop(listener);
        let stale = by(&path);
        assert_eq!(stale.url, URL);
        let advice = stale.advice.expect("advice");
        assert!(advice.contains("nobody listens on it"), "{advice}");
    }
}
