//! The signals that the daemon acts on.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM (from systemd) and SIGINT (from a terminal).
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// SIGHUP, which asks for the configuration to be read again. From now on it no longer kills the
/// process.
pub(super) fn hangups() -> Result<Signal, String> {
    signal(SignalKind::hangup()).map_err(|e| format!("cannot listen for signals: {e}"))
}

impl Signals {
    /// From now on these signals no longer kill the process.
    pub(super) fn listen() -> Result<Self, String> {
        let listen = |kind| signal(kind).map_err(|e| format!("cannot listen for signals: {e}"));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one and returns its name.
    pub(super) async fn end(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
