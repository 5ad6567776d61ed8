//! How the daemon stands, in one small answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::State as Shown;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use serde::Serialize;

use super::State;
use super::api::{json, judged};
use super::configured::RegionReport;
use super::problem::{Kind, Problem};
use super::readiness::Judged;
use crate::model::{
    AlertState, GroupReport, Promotability, ReadyState, StandbyReport, timestamp_seconds,
};
use crate::rule::WATCHDOG;

/// What the daemon tells of itself.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// When it started, in seconds since 1970.
    pub start_timestamp_seconds: f64,
    /// Targets that have not been run yet.
    pub unseen: usize,
    /// Everything that is wrong with it or around it, a line each; the worst first.
    pub faults: Vec<String>,
    /// Whether what it must not forget is on disk.
    pub state_durable: bool,
}

/// Tells how the daemon stands now.
pub type Stand = Box<dyn Fn() -> Standing + Send + Sync>;

/// The route.
pub(super) fn routes() -> Router<Arc<State>> {
    Router::new().route("/api/v1/status", get(status))
}

/// All who ask share the answer until the groups are judged again: however many do, it is made about
/// once a second.
async fn status(Shown(state): Shown<Arc<State>>) -> Result<Response, Problem> {
    let judged = judged(&state).await?;
    let make = async || {
        let (state, judged) = (Arc::clone(&state), Arc::clone(&judged));
        // Not on this thread, which serves everybody.
        let work = tokio::task::spawn_blocking(move || told(&state, &judged));
        let made = work.await.map_err(|error| error.to_string());
        let made = made.and_then(|made| made.map_err(|error| error.to_string()));
        made.map(Bytes::from).map_err(|error| {
            tracing::error!(error, "the status could not be made");
            Problem::new(Kind::Internal, "the status could not be made")
        })
    };
    let body = judged.status.get_or_try_init(make).await?;
    Ok(json(StatusCode::OK, Ok(body.clone())))
}

#[derive(Serialize)]
struct Status<'a> {
    source_region: &'a str,
    version: &'a str,
    revision: &'static str,
    timestamp_seconds: f64,
    start_timestamp_seconds: f64,
    config_hash: &'a str,
    targets: usize,
    unseen: usize,
    health: Health,
    state_durable: bool,
    groups: Vec<OfGroup<'a>>,
    alerts: Alerts,
    undelivered: usize,
    regions: &'a [RegionReport],
}

#[derive(Serialize)]
struct Health {
    ok: bool,
    faults: Vec<String>,
}

#[derive(Serialize)]
struct OfGroup<'a> {
    group: &'a str,
    primary: &'a str,
    standbys: Vec<OfStandby<'a>>,
}

#[derive(Serialize)]
struct OfStandby<'a> {
    standby: &'a str,
    state: ReadyState,
    promotion: Promotability,
    rank: Option<u32>,
    rpo_seconds: Option<f64>,
    rto_seconds: Option<f64>,
    line: String,
}

#[derive(Default, Serialize)]
struct Alerts {
    firing: usize,
    pending: usize,
    muted: usize,
}

fn told(state: &State, judged: &Judged) -> serde_json::Result<Vec<u8>> {
    let standing = (state.standing)();
    let configured = Arc::clone(&state.configured.borrow());
    let status = Status {
        source_region: &state.region,
        version: &state.version,
        revision: crate::REVISION,
        timestamp_seconds: timestamp_seconds(SystemTime::now()),
        start_timestamp_seconds: standing.start_timestamp_seconds,
        config_hash: &configured.hash,
        targets: state.exposition.targets(),
        unseen: standing.unseen,
        health: Health {
            ok: standing.faults.is_empty(),
            faults: standing.faults,
        },
        state_durable: standing.state_durable,
        groups: judged.groups.iter().map(OfGroup::new).collect(),
        alerts: alerts(state),
        undelivered: undelivered(state),
        regions: &configured.regions,
    };
    serde_json::to_vec(&status)
}

impl<'a> OfGroup<'a> {
    fn new(of: &'a GroupReport) -> Self {
        Self {
            group: &of.group,
            primary: &of.primary,
            standbys: of.standbys.iter().map(OfStandby::new).collect(),
        }
    }
}

impl<'a> OfStandby<'a> {
    fn new(of: &'a StandbyReport) -> Self {
        Self {
            standby: &of.standby,
            state: of.state,
            promotion: of.promotion,
            rank: of.rank,
            rpo_seconds: of.rpo_seconds,
            rto_seconds: of.rto_seconds,
            line: of.line(),
        }
    }
}

/// How many there are. What always fires is no news.
fn alerts(state: &State) -> Alerts {
    let mut alerts = Alerts::default();
    let all = state.alerting.alerts.all();
    for alert in all.iter().filter(|alert| *alert.rule != *WATCHDOG) {
        match alert.state {
            AlertState::Firing => {
                alerts.firing += 1;
                alerts.muted += usize::from(alert.muted.is_some());
            }
            AlertState::Pending => alerts.pending += 1,
            AlertState::Resolved => {}
        }
    }
    alerts
}

/// How many alerts somebody is to be told of and was not.
fn undelivered(state: &State) -> usize {
    let receivers = (state.alerting.receivers)();
    let undelivered = receivers.iter().flat_map(|of| &of.undelivered);
    undelivered.collect::<BTreeSet<_>>().len()
}
