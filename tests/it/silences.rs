//! Silences, as an operator orders and ends them: what is refused, and what outlives the daemon.

use tempfile::TempDir;

use crate::daemon::{Daemon, hotspare};

fn daemon(state: &TempDir) -> Daemon {
    let state = state.path().display();
    Daemon::start(&format!(
        "region: here\nregions: [{{ name: here }}]\nstate_dir: {state}\n\
         probes: [{{ name: web, check: {{ tcp: {{}} }}, targets: {{ here: \"127.0.0.1:1\" }} }}]\n"
    ))
}

/// What a command ended with, and what it said, on either stream.
fn silence(daemon: &Daemon, arguments: &[&str]) -> (Option<i32>, String) {
    let url = format!("http://{}", daemon.address);
    let mut command = hotspare();
    command.arg("silence").args(arguments).args(["--url", &url]);
    let output = command.output().expect("started");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).expect("UTF-8");
    (output.status.code(), said.replace(&url, "URL"))
}

fn until(said: &str) -> &str {
    let (_, rest) = said.split_once("until ").expect("an end");
    rest.split_whitespace().next().expect("a moment")
}

#[test]
fn a_silence_is_ordered_listed_kept_and_ended() {
    let state = tempfile::tempdir().expect("a folder");
    let first = daemon(&state);
    let start = [
        "start",
        "--id",
        "s1",
        "--for",
        "2h",
        "--note",
        "disk swap",
        "--match",
        "group=shop",
        "--match",
        "standby=south",
    ];
    let (code, said) = silence(&first, &start);
    let expected = format!(
        "URL: s1: group=shop, standby=south, until {} (disk swap)\n",
        until(&said)
    );
    assert_eq!((code, &*said), (Some(0), &*expected));
    // Ordered again, it does not last longer.
    assert_eq!(silence(&first, &start), (Some(0), expected.clone()));
    // The answer does not wait for the disk, an orderly end does.
    assert!(first.stop().0.success());

    let second = daemon(&state);
    assert_eq!(silence(&second, &["list"]), (Some(0), expected));
    let (code, said) = silence(&second, &["end", "s1"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("s1: group=shop, standby=south, ended at "),
        "{said}"
    );
    assert_eq!(silence(&second, &["list"]), (Some(0), said));
    let (code, said) = silence(&second, &start);
    let taken = "URL: there is another silence with this id\n";
    assert_eq!((code, &*said), (Some(1), taken));
}

#[test]
fn a_silence_of_everything_for_ever_or_of_nothing_is_refused() {
    let state = tempfile::tempdir().expect("a folder");
    let daemon = daemon(&state);
    for (arguments, code, why) in [
        (&["start", "--for", "1h"][..], 64, "--match <LABEL=VALUE>"),
        (&["start", "--match", "group=shop"], 64, "--for <DURATION>"),
        (
            &["start", "--match", "group", "--for", "1h"],
            64,
            "expected a label and its value, like group=checkout",
        ),
        (
            &["start", "--match", "a=b", "--match", "a=c", "--for", "1h"],
            64,
            "--match names a twice",
        ),
        (
            &["start", "--match", "a=b", "--for", "31d"],
            1,
            "a silence lasts up to 30 days",
        ),
        (&["end", "s9"], 1, "there is no silence with this id"),
    ] {
        let (found, said) = silence(&daemon, arguments);
        assert_eq!(found, Some(code), "{said}");
        assert!(said.contains(why), "{said}");
    }
    assert_eq!(silence(&daemon, &["list"]), (Some(0), String::new()));
}
