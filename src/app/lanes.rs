//! Spreads the jobs over the lanes and starts a thread for each.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::descriptors::Budget;
use super::supervise::Supervisor;
use crate::config::Plan;
use crate::metrics::Own;
use crate::model::{Beat, TargetKey};
use crate::probe::Lane;
use crate::schedule::{self, Alarm, Gauges, Job, Origin, Outlet, Places};

/// Starts a lane for packets, if there are any, and the lanes for connections.
pub(super) fn start(
    plan: Plan,
    budget: Budget,
    outlet: &Outlet,
    own: &Arc<Own>,
    stopped: &watch::Receiver<bool>,
    supervisor: &mut Supervisor,
) -> Result<Vec<(String, Arc<Beat>)>, String> {
    let limits = plan.limits;
    let lanes = spread(plan, limits.probe_threads.max(1));
    let places = budget.places(limits.max_in_flight, lanes.len());
    let places = Arc::new(Places::new(places));
    let origin = Origin::read();
    let mut beats = Vec::new();
    for (name, jobs) in lanes {
        let gauges = Gauges {
            in_flight: own.probes_in_flight.clone(),
            lag: own.event_loop_lag_seconds.with_label_values(&[&name]),
            beat: Arc::new(Beat::new(Instant::now().into_std())),
        };
        beats.push((name.clone(), Arc::clone(&gauges.beat)));
        let (outlet, places, stop) = (
            outlet.clone(),
            Arc::clone(&places),
            super::stopped(stopped.clone()),
        );
        supervisor.thread(&name, move || async move {
            schedule::lane(jobs, origin, places, Alarm::precise(), outlet, gauges, stop).await;
        })?;
    }
    Ok(beats)
}

/// The jobs of each lane that has any. Targets of a lane are neighbours by key, so that the
/// targets of one probe are spread evenly.
fn spread(plan: Plan, threads: usize) -> Vec<(String, Vec<Job>)> {
    let mut packets = Vec::new();
    let mut streams: Vec<Vec<Job>> = (0..threads).map(|_| Vec::new()).collect();
    for (index, planned) in (0_u32..).zip(plan.targets) {
        let lane = planned.probe.lane();
        let job = Job {
            target: TargetKey(index),
            turn: planned.turn,
            interval: planned.interval,
            timeout: planned.timeout,
            probe: planned.probe,
        };
        match lane {
            Lane::Packet => packets.push(job),
            Lane::Stream => streams[index as usize % threads].push(job),
        }
    }
    let mut lanes = vec![("packets".to_owned(), packets)];
    lanes.extend(
        streams
            .into_iter()
            .enumerate()
            .map(|(n, jobs)| (format!("streams-{n}"), jobs)),
    );
    lanes.retain(|(_, jobs)| !jobs.is_empty());
    lanes
}
