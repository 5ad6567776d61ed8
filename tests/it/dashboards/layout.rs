//! Where panels are, and what dashboards and panels are known by.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::board::{Board, Panel, list, text};
use super::sample;

/// The columns of a dashboard.
const WIDTH: u64 = 24;

fn side(panel: Panel<'_>, side: &str) -> u64 {
    panel.json["gridPos"][side].as_u64().unwrap_or_default()
}

/// What is wrong with the places of panels: each cell down to the last has exactly one.
fn places(board: &Board) -> Vec<String> {
    let mut found = Vec::new();
    let mut cells: BTreeMap<(u64, u64), u32> = BTreeMap::new();
    let mut bottom = 0;
    let outer = list(&board.json["panels"]).iter();
    for panel in outer.map(|json| Panel { json }) {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|name| side(panel, name));
        if w == 0 || h == 0 || x + w > WIDTH {
            found.push(format!("{}: {} has no place", board.file, panel.title()));
        }
        bottom = bottom.max(y + h);
        for cell in (y..y + h).flat_map(|y| (x..x + w).map(move |x| (y, x))) {
            *cells.entry(cell).or_default() += 1;
        }
    }
    let mut odd = BTreeSet::new();
    for cell in (0..bottom).flat_map(|y| (0..WIDTH).map(move |x| (y, x))) {
        match cells.get(&cell) {
            Some(1) => {}
            Some(_) => drop(odd.insert(format!("panels over each other in line {}", cell.0))),
            None => drop(odd.insert(format!("a gap in line {}", cell.0))),
        }
    }
    found.extend(odd.into_iter().map(|odd| format!("{}: {odd}", board.file)));
    found
}

/// What is wrong with the numbers of panels and the letters of their queries.
fn numbers(board: &Board) -> Vec<String> {
    let mut found = Vec::new();
    let mut ids = BTreeSet::new();
    for panel in board.panels_and_rows() {
        let id = panel.json["id"].as_u64().unwrap_or_default();
        if id == 0 || !ids.insert(id) {
            found.push(format!("{}: {} has the id {id}", board.file, panel.title()));
        }
        let mut letters = BTreeSet::new();
        for target in panel.targets() {
            let letter = text(&target.json["refId"]);
            if letter.is_empty() || !letters.insert(letter) {
                found.push(format!(
                    "{}: {}: refId {letter:?}",
                    board.file,
                    panel.title()
                ));
            }
        }
    }
    found
}

fn names(board: &Board) -> Vec<String> {
    let uid = text(&board.json["uid"]);
    let mut found = Vec::new();
    if uid != board.file || uid.len() > 40 || !uid.starts_with("hotspare-") {
        found.push(format!("{} has the uid {uid}", board.file));
    }
    found
}

#[test]
fn panels_have_places_and_numbers_of_their_own() {
    let boards = Board::all();
    let found: Vec<_> = boards
        .iter()
        .flat_map(|b| [places(b), numbers(b), names(b)].concat())
        .collect();
    assert!(found.is_empty(), "{found:#?}");
    let uids: BTreeSet<_> = boards
        .iter()
        .map(|board| text(&board.json["uid"]))
        .collect();
    let titles: BTreeSet<_> = boards.iter().map(Board::title).collect();
    assert_eq!((uids.len(), titles.len()), (boards.len(), boards.len()));
}

#[test]
fn a_gap_an_overlap_and_a_number_given_twice_are_found() {
    let mut board = sample::board();
    assert_eq!(
        [places(&board), numbers(&board), names(&board)].concat(),
        [""; 0]
    );
    board.json["panels"][0]["gridPos"] = json!({ "x": 1, "y": 0, "w": 24, "h": 8 });
    assert_eq!(places(&board).len(), 9, "{:#?}", places(&board));
    board.json["panels"][0]["gridPos"] = json!({ "x": 0, "y": 0, "w": 24, "h": 9 });
    assert_eq!(
        places(&board),
        ["hotspare-sample: panels over each other in line 8"]
    );
    board.json["panels"][0]["id"] = json!(2);
    board.json["panels"][0]["targets"][0]["refId"] = json!("");
    assert_eq!(numbers(&board).len(), 2);
    board.json["uid"] = json!("other");
    assert_eq!(names(&board).len(), 1);
}
