//! Every way of getting a file wrong, with what is said about it.

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
