//! Who tells the Alertmanagers, on a thread of their own.

use std::future::Future;
use std::sync::Arc;

use tokio::time::Instant;

use super::supervise::Supervisor;
use crate::config::Plan;
use crate::deliver::{Endpoint, Standing, Timing, tell_all};
use crate::metrics::Store;
use crate::model::Beat;
use crate::notify::Prepared;
use crate::rule::Alerts;

/// The name of their thread.
pub(super) const THREAD: &str = "alertmanagers";

/// The signs of life of tasks, with their names.
type Beats = Vec<(String, Arc<Beat>)>;

/// Starts the thread, if there is an Alertmanager; where each of them stands.
pub(super) fn start(
    plan: &Plan,
    book: &Alerts,
    series: &Store,
    stop: impl Future<Output = ()> + Send + 'static,
    supervisor: &mut Supervisor,
) -> Result<(Vec<Standing>, Beats), String> {
    let endpoints = endpoints(plan, series)?;
    if endpoints.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let standings = endpoints.iter().map(|each| each.standing.clone());
    let standings = standings.collect();
    let book = book.clone();
    let beat = Arc::new(Beat::new(Instant::now().into_std()));
    let beats = vec![(THREAD.to_owned(), Arc::clone(&beat))];
    supervisor.thread(THREAD, move || {
        tell_all(endpoints, book, Timing::default(), beat, stop)
    })?;
    Ok((standings, beats))
}

fn endpoints(plan: &Plan, series: &Store) -> Result<Vec<Endpoint>, String> {
    let mut members = Vec::new();
    for receiver in &plan.receivers {
        if let Prepared::Alertmanager(of_receiver) = &receiver.prepared {
            members.extend(of_receiver.iter().map(|member| (&receiver.name, member)));
        }
    }
    let names = members
        .iter()
        .map(|(name, member)| (&***name, member.name()));
    let names: Vec<_> = names.collect();
    let series = series.change().set_alertmanagers(&names)?;
    let endpoints = members.into_iter().zip(series);
    let endpoints = endpoints.map(|((receiver, member), series)| Endpoint {
        receiver: Arc::clone(receiver),
        external_url: plan.alerting.external_url.clone(),
        standing: Standing::of(Arc::clone(receiver), member.name()),
        series,
        member: Arc::clone(member),
    });
    Ok(endpoints.collect())
}
