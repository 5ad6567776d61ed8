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
use super::problem::{Kind, Problem};
use super::readiness::Judged;
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

fn no_such_group(groups: &[GroupReport]) -> Problem {
    let known = groups.iter().map(|group| Arc::clone(&group.group));
    Problem::new(Kind::NoSuchGroup, "there is no such group").known(known)
}

fn no_such_standby(group: &GroupReport) -> Problem {
    let known = group.standbys.iter().map(|each| Arc::clone(&each.standby));
    Problem::new(Kind::NoSuchStandby, "the group has no such standby").known(known)
}

async fn groups(Shown(state): Shown<Arc<State>>) -> Result<Response, Problem> {
    let judged = judged(&state).await?;
    Ok(json(StatusCode::OK, judged.list()))
}

async fn group(
    Shown(state): Shown<Arc<State>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let judged = judged(&state).await?;
    let group = find_group(&judged, path)?;
    Ok(json(StatusCode::OK, serde_json::to_vec(group)))
}

async fn group_standby(
    Shown(state): Shown<Arc<State>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let judged = judged(&state).await?;
    let (group, standby) = find(&judged, path)?;
    let one = OneStandby::new(group, standby);
    Ok(json(StatusCode::OK, serde_json::to_vec(&one)))
}

/// 200 while the standby is ready, for those that send traffic by it.
async fn ready(
    Shown(state): Shown<Arc<State>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Response {
    let judged = match judged(&state).await {
        Ok(judged) => judged,
        Err(problem) => return problem.text(),
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
        Err(problem) => problem.text(),
    }
}

/// The groups as they are judged.
pub(super) async fn judged(state: &State) -> Result<Arc<Judged>, Problem> {
    state.readiness.judged().await.map_err(|error| {
        tracing::error!(%error, "a question about readiness failed");
        Problem::new(Kind::Internal, error.to_string())
    })
}

/// The group of the path. A name that is no text is nobody's.
pub(super) fn find_group(
    judged: &Judged,
    path: Result<Path<String>, PathRejection>,
) -> Result<&GroupReport, Problem> {
    let name = path.map(|Path(name)| name).unwrap_or_default();
    let group = judged.group(&name);
    group.ok_or_else(|| no_such_group(&judged.groups))
}

fn find(
    judged: &Judged,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<(&GroupReport, &StandbyReport), Problem> {
    let (group, region) = path.map(|Path(names)| names).unwrap_or_default();
    let group = judged.group(&group);
    let group = group.ok_or_else(|| no_such_group(&judged.groups))?;
    let standby = group.standby(&region);
    let standby = standby.ok_or_else(|| no_such_standby(group))?;
    Ok((group, standby))
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
            Problem::new(Kind::Internal, "the answer could not be written").into_response()
        }
    }
}
