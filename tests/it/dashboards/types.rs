//! The dashboards are such as Grafana's own types want them: every key is spelt right and every
//! choice is one that there is.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::board::Board;
use super::sample;
use crate::npm;

/// What the check is made of.
const FILES: [&str; 5] = [
    "board.ts",
    "check.mjs",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
];

/// One check at a time: they have one folder.
static ONE: Mutex<()> = Mutex::new(());

/// The check with all that it needs, outside of the repository's files.
struct Check {
    folder: PathBuf,
    _one: MutexGuard<'static, ()>,
}

impl Check {
    fn install() -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = npm::install("dashboards-check", "grafana/check", &FILES);
        Self { folder, _one: one }
    }

    /// What it says of the dashboards; nothing if they are right.
    fn says(&self, boards: &[Board]) -> String {
        let mut node = Command::new("node");
        node.current_dir(&self.folder).arg("check.mjs");
        for board in boards {
            let file = self.folder.join(format!("{}.json", board.file));
            let json = serde_json::to_string_pretty(&board.json).expect("JSON");
            std::fs::write(&file, json).expect("writable");
            node.arg(file);
        }
        let output = node.output().expect("node");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.success(), said.is_empty(), "{said}");
        said
    }
}

#[test]
fn the_dashboards_are_of_grafanas_types() {
    let said = Check::install().says(&Board::all());
    assert!(said.is_empty(), "{said}");
}

#[test]
fn a_misspelt_key_and_a_choice_that_there_is_not_are_found() {
    let check = Check::install();
    let said = check.says(&[sample::board()]);
    assert!(said.is_empty(), "{said}");
    let wrong = [
        ("/graphTooltip", json!(7)),
        ("/panels/0/type", json!("timeserie")),
        ("/panels/0/options", json!({ "legends": {} })),
        ("/panels/0/options/legend/placement", json!("left")),
        (
            "/panels/0/fieldConfig/defaults/custom",
            json!({ "drawStile": "line" }),
        ),
        (
            "/panels/0/fieldConfig/defaults/custom/drawStyle",
            json!("barz"),
        ),
        (
            "/panels/0/fieldConfig/defaults/mappings/0/type",
            json!("values"),
        ),
        (
            "/panels/0/fieldConfig/overrides",
            json!([
                { "matcher": { "id": "byName", "options": "x" }, "properties": [{ "id": "units", "value": "s" }] }
            ]),
        ),
        ("/panels/0/targets/0/range", json!("yes")),
        (
            "/panels/0/transformations",
            json!([{ "id": "sorted", "options": {} }]),
        ),
        ("/templating/list/1/refresh", json!(3)),
        ("/templating/list/1/current", json!({})),
        (
            "/annotations/list/0/target",
            json!({ "refId": "Anno", "exprs": "up" }),
        ),
    ];
    // One run for all: each takes seconds.
    let boards = wrong.into_iter().enumerate().map(|(number, (at, value))| {
        let mut board = sample::board();
        let (parent, key) = at.rsplit_once('/').expect("a path");
        board.json.pointer_mut(parent).expect("there")[key] = value;
        board.file = format!("wrong-{number}");
        board
    });
    let boards: Vec<_> = boards.collect();
    let said = check.says(&boards);
    for board in &boards {
        assert!(
            said.contains(&format!("{}.ts", board.file)),
            "{}: {said}",
            board.file
        );
    }
}
