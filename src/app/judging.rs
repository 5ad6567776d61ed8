//! What judges the targets and the groups, and where its judgement is read.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::generation::Generation;
use super::supervise::Supervisor;
use crate::config::Plan;
use crate::evaluate::{Board, Evaluation, History, Progress, Ruleset, Succession};
use crate::metrics::{Own, Store};
use crate::schedule::Outlet;

/// Observations that may wait for the evaluation: a second of them at 60,000 runs a second.
const OBSERVATIONS: usize = 65_536;

/// All of it, for the first plan.
pub(super) struct Judging {
    pub(super) evaluation: Evaluation,
    pub(super) series: Arc<Store>,
    pub(super) board: Arc<Board>,
    pub(super) progress: Arc<Progress>,
    pub(super) history: Arc<History>,
    pub(super) ruleset: Ruleset,
}

impl Judging {
    pub(super) fn of(plan: &Plan, generation: Generation, own: &Arc<Own>) -> Self {
        let series = Arc::new(generation.series);
        let board = Arc::new(generation.board);
        let progress = Arc::new(Progress::new(generation.targets.len()));
        let targets = generation.targets.iter().map(|(_, target)| target.clone());
        let region = Arc::clone(&plan.region);
        let history = Arc::new(History::new(region, targets.collect(), &plan.history));
        let evaluation = Evaluation::new(
            Arc::clone(&plan.region),
            generation.targets,
            generation.sets,
            Arc::clone(&board),
            Arc::clone(&series),
            Arc::clone(own),
            Arc::clone(&progress),
        );
        Self {
            evaluation: evaluation.with_history(Arc::clone(&history)),
            series,
            board,
            progress,
            history,
            ruleset: generation.ruleset,
        }
    }
}

/// Starts the evaluation: where observations go, and what takes over.
pub(super) fn start(
    evaluation: Evaluation,
    own: &Own,
    supervisor: &mut Supervisor,
) -> (Outlet, mpsc::Sender<Succession>) {
    let (observations, observed) = mpsc::channel(OBSERVATIONS);
    let (successor, successions) = mpsc::channel(1);
    supervisor.task("evaluation", async {
        evaluation.run(observed, successions).await;
        Ok(())
    });
    let outlet = Outlet {
        observations,
        dropped: own.samples_dropped_total.clone(),
    };
    (outlet, successor)
}
