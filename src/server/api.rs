//! Readiness for programs: JSON for those that read it, and a plain yes or no for load balancers.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shown};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use serde::Serialize;

use super::State;
use super::readiness::{Judged, Unjudged};
use crate::model::{GroupReport, ReadyState, StandbyReport};

/// The routes of the API.
pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/api/v1/groups", get(groups))
        .route("/api/v1/groups/{group}", get(group))
        .route(
            "/api/v1/groups/{group}/standbys/{standby}",
            get(group_standby),
        )
        .route("/ready/{group}/{standby}", get(ready))
}

/// A group's standby, with what is said of the group.
#[derive(Serialize)]
struct OneStandby<'a> {
    group: &'a str,
    source_region: &'a str,
    timestamp_seconds: f64,
    primary: &'a str,
    #[serde(flatten)]
    standby: &'a StandbyReport,
}

impl<'a> OneStandby<'a> {
    fn new(of: &'a GroupReport, standby: &'a StandbyReport) -> Self {
        Self {
            group: &of.group,
            source_region: &of.source_region,
            timestamp_seconds: of.timestamp_seconds,
            primary: &of.primary,
            standby,
        }
    }
}

/// Why there is no answer. What was asked is not repeated: anyone may have written it.
enum Miss<'a> {
    Unjudged(Unjudged),
    Group(&'a [GroupReport]),
    Standby(&'a GroupReport),
}

impl Miss<'_> {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unjudged(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Group(_) | Self::Standby(_) => StatusCode::NOT_FOUND,
        }
    }

    fn why(&self) -> String {
        match self {
            Self::Unjudged(error) => error.to_string(),
            Self::Group(_) => "there is no such group".to_owned(),
            Self::Standby(_) => "the group has no such standby".to_owned(),
        }
    }

    /// What could have been asked for.
    fn known(&self) -> Vec<&str> {
        match self {
            Self::Unjudged(_) => Vec::new(),
            Self::Group(groups) => groups.iter().map(|group| &*group.group).collect(),
            Self::Standby(group) => group.standbys.iter().map(|each| &*each.standby).collect(),
        }
    }

    fn json(&self) -> Response {
        #[derive(Serialize)]
        struct Error<'a> {
            error: String,
            known: Vec<&'a str>,
        }
        let error = Error {
            error: self.why(),
            known: self.known(),
        };
        json(self.status(), serde_json::to_vec(&error))
    }

    fn text(&self) -> Response {
        let (why, known) = (self.why(), self.known().join(", "));
        let text = match &*known {
            "" => format!("{why}\n"),
            known => format!("{why}; there are: {known}\n"),
        };
        (self.status(), text).into_response()
    }
}

async fn groups(Shown(state): Shown<Arc<State>>) -> Response {
    match state.readiness.judged().await {
        Ok(judged) => json(StatusCode::OK, judged.list()),
        Err(error) => unjudged(error).json(),
    }
}

async fn group(
    Shown(state): Shown<Arc<State>>,
    path: Result<Path<String>, PathRejection>,
) -> Response {
    let judged = match state.readiness.judged().await {
        Ok(judged) => judged,
        Err(error) => return unjudged(error).json(),
    };
    // A name that is no text is nobody's.
    let name = path.map(|Path(name)| name).unwrap_or_default();
    match judged.group(&name) {
        Some(group) => json(StatusCode::OK, serde_json::to_vec(group)),
        None => Miss::Group(&judged.groups).json(),
    }
}

async fn group_standby(
    Shown(state): Shown<Arc<State>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Response {
    let judged = match state.readiness.judged().await {
        Ok(judged) => judged,
        Err(error) => return unjudged(error).json(),
    };
    match find(&judged, path) {
        Ok((group, standby)) => {
            let one = OneStandby::new(group, standby);
            json(StatusCode::OK, serde_json::to_vec(&one))
        }
        Err(miss) => miss.json(),
    }
}

/// 200 while the standby is ready, for those that send traffic by it.
async fn ready(
    Shown(state): Shown<Arc<State>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Response {
    let judged = match state.readiness.judged().await {
        Ok(judged) => judged,
        Err(error) => return unjudged(error).text(),
    };
    match find(&judged, path) {
        Ok((_, standby)) => {
            let status = match standby.state {
                ReadyState::Ready => StatusCode::OK,
                ReadyState::NotReady | ReadyState::Unknown | ReadyState::PrimaryLost => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
            };
            (status, standby.line() + "\n").into_response()
        }
        Err(miss) => miss.text(),
    }
}

fn find(
    judged: &Judged,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<(&GroupReport, &StandbyReport), Miss<'_>> {
    let (group, region) = path.map(|Path(names)| names).unwrap_or_default();
    let group = judged.group(&group).ok_or(Miss::Group(&judged.groups))?;
    let standby = group.standby(&region).ok_or(Miss::Standby(group))?;
    Ok((group, standby))
}

fn unjudged(error: Unjudged) -> Miss<'static> {
    tracing::error!(%error, "a question about readiness failed");
    Miss::Unjudged(error)
}

pub(super) fn json(
    status: StatusCode,
    body: Result<impl Into<Bytes>, serde_json::Error>,
) -> Response {
    match body {
        Ok(body) => {
            let head = [(CONTENT_TYPE, "application/json")];
            (status, head, Body::from(body.into())).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
