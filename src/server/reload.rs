//! The order to read the configuration again.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, State as Shown};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::State;
use super::access::Peer;
use super::api::json;
use super::orders::may_order;
use super::patience::Patience;
use super::problem::{Kind, Problem};
use crate::metrics::Refused;
use crate::model::{ReloadRefusal, Reloaded};

/// An order to read the configuration again, and where to say what came of it.
pub type ReloadOrder = oneshot::Sender<Result<Reloaded, ReloadRefusal>>;

/// How long whoever asks waits for what comes of it: one that is under way ends before, and a source of
/// targets that is new and says nothing takes 5 s of each.
pub const RELOAD_LIMIT: Duration = Duration::from_mins(1);

/// The route. It takes no body and no header of its own, as that of Prometheus: what it does is what a
/// signal does.
pub(super) fn routes() -> Router<Arc<State>> {
    Router::new().route("/-/reload", post(reload).put(reload))
}

async fn reload(
    Shown(state): Shown<Arc<State>>,
    Extension(peer): Extension<Peer>,
    Extension(patience): Extension<Arc<Patience>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    may_order(peer, &headers).inspect_err(|_| state.own.refused(Refused::Order))?;
    patience.longer(RELOAD_LIMIT);
    let Ok(came) = timeout(RELOAD_LIMIT, ask(&state.reload)).await else {
        let why =
            "the configuration is still being read, which goes on: the log tells what comes of it";
        return Err(Problem::new(Kind::NotDoneYet, why));
    };
    match came {
        Ok(reloaded) => Ok(json(StatusCode::OK, serde_json::to_vec(&reloaded))),
        Err(refusal) => {
            let kind = match refusal {
                ReloadRefusal::Bad(_) => Kind::BadConfiguration,
                ReloadRefusal::Busy => Kind::NotNow,
                ReloadRefusal::Ending => Kind::Ending,
            };
            Err(Problem::new(kind, refusal.to_string()))
        }
    }
}

async fn ask(orders: &mpsc::Sender<ReloadOrder>) -> Result<Reloaded, ReloadRefusal> {
    let (answer, answered) = oneshot::channel();
    orders.try_send(answer).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => ReloadRefusal::Busy,
        mpsc::error::TrySendError::Closed(_) => ReloadRefusal::Ending,
    })?;
    answered.await.unwrap_or(Err(ReloadRefusal::Ending))
}
