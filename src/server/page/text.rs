//! A page as it is sent. All who get it share its bytes, however slowly they read.

use std::io::Write as _;
use std::sync::OnceLock;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// All of a page comes from this server, and there is neither script nor style in it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// A text in both of its codings.
pub(super) struct Text {
    plain: Bytes,
    /// Made once somebody wants it; none if that failed.
    gzip: OnceLock<Option<Bytes>>,
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self {
            plain: text.into(),
            gzip: OnceLock::new(),
        }
    }
}

impl Text {
    /// The answer with it. With a long page of many groups, the first who wants it compressed waits for
    /// tens of milliseconds: this is for a thread that may block.
    pub(super) fn answer(&self, gzip: bool) -> Response {
        let coded = gzip.then(|| self.coded()).flatten();
        let is_coded = coded.is_some();
        let mut answer = Response::new(Body::from(coded.unwrap_or_else(|| self.plain.clone())));
        let head = answer.headers_mut();
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        head.insert(CONTENT_TYPE, html);
        head.insert(CONTENT_SECURITY_POLICY, POLICY);
        head.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if is_coded {
            head.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        answer
    }

    fn coded(&self) -> Option<Bytes> {
        let code = || {
            let mut coder = GzEncoder::new(Vec::new(), Compression::fast());
            coder.write_all(&self.plain).ok()?;
            coder.finish().ok().map(Bytes::from)
        };
        self.gzip.get_or_init(code).clone()
    }

    /// As it is read.
    #[cfg(test)]
    pub(super) fn read(&self) -> &str {
        std::str::from_utf8(&self.plain).expect("text")
    }
}
