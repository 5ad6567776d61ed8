//! What a client is told whose connection is not taken, or whose bytes never became a request. No page
//! answers it, but the answer has the headers of all others.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use tokio::io::AsyncWrite;

use super::pages;
use super::web::Web;
use super::{MAX_HEADER_BYTES, MAX_HEADER_FIELDS};

/// The answer to a connection for which there is no place.
pub(super) fn no_place(web: &Web) -> Vec<u8> {
    whole(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many connections\n",
        web,
    )
}

/// An answer in place of the bare one of the library, while it is sent.
pub(super) struct LastWord {
    bytes: Vec<u8>,
    sent: usize,
}

impl LastWord {
    /// Such an answer, for one that begins with a line of status.
    pub(super) fn instead_of(bare: &[u8], web: &Web) -> Self {
        let status = bare.get(9..12).map(StatusCode::from_bytes);
        let status = status
            .and_then(Result::ok)
            .unwrap_or(StatusCode::BAD_REQUEST);
        let text = match status {
            StatusCode::BAD_REQUEST => "this is no request of HTTP/1\n".to_owned(),
            _ => format!(
                "the header is too large: it may have {MAX_HEADER_BYTES} bytes and \
                 {MAX_HEADER_FIELDS} fields\n"
            ),
        };
        Self {
            bytes: whole(status, &text, web),
            sent: 0,
        }
    }

    /// Done when all of it is written.
    pub(super) fn poll_send(
        &mut self,
        mut stream: Pin<&mut impl AsyncWrite>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = self.bytes.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let written = ready!(stream.as_mut().poll_write(context, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
        Poll::Ready(Ok(()))
    }
}

/// An answer after which the connection ends.
fn whole(status: StatusCode, text: &str, web: &Web) -> Vec<u8> {
    let mut headers = HeaderMap::new();
    let text_type = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, text_type);
    headers.insert(CONTENT_LENGTH, text.len().into());
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    pages::guard(&mut headers);
    web.dress(&mut headers);
    let mut bytes = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for (name, value) in &headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(text.as_bytes());
    bytes
}
