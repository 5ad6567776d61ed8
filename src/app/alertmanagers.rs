//! Who tells the Alertmanagers, on a thread of their own.

use std::future::Future;
use std::sync::Arc;

use super::health::Beats;
use super::supervise::Supervisor;
use crate::config::Plan;
use crate::deliver::{Alertmanagers, Endpoint, Handle, Standings, Timing};
use crate::metrics::Store;
use crate::model::Beat;
use crate::notify::Prepared;
use crate::rule::Alerts;

/// The name of their thread.
pub(super) const THREAD: &str = "alertmanagers";

/// Those who are told what there is, as they are told.
pub(super) struct Told {
    pub(super) standings: Standings,
    beat: Arc<Beat>,
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
            beat: telling.beat(),
            handle: telling.handle(),
        };
        supervisor.thread(THREAD, move || telling.run(stop))?;
        Ok(told)
    }

    /// Its sign of life.
    pub(super) fn beats(&self) -> Beats {
        vec![(THREAD.to_owned(), Arc::clone(&self.beat))]
    }

    /// From now on those are told that this plan has.
    pub(super) async fn follow(&self, plan: &Plan, series: &Store) -> Result<(), String> {
        self.handle.change(endpoints(plan, series)?).await;
        Ok(())
    }
}

fn endpoints(plan: &Plan, series: &Store) -> Result<Vec<Endpoint>, String> {
    let mut members = Vec::new();
    for receiver in &plan.receivers {
        if let Prepared::Alertmanager(of_receiver) = &receiver.prepared {
            let of = of_receiver.iter();
            members.extend(of.map(|member| (&receiver.name, &receiver.same, member)));
        }
    }
    let names = members
        .iter()
        .map(|(name, _, member)| (&***name, member.name()));
    let names: Vec<_> = names.collect();
    let series = series.change().set_alertmanagers(&names)?;
    let endpoints = members.into_iter().zip(series);
    let endpoints = endpoints.map(|((receiver, same, member), series)| Endpoint {
        receiver: Arc::clone(receiver),
        same: *same,
        external_url: plan.alerting.external_url.clone(),
        series,
        member: Arc::clone(member),
    });
    Ok(endpoints.collect())
}
