//! The only wiring: a configuration in, supervised threads and tasks out, and an end in order.

mod alarm;
mod alertmanagers;
mod alerts;
mod delivery;
mod descriptors;
mod discovery;
mod events;
mod groups;
mod health;
mod heartbeat;
mod lanes;
mod own;
mod sets;
mod signals;
mod sockets;
mod state;
mod status;
mod supervise;
mod systemd;
mod watch;
mod web;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::sync::watch::{Receiver, Sender};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::{Plan, Shared};
use crate::discover::{self, Discovery};
use crate::evaluate::{Board, Evaluation, Progress};
use crate::metrics::{Buckets, Exposition, Own, Store, Terms};
use crate::model::{Beat, Observation};
use crate::schedule::Outlet;
use crate::server;
use crate::store;
use alarm::Alarm;
use events::Events;
use health::Health;
use own::Sources;
use signals::Signals;
use state::State;
use supervise::Supervisor;
use systemd::Systemd;
use watch::Watchers;

pub use web::WebConfig;

/// Observations that may wait for the evaluation: a second of them at 60,000 runs a second.
const OBSERVATIONS: usize = 65_536;

/// How long an orderly end may take before it is cut short.
const GRACE: Duration = Duration::from_secs(8);

/// How long a page is kept for whoever asks next, so that its memory is used again.
const IDLE_PAGE: Duration = Duration::from_secs(5);

/// Where to serve.
#[derive(Debug)]
pub enum Listen {
    /// On these addresses.
    On(Vec<server::Address>),
    /// On the sockets that systemd hands over.
    Systemd,
}

/// What the command line decides.
pub struct Options {
    /// Where to serve.
    pub listen: Listen,
    /// Who is answered there, and how.
    pub web: WebConfig,
    /// Where targets are that nobody wrote down, asked once.
    pub discovery: Discovery,
    /// Tells how many lines of the log were dropped.
    pub log_lines_dropped: Box<dyn Fn() -> u64 + Send + Sync>,
}

/// Runs the daemon until a signal ends it (`Ok`) or something essential fails.
///
/// Nothing is started unless every address can be bound. The error says what failed.
pub fn run(plan: Plan, shared: &Shared, options: Options) -> Result<(), String> {
    std::panic::set_hook(Box::new(log_panic));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start a runtime: {e}"))?;
    let result = runtime.block_on(Box::pin(serve(plan, shared, options)));
    // A page that is still being made is left behind.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

async fn serve(plan: Plan, shared: &Shared, options: Options) -> Result<(), String> {
    descriptors::raise_limit();
    let mut signals = Signals::listen()?;
    let systemd = Systemd::from_environment()?.map(Arc::new);
    let state = State::open(plan.state_dir.as_deref())?;
    let listeners = match &options.listen {
        Listen::On(addresses) => server::bind(addresses)?,
        Listen::Systemd => sockets::handed_over()?,
    };
    let addresses: Vec<_> = listeners
        .iter()
        .flat_map(server::Listener::address)
        .collect();
    let mut daemon = Daemon::start(plan, shared, state, listeners, options, systemd.clone())?;
    for address in addresses {
        info!(%address, "listening");
    }
    let result = tokio::select! {
        name = signals.end() => {
            info!(signal = name, "ending");
            Ok(())
        }
        why = daemon.supervisor.first_end() => Err(why),
    };
    status::stopping(systemd.as_deref(), &result);
    tokio::select! {
        () = daemon.end() => {}
        () = tokio::time::sleep(GRACE) => warn!("the end took too long, and is cut short"),
        name = signals.end() => warn!(signal = name, "ending at once"),
    }
    result
}

/// Everything that runs.
struct Daemon {
    supervisor: Supervisor,
    /// Kept until the end, since the evaluation ends with the last of its senders: also where this
    /// region measures nothing and there is no lane.
    outlet: Option<Outlet>,
    stop: Stop,
    store: store::Store,
}

/// Tells what runs that it is to end.
#[derive(Default)]
struct Stop {
    lanes: Sender<bool>,
    delivery: Sender<bool>,
    server: Sender<bool>,
}

impl Daemon {
    fn start(
        plan: Plan,
        shared: &Shared,
        state: State,
        listeners: Vec<server::Listener>,
        options: Options,
        systemd: Option<Arc<Systemd>>,
    ) -> Result<Self, String> {
        let own = own_metrics(&plan)?;
        let series = Arc::new(series(&plan)?);
        let progress = Arc::new(Progress::new(plan.targets.len()));
        let stop = Stop::default();
        let lanes_stopped = stop.lanes.subscribe();
        info!(region = %plan.region, targets = plan.targets.len(), "starting");
        let mut supervisor = Supervisor::default();
        let store = state.start(&own, &mut supervisor)?;
        let (observations, observed) = mpsc::channel(OBSERVATIONS);
        let (evaluation, board) = evaluation(&plan, shared, &store, &series, &own, &progress)?;
        let kept = (&store, &*series);
        let stopped = stop.delivery.subscribe();
        let mut alarm = Alarm::start(&plan, &board, kept, &own, &stopped, &mut supervisor)?;
        let shown = alarm.shown();
        let log = options.log_lines_dropped;
        let told = (&plan, &*own, &lanes_stopped);
        let discovered = discover(options.discovery, told, &mut supervisor)?;
        let mut sources = sources(&plan, shared, &store, &board, &alarm, &series, log);
        sources.discovered = discovered.clone();
        let evaluation = evaluation.with_alerts(alarm.alerting, sources.health());
        supervisor.task("evaluation", evaluate(evaluation, observed));
        let outlet = outlet(observations, &own);
        let region = plan.region.to_string();
        let daemons = plan.daemons.clone();
        let watchers = Watchers::of(&plan, &progress, &board, systemd);
        let mut beats = lanes::start(plan, &outlet, &own, &lanes_stopped, &mut supervisor)?;
        beats.append(&mut alarm.beats);
        let beat = Arc::new(Beat::new(Instant::now().into_std()));
        beats.push(("server".to_owned(), Arc::clone(&beat)));
        let seen = (&store, alarm.outbox);
        let health = watchers.start(beats, seen, &own, &lanes_stopped, &mut supervisor)?;
        let answers = server::State {
            web: options
                .web
                .start(&own, &stop.server.subscribe(), &mut supervisor)?,
            exposition: exposition(series, &own, sources),
            own,
            version: crate::VERSION.to_owned(),
            region,
            daemons,
            healthy: healthy(health),
            ready: ready(progress, discovered),
            events: Box::new(Events(Arc::clone(&board))),
            readiness: readiness(board),
            alerting: shown,
            limits: server::Limits::default(),
            beat,
        };
        serve_pages(
            listeners,
            answers,
            &stop.server.subscribe(),
            &mut supervisor,
        );
        Ok(Self {
            supervisor,
            outlet: Some(outlet),
            stop,
            store,
        })
    }

    /// Ends in order: no new runs; what was observed is taken in; what is due is delivered; the
    /// server; the state last, once nothing can change it.
    async fn end(&mut self) {
        self.stop.lanes.send_replace(true);
        self.outlet = None;
        self.supervisor.ended("evaluation").await;
        self.stop.delivery.send_replace(true);
        Alarm::ended(&mut self.supervisor).await;
        self.stop.server.send_replace(true);
        self.supervisor.ended("server").await;
        self.store.close();
        self.supervisor.all_ended().await;
        info!("ended");
    }
}

/// Tells what became of the targets that were discovered, and goes on discovering. Back comes how the
/// sources are.
fn discover(
    discovery: Discovery,
    (plan, own, stop): (&Plan, &Own, &Receiver<bool>),
    supervisor: &mut Supervisor,
) -> Result<discover::Figures, String> {
    let figures = discovery.figures();
    discovery::tell_refused(&plan.discovered, own);
    let changed = |_| warn!("other targets were discovered: they are probed after a restart");
    discovery::start(discovery, changed, stop, supervisor)?;
    Ok(figures)
}

async fn evaluate(
    evaluation: Evaluation,
    observed: mpsc::Receiver<Observation>,
) -> Result<(), String> {
    evaluation.run(observed).await;
    Ok(())
}

/// Where the numbers are.
fn sources(
    plan: &Plan,
    shared: &Shared,
    state: &store::Store,
    board: &Arc<Board>,
    alarm: &Alarm,
    series: &Arc<Store>,
    log_lines_dropped: Box<dyn Fn() -> u64 + Send + Sync>,
) -> Sources {
    Sources {
        resolver: Arc::clone(&shared.resolver),
        icmp: Arc::clone(&shared.icmp),
        source_region: Arc::clone(&plan.region),
        state: state.clone(),
        log_lines_dropped: log_lines_dropped.into(),
        board: Arc::clone(board),
        book: alarm.book.clone(),
        outbox: alarm.outbox.clone(),
        series: Arc::clone(series),
        discovered: discover::Figures::default(),
    }
}

/// Where the lanes put what they observe.
fn outlet(observations: mpsc::Sender<Observation>, own: &Own) -> Outlet {
    Outlet {
        observations,
        dropped: own.samples_dropped_total.clone(),
    }
}

/// The server, and what frees its pages.
fn serve_pages(
    listeners: Vec<server::Listener>,
    answers: server::State,
    stop: &Receiver<bool>,
    supervisor: &mut Supervisor,
) {
    let forget = forget_pages(Arc::clone(&answers.exposition), stopped(stop.clone()));
    supervisor.task("pages", forget);
    let serve = server::serve(listeners, Arc::new(answers), stopped(stop.clone()));
    supervisor.task("server", serve);
}

/// What judges the targets and the groups of the plan, and where its judgement is read.
fn evaluation(
    plan: &Plan,
    shared: &Shared,
    state: &store::Store,
    series: &Arc<Store>,
    own: &Arc<Own>,
    progress: &Arc<Progress>,
) -> Result<(Evaluation, Arc<Board>), String> {
    let (sets, pairs) = sets::sets(plan, series, shared.epoch)?;
    let board = Arc::new(groups::board(plan, &pairs, series, state)?);
    let targets: Arc<[_]> = plan.targets.iter().map(|t| t.target.clone()).collect();
    let evaluation = Evaluation::new(
        Arc::clone(&plan.region),
        targets,
        sets,
        Arc::clone(&board),
        Arc::clone(series),
        Arc::clone(own),
        Arc::clone(progress),
    );
    Ok((evaluation, board))
}

/// The metrics of the daemon itself, with what the plan tells.
fn own_metrics(plan: &Plan) -> Result<Arc<Own>, String> {
    let own = Own::new(crate::VERSION, crate::REVISION, SystemTime::now())?;
    own.targets
        .set(i64::try_from(plan.targets.len()).unwrap_or(i64::MAX));
    own.configured_regions
        .set(i64::try_from(plan.regions).unwrap_or(i64::MAX));
    Ok(Arc::new(own))
}

/// What makes the pages.
fn exposition(series: Arc<Store>, own: &Arc<Own>, sources: Sources) -> Arc<Exposition> {
    let refresh = Box::new(move |own: &Own| sources.refresh(own));
    let exposition = Exposition::new(series, Arc::clone(own), refresh, Exposition::MAX_AGE);
    Arc::new(exposition)
}

/// The series of all targets, in the order of the plan, so that a target's place is its key.
fn series(plan: &Plan) -> Result<Store, String> {
    let store = Store::new();
    let mut shared: Vec<(Arc<[f64]>, Arc<Buckets>)> = Vec::new();
    let mut buckets = |bounds: &Arc<[f64]>| -> Result<Arc<Buckets>, String> {
        if let Some((_, made)) = shared.iter().find(|(of, _)| Arc::ptr_eq(of, bounds)) {
            return Ok(Arc::clone(made));
        }
        let made = Arc::new(Buckets::new(bounds)?);
        shared.push((Arc::clone(bounds), Arc::clone(&made)));
        Ok(made)
    };
    for planned in &plan.targets {
        store.insert(
            &planned.target,
            &planned.probe.shape(),
            buckets(&planned.buckets)?,
            buckets(&planned.phase_buckets)?,
            Terms {
                interval: planned.interval,
                timeout: planned.timeout,
                objective: planned.objective,
            },
        )?;
    }
    Ok(store)
}

fn healthy(health: Arc<Health>) -> server::Check {
    Box::new(move || health.stuck().map_or(Ok(()), Err))
}

/// What is said of the groups, for the API.
fn readiness(board: Arc<Board>) -> Arc<server::Readiness> {
    let judge = Box::new(move || own::judged(&board));
    server::Readiness::new(judge, Exposition::MAX_AGE).into()
}

fn ready(progress: Arc<Progress>, discovered: discover::Figures) -> server::Check {
    Box::new(move || match (progress.unseen(), discovered.unanswered()) {
        (0, None) => Ok(()),
        (0, Some(source)) => Err(format!("{source} has given no targets yet")),
        (unseen, _) => Err(format!("{unseen} targets have not been run yet")),
    })
}

/// Frees pages that nobody comes back for.
async fn forget_pages(
    exposition: Arc<Exposition>,
    stop: impl Future<Output = ()>,
) -> Result<(), String> {
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return Ok(()),
            () = tokio::time::sleep(IDLE_PAGE) => exposition.forget(IDLE_PAGE),
        }
    }
}

async fn stopped(mut stop: Receiver<bool>) {
    // An error means that the sender is gone, which is an end as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A panic goes to the log like everything else; whoever supervises the task acts on it.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let place = panic.location().map(ToString::to_string);
    let place = place.unwrap_or_default();
    tracing::error!(message, place, "a bug: code panicked, please report it");
}
