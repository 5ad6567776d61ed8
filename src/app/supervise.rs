//! Essential tasks and threads: the end of any of them before its time ends the daemon.

use std::collections::HashMap;
use std::future::Future;

use tokio::sync::oneshot;
use tokio::task::{Id, JoinError, JoinSet};

/// How a thread ended.
pub(super) struct Ended(Result<(), String>);

impl From<()> for Ended {
    fn from((): ()) -> Self {
        Self(Ok(()))
    }
}

impl From<Result<(), String>> for Ended {
    fn from(result: Result<(), String>) -> Self {
        Self(result)
    }
}

/// Holds what must not end.
#[derive(Default)]
pub(super) struct Supervisor {
    tasks: JoinSet<Result<(), String>>,
    names: HashMap<Id, String>,
}

impl Supervisor {
    /// Runs an essential task on this runtime.
    pub(super) fn task(
        &mut self,
        name: &str,
        task: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name.to_owned());
    }

    /// Runs an essential task on a thread and a runtime of its own.
    pub(super) fn thread<F: Future<Output: Into<Ended>>>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> F + Send + 'static,
    ) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| format!("cannot start a runtime: {e}"))?;
        let (ended, end) = oneshot::channel();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // A panic drops the sender, which tells as much.
                let Ended(result) = runtime.block_on(async { work().await }).into();
                let _ = ended.send(result);
            })
            .map_err(|e| format!("cannot start a thread: {e}"))?;
        self.task(name, async {
            end.await.map_err(|_| "it panicked".to_owned()).flatten()
        });
        Ok(())
    }

    /// Waits for the first end of anything, and says what ended and why.
    pub(super) async fn first_end(&mut self) -> String {
        match self.tasks.join_next_with_id().await {
            Some(ended) => self.describe(ended).1,
            None => "nothing runs".to_owned(),
        }
    }

    /// Waits until the named task has ended.
    pub(super) async fn ended(&mut self, name: &str) {
        while self.names.values().any(|n| n == name) {
            match self.tasks.join_next_with_id().await {
                Some(ended) => {
                    self.describe(ended);
                }
                None => return,
            }
        }
    }

    /// Waits until everything has ended.
    pub(super) async fn all_ended(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    fn describe(&mut self, ended: Result<(Id, Result<(), String>), JoinError>) -> (String, String) {
        let (id, why) = match ended {
            Ok((id, Ok(()))) => (id, "it returned".to_owned()),
            Ok((id, Err(why))) => (id, why),
            Err(error) => (error.id(), error.to_string()),
        };
        let name = self.names.remove(&id).unwrap_or_default();
        let what = format!("{name} ended before its time: {why}");
        (name, what)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn an_end_of_a_task_or_a_thread_is_told_with_its_name() {
        let mut supervisor = Supervisor::default();
        supervisor.task("waits", std::future::pending());
        supervisor.task("fails", async { Err("no reason".to_owned()) });
        assert_eq!(
            supervisor.first_end().await,
            "fails ended before its time: no reason"
        );
        supervisor
            .thread("panics", || {
                std::future::poll_fn(|_| -> Poll<()> { panic!("a bug") })
            })
            .expect("started");
        assert_eq!(
            supervisor.first_end().await,
            "panics ended before its time: it panicked"
        );
        supervisor
            .thread("fails", || async { Err("no reason".to_owned()) })
            .expect("started");
        assert_eq!(
            supervisor.first_end().await,
            "fails ended before its time: no reason"
        );
    }
}
