//! What happened to the groups, and the drills that an operator announces.
//!
//! Nothing else can be changed through this server. A page in a browser cannot do it: it is asked for
//! a header and a type of content that a page may not send elsewhere, and whatever names its origin
//! is refused. Nor can another host, unless the daemon was told to let it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Extension, State as Shown};
use axum::http::header::{CONTENT_TYPE, FORWARDED, HeaderName, ORIGIN, VIA};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::task::JoinError;

use super::State;
use super::api::json;
use crate::model::{Drill, DrillOrder, DrillRefusal, Failover};

/// What an order has to come with: no page of another origin can send it unasked.
pub const ORDER_HEADER: HeaderName = HeaderName::from_static("x-hotspare-order");

/// Bytes of an order.
const MAX_ORDER: usize = 4096;

/// What is known of the past, and who takes orders.
pub trait Events: Send + Sync {
    /// The failovers of every group, oldest first within a group.
    fn failovers(&self) -> Vec<Failover>;
    /// The drills of every group, oldest first within a group.
    fn drills(&self) -> Vec<Drill>;
    /// Carries out an order.
    fn order(&self, order: &DrillOrder) -> Result<Drill, DrillRefusal>;
}

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// The routes.
pub(super) fn routes() -> Router<Arc<State>> {
    let drills = list("drills", |past| past.drills());
    let finish = |of: OfGroup| DrillOrder::Finish(of.group);
    let abort = |of: OfGroup| DrillOrder::Abort(of.group);
    Router::new()
        .route("/api/v1/events", list("events", |past| past.failovers()))
        .route("/api/v1/drills", drills.merge(order(DrillOrder::Start)))
        .route("/api/v1/drills/finish", order(finish))
        .route("/api/v1/drills/abort", order(abort))
        .layer(DefaultBodyLimit::max(MAX_ORDER))
}

/// Tells a list under its name. All who ask share the last one while nothing has happened: a list may
/// have megabytes, and those who read it slowly keep it for long.
fn list<T: Serialize + 'static>(
    name: &'static str,
    read: fn(&dyn Events) -> Vec<T>,
) -> MethodRouter<Arc<State>> {
    let last = Arc::default();
    get(async move |Shown(state): Shown<Arc<State>>| {
        let make = move || HashMap::from([(name, read(&*state.events))]);
        match written(&last, make).await {
            Ok(body) => json(StatusCode::OK, body),
            Err(error) => {
                tracing::error!(%error, "a list could not be made");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
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
    // Not on this thread, which is the evaluation's too.
    let work = tokio::task::spawn_blocking(move || {
        let now = serde_json::to_vec(&make())?;
        if *last != now {
            *last = now.into();
        }
        Ok(last.clone())
    });
    work.await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfGroup {
    group: String,
}

/// Takes orders of one kind.
fn order<T: DeserializeOwned + 'static>(order: fn(T) -> DrillOrder) -> MethodRouter<Arc<State>> {
    let handler =
        async move |Shown(state): Shown<Arc<State>>,
                    Extension(peer): Extension<Peer>,
                    headers: HeaderMap,
                    body: Bytes| { ordered(&state, peer, &headers, &body, order) };
    post(handler)
}

fn ordered<T: DeserializeOwned>(
    state: &State,
    peer: Peer,
    headers: &HeaderMap,
    body: &[u8],
    order: fn(T) -> DrillOrder,
) -> Response {
    if let Err((status, why)) = may(state.admin, peer, headers) {
        return refused(status, why);
    }
    let read = match serde_json::from_slice(body) {
        Ok(read) => read,
        // The reader's words may repeat what was sent, which is sent back as JSON to who sent it.
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    match state.events.order(&order(read)) {
        Ok(drill) => json(StatusCode::OK, serde_json::to_vec(&drill)),
        Err(refusal) => {
            let status = match refusal {
                DrillRefusal::NoGroup => StatusCode::NOT_FOUND,
                DrillRefusal::Bad(_) => StatusCode::BAD_REQUEST,
                DrillRefusal::Open(_) | DrillRefusal::None | DrillRefusal::NotYet(_) => {
                    StatusCode::CONFLICT
                }
            };
            refused(status, &refusal.to_string())
        }
    }
}

/// Whether whoever asks may order anything.
fn may(
    admin: bool,
    Peer(peer): Peer,
    headers: &HeaderMap,
) -> Result<(), (StatusCode, &'static str)> {
    if headers.contains_key(ORIGIN) {
        return Err((StatusCode::FORBIDDEN, "a page in a browser may not do that"));
    }
    let proxied = headers.keys().any(is_of_a_proxy);
    if !admin && (proxied || !peer.to_canonical().is_loopback()) {
        return Err((
            StatusCode::FORBIDDEN,
            "orders are taken on this host only: run `hotspare drill` there, or start the daemon \
             with --web.enable-admin",
        ));
    }
    if !headers.contains_key(ORDER_HEADER) {
        return Err((
            StatusCode::FORBIDDEN,
            "the header x-hotspare-order is missing",
        ));
    }
    let content = headers.get(CONTENT_TYPE).and_then(|of| of.to_str().ok());
    let content = content.and_then(|of| of.split(';').next());
    if !content.is_some_and(|of| of.trim().eq_ignore_ascii_case("application/json")) {
        return Err((
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the type of the content has to be application/json",
        ));
    }
    Ok(())
}

/// Whether a proxy adds such a field: those of the standards, and those that are usual.
fn is_of_a_proxy(name: &HeaderName) -> bool {
    [FORWARDED, VIA].contains(name)
        || name.as_str().starts_with("x-forwarded-")
        || name.as_str() == "x-real-ip"
}

fn refused(status: StatusCode, why: &str) -> Response {
    #[derive(Serialize)]
    struct Error<'a> {
        error: &'a str,
    }
    json(status, serde_json::to_vec(&Error { error: why }))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const HERE: &str = "127.0.0.1";
    const THERE: &str = "10.1.0.5";

    fn status(admin: bool, peer: &str, headers: &[(&'static str, &str)]) -> u16 {
        let headers = headers.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).expect("a value");
            (HeaderName::from_static(name), value)
        });
        let peer = Peer(peer.parse().expect("an address"));
        let may = may(admin, peer, &headers.collect());
        may.map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    const JSON: (&str, &str) = ("content-type", "application/json");
    const ORDER: (&str, &str) = ("x-hotspare-order", "drill");

    #[test]
    fn orders_are_taken_from_this_host_only_unless_others_were_let_in() {
        for (admin, peer, expected) in [
            (false, HERE, 200),
            (false, "::1", 200),
            (false, "::ffff:127.0.0.1", 200),
            (false, THERE, 403),
            (true, THERE, 200),
        ] {
            assert_eq!(status(admin, peer, &[JSON, ORDER]), expected, "{peer}");
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
        for admin in [false, true] {
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
                assert_eq!(status(admin, HERE, headers), expected, "{headers:?}");
            }
        }
    }
}
