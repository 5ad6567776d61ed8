//! The only wiring: a configuration in, supervised threads and tasks out, and an end in order.

mod alarm;
mod alertmanagers;
mod alerts;
mod base;
mod confine;
mod delivery;
mod descriptors;
mod discovery;
mod events;
mod generation;
mod groups;
mod health;
mod heartbeat;
mod history;
mod judging;
mod lanes;
mod own;
mod reload;
mod sets;
mod shown;
mod signals;
mod sockets;
mod state;
mod status;
mod supervise;
mod systemd;
mod vantages;
mod watch;
mod web;

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::sync::watch::{Receiver, Sender};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::{Document, Plan, PlannedSource, Shared};
use crate::discover::{self, Discovery, Which};
use crate::evaluate::{Board, Progress};
use crate::metrics::{Exposition, Own, Store};
use crate::model::Beat;
use crate::schedule::Outlet;
use crate::server;
use crate::store;
use alarm::Alarm;
use base::Base;
use confine::Confined;
use descriptors::Budget;
use events::Events;
use health::Health;
use history::Past;
use own::Sources;
use reload::{Followers, Reload};
use signals::Signals;
use state::State;
use supervise::Supervisor;
use systemd::Systemd;
use vantages::Others;

pub use confine::Reach;
pub use reload::Read;
pub use web::WebConfig;

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
    /// What was read of the configuration.
    pub document: Document,
    /// Reads it again.
    pub read: Read,
    /// The files that the daemon needs while it runs; `None`: it gives nothing up.
    pub reach: Option<Reach>,
    /// Called once there may be other threads.
    pub confined: Box<dyn FnOnce()>,
    /// Where targets are that nobody wrote down; not asked yet.
    pub discovery: Discovery,
    /// Tells how many lines of the log were dropped.
    pub log_lines_dropped: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl Options {
    /// Gives up what is not needed any more, after everything is open and before there is a thread.
    fn confine(&mut self, state: Option<&Path>) -> Confined {
        let confined = match &mut self.reach {
            None => Confined::not(),
            Some(reach) => {
                self.web.paths().for_each(|path| reach.with_file(path));
                Confined::confine(reach, state)
            }
        };
        std::mem::replace(&mut self.confined, Box::new(|| ()))();
        confined
    }

    /// What comes of the plan once the sources of targets were asked: others answer, so that by then
    /// nothing is left that they could take.
    async fn discover(&mut self, plan: Plan, shared: &Shared) -> Result<Plan, String> {
        if self.discovery.is_empty() {
            return Ok(plan);
        }
        self.discovery.first(Which::All).await;
        let discovered = self.discovery.discovered();
        let plan = self.document.plan(shared, &discovered, Some(&plan));
        plan.map_err(|problems| problems.to_string())
    }
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

async fn serve(plan: Plan, shared: &Shared, mut options: Options) -> Result<(), String> {
    let budget = Budget::divide();
    let mut signals = Signals::listen()?;
    let hangups = signals::hangups()?;
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
    shared.icmp.reserve(budget.raw_sockets());
    let confined = options.confine(state.folder());
    let plan = options.discover(plan, shared).await?;
    for warning in plan.warnings.iter() {
        warn!(%warning, "configuration");
    }
    info!(region = %plan.region, targets = plan.targets.len(), "starting");
    let base = Base::of(
        plan,
        shared.clone(),
        (budget, confined),
        state,
        systemd.clone(),
    )?;
    let mut daemon = Daemon::start(base, hangups, listeners, options)?;
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
    #[expect(
        clippy::too_many_lines,
        reason = "the one place where all parts meet: a line for each"
    )]
    fn start(
        mut base: Base,
        hangups: Signal,
        listeners: Vec<server::Listener>,
        options: Options,
    ) -> Result<Self, String> {
        let discovered = options.discovery.figures();
        let judged = base.judge(options.log_lines_dropped, discovered.clone())?;
        let (lanes, mut beats) = base.lanes(&judged.outlet)?;
        beats.extend(judged.told.beats());
        let beat = Arc::new(Beat::new(Instant::now().into_std()));
        beats.push(("server".to_owned(), Arc::clone(&beat)));
        let (health, heartbeats) = base.watch(beats, &judged)?;
        let (reload, orders) = mpsc::channel(1);
        let daemons = Sender::new(Arc::new(base.plan.daemons.clone()));
        let document = Arc::new(options.document);
        let configured = Sender::new(shown::configured(&base.plan, &document));
        let progress = Arc::clone(&judged.progress);
        let answers = server::State {
            web: base.web(options.web)?,
            exposition: exposition(Arc::clone(&judged.series), &base.own, judged.sources),
            own: Arc::clone(&base.own),
            version: crate::VERSION.to_owned(),
            region: base.plan.region.to_string(),
            daemons: daemons.subscribe(),
            configured: configured.subscribe(),
            standing: shown::standing(Arc::clone(&health), progress, base.store.clone()),
            healthy: healthy(Arc::clone(&health)),
            ready: ready(judged.progress, discovered),
            events: Box::new(Events(Arc::clone(&judged.board))),
            overview: overview(&judged.board),
            vantages: Arc::default(),
            history: Box::new(Past(judged.history)),
            readiness: readiness(judged.board),
            alerting: judged.shown,
            reload,
            limits: base.budget.of_server(),
            beat,
        };
        let others = Others::of(&base.plan);
        base.serve(listeners, answers, &others)?;
        show(&base.plan, &[], &base.own);
        let hash = base.plan.hash.short();
        base.own.configured(&hash, SystemTime::now());
        let followers = Followers {
            delivery: judged.delivery,
            alertmanagers: judged.told,
            heartbeats,
            evaluation: judged.successor,
            lanes,
            discovering: base.discover(options.discovery)?,
            daemons,
            others,
            configured,
        };
        let stopped = stopped(base.stop.lanes.subscribe());
        let reload = Reload {
            read: options.read,
            document,
            plan: Arc::new(base.plan),
            shared: base.shared,
            state: base.store.clone(),
            series: judged.series,
            own: base.own,
            health,
            followers,
            systemd: base.systemd,
            untaken: None,
        };
        base.supervisor
            .task("reload", reload.follow(hangups, orders, stopped));
        Ok(Self {
            supervisor: base.supervisor,
            outlet: Some(judged.outlet),
            stop: base.stop,
            store: base.store,
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

/// Shows what the plan tells, which takes the place of one with these sources.
fn show(plan: &Plan, before: &[PlannedSource], own: &Own) {
    own.targets
        .set(i64::try_from(plan.targets.len()).unwrap_or(i64::MAX));
    own.configured_regions
        .set(i64::try_from(plan.regions.len()).unwrap_or(i64::MAX));
    discovery::tell_refused(&plan.discovered, before, own);
    alerts::show_thresholds(plan, own);
}

/// What makes the pages.
fn exposition(series: Arc<Store>, own: &Arc<Own>, sources: Sources) -> Arc<Exposition> {
    let refresh = Box::new(move |own: &Own| sources.refresh(own));
    let exposition = Exposition::new(series, Arc::clone(own), refresh, Exposition::MAX_AGE);
    Arc::new(exposition)
}

fn healthy(health: Arc<Health>) -> server::Check {
    Box::new(move || health.stuck().map_or(Ok(()), Err))
}

/// What the pages tell beside what others ask for.
fn overview(board: &Arc<Board>) -> server::Overview {
    let board = Arc::clone(board);
    server::Overview {
        objectives: Box::new(move || {
            let planned = board.planned().into_iter();
            planned
                .map(|group| (group.name, group.objectives))
                .collect()
        }),
    }
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
