//! The past of the targets: one in full, and all of them at a glance.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State as Shown};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::State;
use super::api::json;
use super::beside::beside;
use super::problem::{Kind, Problem};
use super::query::parameters;
use crate::model::{LastRun, MatrixReport, NoSuch, SamplesReport, Span};

/// The past of the targets. Reading it stops nobody who measures.
pub trait History: Send + Sync {
    /// The last run of a target; `None` before the first. This is cheap.
    fn last(&self, probe: &str, target: &str) -> Option<LastRun>;
    /// What is known of a target.
    fn samples(&self, probe: &str, target: &str, span: Span) -> Result<SamplesReport, NoSuch>;
    /// What is known of all of them, as of a few seconds ago at most. With thousands of targets this
    /// takes tens of milliseconds: it is for a thread that may block.
    fn matrix(&self) -> Arc<MatrixReport>;
}

/// The routes.
pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/api/v1/samples", get(samples))
        .route("/api/v1/matrix", get(matrix))
}

/// What a question about a target asks for.
#[derive(Debug, PartialEq)]
struct Asked {
    probe: String,
    target: String,
    span: Span,
}

/// Reads it. The error says what is wrong.
fn read(mut query: BTreeMap<String, String>) -> Result<Asked, String> {
    let mut text = |key: &str| query.remove(key);
    let needed = |key: &str, value: Option<String>| {
        value.ok_or_else(|| format!("the parameter `{key}` is needed"))
    };
    let number = |key: &str, value: Option<String>| {
        let number = value.map(|value| value.parse::<u64>());
        let number = number.transpose();
        number.map_err(|_| format!("`{key}` has to be a whole number of seconds"))
    };
    let asked = Asked {
        probe: needed("probe", text("probe"))?,
        target: needed("target", text("target"))?,
        span: Span {
            from: number("from", text("from"))?,
            to: number("to", text("to"))?,
            step: number("step", text("step"))?,
        },
    };
    if !query.is_empty() {
        return Err("there are no parameters but probe, target, from, to and step".to_owned());
    }
    let span = asked.span;
    if span.step == Some(0) {
        return Err("`step` has to be above 0".to_owned());
    }
    if span.from.zip(span.to).is_some_and(|(from, to)| from > to) {
        return Err("`from` is after `to`".to_owned());
    }
    Ok(asked)
}

async fn samples(Shown(state): Shown<Arc<State>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let asked = match parameters(&query).and_then(read) {
        Ok(asked) => asked,
        Err(why) => return Problem::new(Kind::BadQuery, why).into_response(),
    };
    let tell = move || {
        let (probe, target) = (&*asked.probe, &*asked.target);
        match state.history.samples(probe, target, asked.span) {
            Ok(report) => json(StatusCode::OK, serde_json::to_vec(&report)),
            Err(miss) => missed(miss).into_response(),
        }
    };
    beside("the past of a target", tell).await
}

async fn matrix(Shown(state): Shown<Arc<State>>) -> Response {
    let tell = move || json(StatusCode::OK, serde_json::to_vec(&*state.history.matrix()));
    beside("the matrix", tell).await
}

fn missed(miss: NoSuch) -> Problem {
    match miss {
        NoSuch::Probe(known) => {
            Problem::new(Kind::NoSuchProbe, "there is no such probe").known(known)
        }
        NoSuch::Target(known) => {
            Problem::new(Kind::NoSuchTarget, "the probe has no such target").known(known)
        }
    }
}
