//! Runs every probe in its slots: one run in flight per target, a deadline around each, missed
//! slots counted, panics contained. Emits what it saw; knows nothing of who listens.
//!
//! A lane is one thread with a runtime of its own. Targets of a lane share nothing but the thread:
//! a slow target costs a waiting future, never a slot of another's. Its list of jobs may be replaced
//! at any time; what is in both lists goes on as if nothing had happened.

mod alarm;
mod once;
mod places;
mod run;
mod timetable;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{Histogram, IntCounter, IntGauge};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::Instant;

pub use alarm::Alarm;
pub use once::{Single, once};
pub use places::Places;
use run::{Ran, Stalls, run};
use timetable::until_first;
pub use timetable::{JobIndex, Slot, Timetable};

use crate::model::{
    Beat, Failure, Laps, Missed, Observation, Reason, Sample, TargetKey, Turn, stable_hash,
};
use crate::probe::Probe;

/// The longest that a lane sleeps. It measures its own lateness at least so often, and more often
/// where timeouts are short: a stall between two looks is not seen.
const PULSE: Duration = Duration::from_millis(100);
/// The shortest, whatever the timeouts.
const MIN_PULSE: Duration = Duration::from_millis(10);

/// One target's probe and when to run it.
pub struct Job {
    /// Whose samples these are.
    pub target: TargetKey,
    /// What decides its slots.
    pub turn: Turn,
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
    /// Runs and missed slots that found it full.
    pub dropped: IntCounter,
}

impl Outlet {
    fn send(&self, observation: Observation) {
        let count = match &observation {
            Observation::Sample(_) => 1,
            Observation::Missed { slots, .. } => *slots,
        };
        if self.observations.try_send(observation).is_err() {
            self.dropped.inc_by(count);
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
    /// Beats with every wake-up: at least ten times a second.
    pub beat: Arc<Beat>,
}

/// One moment by both clocks. Slots lie on a grid from the Unix epoch, so that they are the same
/// after a restart. The wall clock is read once, for all lanes: later steps of it move nothing, and
/// slots of different lanes keep their distance.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    read: Instant,
    since_epoch: Duration,
}

impl Origin {
    /// Reads both clocks.
    pub fn read() -> Self {
        Self {
            read: Instant::now(),
            since_epoch: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    /// The time from the Unix epoch to `now`.
    fn until(self, now: Instant) -> Duration {
        self.since_epoch + now.saturating_duration_since(self.read)
    }

    /// The first slot of a turn from `now` on. A delay comes on top, so that the first slot too
    /// follows the one that it is to follow.
    fn first(self, turn: &Turn, interval: Duration, now: Instant) -> Instant {
        let wait = until_first(stable_hash(&turn.identity), interval, self.until(now));
        now + wait + turn.delay
    }
}

/// Runs the jobs until `stop` is ready; runs under way are dropped then.
///
/// A newer list takes the place of the one before. A job whose target is in both goes on: it keeps its
/// slots and the run under way, and takes the new probe for its next run. A job that is gone is not
/// observed any more, and its run is aborted. One that is new has its first slot as at a start.
///
/// A run needs one of the places, which all lanes share.
pub async fn lane(
    mut jobs: watch::Receiver<Arc<[Job]>>,
    origin: Origin,
    places: Arc<Places>,
    alarm: Alarm,
    outlet: Outlet,
    gauges: Gauges,
    stop: impl Future<Output = ()>,
) {
    let mut lane = Lane::new(origin, places, outlet, gauges);
    lane.take_up(list(&mut jobs), Instant::now());
    tokio::pin!(stop);
    loop {
        let wake = lane.next_wake(Instant::now());
        tokio::select! {
            biased;
            () = &mut stop => return,
            // Nobody who could send a newer one is no reason to end.
            Ok(()) = jobs.changed() => lane.take_up(list(&mut jobs), Instant::now()),
            () = alarm.sleep_until(wake) => {
                let now = Instant::now();
                lane.wake(now, now.saturating_duration_since(wake));
                lane.start_due(now);
            }
            Some(ended) = lane.runs.join_next_with_id() => lane.end(ended),
        }
    }
}

fn sample(target: TargetKey, due: Instant, ran: Ran) -> Sample {
    Sample {
        target,
        due: due.into_std(),
        started: ran.started.into_std(),
        ended: ran.ended.into_std(),
        at: SystemTime::now(),
        laps: ran.laps,
        outcome: ran.outcome,
    }
}

/// The newest list.
fn list(jobs: &mut watch::Receiver<Arc<[Job]>>) -> Arc<[Job]> {
    Arc::clone(&jobs.borrow_and_update())
}

/// What a job's runs left behind.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    busy: bool,
    /// Its last run failed after more than half of its time: it may be a black hole.
    suspect: bool,
    /// Its last slot passed for want of a place for suspects.
    waiting: bool,
}

/// A run under way: what is known of it if it panics.
struct Running {
    /// None once its job is gone: then it only has a place until it has ended.
    job: Option<JobIndex>,
    /// As what it took its place.
    suspect: bool,
    due: Instant,
    started: Instant,
    abort: AbortHandle,
}

struct Lane {
    origin: Origin,
    jobs: Arc<[Job]>,
    /// By the order of the jobs.
    states: Vec<State>,
    table: Timetable,
    runs: JoinSet<Ran>,
    running: HashMap<tokio::task::Id, Running>,
    places: Arc<Places>,
    suspects: usize,
    /// Suspects whose last slot passed for want of a place.
    waiting: usize,
    /// Until when suspects have to take turns: an interval after one found no place.
    crowded_until: Instant,
    pulse: Duration,
    stalls: Arc<Stalls>,
    outlet: Outlet,
    gauges: Gauges,
}

impl Lane {
    fn new(origin: Origin, places: Arc<Places>, outlet: Outlet, gauges: Gauges) -> Self {
        Self {
            origin,
            jobs: Arc::default(),
            states: Vec::new(),
            table: Timetable::default(),
            runs: JoinSet::new(),
            running: HashMap::new(),
            places,
            suspects: 0,
            waiting: 0,
            crowded_until: Instant::now(),
            pulse: PULSE,
            stalls: Arc::default(),
            outlet,
            gauges,
        }
    }

    /// Takes up another list. Everything that is kept in the order of the jobs is made anew, so that
    /// nothing is left of those that are gone.
    fn take_up(&mut self, jobs: Arc<[Job]>, now: Instant) {
        let former = self.jobs.iter().zip(0..);
        let mut former: HashMap<_, JobIndex> = former.map(|(job, at)| (job.target, at)).collect();
        let dues = self.table.dues();
        let mut moved = vec![None; self.jobs.len()];
        let mut states = Vec::with_capacity(jobs.len());
        let mut table = Timetable::default();
        for (job, at) in jobs.iter().zip(0..) {
            if let Some(was) = former.remove(&job.target) {
                moved[was] = Some(at);
                states.push(self.states[was]);
                // A group that is new may have its members looked at together.
                let due = if self.jobs[was].turn == job.turn {
                    dues[was]
                } else {
                    self.origin.first(&job.turn, job.interval, now)
                };
                table.add(due, job.interval);
            } else {
                states.push(State::default());
                table.add(
                    self.origin.first(&job.turn, job.interval, now),
                    job.interval,
                );
            }
        }
        for running in self.running.values_mut() {
            running.job = running.job.and_then(|was| moved[was]);
            if running.job.is_none() {
                running.abort.abort();
            }
        }
        let shortest = jobs.iter().map(|job| job.timeout).min();
        self.pulse = shortest.map_or(PULSE, |timeout| (timeout / 20).clamp(MIN_PULSE, PULSE));
        self.suspects = states.iter().filter(|state| state.suspect).count();
        self.waiting = states.iter().filter(|state| state.waiting).count();
        (self.jobs, self.states, self.table) = (jobs, states, table);
    }

    fn next_wake(&self, now: Instant) -> Instant {
        let pulse = now + self.pulse;
        self.table.next_due().map_or(pulse, |due| due.min(pulse))
    }

    fn wake(&self, now: Instant, lag: Duration) {
        self.gauges.beat.beat(now.into_std());
        self.gauges.lag.observe(lag.as_secs_f64());
        self.stalls.note(lag);
    }

    fn start_due(&mut self, now: Instant) {
        while let Some(slot) = self.table.pop(now) {
            let late = slot.passed + u64::from(!slot.in_time);
            self.miss(slot.job, late, Missed::Late);
            if slot.in_time {
                self.start(slot, now);
            }
        }
    }

    fn start(&mut self, slot: Slot, now: Instant) {
        if self.states[slot.job].busy {
            return self.miss(slot.job, 1, Missed::Busy);
        }
        if !self.take_place(slot.job, now) {
            return self.miss(slot.job, 1, Missed::Full);
        }
        let (job, state) = (&self.jobs[slot.job], &mut self.states[slot.job]);
        state.busy = true;
        let run = run(
            Arc::clone(&job.probe),
            job.timeout,
            Arc::clone(&self.stalls),
        );
        let abort = self.runs.spawn(run);
        let running = Running {
            job: Some(slot.job),
            suspect: state.suspect,
            due: slot.due,
            started: now,
            abort,
        };
        self.running.insert(running.abort.id(), running);
        self.gauges.in_flight.inc();
    }

    /// Whether the job gets a place. Slots are fixed, so that in a crowd the same suspects would
    /// find the places taken in every round: there, chance decides who gives way, and each is run at
    /// times and seen when it recovers.
    fn take_place(&mut self, job: JobIndex, now: Instant) -> bool {
        let state = &mut self.states[job];
        if !state.suspect {
            return self.places.take(false);
        }
        let gives_way =
            now < self.crowded_until && fastrand::usize(..self.suspects.max(1)) < self.waiting;
        let taken = !gives_way && self.places.take(true);
        if !taken && !gives_way {
            self.crowded_until = now + self.jobs[job].interval;
        }
        self.waiting -= usize::from(state.waiting);
        self.waiting += usize::from(!taken);
        state.waiting = !taken;
        taken
    }

    fn end(&mut self, ended: Result<(tokio::task::Id, Ran), JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(running) = self.running.remove(&id) else {
            return;
        };
        self.gauges.in_flight.dec();
        self.places.give_back(running.suspect);
        let Some(at) = running.job else {
            return;
        };
        let ran = ended.map_or_else(|error| panicked(error, running.started), |(_, ran)| ran);
        let (job, state) = (&self.jobs[at], &mut self.states[at]);
        self.suspects -= usize::from(state.suspect);
        state.busy = false;
        state.suspect = ran.outcome.is_err() && ran.ended - ran.started > job.timeout / 2;
        self.suspects += usize::from(state.suspect);
        let sample = sample(job.target, running.due, ran);
        self.outlet.send(Observation::Sample(Box::new(sample)));
    }

    fn miss(&self, job: JobIndex, slots: u64, cause: Missed) {
        if slots > 0 {
            let target = self.jobs[job].target;
            self.outlet.send(Observation::Missed {
                target,
                slots,
                cause,
            });
        }
    }
}

fn panicked(error: JoinError, started: Instant) -> Ran {
    let detail = match error.try_into_panic() {
        Ok(payload) => payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned()),
        Err(error) => error.to_string(),
    };
    Ran {
        started,
        ended: Instant::now(),
        laps: Laps::default(),
        outcome: Err(Failure::new(
            Reason::Panic,
            format_args!("the probe panicked: {detail}"),
        )),
    }
}

#[cfg(test)]
mod tests;
