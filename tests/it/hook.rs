//! A receiver of webhooks, which answers as the test wants.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// What came in one request.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    /// The header `webhook-id`.
    pub(crate) id: String,
    pub(crate) body: Value,
}

impl Got {
    /// The status and the rule of each alert.
    pub(crate) fn alerts(&self) -> Vec<(&str, &str)> {
        let alerts = self.body["alerts"].as_array().expect("alerts").iter();
        let text = |value: &'_ Value| value.as_str().expect("text").len();
        alerts
            .map(|alert| {
                let (status, name) = (&alert["status"], &alert["labels"]["alertname"]);
                assert!(text(status) > 0 && text(name) > 0);
                (
                    status.as_str().unwrap_or_default(),
                    name.as_str().unwrap_or_default(),
                )
            })
            .collect()
    }
}

#[derive(Debug)]
struct Notes {
    status: &'static str,
    got: Vec<Got>,
}

/// The receiver.
pub(crate) struct Hook {
    pub(crate) address: SocketAddr,
    notes: Arc<Mutex<Notes>>,
}

impl Hook {
    /// One that answers each request with this status.
    pub(crate) fn answering(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let got = Vec::new();
        let notes = Arc::new(Mutex::new(Notes { status, got }));
        let shared = Arc::clone(&notes);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                take(stream.expect("accepted"), &shared);
            }
        });
        Self { address, notes }
    }

    /// From now on it answers with another status.
    pub(crate) fn answer(&self, status: &'static str) {
        self.notes.lock().expect("not poisoned").status = status;
    }

    /// What came so far.
    pub(crate) fn got(&self) -> Vec<Got> {
        self.notes.lock().expect("not poisoned").got.clone()
    }
}

/// Takes one request, unless who sends it goes away.
fn take(stream: TcpStream, notes: &Mutex<Notes>) {
    let mut reader = BufReader::new(stream);
    let mut id = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or_default() == 0 {
            return;
        }
        let line = line.trim();
        match line.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("webhook-id") => {
                value.clone_into(&mut id);
            }
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().expect("a number");
            }
            _ if line.is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let body = serde_json::from_slice(&body).expect("JSON");
    let status = {
        let mut notes = notes.lock().expect("not poisoned");
        notes.got.push(Got { id, body });
        notes.status
    };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    // Who was killed meanwhile hears nothing.
    let _ = reader.get_mut().write_all(answer.as_bytes());
}
