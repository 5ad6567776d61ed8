//! What every command prints, held against files beside this one. They are written anew with
//! `SNAPSHOTS=write cargo test --test it snapshots`, for somebody to look at the difference.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

use regex::Regex;

use crate::daemon::hotspare;
use crate::hook::Hook;
use crate::process::free_port;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots")
}

/// Holds a text against the file of that name.
fn assert_snapshot(name: &str, text: &str) {
    let file = folder().join(format!("{name}.txt"));
    if std::env::var_os("SNAPSHOTS").is_some_and(|what| what == "write") {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(&file, text).expect("written");
        return;
    }
    let wanted = std::fs::read_to_string(&file).unwrap_or_default();
    let same = wanted.lines().zip(text.lines());
    let same = same.take_while(|(was, is)| was == is).count();
    let end = "(the end)";
    assert!(
        wanted == text,
        "{}:{} is not what is printed now; `SNAPSHOTS=write` renews it\n- {}\n+ {}\nall of it:\n{text}",
        file.display(),
        same + 1,
        wanted.lines().nth(same).unwrap_or(end),
        text.lines().nth(same).unwrap_or(end),
    );
}

/// What is printed for a command line, as somebody at a terminal would see it, with its exit code.
fn shown(line: &str, output: &Output) -> String {
    let mut text = format!("$ hotspare {line}\n");
    text += &String::from_utf8_lossy(&output.stdout);
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        let _ = writeln!(text, "! {line}");
    }
    let code = output.status.code().expect("it ends by itself");
    text + &format!("(exit code {code})\n\n")
}

/// One command after the other, each a line of words.
fn session(lines: &[&str], prepare: impl Fn(&mut Command)) -> String {
    let said = lines.iter().map(|line| {
        let mut command = hotspare();
        command.args(line.split(' ').filter(|word| !word.is_empty()));
        prepare(&mut command);
        shown(line, &command.output().expect("it runs"))
    });
    said.collect()
}

/// Takes out what is another each time.
fn masked(text: &str, masks: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (what, instead) in masks {
        let what = Regex::new(what).expect("a pattern");
        text = what.replace_all(&text, *instead).into_owned();
    }
    text
}

/// A daemon's answers, always the same.
fn answer(path: &str) -> Option<String> {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("later").as_secs();
    let answer = match path {
        "/api/v1/status" => include_str!("snapshots/answers/status.json"),
        "/api/v1/groups/checkout" => include_str!("snapshots/answers/group.json"),
        "/api/v1/alerts" => include_str!("snapshots/answers/alerts.json"),
        "/api/v1/events" => include_str!("snapshots/answers/events.json"),
        "/api/v1/drills" => include_str!("snapshots/answers/drills.json"),
        "/api/v1/silences" => include_str!("snapshots/answers/silences.json"),
        "/-/reload" => r#"{"hash":"5f1c0a9be27d4436","targets":121,"begun":3,"ended":2}"#,
        "/-/healthy" => "healthy\n",
        _ => return None,
    };
    // A group is believed only if it was judged just now.
    Some(answer.replace(
        "\"timestamp_seconds\": 0,",
        &format!("\"timestamp_seconds\": {now},"),
    ))
}

/// The place of a daemon, for as long as the tests run.
fn daemon() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            serve(stream);
        }
    });
    address
}

fn serve(mut stream: TcpStream) {
    let mut request = Vec::new();
    let mut part = [0; 4096];
    while !request.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut part) {
            Ok(read) if read > 0 => request.extend_from_slice(&part[..read]),
            _ => return,
        }
    }
    let request = String::from_utf8_lossy(&request);
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match answer(path) {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", "no such page\n".to_owned()),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n");
    let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes());
}

/// A session with that daemon, which is at the default address as far as the file tells.
fn with_daemon(name: &str, lines: &[&str]) {
    let address = daemon();
    let text = session(lines, |command| {
        command.env("HOTSPARE_URL", format!("http://{address}"));
    });
    let text = text.replace(&address.to_string(), "127.0.0.1:9887");
    assert_snapshot(name, &text);
}

/// The commands, and those within them.
fn commands(of: &str) -> Vec<String> {
    let mut command = hotspare();
    command.args(of.split(' ').filter(|word| !word.is_empty()));
    let help = crate::process::run(command.arg("--help"));
    let Some((_, rest)) = help.split_once("\nCommands:\n") else {
        return vec![of.to_owned()];
    };
    let rows = rest.lines().take_while(|line| line.starts_with("  "));
    let names = rows.filter_map(|row| row.strip_prefix("  ")?.split(' ').next());
    let names = names.filter(|name| !name.is_empty() && *name != "help");
    let inner = names.flat_map(|name| commands(format!("{of} {name}").trim()));
    std::iter::once(of.to_owned()).chain(inner).collect()
}

#[test]
fn every_command_has_its_help() {
    let all = commands("");
    assert!(all.len() > 20, "{all:?}");
    let mut files = Vec::new();
    for command in &all {
        let line = format!("{command} --help");
        let name = match &**command {
            "" => "help/hotspare".to_owned(),
            command => format!("help/{}", command.replace(' ', "-")),
        };
        assert_snapshot(&name, &session(&[line.trim()], |_| ()));
        files.push(format!("{name}.txt"));
    }
    let there = std::fs::read_dir(folder().join("help")).expect("readable");
    for file in there {
        let file = file.expect("readable").file_name();
        let file = format!("help/{}", file.to_string_lossy());
        assert!(files.contains(&file), "{file} is of no command");
    }
}

#[test]
fn what_a_daemon_says_of_itself_is_shown() {
    with_daemon(
        "status",
        &[
            "status",
            "status --color always",
            "status --json",
            "healthy",
            "healthy --json",
            "status --watch",
        ],
    );
}

#[test]
fn what_a_daemon_says_of_standbys_is_shown() {
    with_daemon(
        "standbys",
        &[
            "gate --group checkout",
            "gate --group checkout --standby us-east",
            "gate --group checkout --standby us-east --color always",
            "gate --group checkout --min-score 0.8",
            "gate --group nowhere",
            "rank --group checkout",
            "rank --group checkout --by variant",
        ],
    );
}

#[test]
fn what_a_daemon_says_of_alerts_and_failovers_is_shown() {
    with_daemon(
        "alerts",
        &[
            "alerts",
            "alerts --color always",
            "events",
            "events --group checkout --json",
            "drill status",
            "drill status --json",
            "drill report",
            "drill report --id none",
            "silence list",
            "silence list --json",
            "silence start --for 1h",
            "reload",
            "reload --json",
        ],
    );
}

/// Its address is free, so that nobody answers there.
#[test]
fn a_daemon_that_does_not_answer_is_named() {
    let address = format!("127.0.0.1:{}", free_port());
    let lines = [
        "status",
        "healthy",
        "alerts --json",
        "gate --group g",
        "reload",
    ];
    let text = session(&lines, |command| {
        command.env("HOTSPARE_URL", format!("http://{address}"));
    });
    assert_snapshot("silence", &text.replace(&address, "127.0.0.1:9887"));
}

#[test]
fn a_configuration_is_checked() {
    let config = "--config.file=config/hotspare.yaml";
    let text = session(
        &[
            &format!("check {config}"),
            &format!("check {config} --json"),
            "check --config.file=tests/it/snapshots/bad.yaml",
            "check --config.file=tests/it/snapshots/bad.yaml --json",
            &format!("sd {config}"),
        ],
        |command| {
            command.current_dir(env!("CARGO_MANIFEST_DIR"));
        },
    );
    let masks = [
        // What the host lacks is another on each.
        (r"\nthis host: .*(\n  fix: .*)?\n", ""),
        (r#"(?s)"lacks": \[.*?\n  \]"#, r#""lacks": []"#),
        (r#""config_hash": "[0-9a-f]+""#, r#""config_hash": "HASH""#),
    ];
    assert_snapshot("check", &masked(&text, &masks));
}

#[test]
fn statements_are_printed() {
    let lines = [
        "sql postgres",
        "sql mysql --user probe",
        "sql redis",
        "sql oracle",
    ];
    assert_snapshot("sql", &session(&lines, |_| ()));
}

#[test]
fn a_probe_tells_how_long_each_phase_took_and_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("hotspare.yaml");
    let (served, refused) = (daemon(), free_port());
    let config = format!(
        "region: here\nregions: [{{ name: here }}, {{ name: there }}]\nprobes:\n\
         - {{ name: web, check: {{ http: {{}} }}, targets: {{ here: \"http://{served}/-/healthy\", \
         there: \"http://localhost:{port}/none\" }} }}\n\
         - {{ name: queue, check: {{ tcp: {{}} }}, targets: {{ there: \"127.0.0.1:{refused}\" }} }}\n\
         - {{ name: own, check: {{ tcp: {{ source_address: 192.0.2.1 }} }}, targets: {{ there: \"127.0.0.1:{refused}\" }} }}\n\
         - {{ name: far, from: [there], check: {{ tcp: {{}} }}, targets: {{ here: \"127.0.0.1:{refused}\" }} }}\n",
        port = served.port(),
    );
    std::fs::write(&file, config).expect("written");
    let lines = [
        "probe web",
        "probe web --to here --json",
        "probe queue",
        "probe queue --color always",
        "probe web --target here --count 3 --interval 10ms",
        "probe own",
        "probe own --json",
        "probe far",
        "probe wbe",
        "probe web --to nowhere",
    ];
    let text = session(&lines, |command| {
        command.env("HOTSPARE_CONFIG_FILE", &file);
    });
    let masks = [
        (&*format!(":{}", served.port()), ":8080"),
        (&*format!(":{refused}"), ":5672"),
        (r" +\d+\.\d+ ms", " N ms"),
        (r"ms +#+\n", "ms #\n"),
        (r"FASTEST +MEDIAN +SLOWEST", "FASTEST MEDIAN SLOWEST"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
        (
            r"(_seconds|connect|processing|transfer)(.): [0-9.e-]+",
            "$1$2: N",
        ),
        (r"(?s)(latencies_seconds.: \[\n *)[0-9.e-]+", "${1}N"),
        // Which addresses the name has, and in which order, is the host's.
        (r"address: .*", "address: ADDRESSES"),
    ];
    assert_snapshot("probe", &masked(&text, &masks));
}

#[test]
fn a_receiver_is_tried_out() {
    let (takes, refuses) = (Hook::answering("200 OK"), Hook::answering("403 Forbidden"));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("hotspare.yaml");
    let config = format!(
        "region: here\nregions: [{{ name: here }}]\n\
         probes: [{{ name: net, check: {{ ping: {{}} }}, targets: {{ here: 127.0.0.1 }} }}]\n\
         receivers:\n- {{ name: ops, webhook: {{ url: \"http://{}/\" }} }}\n\
         - {{ name: pager, webhook: {{ url: \"http://{}/\" }} }}\n",
        takes.address, refuses.address
    );
    std::fs::write(&file, config).expect("written");
    let lines = [
        "notify test --receiver ops",
        "notify test --receiver pager",
        "notify test --receiver pager --json",
        "notify test --receiver nobody",
    ];
    let text = session(&lines, |command| {
        command.env("HOTSPARE_CONFIG_FILE", &file);
    });
    assert_snapshot(
        "notify",
        &masked(&text, &[(r"127\.0\.0\.1:\d+", "127.0.0.1:8080")]),
    );
}

#[test]
fn a_first_configuration_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = [
        "init",
        "init --region eu-west",
        "init --region eu-west",
        "init --region eu-west --force --service checkout --target eu-west=https://10.1.0.20/healthz \
         --target us-east=https://10.3.0.20/healthz --postgres eu-west=10.1.0.30:5432 \
         --postgres us-east=10.3.0.30:5432 --webhook https://hooks.example.com/hotspare",
        "check --config.file=hotspare.yaml --region=us-east",
        "init --region eu/west --output -",
        "init --region eu-west --target us-east",
    ];
    let text = session(&lines, |command| {
        command.current_dir(folder.path());
    });
    let written = std::fs::read_to_string(folder.path().join("hotspare.yaml")).expect("written");
    let text = masked(
        &text,
        &[
            (r"\nthis host: .*(\n  fix: .*)?\n", ""),
            (r"! .*/hotspare\.yaml:", "! hotspare.yaml:"),
        ],
    );
    assert_snapshot("init", &format!("{text}$ cat hotspare.yaml\n{written}"));
}

/// The command on a terminal, as a program that plays one sees it.
fn on_a_terminal(line: &str, address: SocketAddr, variables: &[(&str, &str)]) -> String {
    let mut script = Command::new("script");
    let command = format!("{} {line}", env!("CARGO_BIN_EXE_hotspare"));
    script.args(["--quiet", "--command", &command, "/dev/null"]);
    script.env("HOTSPARE_URL", format!("http://{address}"));
    script.env("TERM", "xterm").env_remove("NO_COLOR");
    script.envs(variables.iter().copied());
    let output = script.stdin(std::process::Stdio::null()).output();
    let output = output.expect("script (package bsdutils)");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn colours_are_for_terminals_only() {
    let address = daemon();
    let coloured = on_a_terminal("status", address, &[]);
    assert!(coloured.contains("\x1b[31mnot ready\x1b[0m"), "{coloured}");
    for (line, variables) in [
        ("status", &[("NO_COLOR", "1")][..]),
        ("status", &[("TERM", "dumb")]),
        ("status --color never", &[]),
    ] {
        let plain = on_a_terminal(line, address, variables);
        assert!(plain.contains("not ready"), "{plain}");
        assert!(!plain.contains('\x1b'), "{line} {variables:?}: {plain}");
    }
}

/// The manual of commands says what there is.
#[test]
fn every_command_is_documented() {
    let page = include_str!("../../docs/command-line.md");
    let sections = page.lines().filter_map(|line| line.strip_prefix("## "));
    let sections: Vec<_> = sections.flat_map(|title| title.split(" and ")).collect();
    for command in commands("") {
        let first = command.split(' ').next().expect("a word");
        assert!(first.is_empty() || sections.contains(&first), "{first}");
    }
    let (_, codes) = page.split_once("\n## Exit codes\n").expect("a section");
    let (codes, _) = codes.split_once("\n## ").expect("an end");
    for command in commands("") {
        let first = command.split(' ').next().expect("a word");
        assert!(codes.contains(first), "the exit codes of {first}");
    }
}
