//! The configuration in force.

use std::sync::Arc;

use axum::Router;
use axum::extract::State as Shown;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use tokio::sync::OnceCell;

use super::State;
use super::api::json;
use super::configured::Configured;
use super::problem::{Kind, Problem};

/// The route.
pub(super) fn routes() -> Router<Arc<State>> {
    Router::new().route("/api/v1/config", get(config))
}

/// The configuration as JSON, without what may be a secret.
pub struct Masked {
    write: Write,
    /// What came of it, once somebody wanted it.
    written: OnceCell<Bytes>,
}

/// Writes it.
type Write = Box<dyn Fn() -> serde_json::Result<String> + Send + Sync>;

impl Masked {
    /// What this writes.
    pub fn new(write: impl Fn() -> serde_json::Result<String> + Send + Sync + 'static) -> Self {
        Self {
            write: Box::new(write),
            written: OnceCell::new(),
        }
    }

    /// The configuration alone.
    pub(super) fn write(&self) -> serde_json::Result<String> {
        (self.write)()
    }
}

/// It is written when somebody first asks, and kept as long as it is in force.
async fn config(Shown(state): Shown<Arc<State>>) -> Result<Response, Problem> {
    let configured = Arc::clone(&state.configured.borrow());
    let make = async || {
        let (state, configured) = (Arc::clone(&state), Arc::clone(&configured));
        // Not on this thread, which serves everybody.
        let work = tokio::task::spawn_blocking(move || write(&state.region, &configured));
        let made = work.await.map_err(|error| error.to_string());
        let made = made.and_then(|made| made.map_err(|error| error.to_string()));
        made.map(Bytes::from).map_err(|error| {
            tracing::error!(error, "the configuration could not be written");
            Problem::new(Kind::Internal, "the configuration could not be written")
        })
    };
    let body = configured.config.written.get_or_try_init(make).await?;
    Ok(json(StatusCode::OK, Ok(body.clone())))
}

fn write(source_region: &str, of: &Configured) -> serde_json::Result<String> {
    let [region, hash] = [source_region, &of.hash].map(serde_json::to_string);
    let config = of.config.write()?;
    Ok(format!(
        "{{\"source_region\":{},\"config_hash\":{},\"config\":{config}}}",
        region?, hash?
    ))
}
