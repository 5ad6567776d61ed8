//! How far a benchmark is, on the standard error.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::model::duration;

/// Cells of the bar.
const WIDTH: u128 = 30;

/// From one line to the next where there is no terminal.
const LINES: Duration = Duration::from_secs(10);

/// Tells how far a benchmark is: a bar on a terminal, otherwise a line now and then.
pub(super) struct Progress {
    whole: Duration,
    terminal: bool,
    next: Duration,
}

impl Progress {
    /// Of something that takes so long.
    pub(super) fn new(whole: Duration) -> Self {
        Self {
            whole,
            terminal: io::stderr().is_terminal(),
            next: Duration::ZERO,
        }
    }

    /// Tells of it, if that is due.
    pub(super) fn tell(&mut self, done: Duration, runs: u64, failed: u64) {
        let done = done.min(self.whole);
        let seconds = |time: Duration| duration::display(Duration::from_secs(time.as_secs()));
        let (now, whole) = (seconds(done), duration::display(self.whole));
        let told = format!("{now} of {whole}: {runs} runs, {failed} failed");
        let mut out = io::stderr().lock();
        // Whoever does not listen misses nothing.
        let _ = if self.terminal {
            write!(out, "\r{} {told} ", bar(done, self.whole)).and_then(|()| out.flush())
        } else if done >= self.next {
            self.next = done + LINES;
            writeln!(out, "{told}")
        } else {
            Ok(())
        };
    }

    /// Leaves the line to others.
    pub(super) fn end(&self) {
        if self.terminal {
            let _ = writeln!(io::stderr());
        }
    }
}

fn bar(done: Duration, whole: Duration) -> String {
    let filled = done.as_nanos() * WIDTH / whole.as_nanos().max(1);
    let cells = (0..WIDTH).map(|cell| if cell < filled { '#' } else { '.' });
    format!("[{}]", cells.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_up() {
        let whole = Duration::from_mins(1);
        for (seconds, filled) in [(0, 0), (1, 0), (2, 1), (30, 15), (60, 30)] {
            let bar = bar(Duration::from_secs(seconds), whole);
            assert_eq!(bar.len(), 32);
            assert_eq!(bar.matches('#').count(), filled, "{seconds}");
        }
    }
}
