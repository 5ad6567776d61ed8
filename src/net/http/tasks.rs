//! Runs the parts of an HTTP/2 connection inside the task that waits for its answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Context;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
type Queue = Mutex<Vec<Task>>;

/// The parts of one connection. Dropping it drops them all: nothing is spawned.
#[derive(Default)]
pub(super) struct Tasks {
    queue: Arc<Queue>,
    running: Vec<Task>,
}

impl Tasks {
    /// Where the connection puts its parts.
    pub(super) fn executor(&self) -> Executor {
        Executor(Arc::downgrade(&self.queue))
    }

    /// Moves every part on, new ones too.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        loop {
            self.running
                .append(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner));
            self.running
                .retain_mut(|task| task.as_mut().poll(cx).is_pending());
            if self.is_settled() {
                return;
            }
        }
    }

    fn is_settled(&self) -> bool {
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }
}

/// The handle that hyper holds. It is weak, because the parts hold it too: a strong one would keep
/// them, and their socket, for ever.
#[derive(Clone)]
pub(super) struct Executor(Weak<Queue>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Executor {
    fn execute(&self, part: F) {
        if let Some(queue) = self.0.upgrade() {
            queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Box::pin(part));
        }
    }
}
