//! A table for people: columns below each other, two spaces between.

use super::terminal::{Ink, Tone, printable};

/// A text with its tone.
#[derive(Clone, Debug)]
pub(super) struct Cell(pub(super) Tone, pub(super) String);

impl Cell {
    /// One that says nothing by its colour.
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self(Tone::Plain, text.into())
    }

    /// What is not known or is not there is a dash.
    pub(super) fn or_none(text: Option<String>) -> Self {
        match text.filter(|text| !text.is_empty()) {
            Some(text) => Self::plain(text),
            None => Self(Tone::Faint, "-".to_owned()),
        }
    }
}

/// The rows below their head, a line each, every one begun by `indent`.
pub(super) fn table<const N: usize>(
    head: [&str; N],
    rows: &[[Cell; N]],
    indent: &str,
    ink: Ink,
) -> String {
    let head = head.map(|title| Cell(Tone::Title, title.to_owned()));
    let rows: Vec<_> = std::iter::once(&head).chain(rows).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, Cell(_, text)) in widths.iter_mut().zip(*row) {
            *width = (*width).max(text.chars().count());
        }
    }
    let lines = rows.iter().map(|row| line(row, widths, indent, ink));
    lines.collect()
}

fn line<const N: usize>(row: &[Cell; N], widths: [usize; N], indent: &str, ink: Ink) -> String {
    let mut line = indent.to_owned();
    // The space after a cell is owed until there is another one.
    let mut owed = 0;
    for (Cell(tone, text), width) in row.iter().zip(widths) {
        if !text.is_empty() {
            line += &" ".repeat(owed);
            // A line is a row.
            line += &ink.paint(*tone, &printable(text).replace('\n', " "));
            owed = 0;
        }
        owed += width - text.chars().count() + 2;
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_with_and_without_colours() {
        let rows = [
            [
                Cell::plain("zürich"),
                Cell(Tone::Bad, "no".to_owned()),
                Cell::plain("a\nb"),
            ],
            [Cell::plain("x"), Cell::or_none(None), Cell::plain("")],
        ];
        let plain = table(["WHERE", "IS", "WHY"], &rows, "  ", Ink::NONE);
        assert_eq!(plain, "  WHERE   IS  WHY\n  zürich  no  a b\n  x       -\n");
        let coloured = table(["WHERE", "IS", "WHY"], &rows, "  ", Ink::SOME);
        let without = coloured.replace("\x1b[0m", "");
        let without = ["\x1b[1m", "\x1b[31m", "\x1b[2m"]
            .iter()
            .fold(without, |text, code| text.replace(code, ""));
        assert_eq!(without, plain);
        assert!(coloured.contains("\x1b[31mno\x1b[0m  a b"), "{coloured:?}");
    }
}
