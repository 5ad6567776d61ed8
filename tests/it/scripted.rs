//! A server that does with its connections what the test says.

use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use hotspare::probe::Probe;

use crate::postgres::{Outcome, run};
use crate::process::PATIENCE;

/// A server that takes connections, one after the other, and does with each what its script says.
pub(crate) struct Scripted {
    pub(crate) address: String,
    thread: JoinHandle<()>,
}

/// What is done with one connection, which ends with it.
pub(crate) type Script = Box<dyn FnOnce(&mut TcpStream) + Send>;

impl Scripted {
    pub(crate) fn new(script: impl FnOnce(&mut TcpStream) + Send + 'static) -> Self {
        Self::in_turn(vec![Box::new(script)])
    }

    pub(crate) fn in_turn(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("bound").to_string();
        let thread = std::thread::spawn(move || {
            for script in scripts {
                let (mut stream, _) = listener.accept().expect("accepted");
                stream.set_read_timeout(Some(PATIENCE)).expect("guard");
                // What is said has been sent: the tests rely on it.
                stream.set_nodelay(true).expect("option");
                script(&mut stream);
            }
        });
        Self { address, thread }
    }

    /// Waits until every script went to its end, without a panic.
    pub(crate) fn end(self) {
        self.thread.join().expect("the scripts went to their end");
    }

    /// One run of the probe, after which every script must end.
    pub(crate) async fn visited(self, probe: &dyn Probe) -> Outcome {
        let outcome = run(probe, PATIENCE).await;
        self.end();
        outcome
    }
}

/// Waits until the client is gone; what it sent meanwhile.
pub(crate) fn read_rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::ConnectionReset => {}
        Err(e) => panic!("the client is still there: {e}"),
    }
    rest
}

/// Makes a reset of the connection's end.
pub(crate) fn reset(stream: &TcpStream) {
    let now = Some(Duration::ZERO);
    let stream = socket2::SockRef::from(stream);
    stream.set_linger(now).expect("linger");
}
