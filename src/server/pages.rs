//! What there is to see.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::State as Shown;
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, HeaderName, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::{
    Check, State, alerts, api, config, events, problem, rank, reload, samples, status, targets,
};
use crate::metrics::{Refusal, accepts_gzip, negotiate};
use crate::model::GroupReport;

/// Nothing is loaded, run, framed or sent from here.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The routes. A known path with another method is answered with 405, an unknown path with 404.
pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/", get(landing))
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
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .with_state(state)
        .layer(map_response(async |mut answer: Response| {
            guard(answer.headers_mut());
            answer
        }))
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

async fn landing(Shown(state): Shown<Arc<State>>) -> Response {
    let groups = match state.readiness.judged().await {
        Ok(judged) => table(&judged.groups),
        Err(error) => format!("<p>{}</p>\n", escaped(&error.to_string())),
    };
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <title>hotspare in {region}</title></head>\n<body>\n<h1>hotspare</h1>\n\
         <p>Version {version} in region {region}; targets: {targets}.</p>\n{groups}<ul>\n\
         <li><a href=\"/metrics\">Metrics</a></li>\n\
         <li><a href=\"/sd\">Daemons</a>: where those of all regions are, for Prometheus</li>\n\
         <li><a href=\"/-/healthy\">Healthy</a>: does the daemon make progress?</li>\n\
         <li><a href=\"/-/ready\">Ready</a>: has every target been probed?</li>\n\
         <li><a href=\"/api/v1/groups\">Groups</a>: all that is known of them, as JSON</li>\n\
         </ul>\n</body>\n</html>\n",
        region = escaped(&state.region),
        version = escaped(&state.version),
        targets = state.exposition.targets(),
    );
    Html(page).into_response()
}

/// Every standby with its state and why; nothing where there are no groups.
fn table(groups: &[GroupReport]) -> String {
    if groups.is_empty() {
        return String::new();
    }
    let mut table = "<table>\n<tr><th>Group</th><th>Primary</th><th>Standby</th>\
        <th>Can it take over?</th></tr>\n"
        .to_owned();
    for group in groups {
        for standby in &group.standbys {
            let _ = writeln!(
                table,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                escaped(&group.group),
                escaped(&group.primary),
                escaped(&standby.standby),
                escaped(&standby.line()),
            );
        }
    }
    table + "</table>\n"
}

fn say(status: StatusCode, text: &str) -> Response {
    (status, text.to_owned()).into_response()
}

/// Gives an answer the headers that every one carries.
pub(super) fn guard(answer: &mut HeaderMap) {
    answer.insert(X_CONTENT_TYPE_OPTIONS, value("nosniff"));
    answer.insert(CONTENT_SECURITY_POLICY, value(POLICY));
    answer.insert(CACHE_CONTROL, value("no-store"));
}

const fn value(text: &'static str) -> axum::http::HeaderValue {
    axum::http::HeaderValue::from_static(text)
}

/// All values of a header as one list.
fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?.to_owned();
    let rest = values.filter_map(|value| value.to_str().ok());
    Some(rest.fold(first, |mut list, value| {
        list.push(',');
        list.push_str(value);
        list
    }))
}

/// The text with what HTML would take for its own written as references.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '&' | '<' | '>' | '"' | '\'') {
            let _ = write!(escaped, "&#{};", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
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
    fn html_is_escaped() {
        assert_eq!(
            escaped("<b a=\"1\">'&amp;ü"),
            "&#60;b a=&#34;1&#34;&#62;&#39;&#38;amp;ü"
        );
    }

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
