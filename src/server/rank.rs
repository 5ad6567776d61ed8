//! How the standbys rank: the part of the groups that [`docs/ranking.md`] is about.
//!
//! [`docs/ranking.md`]: https://github.com/hotspare/hotspare/blob/main/docs/ranking.md

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shown};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::State;
use super::api::{find_group, json, judged};
use super::problem::Problem;
use crate::model::{GroupReport, RankingReport};

/// The routes.
pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/api/v1/rank", get(ranks))
        .route("/api/v1/groups/{group}/rank", get(rank))
}

/// A group's ranking, with what it is of.
#[derive(Serialize)]
pub(super) struct Rank<'a> {
    group: &'a str,
    source_region: &'a str,
    timestamp_seconds: f64,
    primary: &'a str,
    ranking: &'a Option<RankingReport>,
}

impl<'a> From<&'a GroupReport> for Rank<'a> {
    fn from(of: &'a GroupReport) -> Self {
        Self {
            group: &of.group,
            source_region: &of.source_region,
            timestamp_seconds: of.timestamp_seconds,
            primary: &of.primary,
            ranking: &of.ranking,
        }
    }
}

async fn ranks(Shown(state): Shown<Arc<State>>) -> Result<Response, Problem> {
    let judged = judged(&state).await?;
    Ok(json(StatusCode::OK, judged.ranks()))
}

async fn rank(
    Shown(state): Shown<Arc<State>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let judged = judged(&state).await?;
    let group = find_group(&judged, path)?;
    Ok(json(StatusCode::OK, serde_json::to_vec(&Rank::from(group))))
}
