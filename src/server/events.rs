//! What happened to the groups, and the drills that an operator announces.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use serde::Deserialize;

use super::State;
use super::orders::{Came, order, tell};
use super::problem::{Kind, Problem};
use crate::model::{Drill, DrillOrder, DrillRefusal, DrillStart, Failover};

/// What is known of the past, and who takes orders.
pub trait Events: Send + Sync {
    /// The failovers of every group, oldest first within a group.
    fn failovers(&self) -> Vec<Failover>;
    /// The drills of every group, oldest first within a group.
    fn drills(&self) -> Vec<Drill>;
    /// Carries out an order.
    fn order(&self, order: &DrillOrder) -> Result<Drill, DrillRefusal>;
}

/// The routes.
pub(super) fn routes() -> Router<Arc<State>> {
    let events = tell(|state| HashMap::from([("events", state.events.failovers())]));
    let drills = tell(|state| HashMap::from([("drills", state.events.drills())]));
    let start = |state: &State, start: DrillStart| carry_out(state, &DrillOrder::Start(start));
    let finish = |state: &State, of: OfGroup| carry_out(state, &DrillOrder::Finish(of.group));
    let abort = |state: &State, of: OfGroup| carry_out(state, &DrillOrder::Abort(of.group));
    Router::new()
        .route("/api/v1/events", events)
        .route("/api/v1/drills", drills.merge(order(start)))
        .route("/api/v1/drills/finish", order(finish))
        .route("/api/v1/drills/abort", order(abort))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfGroup {
    group: String,
}

fn carry_out(state: &State, order: &DrillOrder) -> Came<Drill> {
    state.events.order(order).map_err(|refusal| {
        let kind = match refusal {
            DrillRefusal::NoGroup => Kind::NoSuchGroup,
            DrillRefusal::Bad(_) => Kind::BadOrder,
            DrillRefusal::Taken
            | DrillRefusal::Open(_)
            | DrillRefusal::None
            | DrillRefusal::NotYet(_) => Kind::NotNow,
        };
        Problem::new(kind, refusal.to_string())
    })
}
