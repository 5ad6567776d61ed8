//! The past of the groups for the server, and its orders for them.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use crate::evaluate::Board;
use crate::model::{Drill, DrillOrder, DrillRefusal, Failover};
use crate::server;

/// The board, as the server knows it.
pub(super) struct Events(pub(super) Arc<Board>);

impl server::Events for Events {
    fn failovers(&self) -> Vec<Failover> {
        self.0.failovers()
    }

    fn drills(&self) -> Vec<Drill> {
        self.0.drills()
    }

    fn order(&self, order: &DrillOrder) -> Result<Drill, DrillRefusal> {
        self.0
            .drill(order, Instant::now().into_std(), SystemTime::now())
    }
}
