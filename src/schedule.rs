//! Runs every probe in its slots: one run in flight per target, a deadline around each, missed
//! slots counted, panics contained. Emits what it saw; knows nothing of who listens.
//!
//! A lane is one thread with a runtime of its own. Targets of a lane share nothing but the thread:
//! a slow target costs a waiting future, never a slot of another's.

mod alarm;
mod run;
mod timetable;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{Histogram, IntCounter, IntGauge};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

pub use alarm::Alarm;
use run::{Ran, Stalls, run};
pub use timetable::{JobIndex, Slot, Timetable};
use timetable::{seed_of, until_first};

use crate::model::{Failure, Laps, Missed, Observation, Reason, Sample, TargetKey};
use crate::probe::Probe;

/// The longest that a lane sleeps: how often it measures its own lateness when nothing is due.
const PULSE: Duration = Duration::from_millis(100);

/// One target's probe and when to run it.
pub struct Job {
    /// Whose samples these are.
    pub target: TargetKey,
    /// The target's identity, which decides its slot.
    pub identity: String,
    /// The time between slots, above zero.
    pub interval: Duration,
    /// The deadline of a run, counted from its start; at most the interval.
    pub timeout: Duration,
    /// What to run.
    pub probe: Arc<dyn Probe>,
}

/// Where a lane's observations go. A full channel drops and counts: it never holds up a run.
#[derive(Clone)]
pub struct Outlet {
    /// The channel to whoever evaluates.
    pub observations: mpsc::Sender<Observation>,
    /// Observations that found it full.
    pub dropped: IntCounter,
}

impl Outlet {
    fn send(&self, observation: Observation) {
        if self.observations.try_send(observation).is_err() {
            self.dropped.inc();
        }
    }
}

/// What a lane tells of itself.
#[derive(Clone)]
pub struct Gauges {
    /// Runs under way.
    pub in_flight: IntGauge,
    /// Seconds from when the lane meant to wake up to when it did.
    pub lag: Histogram,
}

/// Runs the jobs until `stop` is ready; runs under way are dropped then.
///
/// At most `max_in_flight` runs are under way, of which targets whose last run timed out take at
/// most half: black holes cannot use up what the healthy need.
pub async fn lane(
    jobs: Vec<Job>,
    max_in_flight: usize,
    alarm: Alarm,
    outlet: Outlet,
    gauges: Gauges,
    stop: impl Future<Output = ()>,
) {
    let mut lane = Lane::new(jobs, max_in_flight, outlet, gauges);
    tokio::pin!(stop);
    loop {
        let wake = lane.next_wake(Instant::now());
        tokio::select! {
            biased;
            () = &mut stop => return,
            () = alarm.sleep_until(wake) => {
                let now = Instant::now();
                lane.note_lag(now.saturating_duration_since(wake));
                lane.start_due(now);
            }
            Some(ended) = lane.runs.join_next_with_id() => lane.end(ended),
        }
    }
}

/// A job and what its last run left behind.
struct Entry {
    job: Job,
    busy: bool,
    timed_out: bool,
}

struct Lane {
    entries: Vec<Entry>,
    table: Timetable,
    runs: JoinSet<Ran>,
    /// Who a run belongs to and when it was due, for runs that panic.
    running: HashMap<tokio::task::Id, (JobIndex, Instant)>,
    max_in_flight: usize,
    /// Runs under way of targets whose last run timed out.
    suspects: usize,
    stalls: Arc<Stalls>,
    outlet: Outlet,
    gauges: Gauges,
}

impl Lane {
    fn new(jobs: Vec<Job>, max_in_flight: usize, outlet: Outlet, gauges: Gauges) -> Self {
        let (now, since_origin) = (Instant::now(), since_origin());
        let mut table = Timetable::default();
        for job in &jobs {
            let wait = until_first(seed_of(&job.identity), job.interval, since_origin);
            table.add(now + wait, job.interval);
        }
        let entries = jobs.into_iter().map(|job| Entry {
            job,
            busy: false,
            timed_out: false,
        });
        Self {
            entries: entries.collect(),
            table,
            runs: JoinSet::new(),
            running: HashMap::new(),
            max_in_flight,
            suspects: 0,
            stalls: Arc::default(),
            outlet,
            gauges,
        }
    }

    fn next_wake(&self, now: Instant) -> Instant {
        let pulse = now + PULSE;
        self.table.next_due().map_or(pulse, |due| due.min(pulse))
    }

    fn note_lag(&self, lag: Duration) {
        self.gauges.lag.observe(lag.as_secs_f64());
        self.stalls.note(lag);
    }

    fn start_due(&mut self, now: Instant) {
        while let Some(slot) = self.table.pop(now) {
            let late = slot.passed + u64::from(!slot.in_time);
            self.miss(slot.job, late, Missed::Late);
            if slot.in_time {
                self.start(slot);
            }
        }
    }

    fn start(&mut self, slot: Slot) {
        let entry = &mut self.entries[slot.job];
        let full = self.runs.len() >= self.max_in_flight
            || (entry.timed_out && self.suspects >= self.max_in_flight.div_ceil(2));
        if entry.busy || full {
            let cause = if entry.busy {
                Missed::Busy
            } else {
                Missed::Full
            };
            return self.miss(slot.job, 1, cause);
        }
        entry.busy = true;
        self.suspects += usize::from(entry.timed_out);
        let probe = Arc::clone(&entry.job.probe);
        let run = run(probe, entry.job.timeout, Arc::clone(&self.stalls));
        let id = self.runs.spawn(run).id();
        self.running.insert(id, (slot.job, slot.due));
        self.gauges.in_flight.inc();
    }

    fn end(&mut self, ended: Result<(tokio::task::Id, Ran), JoinError>) {
        let (id, ran) = match ended {
            Ok((id, ran)) => (id, ran),
            Err(error) => (error.id(), panicked(error)),
        };
        let Some((index, due)) = self.running.remove(&id) else {
            return;
        };
        self.gauges.in_flight.dec();
        let entry = &mut self.entries[index];
        entry.busy = false;
        self.suspects -= usize::from(entry.timed_out);
        entry.timed_out = ran.timed_out;
        self.outlet.send(Observation::Sample(Box::new(Sample {
            target: entry.job.target,
            due: due.into_std(),
            started: ran.started.into_std(),
            ended: ran.ended.into_std(),
            at: SystemTime::now(),
            laps: ran.laps,
            outcome: ran.outcome,
        })));
    }

    fn miss(&self, job: JobIndex, slots: u64, cause: Missed) {
        if slots > 0 {
            let target = self.entries[job].job.target;
            self.outlet.send(Observation::Missed {
                target,
                slots,
                cause,
            });
        }
    }
}

/// Slots lie on a grid from the Unix epoch, so that they are the same after a restart. The wall
/// clock is read once: later steps of it move nothing.
fn since_origin() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn panicked(error: JoinError) -> Ran {
    let detail = match error.try_into_panic() {
        Ok(payload) => payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned()),
        Err(error) => error.to_string(),
    };
    let now = Instant::now();
    Ran {
        started: now,
        ended: now,
        laps: Laps::default(),
        outcome: Err(Failure::new(
            Reason::Panic,
            format_args!("the probe panicked: {detail}"),
        )),
        timed_out: false,
    }
}

#[cfg(test)]
mod tests;
