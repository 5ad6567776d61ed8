//! What the daemon is made of, while it starts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{mpsc, watch};

use super::alarm::Alarm;
use super::alertmanagers::Told;
use super::confine::Confined;
use super::delivery::Delivery;
use super::descriptors::Budget;
use super::discovery::Discovering;
use super::generation::Generation;
use super::health::{Beats, Health};
use super::heartbeat::Heartbeats;
use super::history::Saver;
use super::judging::{self, Judging};
use super::lanes::Lanes;
use super::own::Sources;
use super::state::State;
use super::supervise::Supervisor;
use super::systemd::Systemd;
use super::vantages::Others;
use super::watch::Watchers;
use super::{Stop, WebConfig, forget_pages, stopped};
use crate::config::{Plan, Shared};
use crate::discover::{Discovery, Figures};
use crate::evaluate::{Board, History, Progress, Succession};
use crate::metrics::{Own, Store};
use crate::schedule::Outlet;
use crate::server::{self, Web};
use crate::store;

/// What every part needs.
pub(super) struct Base {
    pub(super) plan: Plan,
    pub(super) shared: Shared,
    pub(super) own: Arc<Own>,
    pub(super) store: store::Store,
    pub(super) folder: Option<PathBuf>,
    pub(super) budget: Budget,
    pub(super) systemd: Option<Arc<Systemd>>,
    pub(super) stop: Stop,
    pub(super) supervisor: Supervisor,
}

/// What judges and tells, as it runs.
pub(super) struct Judged {
    pub(super) series: Arc<Store>,
    pub(super) board: Arc<Board>,
    pub(super) progress: Arc<Progress>,
    pub(super) history: Arc<History>,
    pub(super) sources: Sources,
    pub(super) shown: server::Alerting,
    pub(super) delivery: Delivery,
    pub(super) told: Told,
    pub(super) outlet: Outlet,
    pub(super) successor: mpsc::Sender<Succession>,
}

impl Base {
    pub(super) fn of(
        plan: Plan,
        shared: Shared,
        (budget, confined): (Budget, Confined),
        state: State,
        systemd: Option<Arc<Systemd>>,
    ) -> Result<Self, String> {
        let own = Own::new(crate::VERSION, crate::REVISION, SystemTime::now())?;
        budget.show(&own);
        confined.show(&own);
        let mut supervisor = Supervisor::default();
        Ok(Self {
            folder: state.folder().map(Path::to_owned),
            store: state.start(&own, &mut supervisor)?,
            plan,
            shared,
            own: Arc::new(own),
            budget,
            systemd,
            stop: Stop::default(),
            supervisor,
        })
    }

    /// Starts what judges, and those who tell of alerts.
    pub(super) fn judge(
        &mut self,
        log_lines_dropped: Box<dyn Fn() -> u64 + Send + Sync>,
        discovered: Figures,
    ) -> Result<Judged, String> {
        let generation = Generation::of(&self.plan, &self.shared, &self.store)?;
        let judging = Judging::of(&self.plan, generation, &self.own);
        self.save(&judging.history)?;
        let alarm = Alarm::start(
            &self.plan,
            judging.ruleset,
            (&self.store, &judging.series),
            &self.own,
            &self.stop.delivery.subscribe(),
            &mut self.supervisor,
        )?;
        let sources = Sources {
            resolver: Arc::clone(&self.shared.resolver),
            icmp: Arc::clone(&self.shared.icmp),
            source_region: Arc::clone(&self.plan.region),
            state: self.store.clone(),
            log_lines_dropped: log_lines_dropped.into(),
            board: Arc::clone(&judging.board),
            book: alarm.book.clone(),
            outbox: alarm.delivery.outbox.clone(),
            series: Arc::clone(&judging.series),
            history: Arc::clone(&judging.history),
            discovered,
        };
        let shown = alarm.shown();
        let evaluation = judging.evaluation;
        let evaluation = evaluation.with_alerts(alarm.alerting, sources.health());
        let (outlet, successor) = judging::start(evaluation, &self.own, &mut self.supervisor);
        Ok(Judged {
            series: judging.series,
            board: judging.board,
            progress: judging.progress,
            history: judging.history,
            sources,
            shown,
            delivery: alarm.delivery,
            told: alarm.told,
            outlet,
            successor,
        })
    }

    /// Takes in the history that was saved, and saves what is added to it.
    fn save(&mut self, history: &Arc<History>) -> Result<(), String> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        // By then, the evaluation has ended.
        let stop = self.stop.server.subscribe();
        Saver::start(folder, history, &self.own, stop, &mut self.supervisor)
    }

    /// Starts what measures.
    pub(super) fn lanes(&mut self, outlet: &Outlet) -> Result<(Lanes, Beats), String> {
        let stop = self.stop.lanes.subscribe();
        let (plan, own) = (&self.plan, &self.own);
        Lanes::start(plan, self.budget, outlet, own, &stop, &mut self.supervisor)
    }

    /// Starts to tell whoever wants to know whether the daemon goes on.
    pub(super) fn watch(
        &mut self,
        beats: Beats,
        judged: &Judged,
    ) -> Result<(Arc<Health>, Heartbeats), String> {
        let (plan, own) = (&self.plan, &self.own);
        let systemd = self.systemd.clone();
        let watchers = Watchers::of(plan, own, &judged.progress, &judged.board, systemd);
        let seen = (&self.store, judged.delivery.outbox.clone());
        let stop = self.stop.lanes.subscribe();
        watchers.start(beats, seen, own, &stop, &mut self.supervisor)
    }

    /// What the web configuration file asks for, from now on.
    pub(super) fn web(&mut self, web: WebConfig) -> Result<watch::Receiver<Arc<Web>>, String> {
        web.start(
            &self.own,
            &self.stop.server.subscribe(),
            &mut self.supervisor,
        )
    }

    /// Starts to ask the sources of targets.
    pub(super) fn discover(&mut self, discovery: Discovery) -> Result<Discovering, String> {
        let stop = self.stop.lanes.subscribe();
        Discovering::start(discovery, &stop, &mut self.supervisor)
    }

    /// Starts the server, what frees its pages, and what asks other daemons for them, on a thread of their own: however many clients ask,
    /// shake hands or wait, the evaluation and the watchdog do not wait for them.
    pub(super) fn serve(
        &mut self,
        listeners: Vec<server::Listener>,
        answers: server::State,
        others: &Others,
    ) -> Result<(), String> {
        let stop = || stopped(self.stop.server.subscribe());
        let forget = forget_pages(Arc::clone(&answers.exposition), stop());
        let ask = others.asker(&answers).ask(stop());
        let stop = stop();
        self.supervisor.thread("server", || async {
            let serve = server::serve(listeners, Arc::new(answers), stop);
            tokio::try_join!(serve, forget, ask).map(|_| ())
        })
    }
}
