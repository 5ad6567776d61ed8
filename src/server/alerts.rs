//! The alerts, who was told of them, and the silences that an operator orders.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use serde::{Deserialize, Serialize};

use super::State;
use super::orders::{Came, order, tell};
use super::problem::{Kind, Problem};
use crate::model::{
    Alert, Fingerprint, ReceiverStatus, Silence, SilenceOrder, SilenceRefusal, SilenceStart,
    timestamp_seconds,
};
use crate::rule::{Alerts, Silences};

/// Tells where every receiver stands.
pub type Receivers = Box<dyn Fn() -> Vec<ReceiverStatus> + Send + Sync>;

/// What is known of alerts.
pub struct Alerting {
    /// The alerts.
    pub alerts: Alerts,
    /// The silences, which take orders.
    pub silences: Silences,
    /// Where the receivers stand.
    pub receivers: Receivers,
}

/// The routes.
pub(super) fn routes() -> Router<Arc<State>> {
    let silences = tell(|state| HashMap::from([("silences", state.alerting.silences.all())]));
    let start = |state: &State, start: SilenceStart| carry_out(state, &SilenceOrder::Start(start));
    let end = |state: &State, of: OfSilence| carry_out(state, &SilenceOrder::End(of.id));
    Router::new()
        .route("/api/v1/alerts", tell(told))
        .route("/api/v1/silences", silences.merge(order(start)))
        .route("/api/v1/silences/end", order(end))
}

#[derive(Serialize)]
struct Told {
    alerts: Vec<Identified>,
    receivers: Vec<ReceiverStatus>,
}

#[derive(Serialize)]
struct Identified {
    fingerprint: Fingerprint,
    #[serde(flatten)]
    alert: Arc<Alert>,
}

fn told(state: &State) -> Told {
    let alerts = state.alerting.alerts.all().into_iter();
    let alerts = alerts.map(|alert| Identified {
        fingerprint: alert.fingerprint(),
        alert,
    });
    Told {
        alerts: alerts.collect(),
        receivers: (state.alerting.receivers)(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfSilence {
    id: String,
}

fn carry_out(state: &State, order: &SilenceOrder) -> Came<Silence> {
    state
        .alerting
        .silences
        .order(order, timestamp_seconds(SystemTime::now()))
        .map_err(|refusal| {
            let kind = match refusal {
                SilenceRefusal::Bad(_) => Kind::BadOrder,
                SilenceRefusal::None => Kind::NoSuchSilence,
                SilenceRefusal::Taken | SilenceRefusal::TooMany(_) => Kind::NotNow,
            };
            Problem::new(kind, refusal.to_string())
        })
}
