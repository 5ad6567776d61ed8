//! What there is to see.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::State as Shown;
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, HeaderName, REFERRER_POLICY, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::{
    Check, State, alerts, api, config, events, openapi, page, problem, rank, reload, samples,
    status, targets,
};
use crate::metrics::{Refusal, accepts_gzip, negotiate};

/// Nothing is loaded, run, framed or sent from here.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Who may load what is here into a page.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The routes. A known path with another method is answered with 405, an unknown path with 404.
pub(super) fn router(state: Arc<State>) -> Result<Router, String> {
    Ok(Router::new()
        .route("/metrics", get(metrics))
        .route("/sd", get(daemons))
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .merge(api::routes())
        .merge(events::routes())
        .merge(alerts::routes())
        .merge(config::routes())
        .merge(rank::routes())
        .merge(samples::routes())
        .merge(reload::routes())
        .merge(status::routes())
        .merge(targets::routes())
        .merge(openapi::routes())
        .merge(page::routes(&state)?)
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .with_state(state)
        .layer(map_response(async |mut answer: Response| {
            guard(answer.headers_mut());
            answer
        })))
}

async fn metrics(Shown(state): Shown<Arc<State>>, headers: HeaderMap) -> Response {
    let format = negotiate(header(&headers, &ACCEPT).as_deref());
    let gzip = accepts_gzip(header(&headers, &ACCEPT_ENCODING).as_deref());
    match state.exposition.page(format, gzip).await {
        Ok(page) => {
            let mut response = Response::new(Body::new(PageBody::of(Arc::clone(&page.parts))));
            let head = response.headers_mut();
            head.insert(CONTENT_TYPE, value(page.format.content_type()));
            head.insert(VARY, value("accept, accept-encoding"));
            if page.gzip {
                head.insert(CONTENT_ENCODING, value("gzip"));
            }
            response
        }
        Err(refusal @ Refusal::Busy(_)) => {
            let mut response = say(StatusCode::SERVICE_UNAVAILABLE, &format!("{refusal}\n"));
            response.headers_mut().insert(RETRY_AFTER, value("1"));
            response
        }
        Err(error) => {
            tracing::error!(%error, "a scrape failed");
            say(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n"))
        }
    }
}

/// Where the daemons are, whole at every request, as `http_sd_configs` of Prometheus reads it.
async fn daemons(Shown(state): Shown<Arc<State>>) -> Response {
    let daemons = Arc::clone(&state.daemons.borrow());
    api::json(StatusCode::OK, serde_json::to_vec(&daemons))
}

async fn healthy(Shown(state): Shown<Arc<State>>) -> Response {
    checked(&state.healthy, "healthy\n")
}

async fn ready(Shown(state): Shown<Arc<State>>) -> Response {
    checked(&state.ready, "ready\n")
}

fn checked(check: &Check, good: &str) -> Response {
    match check() {
        Ok(()) => say(StatusCode::OK, good),
        Err(why) => say(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n")),
    }
}

fn say(status: StatusCode, text: &str) -> Response {
    (status, text.to_owned()).into_response()
}

/// Gives an answer the headers that every one carries. Pages for people have a policy of their own, and
/// what they load may be kept.
pub(super) fn guard(answer: &mut HeaderMap) {
    answer.insert(X_CONTENT_TYPE_OPTIONS, value("nosniff"));
    answer.insert(REFERRER_POLICY, value("no-referrer"));
    // No page of another origin has it loaded, not even blindly.
    answer.insert(RESOURCE_POLICY, value("same-origin"));
    let policy = answer.entry(CONTENT_SECURITY_POLICY);
    policy.or_insert(value(POLICY));
    answer.entry(CACHE_CONTROL).or_insert(value("no-store"));
}

const fn value(text: &'static str) -> axum::http::HeaderValue {
    axum::http::HeaderValue::from_static(text)
}

/// All values of a header as one list.
pub(super) fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?.to_owned();
    let rest = values.filter_map(|value| value.to_str().ok());
    Some(rest.fold(first, |mut list, value| {
        list.push(',');
        list.push_str(value);
        list
    }))
}

/// A page's parts, sent as they are: all who get the page share them.
pub(super) struct PageBody {
    parts: Arc<[Bytes]>,
    next: usize,
    left: u64,
}

impl PageBody {
    pub(super) fn of(parts: Arc<[Bytes]>) -> Self {
        Self {
            left: parts.iter().map(|part| part.len() as u64).sum(),
            parts,
            next: 0,
        }
    }
}

impl hyper::body::Body for PageBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let part = self.parts.get(self.next).cloned();
        self.next += 1;
        self.left -= part.as_ref().map_or(0, |part| part.len() as u64);
        Poll::Ready(part.map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_sent_twice_are_one_list() {
        let mut headers = HeaderMap::new();
        assert_eq!(header(&headers, &ACCEPT), None);
        headers.append(ACCEPT, value("text/plain"));
        headers.append(ACCEPT, value("*/*;q=0.1"));
        assert_eq!(
            header(&headers, &ACCEPT).as_deref(),
            Some("text/plain,*/*;q=0.1")
        );
    }
}
