//! What a terminal gets and a file does not: colours.

use std::io::{self, IsTerminal};

use clap::ValueEnum;

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
    /// On a terminal, unless `NO_COLOR` is set or it is a dumb one.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What a part of a text says, which is what its colour is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Not known, or to be looked at.
    Doubt,
    /// Beside the point.
    Faint,
    /// What it is about.
    Title,
    /// Nothing of that.
    Plain,
}

impl Tone {
    /// The number by which a terminal knows it (ECMA-48, SGR).
    const fn code(self) -> Option<u8> {
        match self {
            Self::Good => Some(32),
            Self::Bad => Some(31),
            Self::Doubt => Some(33),
            Self::Faint => Some(2),
            Self::Title => Some(1),
            Self::Plain => None,
        }
    }
}

/// What paints a text, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ink {
    coloured: bool,
}

impl Ink {
    /// For the standard output.
    pub(super) fn of(colour: Colour) -> Self {
        let coloured = match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => wanted(io::stdout().is_terminal(), |name| {
                std::env::var(name).unwrap_or_default()
            }),
        };
        Self { coloured }
    }

    /// Whether there are colours.
    pub(super) const fn is_coloured(self) -> bool {
        self.coloured
    }

    /// The text in that tone. What would be a command to the terminal is taken out of it: names and
    /// words of daemons and targets are not trusted.
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        let text = printable(text);
        match tone.code().filter(|_| self.coloured && !text.is_empty()) {
            Some(code) => format!("\x1b[{code}m{text}\x1b[0m"),
            None => text,
        }
    }
}

/// Whether there are to be colours where nobody said so. An empty `NO_COLOR` is none: no-color.org.
fn wanted(is_terminal: bool, variable: impl Fn(&str) -> String) -> bool {
    is_terminal && variable("NO_COLOR").is_empty() && variable("TERM") != "dumb"
}

/// The text without what a terminal would take for a command.
pub(super) fn printable(text: &str) -> String {
    let printable = |c: char| match c {
        '\n' => c,
        c if c.is_control() || is_order(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(printable).collect()
}

/// Whether it turns the order around in which the text after it is shown (Unicode, UAX #9): a word of a
/// target could make another one read otherwise.
const fn is_order(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
impl Ink {
    /// None.
    pub(super) const NONE: Self = Self { coloured: false };
    /// On every terminal.
    pub(super) const SOME: Self = Self { coloured: true };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_commands() {
        let hostile = "a\x1b[2Jb\r\u{9b}\u{202e}\nü";
        let shown = "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}\nü";
        assert_eq!(printable(hostile), shown);
        assert_eq!(Ink::NONE.paint(Tone::Bad, hostile), shown);
        let painted = format!("\x1b[31m{shown}\x1b[0m");
        assert_eq!(Ink::SOME.paint(Tone::Bad, hostile), painted);
        assert_eq!(Ink::SOME.paint(Tone::Plain, hostile), shown);
        assert_eq!(Ink::SOME.paint(Tone::Bad, ""), "");
    }

    #[test]
    fn colours_are_for_terminals_whose_owner_wants_them() {
        let none = |_: &str| String::new();
        assert!(wanted(true, none));
        assert!(!wanted(false, none));
        let set = |name: &str| if name == "NO_COLOR" { "1" } else { "xterm" }.to_owned();
        assert!(!wanted(true, set));
        let dumb = |name: &str| if name == "TERM" { "dumb" } else { "" }.to_owned();
        assert!(!wanted(true, dumb));
    }
}
