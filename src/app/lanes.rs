//! Which lane runs which probes, and the threads of the lanes.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::descriptors::Budget;
use super::health::Beats;
use super::supervise::Supervisor;
use crate::config::{Plan, PlannedTarget};
use crate::metrics::Own;
use crate::model::Beat;
use crate::probe::Lane;
use crate::schedule::{self, Alarm, Gauges, Job, Origin, Outlet, Places};

/// The lanes, as they run.
pub(super) struct Lanes {
    /// The list of each: the first is the one for packets.
    lists: Vec<watch::Sender<Arc<[Job]>>>,
}

impl Lanes {
    /// Starts a lane for packets and those for connections. One without jobs may get some later.
    pub(super) fn start(
        plan: &Plan,
        budget: Budget,
        outlet: &Outlet,
        own: &Arc<Own>,
        stopped: &watch::Receiver<bool>,
        supervisor: &mut Supervisor,
    ) -> Result<(Self, Beats), String> {
        let limits = plan.limits;
        let lanes = spread(plan, limits.probe_threads.max(1));
        let places = budget.places(limits.max_in_flight, lanes.len());
        let places = Arc::new(Places::new(places));
        let origin = Origin::read();
        let (mut lists, mut beats) = (Vec::new(), Vec::new());
        for (number, jobs) in lanes.into_iter().enumerate() {
            let name = match number.checked_sub(1) {
                None => "packets".to_owned(),
                Some(number) => format!("streams-{number}"),
            };
            let gauges = Gauges {
                in_flight: own.probes_in_flight.clone(),
                lag: own.event_loop_lag_seconds.with_label_values(&[&name]),
                beat: Arc::new(Beat::new(Instant::now().into_std())),
            };
            beats.push((name.clone(), Arc::clone(&gauges.beat)));
            let (list, jobs) = watch::channel(jobs.into());
            lists.push(list);
            let (outlet, places, stop) = (
                outlet.clone(),
                Arc::clone(&places),
                super::stopped(stopped.clone()),
            );
            supervisor.thread(&name, move || async move {
                schedule::lane(jobs, origin, places, Alarm::precise(), outlet, gauges, stop).await;
            })?;
        }
        Ok((Self { lists }, beats))
    }

    /// Gives every lane what this plan has for it. A target that goes on does so in its lane.
    pub(super) fn follow(&self, plan: &Plan) {
        let streams = self.lists.len().saturating_sub(1).max(1);
        for (list, jobs) in self.lists.iter().zip(spread(plan, streams)) {
            list.send_replace(jobs.into());
        }
    }
}

/// The jobs of each lane: of the one for packets, then of those for connections. The targets of one
/// probe have keys that follow each other, so that they are spread evenly.
fn spread(plan: &Plan, streams: usize) -> Vec<Vec<Job>> {
    let mut lanes: Vec<_> = (0..=streams).map(|_| Vec::new()).collect();
    for planned in &plan.targets {
        let lane = match planned.probe.lane() {
            Lane::Packet => 0,
            Lane::Stream => 1 + planned.key.0 as usize % streams,
        };
        lanes[lane].push(job(planned));
    }
    lanes
}

fn job(planned: &PlannedTarget) -> Job {
    Job {
        target: planned.key,
        turn: planned.turn.clone(),
        interval: planned.interval,
        timeout: planned.timeout,
        probe: Arc::clone(&planned.probe),
    }
}
