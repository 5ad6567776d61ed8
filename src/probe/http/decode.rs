//! Bodies that came compressed.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use crate::model::{Failure, Reason};

/// The body without its compression, at most `cap` bytes of it. Compressed bytes are cheap to send:
/// the cap counts what comes out of them.
pub(super) fn decoded<'a>(
    headers: &HeaderMap,
    body: &'a [u8],
    cap: u64,
) -> Result<Cow<'a, [u8]>, Failure> {
    if !is_gzip(headers) || body.is_empty() {
        return Ok(Cow::Borrowed(body));
    }
    let mut plain = Vec::new();
    MultiGzDecoder::new(body)
        .take(cap.saturating_add(1))
        .read_to_end(&mut plain)
        .map_err(|e| Failure::new(Reason::Protocol, format_args!("decompress the body: {e}")))?;
    if plain.len() as u64 > cap {
        return Err(Failure::new(
            Reason::TooLarge,
            format_args!("the decompressed body is larger than max_body_bytes ({cap})"),
        ));
    }
    Ok(Cow::Owned(plain))
}

fn is_gzip(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_ENCODING).is_some_and(|value| {
        value.as_bytes().eq_ignore_ascii_case(b"gzip")
            || value.as_bytes().eq_ignore_ascii_case(b"x-gzip")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(plain).expect("written");
        encoder.finish().expect("finished")
    }

    fn headers() -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_ENCODING, http::HeaderValue::from_static("GZip"))])
    }

    #[test]
    fn a_bomb_is_cut_at_the_cap() {
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100 << 10);
        let failure = decoded(&headers(), &bomb, 1 << 20).expect_err("too large");
        assert_eq!(failure.reason, Reason::TooLarge);
    }

    #[test]
    fn decodes_what_says_so_and_refuses_what_is_broken() {
        let packed = gzip(b"hello");
        assert_eq!(
            &*decoded(&headers(), &packed, 5).expect("decoded"),
            b"hello"
        );
        assert_eq!(
            &*decoded(&HeaderMap::new(), &packed, 5).expect("raw"),
            packed
        );
        let failure = decoded(&headers(), &packed[..8], 5).expect_err("cut");
        assert_eq!(failure.reason, Reason::Protocol);
        let failure = decoded(&headers(), b"hello", 5).expect_err("not gzip");
        assert_eq!(failure.reason, Reason::Protocol);
    }
}
