//! Brings what other modules count and judge to the metrics, when a page is made.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use super::{discovery, history};
use crate::deliver::Outbox;
use crate::discover::Figures;
use crate::evaluate::{Board, HealthOf, History};
use crate::metrics::{Own, Store, raise_to};
use crate::model::GroupReport;
use crate::net::{Icmp, Resolver};
use crate::rule::{Alerts, Health, WATCHDOG};
use crate::store;

/// Where the numbers are.
pub(super) struct Sources {
    pub(super) source_region: Arc<str>,
    pub(super) resolver: Arc<Resolver>,
    pub(super) icmp: Arc<Icmp>,
    pub(super) state: store::Store,
    pub(super) log_lines_dropped: Arc<dyn Fn() -> u64 + Send + Sync>,
    pub(super) board: Arc<Board>,
    pub(super) book: Alerts,
    pub(super) outbox: Outbox,
    pub(super) series: Arc<Store>,
    pub(super) history: Arc<History>,
    pub(super) discovered: Figures,
}

impl Sources {
    /// What the daemon knows of itself, but for what the evaluation knows.
    pub(super) fn health(&self) -> HealthOf {
        let (state, outbox) = (self.state.clone(), self.outbox.clone());
        let log_lines_dropped = Arc::clone(&self.log_lines_dropped);
        Box::new(move || {
            let figures = outbox.figures();
            let oldest = figures.iter().filter_map(|of| of.oldest_timestamp_seconds);
            let dropped = figures.iter().flat_map(|of| &of.dropped);
            // What an operator has taken out is no fault.
            let dropped = dropped.filter(|(reason, _)| *reason != "operator");
            Health {
                durable: state.counters().durable,
                tilts: 0,
                samples_dropped: 0,
                notifications_dropped: dropped.map(|(_, count)| count).sum(),
                oldest_notification_timestamp_seconds: oldest.reduce(f64::min),
                log_lines_dropped: log_lines_dropped(),
                runs_without_resources: 0,
            }
        })
    }

    pub(super) fn refresh(&self, own: &Own) {
        if !self.series.judged(judged(&self.board)) {
            // Both were made of the same plan.
            tracing::error!("a bug: a standby has no place on the page, please report it");
        }
        if !self.series.happened(self.board.past()) {
            tracing::error!("a bug: a group has no place on the page, please report it");
        }
        self.series.notified(self.outbox.figures());
        discovery::show(&self.discovered, own);
        history::show(&self.history, own);
        // What always fires is no news.
        let mut alerts = self.book.all();
        alerts.retain(|alert| *alert.rule != *WATCHDOG);
        own.alerts(&self.source_region, &alerts);
        raise_to(&own.log_lines_dropped_total, (self.log_lines_dropped)());
        let names = self.resolver.counters();
        raise_to(&own.resolver_hits_total, names.cached);
        raise_to(&own.resolver_lookups_total, names.lookups);
        raise_to(&own.resolver_failures_total, names.failures);
        let packets = self.icmp.counters();
        raise_to(&own.icmp_foreign_replies_total, packets.foreign);
        raise_to(&own.icmp_unclaimed_replies_total, packets.unclaimed);
        raise_to(&own.icmp_socket_drops_total, packets.socket_drops);
        let state = self.state.counters();
        own.state_durable.set(state.durable.into());
        own.state_bytes
            .set(i64::try_from(state.bytes).unwrap_or(i64::MAX));
        raise_to(&own.state_writes_total, state.writes);
        raise_to(&own.state_write_failures_total, state.failures);
        raise_to(&own.state_corruptions_total, state.corruptions);
        for socket in self.icmp.sockets() {
            if let Ok(kind) = socket.state {
                let family = socket.options.family.as_str();
                own.icmp_socket_info
                    .with_label_values(&[family, kind.as_str()])
                    .set(1);
            }
        }
    }
}

/// What is to be said of every group now.
pub(super) fn judged(board: &Board) -> Vec<GroupReport> {
    board.reports(Instant::now().into_std(), SystemTime::now())
}
