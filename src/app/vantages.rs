//! Asks the daemons of the other regions what they say, while somebody looks at the pages.

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::config::Shared;
use crate::files::Files;
use crate::model::{Problem, TargetGroup};
use crate::notify::post::{Address, Post, UrlSettings, Way};
use crate::notify::{Context, RefusalReason};
use crate::server::{Said, State, Vantage, Vantages};

/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(3);
/// How long a daemon may take for both of its answers.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of each answer: that of a thousand standbys with twenty checks each.
const MAX_BYTES: u64 = 8 << 20;
/// Daemons that are asked at once: each takes a descriptor.
const AT_ONCE: usize = 4;

/// What it takes to ask them.
pub(super) struct Asker {
    region: Arc<str>,
    daemons: watch::Receiver<Arc<Vec<TargetGroup>>>,
    context: Context,
    vantages: Arc<Vantages>,
}

impl Asker {
    /// For the pages of this server.
    pub(super) fn of(region: &Arc<str>, shared: &Shared, answers: &State) -> Self {
        Self {
            region: Arc::clone(region),
            daemons: answers.daemons.clone(),
            context: Context {
                resolver: Arc::clone(&shared.resolver),
                roots: Arc::clone(&shared.roots),
                files: Files::new(None, PathBuf::new()),
            },
            vantages: Arc::clone(&answers.vantages),
        }
    }

    /// Asks until `stop`.
    pub(super) async fn ask(self, stop: impl Future<Output = ()>) -> Result<(), String> {
        let mut stop = pin!(stop);
        loop {
            let round = async {
                if self.vantages.is_looked_at() {
                    self.round().await;
                    sleep(PAUSE).await;
                } else {
                    sleep(Duration::from_secs(1)).await;
                }
            };
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = round => {}
            }
        }
    }

    async fn round(&self) {
        let daemons = Arc::clone(&self.daemons.borrow());
        let others = daemons.iter().filter_map(|of| {
            let region = of.labels.get("__meta_hotspare_region")?;
            (**region != *self.region).then(|| (Arc::from(region.as_str()), base(of)))
        });
        let others: Vec<(Arc<str>, String)> = others.collect();
        let asked = others.into_iter().map(|(region, url)| async move {
            let said = match timeout(PATIENCE, self.ask_one(&url)).await {
                Ok(said) => said,
                Err(_) => Err(format!("no whole answer within {} s", PATIENCE.as_secs())),
            };
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            Vantage {
                region,
                said: said.map(Arc::new),
                timestamp_seconds: since.unwrap_or_default().as_secs_f64(),
            }
        });
        let all = stream::iter(asked).buffered(AT_ONCE).collect().await;
        self.vantages.put(all);
    }

    async fn ask_one(&self, url: &str) -> Result<Said, String> {
        let mut problems = Vec::new();
        let post = Post::new(Way::default(), &self.context, &mut problems);
        let get = async |path: &str| {
            let url = format!("{url}{path}");
            let settings = UrlSettings {
                url: Some(&url),
                ..UrlSettings::default()
            };
            let mut problems = Vec::new();
            let address = post.address(settings, &mut problems);
            let first = |problems: Vec<Problem>| {
                let first = problems.into_iter().next();
                first.map_or_else(|| "no address".to_owned(), |first| first.message)
            };
            let address: Address = address.ok_or_else(|| first(problems))?;
            let answer = post
                .fetch(&address, http::HeaderMap::new(), MAX_BYTES)
                .await;
            let answer = answer.map_err(|refusal| {
                if refusal.reason == RefusalReason::Auth {
                    "it needs a login, which this page has none for".to_owned()
                } else {
                    refusal.detail
                }
            })?;
            Ok::<_, String>(answer.body)
        };
        let groups = get("/api/v1/groups").await?;
        // An older daemon has no matrix, and that is no reason not to show the rest.
        let matrix = get("/api/v1/matrix").await.unwrap_or_default();
        // Not on this thread, which serves everybody.
        let read = tokio::task::spawn_blocking(move || Said::read(&groups, &matrix));
        read.await.map_err(|error| error.to_string())?
    }
}

/// Where a daemon's routes begin: what is before `/metrics`.
fn base(of: &TargetGroup) -> String {
    let [address] = &of.targets;
    let scheme = of.labels.get("__scheme__").map_or("http", String::as_str);
    let path = of.labels.get("__metrics_path__").map_or("", String::as_str);
    let prefix = path.strip_suffix("/metrics").unwrap_or_default();
    format!("{scheme}://{address}{prefix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_asked_where_it_says_that_its_metrics_are() {
        let at = |labels: &[(&'static str, &str)]| {
            base(&TargetGroup {
                targets: ["h:443".to_owned()],
                labels: labels.iter().map(|(k, v)| (*k, (*v).to_owned())).collect(),
            })
        };
        assert_eq!(at(&[]), "http://h:443");
        let behind = [
            ("__scheme__", "https"),
            ("__metrics_path__", "/hotspare/metrics"),
        ];
        assert_eq!(at(&behind), "https://h:443/hotspare");
    }
}
