//! What is said on the terminal, and when.

use std::fmt::Display;
use std::io::{IsTerminal, Stdout, Write, stdout};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The colours of a terminal.
#[derive(Clone, Copy)]
enum Colour {
    Bold,
    Faint,
    Green,
    Red,
    Yellow,
}

impl Colour {
    const fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Faint => "2",
            Self::Red => "31",
            Self::Green => "32",
            Self::Yellow => "33",
        }
    }
}

/// Where it is said: with colours on a terminal.
pub(super) struct Terminal {
    colours: bool,
    rewrites: bool,
    out: Stdout,
    pause: Duration,
    since: Instant,
}

impl Terminal {
    /// Standard output, with that pause before each incident. Times count from now on.
    pub(super) fn open(pause: Duration, colours: bool) -> Self {
        let out = stdout();
        let rewrites = out.is_terminal();
        Self {
            colours,
            rewrites,
            out,
            pause,
            since: Instant::now(),
        }
    }

    /// Something that is of no moment.
    pub(super) fn plain(&self, text: impl Display) {
        self.line(&text.to_string());
    }

    /// Something in passing.
    pub(super) fn aside(&self, text: impl Display) {
        self.line(&self.paint(Colour::Faint, &text.to_string()));
    }

    /// What happens next, with its number; once there was time to read what was before.
    pub(super) async fn incident(&self, number: usize, text: &str) {
        sleep(self.pause).await;
        self.line("");
        let text = self.paint(Colour::Bold, &format!("{number}. {text}"));
        self.line(&format!("{} {text}", self.time()));
    }

    /// What is expected: in the line in which it will stand once it is seen, and nowhere if lines stay
    /// as they are.
    pub(super) fn expected(&self, text: &str) {
        if self.rewrites {
            let text = self.paint(Colour::Faint, &format!("… {text}"));
            let mut out = &self.out;
            let _ = write!(out, "{} {text}", self.time());
            let _ = out.flush();
        }
    }

    /// What was expected, and seen after that time.
    pub(super) fn seen(&self, after: Duration, text: &str) {
        let mark = self.paint(Colour::Green, "✓");
        let after = self.paint(Colour::Faint, &format!("after {}", seconds(after)));
        let begin = self.begin();
        self.line(&format!("{begin}{} {mark} {text}, {after}", self.time()));
    }

    /// What was expected and is not there.
    pub(super) fn missed(&self, text: &str) {
        let text = self.paint(Colour::Red, &format!("✗ {text}"));
        let begin = self.begin();
        self.line(&format!("{begin}{} {text}", self.time()));
    }

    /// What the script does, in the midst of an incident.
    pub(super) fn turn(&self, text: &str) {
        self.line(&format!("{} {text}", self.time()));
    }

    /// What somebody else says: a name and the words.
    pub(super) fn quote(&self, who: &str, words: impl Display) {
        let who = self.paint(Colour::Yellow, &format!("{who:<10}"));
        self.line(&format!("            {who} {words}"));
    }

    /// Goes back to the begin of a line that is not complete.
    const fn begin(&self) -> &'static str {
        if self.rewrites { "\r\x1b[K" } else { "" }
    }

    /// Writes a line.
    fn line(&self, text: &str) {
        // Whoever reads may have gone; the demo goes on to its end and its exit code.
        let _ = writeln!(&self.out, "{text}");
    }

    fn time(&self) -> String {
        let time = format!("[{:>6.1}s]", self.since.elapsed().as_secs_f64());
        self.paint(Colour::Faint, &time)
    }

    fn paint(&self, colour: Colour, text: &str) -> String {
        if self.colours {
            format!("\x1b[{}m{text}\x1b[0m", colour.code())
        } else {
            text.to_owned()
        }
    }
}

/// A time as people read it.
pub(super) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
