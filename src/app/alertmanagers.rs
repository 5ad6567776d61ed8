//! Who tells the Alertmanagers, on a thread of their own.

use std::future::Future;
use std::sync::Arc;

use super::health::Beats;
use super::supervise::Supervisor;
use crate::config::Plan;
use crate::deliver::{Alertmanagers, Endpoint, Handle, Standings, Timing};
use crate::metrics::Store;
use crate::model::Digest;
use crate::notify::Prepared;
use crate::rule::Alerts;

/// The name of their thread.
pub(super) const THREAD: &str = "alertmanagers";

/// Those who are told what there is, as they are told.
pub(super) struct Told {
    pub(super) standings: Standings,
    pub(super) beats: Beats,
    handle: Handle<Vec<Endpoint>>,
}

impl Told {
    /// Starts the thread, which is there also while there is no Alertmanager.
    pub(super) fn start(
        plan: &Plan,
        book: &Alerts,
        series: &Store,
        stop: impl Future<Output = ()> + Send + 'static,
        supervisor: &mut Supervisor,
    ) -> Result<Self, String> {
        let endpoints = endpoints(plan, series)?;
        let telling = Alertmanagers::new(endpoints, book.clone(), Timing::default());
        let told = Self {
            standings: telling.standings(),
            beats: vec![(THREAD.to_owned(), telling.beat())],
            handle: telling.handle(),
        };
        supervisor.thread(THREAD, move || telling.run(stop))?;
        Ok(told)
    }

    /// From now on those are told that this plan has.
    #[expect(
        dead_code,
        reason = "nothing changes the plan of a daemon that runs yet"
    )]
    pub(super) async fn follow(&self, plan: &Plan, series: &Store) -> Result<(), String> {
        self.handle.change(endpoints(plan, series)?).await;
        Ok(())
    }
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
                same: Digest::default(),
                external_url: plan.alerting.external_url.clone(),
                series: series.insert_alertmanager(&receiver.name, member.name())?,
                member: Arc::clone(member),
            });
        }
    }
    Ok(endpoints)
}
