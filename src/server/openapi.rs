//! What the API is, for programs.

use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use super::State;

/// The route.
pub(super) fn routes() -> Router<Arc<State>> {
    Router::new().route("/api/v1/openapi.yaml", get(openapi))
}

async fn openapi() -> impl IntoResponse {
    let head = [(CONTENT_TYPE, "application/yaml")];
    (head, include_str!("../../docs/openapi.yaml"))
}
