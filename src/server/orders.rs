//! Lists that are told as JSON, and orders that are taken.
//!
//! Little can be changed through this server. A page in a browser cannot do it: it is asked for a
//! header and a type of content that a page may not send elsewhere, and whatever names its origin is
//! refused. Nor can whoever is not known: other hosts have to show who they are, by a password or by a
//! certificate.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Extension, State as Shown};
use axum::http::header::{CONTENT_TYPE, FORWARDED, HeaderName, ORIGIN, VIA};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get, post};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::sync::Mutex;
use tokio::task::JoinError;

use super::State;
use super::access::{Origin, Peer};
use super::api::json;
use super::problem::{Kind, Problem};
use crate::metrics::Refused;

/// What an order has to come with: no page of another origin can send it unasked.
pub const ORDER_HEADER: HeaderName = HeaderName::from_static("x-hotspare-order");

/// Bytes of an order.
const MAX_ORDER: usize = 4096;
const TOO_LARGE: &str = "an order may have 4096 bytes";

/// What came of an order: the answer, or why it is refused.
pub(super) type Came<A> = Result<A, Problem>;

/// Tells something, above all lists. All who ask share the last answer while nothing has happened: it may
/// have megabytes, and those who read it slowly keep it for long.
pub(super) fn tell<T: Serialize + 'static>(read: fn(&State) -> T) -> MethodRouter<Arc<State>> {
    let last = Arc::default();
    get(async move |Shown(state): Shown<Arc<State>>| {
        match written(&last, move || read(&state)).await {
            Ok(body) => json(StatusCode::OK, body),
            Err(error) => {
                tracing::error!(%error, "a list could not be made");
                Problem::new(Kind::Internal, "the list could not be made").into_response()
            }
        }
    })
}

/// A list as JSON: the last one, if that still is it.
async fn written<T: Serialize>(
    last: &Arc<Mutex<Bytes>>,
    make: impl FnOnce() -> T + Send + 'static,
) -> Result<serde_json::Result<Bytes>, JoinError> {
    // Until it is made, whoever asks waits: one list at a time. The lock goes with the work, which a
    // client that leaves does not end.
    let mut last = Arc::clone(last).lock_owned().await;
    // Not on this thread, which serves everybody.
    let work = tokio::task::spawn_blocking(move || {
        let now = serde_json::to_vec(&make())?;
        if *last != now {
            *last = now.into();
        }
        Ok(last.clone())
    });
    work.await
}

/// Takes orders of one kind.
pub(super) fn order<T: DeserializeOwned + 'static, A: Serialize + 'static>(
    carry_out: fn(&State, T) -> Came<A>,
) -> MethodRouter<Arc<State>> {
    let handler = async move |Shown(state): Shown<Arc<State>>,
                              Extension(peer): Extension<Peer>,
                              headers: HeaderMap,
                              body: Result<Bytes, BytesRejection>| {
        let came = may(peer, &headers)
            .inspect_err(|_| state.own.refused(Refused::Order))
            .and_then(|()| {
                body.map_err(|rejection| {
                    if rejection.status() != StatusCode::PAYLOAD_TOO_LARGE {
                        return Problem::new(Kind::BadOrder, "the content did not come whole");
                    }
                    state.own.refused(Refused::Large);
                    Problem::new(Kind::TooLarge, TOO_LARGE)
                })
            })
            .and_then(|body| serde_json::from_slice(&body).map_err(|error| misread(&error)))
            .and_then(|read| carry_out(&state, read));
        match came {
            Ok(answer) => json(StatusCode::OK, serde_json::to_vec(&answer)),
            Err(problem) => problem.into_response(),
        }
    };
    post(handler).layer(DefaultBodyLimit::max(MAX_ORDER))
}

/// What is wrong with what was sent, and where. The reader's own words may repeat it, but where they
/// tell what is missing.
fn misread(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    let what = match error.classify() {
        Category::Data => "the content is JSON, but no such order",
        Category::Syntax | Category::Eof | Category::Io => "the content is no JSON",
    };
    let said = error.to_string();
    let missing = said.split(" at line ").next();
    let missing = missing.filter(|words| words.starts_with("missing field `"));
    let missing = missing.map_or_else(String::new, |words| format!(": {words}"));
    let detail = format!("{what}{missing}: line {line}, column {column}");
    Problem::new(Kind::BadOrder, detail)
}

/// Whether whoever asks may order anything.
pub(super) fn may_order(peer: Peer, headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |why| Err(Problem::new(Kind::OrderNotAllowed, why));
    if headers.contains_key(ORIGIN) {
        return refused("a page in a browser may not do that");
    }
    let near = match peer.origin {
        Origin::Host(address) => address.to_canonical().is_loopback(),
        Origin::Socket => true,
    };
    // Whoever is behind a proxy may be anywhere.
    let proxied = headers.keys().any(is_of_a_proxy);
    if !peer.known && (proxied || !near) {
        return refused(
            "orders are taken from this host, or from those who show who they are: run the command \
             there, or set up users or client certificates by --web.config.file",
        );
    }
    Ok(())
}

/// Whether it is an order that no page sends unasked, and whoever asks may give it.
fn may(peer: Peer, headers: &HeaderMap) -> Result<(), Problem> {
    may_order(peer, headers)?;
    if !headers.contains_key(ORDER_HEADER) {
        let why = "the header x-hotspare-order is missing";
        return Err(Problem::new(Kind::OrderNotAllowed, why));
    }
    let content = headers.get(CONTENT_TYPE).and_then(|of| of.to_str().ok());
    let content = content.and_then(|of| of.split(';').next());
    if !content.is_some_and(|of| of.trim().eq_ignore_ascii_case("application/json")) {
        let why = "the type of the content has to be application/json";
        return Err(Problem::new(Kind::WrongContentType, why));
    }
    Ok(())
}

/// Whether a proxy adds such a field: those of the standards, and those that are usual.
fn is_of_a_proxy(name: &HeaderName) -> bool {
    [FORWARDED, VIA].contains(name)
        || name.as_str().starts_with("x-forwarded-")
        || name.as_str() == "x-real-ip"
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const HERE: &str = "127.0.0.1";
    const THERE: &str = "10.1.0.5";
    const SOCKET: &str = "unix";

    fn status(known: bool, peer: &str, headers: &[(&'static str, &str)]) -> u16 {
        let headers = headers.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).expect("a value");
            (HeaderName::from_static(name), value)
        });
        let origin = match peer {
            SOCKET => Origin::Socket,
            address => Origin::Host(address.parse().expect("an address")),
        };
        let may = may(Peer { origin, known }, &headers.collect());
        may.map_or_else(|problem| problem.kind.status().as_u16(), |()| 200)
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        #[expect(dead_code, reason = "it is only looked for")]
        group: String,
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place_and_not_repeated() {
        for (sent, told) in [
            ("", "the content is no JSON: line 1, column 0"),
            ("{\"hostile", "the content is no JSON: line 1, column 9"),
            (
                "{\"hostile\":1}",
                "the content is JSON, but no such order: line 1, column 10",
            ),
            (
                "{\"group\":[\"hostile\"]}",
                "the content is JSON, but no such order: line 1, column 9",
            ),
            (
                "{}",
                "the content is JSON, but no such order: missing field `group`: line 1, column 2",
            ),
        ] {
            let error = serde_json::from_str::<Example>(sent).expect_err(sent);
            assert_eq!(
                format!("{:?}", misread(&error)),
                format!("{:?}", Problem::new(Kind::BadOrder, told))
            );
        }
    }

    const JSON: (&str, &str) = ("content-type", "application/json");
    const ORDER: (&str, &str) = ("x-hotspare-order", "drill");

    #[test]
    fn orders_are_taken_from_this_host_and_from_those_who_are_known() {
        for (known, peer, expected) in [
            (false, HERE, 200),
            (false, SOCKET, 200),
            (false, "::1", 200),
            (false, "::ffff:127.0.0.1", 200),
            (false, THERE, 403),
            (true, THERE, 200),
        ] {
            assert_eq!(status(known, peer, &[JSON, ORDER]), expected, "{peer}");
        }
        for name in [
            "forwarded",
            "via",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-real-ip",
        ] {
            let proxied = [JSON, ORDER, (name, "x")];
            assert_eq!(status(false, HERE, &proxied), 403, "{name}");
            assert_eq!(status(false, SOCKET, &proxied), 403, "{name}");
            assert_eq!(status(true, HERE, &proxied), 200, "{name}");
        }
    }

    #[tokio::test]
    async fn a_list_is_made_beside_the_evaluation_and_shared_until_it_changes() {
        let last = Arc::default();
        let (go, told_to) = std::sync::mpsc::channel();
        let patience = std::time::Duration::from_mins(1);
        let slow = written(&last, move || told_to.recv_timeout(patience).is_ok());
        // On one thread it would wait for what comes after it.
        let (slow, sent) = tokio::join!(slow, async move { go.send(()) });
        assert!(sent.is_ok());
        let slow = slow.expect("made").expect("JSON");
        assert_eq!(slow, "true");
        let same = written(&last, || true).await.expect("made").expect("JSON");
        assert_eq!(same.as_ptr(), slow.as_ptr());
        let other = written(&last, || false).await;
        assert_eq!(other.expect("made").expect("JSON"), "false");
    }

    #[test]
    fn a_page_in_a_browser_cannot_order_anything() {
        for known in [false, true] {
            for (headers, expected) in [
                (&[JSON, ORDER][..], 200),
                (
                    &[("content-type", "Application/JSON; charset=utf-8"), ORDER],
                    200,
                ),
                (&[JSON], 403),
                (&[ORDER], 415),
                (&[("content-type", "text/plain"), ORDER], 415),
                (&[JSON, ORDER, ("origin", "null")], 403),
                (&[JSON, ORDER, ("origin", "http://127.0.0.1:9887")], 403),
            ] {
                assert_eq!(status(known, HERE, headers), expected, "{headers:?}");
            }
        }
    }
}
