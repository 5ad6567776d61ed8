//! That something takes long, and how long already, on a terminal's standard error.

use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// What takes longer is told of, and told anew so often.
const BEAT: Duration = Duration::from_secs(1);

/// Waits for the work. If it takes longer than a second, `what` it is, and for how long already, is told
/// to whoever sits at a terminal, and taken away at the end.
pub(super) async fn waiting<T>(what: &str, work: impl Future<Output = T>) -> T {
    let out = io::stderr();
    let out = out.is_terminal().then_some(out);
    wait(what, work, out).await
}

async fn wait<T>(what: &str, work: impl Future<Output = T>, mut out: Option<impl Write>) -> T {
    let mut work = pin!(work);
    let started = Instant::now();
    let mut width = 0;
    loop {
        tokio::select! {
            biased;
            done = &mut work => {
                if let (Some(out), 1..) = (&mut out, width) {
                    let _ = write!(out, "\r{}\r", " ".repeat(width)).and_then(|()| out.flush());
                }
                return done;
            }
            () = sleep(BEAT), if out.is_some() => {}
        }
        if let Some(out) = &mut out {
            let told = format!("{what}: {}s", started.elapsed().as_secs());
            width = told.chars().count();
            // Whoever does not listen misses nothing.
            let _ = write!(out, "\r{told}").and_then(|()| out.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_takes_longer_than_a_second_is_told_and_taken_away() {
        let mut told = Vec::new();
        let work = async |millis| sleep(Duration::from_millis(millis)).await;
        wait("asking", work(900), Some(&mut told)).await;
        assert_eq!(told, b"");
        wait("asking", work(2500), Some(&mut told)).await;
        let shown = String::from_utf8(told).expect("UTF-8");
        assert_eq!(shown, "\rasking: 1s\rasking: 2s\r          \r");
        wait("asking", work(2500), None::<Vec<u8>>).await;
    }
}
