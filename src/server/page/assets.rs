//! What the pages load from here: nothing else is loaded by them, and nothing from elsewhere.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse as _;
use axum::routing::get;

use super::super::State;

pub(super) const STYLE: &str = include_str!("page.css");
pub(super) const SCRIPT: &str = include_str!("page.js");
const ICON: &str = include_str!("icon.svg");

/// Their names have a hash of what is in them, so that a copy that is kept is never an old one.
const KEPT: &str = "private, max-age=604800";

/// The routes.
pub(super) fn routes() -> Router<Arc<State>> {
    let asset = |kind: &'static str, text: &'static str| {
        get(async move || ([(CONTENT_TYPE, kind), (CACHE_CONTROL, KEPT)], text).into_response())
    };
    Router::new()
        .route("/assets/page.css", asset("text/css; charset=utf-8", STYLE))
        .route(
            "/assets/page.js",
            asset("text/javascript; charset=utf-8", SCRIPT),
        )
        .route("/assets/icon.svg", asset("image/svg+xml", ICON))
}

/// What tells one version of a text from another.
pub(super) fn hash(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
