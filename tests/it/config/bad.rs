//! Every way of getting a file wrong, with what is said about it.

use proptest::prelude::*;

use super::fixture::Folder;

struct Case {
    title: String,
    text: String,
    expected: String,
}

/// Reads `bad.txt`: a title behind `### `, then the file, then what is expected behind `!! `.
fn cases() -> Vec<Case> {
    include_str!("bad.txt")
        .split("### ")
        .skip(1)
        .map(|case| {
            let (title, rest) = case.split_once('\n').expect("a title");
            let (expected, text): (Vec<_>, Vec<_>) =
                rest.lines().partition(|line| line.starts_with("!! "));
            let expected: Vec<_> = expected.iter().map(|line| &line[3..]).collect();
            Case {
                title: title.to_owned(),
                text: text.join("\n").trim_end().to_owned() + "\n",
                expected: expected.join("\n"),
            }
        })
        .collect()
}

#[test]
fn every_bad_file_gets_its_messages() {
    let cases = cases();
    assert!(cases.len() >= 40, "{} cases", cases.len());
    let mut different = String::new();
    for Case {
        title,
        text,
        expected,
    } in cases
    {
        let found = Folder::with(&text).problems();
        if found != expected || found.is_empty() {
            let found = found.replace('\n', "\n!! ");
            different.push_str(&["### ", &title, "\n", &text, "!! ", &found, "\n\n"].concat());
        }
    }
    assert!(different.is_empty(), "these say:\n{different}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// The shipped file with a piece put over another place of it.
    #[test]
    fn a_mangled_file_is_good_or_has_problems_with_lines(
        from in 0_usize..1500, to in 0_usize..1500, length in 0_usize..40, cut in 0_usize..40,
    ) {
        let mut text: Vec<char> = include_str!("../../../config/hotspare.yaml").chars().collect();
        let end = text.len();
        let piece = text[from.min(end)..(from + length).min(end)].to_vec();
        text.splice(to.min(end)..(to + cut).min(end), piece);
        let lines = text.iter().filter(|c| **c == '\n').count() + 1;
        let text: String = text.into_iter().collect();
        if let Err(problems) = Folder::with(&text).plan() {
            prop_assert!(!problems.is_empty());
            // The parser says of what does not end that it is missing behind the end.
            prop_assert!(problems.iter().all(|p| p.place.line() <= lines + 1), "{problems}");
        }
    }
}
