//! Runs the candidates' targets as often as is decent, and orders what came of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::Candidates;
use super::progress::Progress;
use crate::cli::runtime;
use crate::config::Plan;
use crate::model::ranking::Table;
use crate::model::{Beat, Observation, Sample, TargetKey, Turn};
use crate::readiness::rank::{Batches, Candidate, Grid, order, table};
use crate::schedule::{Alarm, Gauges, Job, Origin, Outlet, Places, lane};

/// The shortest time from one run of a target to its next.
const CLOSEST: Duration = Duration::from_millis(10);

/// How often what came in is looked at.
const TICK: Duration = Duration::from_millis(200);

/// Observations that may wait: more than come in a second.
const OBSERVATIONS: usize = 65_536;

/// What was measured.
pub(super) struct Benchmark {
    grid: Grid,
    started: Instant,
    batches: HashMap<TargetKey, Batches>,
    runs: u64,
    failed: u64,
    /// What each target's runs took in all, and how many they were.
    spent: HashMap<TargetKey, (Duration, u32)>,
    /// When it ended.
    ended: Instant,
}

impl Benchmark {
    /// Measures for `time`, or until a signal asks for an end. The error says what could not be
    /// started.
    pub(super) fn run(
        plan: &Plan,
        candidates: &Candidates,
        time: Duration,
        progress: Progress,
    ) -> Result<Self, String> {
        runtime()?.block_on(measure(plan, candidates, time, progress))
    }

    fn new(candidates: &Candidates, time: Duration) -> Self {
        let started = Instant::now();
        let grid = Grid::benchmark(started.into_std(), time);
        let batches = candidates.targets().map(|key| (key, Batches::new(grid)));
        Self {
            grid,
            started,
            batches: batches.collect(),
            runs: 0,
            failed: 0,
            spent: HashMap::new(),
            ended: started,
        }
    }

    fn take_in(&mut self, observation: &Observation) {
        let Observation::Sample(sample) = observation else {
            // The run before it was still under way.
            return;
        };
        self.runs += 1;
        self.failed += u64::from(sample.outcome.is_err());
        self.note(sample);
        if let Some(batches) = self.batches.get_mut(&sample.target) {
            batches.observe(sample);
        }
    }

    fn note(&mut self, sample: &Sample) {
        let took = sample.ended.saturating_duration_since(sample.started);
        let (sum, runs) = self.spent.entry(sample.target).or_default();
        *sum += took;
        *runs += 1;
    }

    /// What to do if runs took too long for as many as are needed.
    pub(super) fn hint(&self) -> Option<String> {
        let means = self.spent.values().map(|(sum, runs)| *sum / (*runs).max(1));
        let slowest = means.max()?.max(CLOSEST);
        let interval = self.grid.interval();
        (slowest > interval).then(|| {
            let needed = slowest * self.grid.needed_runs();
            format!(
                "a run takes up to {} ms: measure longer, with --for {}s, for enough of them",
                slowest.as_millis(),
                needed.as_secs() + 1
            )
        })
    }

    /// The table of what was measured.
    pub(super) fn table(mut self, candidates: Candidates) -> Table {
        let now = self.ended.into_std();
        let all = candidates.all.into_iter().filter_map(|(name, targets)| {
            let windows = targets.iter().filter_map(|key| {
                let batches = self.batches.get_mut(key)?;
                Some(batches.window(now))
            });
            Candidate::measured(name, &windows.collect::<Vec<_>>())
        });
        let all: Vec<_> = all.collect();
        let order = order(&all, None, SystemTime::now());
        let probe = Some(candidates.probe);
        let mut table = table(candidates.rows_are, probe, &self.grid, &all, &order);
        for row in &mut table.rows {
            // Nobody was asked whether it could take over.
            row.state = None;
        }
        table
    }
}

async fn measure(
    plan: &Plan,
    candidates: &Candidates,
    time: Duration,
    mut progress: Progress,
) -> Result<Benchmark, String> {
    let mut end = Ending::listen()?;
    let (sender, mut observations) = mpsc::channel(OBSERVATIONS);
    let jobs = jobs(plan, candidates, time);
    let places = Arc::new(Places::new(jobs.len()));
    let (outlet, gauges) = unseen(sender).map_err(|error| format!("cannot count: {error}"))?;
    let mut benchmark = Benchmark::new(candidates, time);
    let started = benchmark.started;
    let stop = async {
        tokio::select! {
            () = tokio::time::sleep_until(started + time) => {}
            () = end.asked() => {}
        }
    };
    let alarm = Alarm::precise();
    let jobs = watch::channel(jobs.into()).1;
    let running = lane(jobs, Origin::read(), places, alarm, outlet, gauges, stop);
    let taking_in = async {
        loop {
            let closed = observations.is_closed();
            while let Ok(observation) = observations.try_recv() {
                benchmark.take_in(&observation);
            }
            progress.tell(started.elapsed(), benchmark.runs, benchmark.failed);
            if closed {
                return;
            }
            tokio::time::sleep(TICK).await;
        }
    };
    tokio::join!(running, taking_in);
    progress.end();
    benchmark.ended = Instant::now().min(started + time);
    Ok(benchmark)
}

/// Each target's job: as often as batches need, and never two runs of one target at once.
fn jobs(plan: &Plan, candidates: &Candidates, time: Duration) -> Vec<Job> {
    let interval = Grid::benchmark(Instant::now().into_std(), time).interval();
    let targets = candidates.targets().filter_map(|key| {
        let planned = plan.target(key)?;
        Some(Job {
            target: key,
            turn: Turn {
                identity: planned.target.identity(),
                delay: Duration::ZERO,
            },
            interval: interval.max(CLOSEST),
            timeout: planned.timeout,
            probe: Arc::clone(&planned.probe),
        })
    });
    targets.collect()
}

/// What a lane tells of itself, where nobody asks for it.
fn unseen(observations: mpsc::Sender<Observation>) -> prometheus::Result<(Outlet, Gauges)> {
    let outlet = Outlet {
        observations,
        dropped: IntCounter::new("dropped", "not seen")?,
    };
    let gauges = Gauges {
        in_flight: IntGauge::new("in_flight", "not seen")?,
        lag: Histogram::with_opts(HistogramOpts::new("lag", "not seen"))?,
        beat: Arc::new(Beat::new(Instant::now().into_std())),
    };
    Ok((outlet, gauges))
}

/// Ctrl-C and SIGTERM: what there is by then is told.
struct Ending {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Ending {
    fn listen() -> Result<Self, String> {
        let listen = |kind| signal(kind).map_err(|e| format!("cannot listen for signals: {e}"));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
