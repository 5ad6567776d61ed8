//! How what runs hears that the configuration has changed.

use tokio::sync::{mpsc, oneshot};

/// Changes what runs. Its clones change the same.
#[derive(Debug)]
pub struct Handle<T>(mpsc::Sender<Change<T>>);

/// What it is to be from now on, and who waits until it is.
#[derive(Debug)]
struct Change<T> {
    to: T,
    done: oneshot::Sender<()>,
}

/// Where what runs hears of it.
#[derive(Debug)]
pub(super) struct Changes<T>(mpsc::Receiver<Change<T>>);

/// A handle, and what it changes.
pub(super) fn channel<T>() -> (Handle<T>, Changes<T>) {
    let (sender, receiver) = mpsc::channel(1);
    (Handle(sender), Changes(receiver))
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Handle<T> {
    /// Returns once it is so. Where the daemon ends, nothing changes any more, and this returns at
    /// once.
    pub async fn change(&self, to: T) {
        let (done, is_done) = oneshot::channel();
        if self.0.send(Change { to, done }).await.is_ok() {
            // An error is an end as well.
            let _ = is_done.await;
        }
    }
}

impl<T> Changes<T> {
    /// The next change, and what tells that it is made once that is dropped. Without a handle there
    /// is none ever.
    pub(super) async fn next(&mut self) -> (T, oneshot::Sender<()>) {
        match self.0.recv().await {
            Some(Change { to, done }) => (to, done),
            None => std::future::pending().await,
        }
    }

    /// No more of them: whoever waits does so no longer.
    pub(super) fn end(&mut self) {
        self.0.close();
        while self.0.try_recv().is_ok() {}
    }
}

/// How a task goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// For ever.
    Tell,
    /// Until what is due is told, and not for long: the daemon ends.
    Flush,
    /// Not at all: whom it tells is not configured any more.
    Leave,
}
