//! Variables are used, and links lead to what is there.

use regex::Regex;
use serde_json::{Value, json};

use super::board::{Board, list, text};
use super::interpolate::named;
use super::sample;

/// Variables that nothing names, and names of none.
fn variables(board: &Board) -> Vec<String> {
    let mut found = Vec::new();
    let used = named(&board.json.to_string());
    for variable in board.variables() {
        let name = variable.name();
        let own = named(&variable.json.to_string());
        let times = |all: &[String]| all.iter().filter(|used| *used == name).count();
        if times(&used) == times(&own) {
            found.push(format!("{}: nothing uses ${name}", board.file));
        }
    }
    for name in used {
        // Grafana's own begin so; those of data links are of the panel's data.
        if !name.starts_with("__") && board.variable(&name).is_none() {
            found.push(format!("{}: there is no ${name}", board.file));
        }
    }
    found
}

/// Every text under a key `url`, wherever it is.
fn urls<'a>(value: &'a Value, all: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(url) if key == "url" => all.push(url),
                    value => urls(value, all),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| urls(value, all)),
        _ => {}
    }
}

/// What every dashboard lets choose, and a link keeps.
const KEPT: &str = "${datasource:queryparam}&${job:queryparam}&${instance:queryparam}&";

/// What keeps the time range.
const TIME: &str = "${__url_time_range}";

/// Links to dashboards that are not there, or with variables that these have not.
fn links(board: &Board, all: &[Board]) -> Vec<String> {
    let mut found = Vec::new();
    let mut links = Vec::new();
    urls(&board.json, &mut links);
    for url in links.into_iter().filter(|url| !url.is_empty()) {
        let mut wrong = |what: String| found.push(format!("{}: {what}: {url}", board.file));
        if url.starts_with(concat!(
            env!("CARGO_PKG_REPOSITORY"),
            "/blob/main/docs/runbooks/"
        )) {
            continue;
        }
        let Some(rest) = url.strip_prefix("/d/") else {
            wrong("leads elsewhere".into());
            continue;
        };
        let (uid, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let Some(there) = all.iter().find(|there| there.json["uid"] == uid) else {
            wrong(format!("there is no dashboard {uid}"));
            continue;
        };
        for parameter in parameters.split('&').filter(|p| !p.is_empty()) {
            if let Some(name) = passed(parameter) {
                if there.variable(name).is_none() {
                    wrong(format!("{uid} has no ${name}"));
                }
            } else if parameter != TIME {
                wrong(format!("what is {parameter}"));
            }
        }
        if !parameters.starts_with(KEPT) {
            wrong("forgets what every dashboard lets choose".into());
        }
        if !url.contains(TIME) {
            wrong("forgets the time".into());
        }
    }
    found
}

/// The variable that a part of a link passes on.
fn passed(parameter: &str) -> Option<&str> {
    let form = Regex::new(r"^(?:var-(\w+)=.+|\$\{(\w+):queryparam\})$").expect("an expression");
    let found = form.captures(parameter)?;
    found
        .get(1)
        .or_else(|| found.get(2))
        .map(|name| name.as_str())
}

/// Whether it has the drop-down that leads to all the others.
fn has_dropdown(board: &Board) -> bool {
    list(&board.json["links"]).iter().any(|link| {
        text(&link["type"]) == "dashboards"
            && link["tags"] == json!(["hotspare"])
            && link["includeVars"] == true
            && link["keepTime"] == true
    })
}

#[test]
fn every_variable_is_used_and_every_link_leads_somewhere() {
    let boards = Board::all();
    let found = boards
        .iter()
        .flat_map(|board| [variables(board), links(board, &boards)].concat());
    let found: Vec<_> = found.collect();
    assert!(found.is_empty(), "{found:#?}");
    for board in &boards {
        assert!(has_dropdown(board), "{} leads to no other", board.file);
    }
}

#[test]
fn a_variable_that_nothing_uses_and_a_link_to_nowhere_are_found() {
    let mut board = sample::board();
    let all = [sample::board()];
    let at = |url: &str| json!([{ "title": "x", "url": url }]);
    let good = format!("/d/hotspare-sample?{KEPT}var-job=${{__data.fields[0]}}&{TIME}");
    board.json["panels"][0]["links"] = at(&good);
    assert_eq!([variables(&board), links(&board, &all)].concat(), [""; 0]);
    for url in [
        format!("/d/hotspare-other?{KEPT}{TIME}"),
        format!("/d/hotspare-sample?{KEPT}var-jobs=x&{TIME}"),
        format!("/d/hotspare-sample?{KEPT}${{jobs:queryparam}}&{TIME}"),
        format!("/d/hotspare-sample?{KEPT}job=x&{TIME}"),
        format!("/d/hotspare-sample?{KEPT}var-job=x"),
        format!("/d/hotspare-sample?${{datasource:queryparam}}&{TIME}"),
        "https://example.com/".to_owned(),
    ] {
        board.json["panels"][0]["links"] = at(&url);
        assert_eq!(links(&board, &all).len(), 1, "{url}");
    }
    board.json["panels"][0]["links"] = json!([]);
    board.json["panels"][0]["title"] = json!("Runs of $kind");
    board.json["templating"]["list"][2]["name"] = json!("instances");
    let found = variables(&board);
    assert!(
        found.contains(&"hotspare-sample: nothing uses $instances".into()),
        "{found:?}"
    );
    assert!(
        found.contains(&"hotspare-sample: there is no $kind".into()),
        "{found:?}"
    );
}
