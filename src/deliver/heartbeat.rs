//! Says again and again that this daemon goes on, as long as it does.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use crate::metrics::Own;
use crate::model::{Digest, timestamp_seconds};
use crate::notify::{Heartbeat, Pulse, Refusal, RefusalReason};

/// The longest that a beat is waited for.
const LIMIT: Duration = Duration::from_secs(10);

/// Whether the daemon goes on: how long ago the outcome of a run was last taken in, if anything is
/// probed from here. The error says what does not go on.
pub type Check = Box<dyn Fn() -> Result<Option<Duration>, String> + Send + Sync>;

/// The service that waits for beats.
#[derive(Clone, Debug)]
pub struct Service {
    /// How it gets them.
    pub heartbeat: Arc<Heartbeat>,
    /// Tells it apart from one with other settings, or other secrets.
    pub same: Digest,
}

/// Who beats, and for whom.
pub struct Heart {
    /// Where the beats go, if anywhere. What changes here holds from the next beat on, which goes to
    /// another service at once; one that is under way comes to its end. Beats are counted on.
    pub service: watch::Receiver<Option<Service>>,
    /// The region of this daemon.
    pub source_region: Arc<str>,
    /// Whether there is reason to beat.
    pub check: Check,
    /// Where it is counted.
    pub own: Arc<Own>,
}

/// How the last beat went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Sent,
    Failed,
    Withheld,
}

impl Heart {
    /// Beats until `stop`, while the check passes. What fails is not tried again: the next beat does
    /// as well.
    pub async fn beat(mut self, stop: impl Future<Output = ()>) {
        tokio::select! {
            () = stop => {}
            never = self.beat_on() => match never {},
        }
    }

    async fn beat_on(&mut self) -> Infallible {
        let mut sequence = 0;
        loop {
            let service = self.service.borrow_and_update().clone();
            match service {
                Some(service) => self.beat_for(&service, &mut sequence).await,
                None => self.changed().await,
            }
        }
    }

    /// Beats until the service is another, or none.
    async fn beat_for(&mut self, service: &Service, sequence: &mut u64) {
        for reason in RefusalReason::ALL {
            let failures = &self.own.heartbeat_failures_total;
            failures.with_label_values(&[reason.as_str()]);
        }
        let mut last = Last::Sent;
        let mut next = Instant::now();
        loop {
            let now = match (self.check)() {
                Ok(age) => {
                    *sequence += 1;
                    let pulse = self.pulse(*sequence, age);
                    self.send(&service.heartbeat, &pulse, last).await
                }
                Err(why) => {
                    if last != Last::Withheld {
                        warn!(why, "no heartbeat is sent");
                    }
                    self.own.heartbeats_withheld_total.inc();
                    Last::Withheld
                }
            };
            if now == Last::Sent && last != Last::Sent {
                info!("heartbeats are sent again");
            }
            last = now;
            // Those that were missed are not made up for.
            next = (next + service.heartbeat.interval).max(Instant::now());
            while Instant::now() < next {
                tokio::select! {
                    () = sleep_until(next) => {}
                    () = self.changed() => {}
                }
                let there = self.service.borrow_and_update();
                if there.as_ref().map(|there| there.same) != Some(service.same) {
                    return;
                }
            }
        }
    }

    /// Waits until the service may be another. Where nobody can change it any more, that is never.
    async fn changed(&mut self) {
        if self.service.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn send(&self, heartbeat: &Heartbeat, pulse: &Pulse, last: Last) -> Last {
        let limit = LIMIT.min(heartbeat.interval);
        let sent = timeout(limit, heartbeat.send(pulse)).await;
        let sent = sent.unwrap_or_else(|_| {
            Err(Refusal::new(
                RefusalReason::Timeout,
                format_args!("no answer within {limit:?}"),
            ))
        });
        let Err(refusal) = sent else {
            self.own.heartbeats_total.inc();
            return Last::Sent;
        };
        let reason = refusal.reason.as_str();
        let failures = &self.own.heartbeat_failures_total;
        failures.with_label_values(&[reason]).inc();
        if last != Last::Failed {
            warn!(why = %refusal, "a heartbeat did not arrive");
        }
        Last::Failed
    }

    fn pulse(&self, sequence: u64, age: Option<Duration>) -> Pulse {
        Pulse {
            source_region: Arc::clone(&self.source_region),
            sequence,
            timestamp_seconds: timestamp_seconds(SystemTime::now()),
            last_probe_age_seconds: age.map(|age| age.as_secs_f64()),
            version: crate::VERSION,
        }
    }
}
