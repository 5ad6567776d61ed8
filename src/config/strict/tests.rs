use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::super::document;
use super::super::place::Lines;
use super::*;

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    user: Option<Login>,
    port: u16,
    ratio: f32,
    source: Option<IpAddr>,
    steps: Vec<Step>,
    headers: BTreeMap<String, Secret>,
    mode: Mode,
    pair: (u8, u8),
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Login {
    name: String,
    file: PathBuf,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Step {
    Send(String),
    Expect { pattern: String, times: u8 },
    Close,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Secret {
    File(PathBuf),
    Env(String),
}

#[derive(Debug, Default, Deserialize, PartialEq)]
enum Mode {
    #[default]
    #[serde(rename = "4")]
    Four,
    #[serde(rename = "true")]
    True,
}

fn settings(text: &str) -> (Option<Settings>, Vec<String>) {
    let (mut places, mut problems) = (Places::default(), Problems::default());
    let source = places.add_source("f", Lines::Shown);
    let value = document::parse(text, source, &mut places, &mut problems).expect("YAML");
    let read = read(&value, &Path::root("s"), &places, &mut problems);
    problems.sort();
    (read, problems.iter().map(ToString::to_string).collect())
}

#[test]
fn every_form_of_value_is_read() {
    let (read, problems) = settings(
        "user: { name: 007, file: a/b }\nport: 80\nratio: 1\nsource: '::1'\nmode: true\n\
         steps: [{ send: yes }, close, { expect: { pattern: 1.50, times: 2 } }]\n\
         headers: { X: { file: f }, Y: { env: E } }\npair: [1, 2]\n",
    );
    assert_eq!(problems, Vec::<String>::new());
    let read = read.expect("read");
    assert_eq!(
        read.user,
        Some(Login {
            name: "007".into(),
            file: "a/b".into()
        })
    );
    let pattern = "1.50".to_owned();
    assert_eq!(
        read.steps,
        [
            Step::Send("yes".into()),
            Step::Close,
            Step::Expect { pattern, times: 2 }
        ]
    );
    assert_eq!(read.headers["Y"], Secret::Env("E".into()));
    assert_eq!((read.mode, read.pair), (Mode::True, (1, 2)));
}

#[test]
fn every_fault_is_found_and_the_rest_is_read() {
    let (read, problems) = settings(
        "user: { name: [x], fiel: y }\nport: 70000\nratio: .nan\nsource: here\nmode: 5\n\
         steps: [{ send: {} }, colse, { expect: { pattern: x, times: 256, tmies: 1 } }, { send: a }]\n\
         headers: { X: { fil: f }, Y: { file: g } }\npair: [1]\nprot: 1\n",
    );
    assert_eq!(
        problems,
        [
            "f:1:15: s.user.name: expected text, found a list",
            "f:1:20: s.user.fiel: unknown key; did you mean `file`?",
            "f:2:7: s.port: must be from 0 to 65535",
            "f:3:8: s.ratio: expected a finite number",
            "f:4:9: s.source: invalid IP address syntax",
            "f:5:7: s.mode: unknown value; valid here: 4, true",
            "f:6:17: s.steps[0].send: expected text, found a mapping",
            "f:6:23: s.steps[1]: unknown value; did you mean `close`?",
            "f:6:61: s.steps[2].expect.times: must be from 0 to 255",
            "f:6:66: s.steps[2].expect.tmies: unknown key; did you mean `times`?",
            "f:7:17: s.headers.X.fil: unknown kind; did you mean `file`? valid here: file, env",
            "f:8:7: s.pair: expected a tuple of size 2, found 1",
            "f:9:1: s.prot: unknown key; did you mean `port`?",
        ]
    );
    let read = read.expect("what is left");
    assert_eq!(read.steps, [Step::Send("a".into())]);
    assert_eq!(read.headers.len(), 1);
    assert_eq!(read.user, None);
}

#[test]
fn a_missing_key_is_told_once_and_not_where_it_is_only_bad() {
    let said = |text| settings(text).1;
    assert_eq!(
        said("user: { name: x }"),
        ["f:1:7: s.user: the key `file` is missing"]
    );
    assert_eq!(
        said("user: { name: x, file: }"),
        ["f:1:18: s.user.file: expected text, found no value"]
    );
    assert_eq!(
        said("steps: [{ expect: }]"),
        ["f:1:11: s.steps[0].expect: the key `pattern` is missing"]
    );
}

#[test]
fn text_is_not_repeated_where_it_may_be_a_secret() {
    let (_, problems) = settings(
        "user: hunter2\nport: hunter2\nuser_pass: hunter2\npair: hunter2\nmode: hunter2\n\
                  steps: [hunter2]\nheaders: { X: hunter2, Y: { file: [hunter2] } }\n",
    );
    assert_eq!(problems.len(), 8);
    assert!(!problems.concat().contains("hunter2"), "{problems:?}");
}

#[test]
fn faults_without_end_come_to_one() {
    let text = format!("steps: [{}]", "x, ".repeat(10_000));
    assert_eq!(settings(&text).1.len(), MAX_FAULTS + 1);
}
