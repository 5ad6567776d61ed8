//! A receiver that knows what it was promised.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// What it has got of one notification.
struct Got {
    body: Value,
    times: u64,
    /// How often it may come: once more for each answer that was lost, and for each kill while it
    /// was the last of its group.
    allowed: u64,
}

#[derive(Default)]
struct Book {
    got: BTreeMap<String, Got>,
    /// The last state of each alert: when it began to fire, and whether it is over.
    last: BTreeMap<String, (f64, bool)>,
    /// The last notification of each group.
    groups: BTreeMap<String, String>,
    requests: u64,
    wrong: Vec<String>,
    calm: bool,
}

/// A receiver at an address of its own, one request after the other. It fails now and then.
pub(super) struct Oracle {
    pub(super) address: SocketAddr,
    book: Arc<Mutex<Book>>,
}

impl Oracle {
    pub(super) fn start(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let book = Arc::new(Mutex::new(Book::default()));
        let written = Arc::clone(&book);
        let mut random = fastrand::Rng::with_seed(seed);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who dies in the middle has told nothing.
                let _ = serve(stream, &written, &mut random);
            }
        });
        Self { address, book }
    }

    /// From now on it takes everything.
    pub(super) fn calm_down(&self) {
        self.book.lock().expect("not poisoned").calm = true;
    }

    /// Takes note of the death of who tells it: whatever that has sent is taken in before.
    pub(super) fn killed(&self) {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream
            .write_all(b"GET / HTTP/1.1\r\n\r\n")
            .expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it answers");
        let mut book = self.book.lock().expect("not poisoned");
        let last: Vec<_> = book.groups.values().cloned().collect();
        for id in last {
            book.got.get_mut(&id).expect("it came").allowed += 1;
        }
    }

    pub(super) fn last(&self) -> BTreeMap<String, (f64, bool)> {
        self.book.lock().expect("not poisoned").last.clone()
    }

    pub(super) fn check(&self) {
        let book = self.book.lock().expect("not poisoned");
        assert!(book.wrong.is_empty(), "{:#?}", book.wrong);
        for (id, got) in &book.got {
            assert!(got.times <= got.allowed, "{} times: {id}", got.times);
        }
        assert!(book.got.len() > 10, "{} notifications only", book.got.len());
    }

    pub(super) fn summary(&self) -> String {
        let book = self.book.lock().expect("not poisoned");
        let all: u64 = book.got.values().map(|got| got.times).sum();
        let different = book.got.len() as u64;
        let again = all - different;
        format!(
            "{different} notifications, {again} of them again, {} requests",
            book.requests
        )
    }
}

fn serve(
    mut stream: TcpStream,
    book: &Mutex<Book>,
    random: &mut fastrand::Rng,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut length = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(number) = line.strip_prefix("content-length: ") {
            length = number.trim().parse().ok();
        }
        if line == "\r\n" {
            break;
        }
    }
    let Some(length) = length else {
        return stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
    };
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body: Value = serde_json::from_slice(&body)?;
    let mut book = book.lock().expect("not poisoned");
    book.requests += 1;
    let fails = if book.calm { 9 } else { random.u8(..10) };
    if fails == 0 {
        return stream.write_all(b"HTTP/1.1 500 Internal Server Error\r\n\r\n");
    }
    let id = book.take(&body);
    if fails == 1 {
        // It is taken, and the answer does not come.
        book.got.get_mut(&id).expect("just taken").allowed += 1;
        return Ok(());
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")
}

impl Book {
    fn take(&mut self, body: &Value) -> String {
        let text = |name: &str| body[name].as_str().expect("text").to_owned();
        let (id, group) = (text("id"), text("group"));
        for alert in body["alerts"].as_array().expect("a list") {
            let name = alert["labels"].to_string();
            let start = alert["start_timestamp_seconds"].as_f64().expect("a number");
            let state = (start, alert["state"] == "resolved");
            let last = self.last.insert(fingerprint(alert), state);
            if last.is_some_and(|last| last > state) {
                self.wrong.push(format!("{name}: {last:?}, then {state:?}"));
            }
        }
        self.groups.insert(group, id.clone());
        let got = self.got.entry(id.clone()).or_insert_with(|| Got {
            body: body.clone(),
            times: 0,
            allowed: 1,
        });
        got.times += 1;
        if got.body != *body {
            self.wrong
                .push(format!("{id} says {} and {body}", got.body));
        }
        id
    }
}

fn fingerprint(alert: &Value) -> String {
    let labels = serde_json::from_value(alert["labels"].clone()).expect("labels");
    hotspare::model::Fingerprint::of(&labels).to_string()
}
