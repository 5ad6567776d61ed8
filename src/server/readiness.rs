//! What is said of the groups: judged when asked, and not more than about once a second however
//! many ask.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

use super::rank::Rank;
use crate::model::GroupReport;

/// Judges every group now.
pub type Judge = Box<dyn Fn() -> Vec<GroupReport> + Send + Sync>;

/// Judges the groups for whoever asks.
pub struct Readiness {
    judge: Judge,
    max_age: Duration,
    /// The lock is held while the groups are judged: whoever asks meanwhile waits for that.
    kept: Arc<Mutex<Option<Arc<Judged>>>>,
}

/// The groups, as they were judged at one moment.
pub(super) struct Judged {
    /// Before it began: nothing here is older.
    at: Instant,
    /// The groups in the order of the configuration.
    pub(super) groups: Vec<GroupReport>,
    /// All of them as JSON, once somebody wanted it.
    list: OnceLock<Bytes>,
    /// Their ranks.
    ranks: OnceLock<Bytes>,
    /// How the daemon stands, with them.
    pub(super) status: OnceCell<Bytes>,
}

/// Judging failed, which is a mistake of this program.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the groups could not be judged: {0}")]
pub(super) struct Unjudged(String);

impl Readiness {
    /// Readiness by these judgements. One older than `max_age` is not handed out.
    pub fn new(judge: Judge, max_age: Duration) -> Self {
        Self {
            judge,
            max_age,
            kept: Arc::default(),
        }
    }

    /// The groups as they are, or were up to `max_age` ago.
    pub(super) async fn judged(self: &Arc<Self>) -> Result<Arc<Judged>, Unjudged> {
        let mut kept = Arc::clone(&self.kept).lock_owned().await;
        if let Some(judged) = &*kept
            && judged.at.elapsed() < self.max_age
        {
            return Ok(Arc::clone(judged));
        }
        // The lock goes with the work: a client that leaves does not make the next one start over.
        let this = Arc::clone(self);
        let work = tokio::task::spawn_blocking(move || {
            let judged = Arc::new(Judged {
                at: Instant::now(),
                groups: (this.judge)(),
                list: OnceLock::new(),
                ranks: OnceLock::new(),
                status: OnceCell::new(),
            });
            *kept = Some(Arc::clone(&judged));
            judged
        });
        work.await.map_err(|error| Unjudged(error.to_string()))
    }
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readiness")
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

impl Judged {
    /// The group of that name.
    pub(super) fn group(&self, name: &str) -> Option<&GroupReport> {
        self.groups.iter().find(|group| *group.group == *name)
    }

    /// All groups as JSON, written once.
    pub(super) fn list(&self) -> Result<Bytes, serde_json::Error> {
        written(&self.list, &self.groups)
    }

    /// The ranks of their standbys as JSON, written once.
    pub(super) fn ranks(&self) -> Result<Bytes, serde_json::Error> {
        let ranks: Vec<_> = self.groups.iter().map(Rank::from).collect();
        written(&self.ranks, &ranks)
    }
}

fn written<T: Serialize>(once: &OnceLock<Bytes>, groups: &[T]) -> Result<Bytes, serde_json::Error> {
    #[derive(Serialize)]
    struct List<'a, T> {
        groups: &'a [T],
    }
    if let Some(list) = once.get() {
        return Ok(list.clone());
    }
    let list = Bytes::from(serde_json::to_vec(&List { groups })?);
    Ok(once.get_or_init(|| list).clone())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn counting(count: &Arc<AtomicUsize>) -> Arc<Readiness> {
        let count = Arc::clone(count);
        let judge = move || {
            count.fetch_add(1, Ordering::Relaxed);
            Vec::new()
        };
        Arc::new(Readiness::new(Box::new(judge), SECOND))
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_ask_the_groups_are_judged_once_and_again_when_that_is_old() {
        let count = Arc::default();
        let readiness = counting(&count);
        for judgements in 1..=3 {
            let asked = (0..100).map(|_| readiness.judged());
            for judged in futures_util::future::join_all(asked).await {
                assert!(judged.is_ok());
            }
            assert_eq!(count.load(Ordering::Relaxed), judgements);
            tokio::time::advance(SECOND).await;
        }
    }

    #[tokio::test]
    async fn a_judgement_that_panics_is_told_and_does_not_keep_the_next_from_being_made() {
        let first = AtomicUsize::new(0);
        let judge = move || {
            let again = first.fetch_add(1, Ordering::Relaxed) > 0;
            assert!(again, "a mistake");
            Vec::new()
        };
        let readiness = Arc::new(Readiness::new(Box::new(judge), SECOND));
        let error = readiness.judged().await.err().expect("it panics");
        let why = error.to_string();
        assert!(why.starts_with("the groups could not be judged: "), "{why}");
        assert!(readiness.judged().await.is_ok());
    }

    #[tokio::test]
    async fn the_list_is_written_once() {
        let judged = counting(&Arc::default()).judged().await.expect("judged");
        let list = judged.list().expect("written");
        assert_eq!(list, r#"{"groups":[]}"#);
        assert_eq!(list.as_ptr(), judged.list().expect("kept").as_ptr());
    }
}
