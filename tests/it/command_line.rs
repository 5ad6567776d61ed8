//! What helps those who type commands: completion in real shells, the manual, and whether a daemon is
//! healthy.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use crate::daemon::{Daemon, hotspare};
use crate::process::run;

const LOOPBACK: &str = "region: here\nregions: [{ name: here }]\n\
     probes: [{ name: net, check: { ping: {} }, targets: { here: 127.0.0.1 } }]\n";

/// What bash offers after these words, the last of which is begun.
fn offered(folder: &Path, words: &[&str]) -> BTreeSet<String> {
    let script = folder.join("completions");
    let text = run(hotspare().args(["completions", "bash"]));
    std::fs::write(&script, text).expect("written");
    let ask = "source \"$0\" && COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1)) && \
               _hotspare hotspare \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\" && \
               printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-euc", ask]).arg(script).args(words);
    run(&mut bash).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_arguments_and_values() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (words, wanted) in [
        (&["hotspare", "che"][..], &["check"][..]),
        (
            &["hotspare", "silence", ""],
            &["start", "end", "list", "help", "-h", "--help", "--color"],
        ),
        (&["hotspare", "run", "--web.l"], &["--web.listen-address"]),
        (&["hotspare", "gate", "--format", ""], &["text", "json"]),
        (&["hotspare", "completions", "b"], &["bash"]),
    ] {
        let wanted = wanted.iter().map(|word| (*word).to_owned());
        let wanted: BTreeSet<_> = wanted.collect();
        assert_eq!(offered(folder.path(), words), wanted, "{words:?}");
    }
}

#[test]
fn shells_accept_their_completions() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (shell, begins) in [
        ("bash", "_hotspare() {"),
        ("fish", "# Print an optspec"),
        ("zsh", "#compdef hotspare"),
    ] {
        let text = run(hotspare().args(["completions", shell]));
        assert!(text.starts_with(begins), "{shell}: {text}");
        let script = folder.path().join(shell);
        std::fs::write(&script, text).expect("written");
        let mut command = Command::new(shell);
        // The others are not among what the tests install.
        match command.arg("-n").arg(&script).output() {
            Ok(output) => assert_clean(shell, &output),
            Err(error) => assert_ne!(shell, "bash", "{error}"),
        }
    }
}

fn assert_clean(what: &str, output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{what}: {said}");
}

/// The page as a terminal shows it, without what makes letters bold; no line of it is wrong.
fn shown(page: &Path) -> String {
    let mut man = Command::new("man");
    man.args(["--warnings", "--local-file"]).arg(page);
    man.env("MANWIDTH", "100").env("LC_ALL", "C.UTF-8");
    let output = man.output().expect("man (package man-db)");
    assert_clean(&page.display().to_string(), &output);
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The commands that a help text lists.
fn commands(arguments: &[&str]) -> Vec<String> {
    let help = run(hotspare().args(arguments).arg("--help"));
    let Some((_, rest)) = help.split_once("\nCommands:\n") else {
        return Vec::new();
    };
    let rows = rest.lines().take_while(|line| line.starts_with("  "));
    let names = rows.filter_map(|row| row.strip_prefix("  ")?.split(' ').next());
    let names = names.filter(|name| !name.is_empty() && *name != "help");
    names.map(str::to_owned).collect()
}

#[test]
fn every_command_has_a_page_of_the_manual_without_a_warning() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    run(hotspare().args(["man", "--directory"]).arg(folder.path()));
    let mut wanted = BTreeSet::from(["hotspare.1".to_owned()]);
    for command in commands(&[]) {
        wanted.insert(format!("hotspare-{command}.1"));
        let inner = commands(&[&command]).into_iter();
        wanted.extend(inner.map(|inner| format!("hotspare-{command}-{inner}.1")));
    }
    assert!(wanted.len() > 20, "{wanted:?}");
    let pages = std::fs::read_dir(folder.path()).expect("readable");
    let pages = pages.map(|page| page.expect("readable").path());
    let mut there = BTreeSet::new();
    for page in pages {
        let text = shown(&page);
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS"] {
            assert!(
                text.lines().any(|line| line == section),
                "{section} of {}",
                page.display()
            );
        }
        let name = page.file_name().expect("a name").to_string_lossy();
        there.insert(name.into_owned());
    }
    assert_eq!(there, wanted);

    let first = shown(&folder.path().join("hotspare.1"));
    for told in [
        "/etc/hotspare/hotspare.yaml",
        "/etc/default/hotspare",
        "/var/lib/hotspare",
        "64",
    ] {
        assert!(first.contains(told), "{told}: {first}");
    }
    let printed = run(hotspare().arg("man"));
    let written = std::fs::read_to_string(folder.path().join("hotspare.1"));
    assert_eq!(printed, written.expect("readable"));
}

#[test]
fn the_manual_is_not_written_to_where_there_is_nothing() {
    let output = hotspare()
        .args(["man", "--directory=/nonexistent"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("/nonexistent"), "{said}");
}

fn healthy(urls: &[&str]) -> (Option<i32>, String) {
    let mut command = hotspare();
    command.arg("healthy");
    for url in urls {
        command.args(["--url", url]);
    }
    let output = command.output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8(said).expect("UTF-8"),
    )
}

/// The URL of something that answers one request so.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = [0; 1024];
        let read = stream.read(&mut request).expect("a request");
        assert!(request[..read].starts_with(b"GET /-/healthy HTTP/1.1\r\n"));
        stream.write_all(answer.as_bytes()).expect("written");
    });
    url
}

#[test]
fn a_daemon_that_makes_progress_is_healthy() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = format!("unix:{}", folder.path().join("socket").display());
    let daemon = Daemon::start_with(LOOPBACK, |_| {}, &["--web.listen-address", &socket]);
    let url = format!("http://{}", daemon.address);
    let (code, said) = healthy(&[&url, &socket]);
    assert_eq!(said, format!("{url}: healthy\n{socket}: healthy\n"));
    assert_eq!(code, Some(0));

    let (code, said) = healthy(&[&url, "http://127.0.0.1:1"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with(&format!("{url}: healthy\nhttp://127.0.0.1:1: ")));
}

#[test]
fn what_a_daemon_says_is_wrong_is_told() {
    let url = answering(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 41\r\n\r\nevaluation has made no progress for 7.0s\n",
    );
    let (code, said) = healthy(&[&url]);
    assert_eq!(
        said,
        format!("{url}: evaluation has made no progress for 7.0s\n")
    );
    assert_eq!(code, Some(1));

    let url = answering("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    let (code, said) = healthy(&[&url]);
    assert!(said.contains("is that a daemon's address?"), "{said}");
    assert_eq!(code, Some(1));

    assert_eq!(healthy(&["ftp://here"]).0, Some(64));
}
