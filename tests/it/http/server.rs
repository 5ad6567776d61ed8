//! Servers that do exactly what a test says.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A server on a port of its own that ends with the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where a script notes what it was asked.
pub(crate) type Seen = Arc<Mutex<Vec<String>>>;

impl Server {
    /// Runs the script for every connection, all at once.
    pub(crate) async fn start<F, Fut>(script: F) -> Self
    where
        F: Fn(TcpStream, Seen) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::start_on("127.0.0.1:0", script).await
    }

    pub(crate) async fn start_on<F, Fut>(address: &str, script: F) -> Self
    where
        F: Fn(TcpStream, Seen) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.expect("bind");
        let address = listener.local_addr().expect("bound");
        let seen = Seen::default();
        let notes = Arc::clone(&seen);
        let accept = async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("accepted");
                connections.spawn(script(stream, Arc::clone(&notes)));
            }
        };
        #[expect(clippy::disallowed_methods, reason = "the test's own server")]
        let task = tokio::spawn(accept);
        Self {
            address,
            seen,
            task,
        }
    }

    /// Gives every request the same answer, then closes.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |stream, seen| {
            let answer = answer.clone();
            async move { answer_one(stream, &seen, &answer).await }
        })
        .await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far: each head, and the body that its `Content-Length` announces.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("unpoisoned").clone()
    }
}

/// Reads a request, notes it, answers, and waits for the other side to close.
pub(crate) async fn answer_one<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    seen: &Seen,
    answer: &[u8],
) {
    let Some(request) = read_request(&mut stream).await else {
        return;
    };
    seen.lock().expect("unpoisoned").push(request);
    let _ = stream.write_all(answer).await;
    finish(stream).await;
}

/// Closes this side and takes what still comes, so that nothing is reset.
pub(crate) async fn finish<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let _ = stream.shutdown().await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

/// Reads one request with its body; `None` when the client went away.
pub(crate) async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut bytes = Vec::new();
    let mut wanted = usize::MAX;
    while bytes.len() < wanted {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            wanted = head.len() + 4 + content_length(head);
        }
    }
    String::from_utf8(bytes).ok()
}

fn content_length(head: &str) -> usize {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, length)| length.parse().expect("a length"))
}
