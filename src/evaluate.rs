//! The single owner of what changes: takes observations, keeps the series, notes changes of state.

mod alerts;
mod board;
mod canary;
mod clocks;
mod failover;
mod figures;
mod group;
mod history;
mod past;
mod primary;
mod ranking;
mod rate;
mod ring;
mod set;
mod sets;
mod succession;
mod user_path;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use prometheus::IntGauge;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use self::alerts::View;
pub use self::alerts::{Alerting, Ruleset, Runs, Scope};
pub use self::board::Board;
use self::failover::Found;
pub use self::group::{Brief, Group, Witness};
use self::history::Entry;
pub use self::history::{Figures as HistoryFigures, History, Restore, Saved, Unsaved};
pub use self::ranking::Ranking;
use self::set::Changes;
pub use self::set::{Member, Set};
use self::sets::Sets;
pub use self::succession::Succession;
use crate::metrics::{Own, Store, raise_to};
use crate::model::{Beat, Observation, Reason, Sample, SetKey, Target, TargetKey, TiltCause};
use crate::readiness::Tilt;
use crate::rule::Health;

/// How often observations are taken in. Taking them in batches costs a lane no wake-up of this
/// task for each run; an observation is at most so old when it is seen.
const TICK: Duration = Duration::from_millis(50);

/// How often the clocks are compared, and counted what time alone has changed.
const SECOND: Duration = Duration::from_secs(1);

/// How far the first round is.
#[derive(Debug)]
pub struct Progress {
    /// Targets that have not been run yet.
    unseen: AtomicUsize,
    /// When the outcome of a run was last taken in.
    taken_in: Beat,
    /// When it was last looked whether there is one.
    looked: Beat,
}

impl Progress {
    /// No progress yet with so many targets.
    pub fn new(targets: usize) -> Self {
        Self {
            unseen: AtomicUsize::new(targets),
            taken_in: Beat::new(Instant::now().into_std()),
            looked: Beat::new(Instant::now().into_std()),
        }
    }

    /// How long ago the outcome of a run was last taken in, or this began.
    pub fn since_taken_in(&self) -> Duration {
        self.taken_in.silence(Instant::now().into_std())
    }

    /// How long ago it was last looked whether there is anything to take in.
    pub fn since_looked(&self) -> Duration {
        self.looked.silence(Instant::now().into_std())
    }

    /// It is looked now.
    pub fn look(&self, now: std::time::Instant) {
        self.looked.beat(now);
    }

    /// Whether it was ever looked.
    pub fn began(&self) -> bool {
        self.looked.began()
    }

    /// Targets that have not been run yet: none once the first round is done.
    pub fn unseen(&self) -> usize {
        self.unseen.load(Ordering::Relaxed)
    }
}

/// What a target was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    NotSeen,
    Up,
    Down,
    Unknown,
}

impl State {
    fn of(sample: &Sample) -> Self {
        match &sample.outcome {
            Ok(_) => Self::Up,
            Err(failure) if failure.reason.is_own() => Self::Unknown,
            Err(_) => Self::Down,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::NotSeen => "not seen",
            Self::Up => "ok",
            Self::Down => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// A target, what it was last found to be, and its past where one is kept.
struct Watched {
    target: Target,
    state: State,
    past: Option<Arc<Entry>>,
}

/// Takes in what the schedule observes.
pub struct Evaluation {
    targets: HashMap<TargetKey, Watched>,
    series: Arc<Store>,
    own: Arc<Own>,
    progress: Arc<Progress>,
    stamp: IntGauge,
    sets: Sets,
    board: Arc<Board>,
    source_region: Arc<str>,
    alerts: Option<(Alerting, HealthOf)>,
    history: Option<Arc<History>>,
    /// Whether the clocks could not be trusted at the last look at them.
    tilted: bool,
}

/// Tells what the daemon knows of itself, but for what the evaluation knows better.
pub type HealthOf = Box<dyn Fn() -> Health + Send>;

impl Evaluation {
    /// An evaluation of the targets, of the sets that they are members of, and of the groups on the
    /// board, from this region.
    pub fn new(
        source_region: Arc<str>,
        targets: Vec<(TargetKey, Target)>,
        sets: Vec<Set>,
        board: Arc<Board>,
        series: Arc<Store>,
        own: Arc<Own>,
        progress: Arc<Progress>,
    ) -> Self {
        let stamp = &own.evaluation_timestamp_seconds;
        Self {
            stamp: stamp.with_label_values(&[&*source_region]),
            source_region,
            board,
            sets: Sets::new(sets),
            targets: not_seen(targets),
            series,
            own,
            progress,
            alerts: None,
            history: None,
            tilted: false,
        }
    }

    /// Looks at the conditions of rules too, which may ask for the daemon's health.
    #[must_use]
    pub fn with_alerts(mut self, mut alerts: Alerting, health: HealthOf) -> Self {
        let (mut batches, mut taken) = (0, 0);
        for (key, watched) in &self.targets {
            let Some(past) = &watched.past else { continue };
            let past = past.restored();
            batches += past.len();
            taken += alerts.remember(*key, &past);
        }
        if batches > 0 {
            let left_out = batches - taken;
            info!(
                batches,
                left_out,
                "the past that rules compare with is known; no rule looks at what is left out, or in \
                 batches of another length"
            );
        }
        self.alerts = Some((alerts, health));
        self
    }

    /// Writes the past of the targets, too, which it has to know.
    #[must_use]
    pub fn with_history(mut self, history: Arc<History>) -> Self {
        self.history = Some(history);
        self.remember();
        self
    }

    /// Runs until every sender of observations is gone and all that they sent is taken in.
    ///
    /// What is sent to `successions` takes over once what was observed before is taken in.
    pub async fn run(
        mut self,
        mut observations: mpsc::Receiver<Observation>,
        mut successions: mpsc::Receiver<Succession>,
    ) {
        let lag = self.own.event_loop_lag_seconds.with_label_values(&["main"]);
        let mut next_second = Instant::now();
        loop {
            let closed = observations.is_closed();
            while let Ok(observation) = observations.try_recv() {
                self.take_in(&observation);
            }
            while let Ok(succession) = successions.try_recv() {
                self.succeed(succession);
            }
            let now = Instant::now();
            self.progress.look(now.into_std());
            self.expire(now.into_std());
            if next_second <= now {
                self.second();
                next_second = now + SECOND;
            }
            self.stamp.set(seconds_since_epoch());
            if closed {
                return;
            }
            tokio::time::sleep_until(now + TICK).await;
            lag.observe((Instant::now() - (now + TICK)).as_secs_f64());
        }
    }

    /// Looks at the clocks, counts what time alone has changed, and looks at the rules.
    fn second(&mut self) {
        let reading = clocks::read();
        let today = SystemTime::now();
        let tilt = self.board.tick(reading, today);
        let tilted = tilt.until(reading.monotonic).is_some();
        let region = &*self.source_region;
        let gauge = self.own.tilt.with_label_values(&[region]);
        if gauge.get() == 0 && tilted {
            warn!("the clocks of this host cannot be trusted: nothing is judged for a while");
        }
        gauge.set(i64::from(tilted));
        for (cause, count) in TiltCause::ALL.into_iter().zip(tilt.causes()) {
            let labels = [region, cause.as_str()];
            raise_to(&self.own.tilts_total.with_label_values(&labels), count);
        }
        self.tilted = tilted;
        self.alert(&tilt, reading.monotonic, today);
    }

    /// Looks at the conditions of the rules.
    fn alert(&mut self, tilt: &Tilt, now: std::time::Instant, today: SystemTime) {
        let Some((alerts, health)) = &mut self.alerts else {
            return;
        };
        let of_groups = alerts.wants_groups();
        let (reports, past) = if of_groups {
            (self.board.reports(now, today), self.board.past())
        } else {
            (Vec::new(), Vec::new())
        };
        let health = Health {
            tilts: tilt.causes().into_iter().sum(),
            samples_dropped: self.own.samples_dropped_total.get(),
            runs_without_resources: self.own.faults(Reason::LocalResources),
            ..health()
        };
        let view = View {
            now,
            today,
            tilted: self.tilted,
            reports: &reports,
            past: &past,
            health: &health,
        };
        alerts.second(&view);
        for (target, batch) in alerts.gathered(&view) {
            let watched = self.targets.get(&target);
            if let Some(past) = watched.and_then(|watched| watched.past.as_ref()) {
                past.gather(batch);
            }
        }
    }

    fn take_in(&mut self, observation: &Observation) {
        // Of a target that was taken out while it was run.
        if !self.targets.contains_key(&observation.target()) {
            return;
        }
        self.own.observe(observation);
        if !self.series.observe(observation) {
            self.own.samples_dropped_total.inc();
        }
        if let Observation::Sample(sample) = observation {
            self.progress.taken_in.beat(sample.ended);
            self.note(sample);
            self.board.observe(sample);
            self.pair(sample);
            if let Some((alerts, _)) = self.alerts.as_mut().filter(|_| !self.tilted) {
                alerts.observe(sample);
            }
        }
    }

    /// Looks at a database from both sides.
    fn pair(&mut self, sample: &Sample) {
        self.sets.of(sample.target, |set| {
            let changes = set.observe(sample);
            if let Some(Found::Replaced { from, to }) = &changes.found {
                let (group, probe) = (&set.named().group, &set.named().probe);
                warn!(%group, %probe, %from, %to, "another primary, which has no history in common \
                     with the one before: this is not counted as a failover");
            }
            self.board.compare(sample, set, &changes);
            if !show(&self.series, set.key(), changes) {
                self.own.samples_dropped_total.inc();
            }
        });
    }

    /// Lets go of what is too old to be shown.
    fn expire(&mut self, now: std::time::Instant) {
        for set in self.sets.all() {
            let changes = set.expire(now);
            if !show(&self.series, set.key(), changes) {
                self.own.samples_dropped_total.inc();
            }
        }
    }

    /// From now on the runs of each target go to its past.
    fn remember(&mut self) {
        let Some(history) = &self.history else { return };
        let targets = self.targets.iter().map(|(key, of)| (*key, &of.target));
        let mut entries = history.entries(targets);
        for (key, watched) in &mut self.targets {
            watched.past = entries.remove(key);
        }
    }

    fn note(&mut self, sample: &Sample) {
        let Some(watched) = self.targets.get_mut(&sample.target) else {
            return;
        };
        if let Some(past) = &watched.past {
            past.observe(sample);
        }
        let Watched { target, state, .. } = watched;
        let before = std::mem::replace(state, State::of(sample));
        let after = *state;
        if before == State::NotSeen {
            self.progress.unseen.fetch_sub(1, Ordering::Relaxed);
        }
        log(target, sample, before, after);
    }
}

/// The targets, of which nothing was seen yet.
fn not_seen(targets: Vec<(TargetKey, Target)>) -> HashMap<TargetKey, Watched> {
    let state = State::NotSeen;
    let targets = targets.into_iter();
    targets
        .map(|(key, target)| {
            let past = None;
            (
                key,
                Watched {
                    target,
                    state,
                    past,
                },
            )
        })
        .collect()
}

/// The wall clock: for people and for Prometheus, never for arithmetic of ours.
fn seconds_since_epoch() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

/// False if something of it has no place in the store.
fn show(series: &Store, set: SetKey, changes: Changes) -> bool {
    let set = changes
        .set
        .is_none_or(|figures| series.set_figures(set, figures));
    let mut pairs = changes.pairs.into_iter();
    let pairs = pairs.all(|(pair, figures)| series.pair_figures(pair, figures));
    let mut seen = changes.visible.into_iter();
    set && pairs && seen.all(|(pair, after)| series.visible(pair, after))
}

/// Every sample at debug; a change of state at info or warn, once.
fn log(target: &Target, sample: &Sample, before: State, after: State) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        let seconds = match &sample.outcome {
            Ok(reply) => reply.latencies.first().copied().unwrap_or_default(),
            Err(_) => sample.ended.saturating_duration_since(sample.started),
        };
        debug!(
            probe = %target.probe,
            target = %target.name,
            address = %target.address,
            outcome = after.as_str(),
            seconds = seconds.as_secs_f64(),
            "run ended"
        );
    }
    if before == after {
        return;
    }
    match &sample.outcome {
        Ok(_) if before == State::NotSeen => {}
        Ok(_) => info!(
            probe = %target.probe,
            target_region = %target.target_region,
            target = %target.name,
            before = before.as_str(),
            "target answers"
        ),
        Err(failure) => warn!(
            probe = %target.probe,
            target_region = %target.target_region,
            target = %target.name,
            address = %target.address,
            before = before.as_str(),
            reason = failure.reason.as_str(),
            detail = %failure.detail,
            "{}",
            if after == State::Unknown { "target cannot be measured" } else { "target fails" }
        ),
    }
}

#[cfg(test)]
mod tests;
