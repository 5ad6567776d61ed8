//! Who tells the Alertmanagers, on a thread of their own.

use std::future::Future;
use std::sync::Arc;

use super::supervise::Supervisor;
use crate::config::Plan;
use crate::deliver::{Endpoint, Timing, tell_all};
use crate::metrics::Store;
use crate::notify::Prepared;
use crate::rule::Alerts;

/// The name of their thread.
pub(super) const THREAD: &str = "alertmanagers";

/// Starts the thread, if there is an Alertmanager.
pub(super) fn start(
    plan: &Plan,
    book: &Alerts,
    series: &Store,
    stop: impl Future<Output = ()> + Send + 'static,
    supervisor: &mut Supervisor,
) -> Result<(), String> {
    let endpoints = endpoints(plan, series)?;
    if endpoints.is_empty() {
        return Ok(());
    }
    let book = book.clone();
    supervisor.thread(THREAD, move || {
        tell_all(endpoints, book, Timing::default(), stop)
    })
}

fn endpoints(plan: &Plan, series: &Store) -> Result<Vec<Endpoint>, String> {
    let mut endpoints = Vec::new();
    for receiver in &plan.receivers {
        let Prepared::Alertmanager(members) = &receiver.prepared else {
            continue;
        };
        for member in members {
            endpoints.push(Endpoint {
                receiver: Arc::clone(&receiver.name),
                external_url: plan.alerting.external_url.clone(),
                series: series.insert_alertmanager(&receiver.name, member.name())?,
                member: Arc::clone(member),
            });
        }
    }
    Ok(endpoints)
}
