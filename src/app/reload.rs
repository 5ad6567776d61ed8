//! Another configuration while the daemon runs, or other targets that were discovered.
//!
//! All of it is read, checked and made first; nothing has changed by then. What can still fail is
//! nothing but the end of the daemon. Then those who are told of alerts follow it, so that there is
//! somebody to tell; then what is judged; then the lanes, so that nothing is run that nobody knows.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::discovery::Discovering;
use super::generation::Generation;
use super::health::Health;
use super::heartbeat::Heartbeats;
use super::lanes::Lanes;
use super::systemd::Systemd;
use super::vantages::Others;
use super::{alertmanagers, delivery};
use crate::config::{Document, Plan, Shared};
use crate::discover::Discovered;
use crate::evaluate::Succession;
use crate::metrics::{Own, Store};
use crate::model::{ReloadRefusal, Reloaded, TargetGroup};
use crate::server::{Configured, ReloadOrder};
use crate::store as state;

/// What was discovered and could not be taken is tried again after so long: a file with a secret may have
/// been away for a moment, and the sources need not say anything else for days.
const AGAIN: Duration = Duration::from_secs(10);

/// Reads the configuration. It is called on a thread of its own: a file system may hang.
pub type Read = Arc<dyn Fn() -> Document + Send + Sync>;

/// What follows the configuration.
pub(super) struct Followers {
    pub(super) delivery: delivery::Delivery,
    pub(super) alertmanagers: alertmanagers::Told,
    pub(super) heartbeats: Heartbeats,
    pub(super) evaluation: mpsc::Sender<Succession>,
    pub(super) lanes: Lanes,
    pub(super) discovering: Discovering,
    pub(super) daemons: watch::Sender<Arc<Vec<TargetGroup>>>,
    pub(super) others: Others,
    pub(super) configured: watch::Sender<Arc<Configured>>,
}

/// Reads the configuration again when somebody asks for it.
pub(super) struct Reload {
    pub(super) read: Read,
    /// What is in force. Its files may have changed since: that is for the next reload.
    pub(super) document: Arc<Document>,
    /// What came of it and of what was discovered.
    pub(super) plan: Arc<Plan>,
    pub(super) shared: Shared,
    pub(super) state: state::Store,
    pub(super) series: Arc<Store>,
    pub(super) own: Arc<Own>,
    pub(super) health: Arc<Health>,
    pub(super) followers: Followers,
    pub(super) systemd: Option<Arc<Systemd>>,
    /// Why what was discovered last is not taken.
    pub(super) untaken: Option<String>,
}

/// Why there is another plan.
enum Asked {
    /// The configuration is to be read again; where to say what came of it.
    Reload(Option<ReloadOrder>),
    /// The sources of targets say something else.
    Discovered,
}

impl Reload {
    /// Does so until `stop`: when SIGHUP comes, or an order; and follows what is discovered.
    pub(super) async fn follow(
        mut self,
        mut hangups: Signal,
        mut orders: mpsc::Receiver<ReloadOrder>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), String> {
        let mut stop = pin!(stop);
        loop {
            let asked = tokio::select! {
                () = &mut stop => return Ok(()),
                _ = hangups.recv() => Asked::Reload(None),
                Some(order) = orders.recv() => Asked::Reload(Some(order)),
                () = self.followers.discovering.changed() => Asked::Discovered,
                () = sleep(AGAIN), if self.untaken.is_some() => Asked::Discovered,
            };
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = self.carry_out(asked) => {}
            }
        }
    }

    async fn carry_out(&mut self, asked: Asked) {
        match asked {
            Asked::Reload(order) => {
                let came = self.reload().await;
                if let Some(order) = order {
                    // Who asked may be gone.
                    let _ = order.send(came);
                }
            }
            Asked::Discovered => self.discovered().await,
        }
    }

    /// Takes up what was discovered, with the configuration that is in force.
    async fn discovered(&mut self) {
        let discovered = self.followers.discovering.said();
        let document = Arc::clone(&self.document);
        let came = match self.plan(Arc::clone(&document), discovered).await {
            Ok((plan, generation)) => self.replace(&document, plan, generation).await,
            Err(refusal) => Err(refusal),
        };
        match came {
            Ok(changed) => {
                self.untaken = None;
                info!(
                    targets = changed.targets,
                    begun = changed.begun,
                    ended = changed.ended,
                    "other targets were discovered"
                );
            }
            Err(refusal) => {
                let why = Some(refusal.to_string());
                if self.untaken != why {
                    error!(%refusal, "what was discovered is not taken, and tried again");
                }
                self.untaken = why;
            }
        }
    }

    async fn reload(&mut self) -> Result<Reloaded, ReloadRefusal> {
        // A service manager that waits for the reload is told when it begins and ends, once it was told
        // that the daemon is ready at all. A receiver that is new has not begun by the end.
        let systemd = self.systemd.clone().filter(|_| self.health.began());
        tell_systemd(systemd.as_deref(), "RELOADING=1");
        let came = self.read_again().await;
        match &came {
            Ok(reloaded) => info!(
                hash = reloaded.hash,
                targets = reloaded.targets,
                begun = reloaded.begun,
                ended = reloaded.ended,
                "another configuration is in force"
            ),
            Err(refusal) => {
                self.own.config_last_reload_successful.set(0);
                for line in refusal.to_string().lines() {
                    error!(problem = line, "the configuration is not taken");
                }
                warn!(hash = %self.plan.hash.short(), "the configuration before it stays in force");
            }
        }
        tell_systemd(systemd.as_deref(), "READY=1");
        came
    }

    async fn read_again(&mut self) -> Result<Reloaded, ReloadRefusal> {
        let read = Arc::clone(&self.read);
        let document = tokio::task::spawn_blocking(move || read()).await;
        let document = document.map_err(|error| ReloadRefusal::Bad(error.to_string()))?;
        let document = Arc::new(document);
        // A configuration that is not good changes nothing of what is asked.
        let known = self.followers.discovering.said();
        self.plan(Arc::clone(&document), known).await?;
        let known = self.ask_sources(&document).await?;
        let planned = self.plan(Arc::clone(&document), known).await;
        if planned.is_err() {
            // A file that is named has changed meanwhile: those of before are asked again.
            self.ask_sources(&self.document).await?;
        }
        let (plan, generation) = planned?;
        for warning in plan.warnings.iter() {
            warn!(%warning, "configuration");
        }
        let reloaded = self.replace(&document, plan, generation).await?;
        self.own.configured(&reloaded.hash, SystemTime::now());
        self.document = document;
        self.untaken = None;
        Ok(reloaded)
    }

    /// Asks the sources of targets that the configuration has, from now on.
    async fn ask_sources(&self, document: &Arc<Document>) -> Result<Discovered, ReloadRefusal> {
        let (document, shared) = (Arc::clone(document), self.shared.clone());
        // They read files.
        let sources = tokio::task::spawn_blocking(move || document.sources(&shared)).await;
        let sources = sources.map_err(|error| ReloadRefusal::Bad(error.to_string()))?;
        let said = self.followers.discovering.follow(sources).await;
        said.ok_or(ReloadRefusal::Ending)
    }

    /// What comes of a configuration and of what was discovered. Nothing of it is in force.
    async fn plan(
        &self,
        document: Arc<Document>,
        discovered: Discovered,
    ) -> Result<(Plan, Generation), ReloadRefusal> {
        let (before, shared) = (Arc::clone(&self.plan), self.shared.clone());
        let state = self.state.clone();
        let work = tokio::task::spawn_blocking(move || {
            let plan = document.plan(&shared, &discovered, Some(&before));
            let plan = plan.map_err(|problems| problems.to_string())?;
            restart(&before, &plan)?;
            let generation = Generation::of(&plan, &shared, &state)?;
            Ok((plan, generation))
        });
        let planned = work.await.unwrap_or_else(|error| Err(error.to_string()));
        planned.map_err(ReloadRefusal::Bad)
    }

    async fn replace(
        &mut self,
        document: &Arc<Document>,
        plan: Plan,
        generation: Generation,
    ) -> Result<Reloaded, ReloadRefusal> {
        let reloaded = changes(&self.plan, &plan);
        self.take_over(document, &plan, generation).await?;
        self.plan = Arc::new(plan);
        Ok(reloaded)
    }

    async fn take_over(
        &self,
        document: &Arc<Document>,
        plan: &Plan,
        generation: Generation,
    ) -> Result<(), ReloadRefusal> {
        let to = &self.followers;
        let told = to.alertmanagers.follow(plan, &self.series).await;
        told.map_err(ReloadRefusal::Bad)?;
        let told = to.delivery.follow(plan, &self.series).await;
        told.map_err(ReloadRefusal::Bad)?;
        to.heartbeats.follow(plan);
        let (done, is_done) = oneshot::channel();
        let succession = Succession {
            targets: generation.targets,
            series: generation.series,
            sets: generation.sets,
            board: generation.board,
            ruleset: generation.ruleset,
            history: plan.history,
            done,
        };
        let sent = to.evaluation.send(succession).await;
        sent.map_err(|_| ReloadRefusal::Ending)?;
        is_done.await.map_err(|_| ReloadRefusal::Ending)?;
        to.lanes.follow(plan);
        to.daemons.send_replace(Arc::new(plan.daemons.clone()));
        to.others.follow(plan);
        to.configured
            .send_replace(super::shown::configured(plan, document));
        self.health.follow(plan);
        // On one page, all of it.
        let _no_page = self.series.change();
        super::show(plan, &self.plan.discovered, &self.own);
        Ok(())
    }
}

fn tell_systemd(systemd: Option<&Systemd>, assignment: &str) {
    let Some(systemd) = systemd else { return };
    let text = format!("{assignment}\n{}", super::systemd::moment());
    if let Err(error) = systemd.send(&text) {
        warn!(%error, assignment, "systemd cannot be told of the reload");
    }
}

/// Refuses what cannot change while the daemon runs.
fn restart(before: &Plan, plan: &Plan) -> Result<(), String> {
    let changed = [
        ("region", before.region != plan.region),
        ("limits", before.limits != plan.limits),
        ("state_dir", before.state_dir != plan.state_dir),
    ];
    let lines = changed.into_iter().filter(|(_, changed)| *changed);
    let lines = lines.map(|(key, _)| format!("`{key}` was changed, which takes a restart"));
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() {
        return Ok(());
    }
    Err(lines.join("\n"))
}

fn changes(before: &Plan, plan: &Plan) -> Reloaded {
    let goes_on = plan.targets.iter();
    let goes_on = goes_on.filter(|planned| before.target(planned.key).is_some());
    let goes_on = goes_on.count();
    Reloaded {
        hash: plan.hash.short(),
        targets: plan.targets.len(),
        begun: plan.targets.len() - goes_on,
        ended: before.targets.len() - goes_on,
    }
}
