//! Asks the daemons of the other regions what they say, while somebody looks at the pages.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use crate::config::Plan;
use crate::model::timestamp_seconds;
use crate::notify::{Peers, Refusal, RefusalReason};
use crate::server::{Configured, Said, State, Vantage, Vantages};

/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(3);
/// How long a daemon may take for both of its answers.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a daemon is left alone that refused the login: it counts the attempts of this host, and other
/// clients here have theirs to make.
const REST: Duration = Duration::from_secs(30);
/// Bytes of each answer: that of a thousand standbys with twenty checks each.
const MAX_BYTES: u64 = 8 << 20;
/// Daemons that are asked at once: each takes a descriptor.
const AT_ONCE: usize = 4;

/// Whom to ask, and how.
struct Daemons {
    peers: Option<Arc<Peers>>,
    of_regions: Vec<(Arc<str>, Url)>,
}

impl Daemons {
    fn of(plan: &Plan) -> Arc<Self> {
        let others = plan.regions.iter().filter(|of| of.name != plan.region);
        let daemons = others.filter_map(|of| Some((Arc::clone(&of.name), of.daemon.clone()?)));
        Arc::new(Self {
            peers: plan.peers.clone(),
            of_regions: daemons.collect(),
        })
    }
}

/// The daemons of other regions, to be changed with the configuration.
pub(super) struct Others(watch::Sender<Arc<Daemons>>);

impl Others {
    /// As it is planned.
    pub(super) fn of(plan: &Plan) -> Self {
        Self(watch::Sender::new(Daemons::of(plan)))
    }

    /// From now on it is as this plan has it.
    pub(super) fn follow(&self, plan: &Plan) {
        self.0.send_replace(Daemons::of(plan));
    }

    /// What asks them, for the pages of this server.
    pub(super) fn asker(&self, answers: &State) -> Asker {
        Asker {
            daemons: self.0.subscribe(),
            known: answers.configured.clone(),
            vantages: Arc::clone(&answers.vantages),
            refused: HashMap::new(),
        }
    }
}

/// Asks them.
pub(super) struct Asker {
    daemons: watch::Receiver<Arc<Daemons>>,
    /// What the pages have a place for.
    known: watch::Receiver<Arc<Configured>>,
    vantages: Arc<Vantages>,
    /// Who refused the login, and when.
    refused: HashMap<Arc<str>, (Instant, Refusal)>,
}

impl Asker {
    /// Asks until `stop`.
    pub(super) async fn ask(mut self, stop: impl Future<Output = ()>) -> Result<(), String> {
        let mut stop = pin!(stop);
        loop {
            let round = async {
                if self.vantages.is_looked_at() {
                    self.round().await;
                    sleep(PAUSE).await;
                } else {
                    self.vantages.forget();
                    sleep(Duration::from_secs(1)).await;
                }
            };
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = round => {}
            }
        }
    }

    async fn round(&mut self) {
        if self.daemons.has_changed().unwrap_or_default() {
            self.refused.clear();
        }
        let daemons = Arc::clone(&self.daemons.borrow_and_update());
        let Some(peers) = &daemons.peers else { return };
        self.refused.retain(|_, (at, _)| at.elapsed() < REST);
        let known = Arc::clone(&self.known.borrow());
        let asked = daemons.of_regions.iter().map(|(region, url)| {
            let before = self.refused.get(region).map(|(_, before)| before.clone());
            let (region, url) = (Arc::clone(region), url.clone());
            let known = Arc::clone(&known);
            async move {
                let said = match before {
                    Some(before) => Err(before),
                    None => ask_in_time(peers, &region, &url, known).await,
                };
                (region, said, timestamp_seconds(SystemTime::now()))
            }
        });
        let asked: Vec<_> = asked.collect();
        let all: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
        let all = all.into_iter().map(|(region, said, timestamp_seconds)| {
            if let Err(refusal) = &said
                && refusal.reason == RefusalReason::Auth
            {
                let now = (Instant::now(), refusal.clone());
                self.refused.entry(Arc::clone(&region)).or_insert(now);
            }
            Vantage {
                region,
                said: said.map(Arc::new).map_err(|refusal| refusal.detail),
                timestamp_seconds,
            }
        });
        self.vantages.put(all.collect());
    }
}

async fn ask_in_time(
    peers: &Peers,
    region: &Arc<str>,
    daemon: &Url,
    known: Arc<Configured>,
) -> Result<Said, Refusal> {
    let asked = timeout(PATIENCE, ask(peers, region, daemon, known)).await;
    asked.unwrap_or_else(|_| {
        let why = format!("no whole answer within {} s", PATIENCE.as_secs());
        Err(Refusal::new(RefusalReason::Timeout, why))
    })
}

async fn ask(
    peers: &Peers,
    region: &Arc<str>,
    daemon: &Url,
    known: Arc<Configured>,
) -> Result<Said, Refusal> {
    let groups = peers.get(daemon, "/api/v1/groups", MAX_BYTES).await?;
    let matrix = match peers.get(daemon, "/api/v1/matrix", MAX_BYTES).await {
        Ok(matrix) => Some(matrix),
        // An older daemon has none, and that is no reason not to show the rest.
        Err(refusal) if refusal.reason == RefusalReason::Rejected => None,
        Err(refusal) => return Err(refusal),
    };
    let region = Arc::clone(region);
    // Not on this thread, which serves everybody.
    let read = tokio::task::spawn_blocking(move || {
        Said::read(&region, (&groups, matrix.as_deref()), &known)
    });
    let said = read.await.map_err(|error| error.to_string());
    said.flatten()
        .map_err(|why| Refusal::new(RefusalReason::Protocol, why))
}
