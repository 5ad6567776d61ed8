//! What takes longer than the thread may wait that serves everybody.

use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;

use super::problem::{Kind, Problem};

/// Answers that are made at once. Each costs milliseconds of a processor and is for one client alone:
/// however many ask, the probes get theirs.
const AT_ONCE: usize = 2;

static PLACES: Semaphore = Semaphore::const_new(AT_ONCE);

/// Makes an answer on another thread; `what` says of what.
pub(super) async fn beside(
    what: &str,
    work: impl FnOnce() -> Response + Send + 'static,
) -> Response {
    let place = PLACES.acquire().await;
    // The place goes with the work, which a client that leaves does not end.
    let work = tokio::task::spawn_blocking(move || {
        let _place = place;
        work()
    });
    work.await.unwrap_or_else(|error| {
        tracing::error!(%error, what, "an answer could not be made");
        Problem::new(Kind::Internal, "the answer could not be made").into_response()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn however_many_ask_few_answers_are_made_at_once() {
        static NOW: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let work = || {
            MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            NOW.fetch_sub(1, Ordering::SeqCst);
            Response::default()
        };
        let all = (0..200).map(|_| beside("nothing", work));
        for answer in futures_util::future::join_all(all).await {
            assert_eq!(answer.status(), 200);
        }
        assert!((1..=AT_ONCE).contains(&MOST.load(Ordering::SeqCst)));
    }

    #[tokio::test]
    async fn a_panic_costs_one_answer_and_no_place() {
        for _ in 0..=AT_ONCE {
            let answer = beside("a mistake", || panic!("a mistake")).await;
            assert_eq!(answer.status(), 500);
        }
        assert_eq!(beside("nothing", Response::default).await.status(), 200);
    }
}
