//! How all dashboards are alike, so that whoever knows one knows them all.

use serde_json::{Value, json};

use super::board::{Board, Panel, list, text};
use super::promql::{Query, is_record};
use super::sample;

/// What every dashboard has at its top.
fn of_whole() -> Vec<(&'static str, Value)> {
    vec![
        ("schemaVersion", json!(42)),
        ("version", json!(1)),
        ("editable", json!(false)),
        ("graphTooltip", json!(1)),
        ("refresh", json!("30s")),
        ("tags", json!(["hotspare"])),
        ("id", json!(null)),
        ("__inputs", json!(null)),
    ]
}

fn whole(board: &Board) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in of_whole() {
        if board.json[key] != value {
            found.push(format!("{key} is {}", board.json[key]));
        }
    }
    if !board.title().starts_with("Hotspare / ") || text(&board.json["description"]).is_empty() {
        found.push("no title like Hotspare / Overview, or no description".into());
    }
    let names: Vec<_> = board
        .variables()
        .iter()
        .map(|v| v.name().to_owned())
        .collect();
    if !names.starts_with(&["datasource", "job", "instance"].map(str::to_owned)) {
        found.push(format!("variables in the order {names:?}"));
    }
    for variable in board.variables() {
        if text(&variable.json["label"]).is_empty() {
            found.push(format!("the variable {} has no label", variable.name()));
        }
    }
    found
}

fn of_panel(panel: Panel<'_>) -> Vec<String> {
    let mut found = Vec::new();
    if text(&panel.json["description"]).is_empty() {
        found.push("no description".to_owned());
    }
    for target in panel.targets() {
        if target.json["datasource"]["uid"] != "${datasource}" {
            found.push(format!(
                "the query {} has another data source",
                target.place
            ));
        }
        if text(&target.json["legendFormat"]).is_empty() {
            found.push(format!("the query {} has no legend", target.place));
        }
        let query = Query::read(target.expr());
        for selector in query.selectors {
            if selector.in_subquery && !is_record(&selector.name) {
                found.push(format!("a subquery on {}", selector.name));
            }
        }
    }
    if panel.kind() == "timeseries" {
        let (legend, tooltip) = (
            &panel.json["options"]["legend"],
            &panel.json["options"]["tooltip"],
        );
        if legend["displayMode"] != "table" || list(&legend["calcs"]).is_empty() {
            found.push("no table of figures beside it".into());
        }
        if tooltip["mode"] != "multi" || tooltip["sort"] != "desc" {
            found.push("a tooltip that is not of all, sorted".into());
        }
    }
    if panel.kind() == "heatmap" {
        found.extend(of_heatmap(panel));
    }
    found.extend(colours_alone(panel));
    found
}

fn of_heatmap(panel: Panel<'_>) -> Option<String> {
    let options = &panel.json["options"];
    let right = options["calculate"] == false
        && options["yAxis"]["unit"].is_string()
        && panel.targets().all(|target| {
            target.json["format"] == "heatmap" && target.json["legendFormat"] == "{{le}}"
        });
    (!right).then(|| "buckets are not taken as they are".to_owned())
}

/// Where a colour is all that tells values apart: a mapping without a word, and a panel of states
/// without mappings.
fn colours_alone(panel: Panel<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut words = 0;
    for mapping in panel.mappings() {
        let options = &mapping["options"];
        let results: Vec<&Value> = match text(&mapping["type"]) {
            "value" => options
                .as_object()
                .into_iter()
                .flat_map(|map| map.values())
                .collect(),
            _ => vec![&options["result"]],
        };
        for result in results {
            words += 1;
            if text(&result["text"]).is_empty() {
                found.push(format!("a value without a word: {result}"));
            }
        }
    }
    if words == 0 && ["state-timeline", "status-history"].contains(&panel.kind()) {
        found.push("states without words".into());
    }
    found
}

fn conventions(board: &Board) -> Vec<String> {
    let mut found = whole(board);
    for panel in board.panels() {
        let of_panel = of_panel(panel).into_iter();
        found.extend(of_panel.map(|what| format!("{}: {what}", panel.title())));
    }
    for annotation in board.annotations() {
        if annotation["datasource"]["uid"] != "${datasource}"
            || text(&annotation["titleFormat"]).is_empty()
        {
            found.push(format!(
                "the annotation {} has no data source or title",
                annotation["name"]
            ));
        }
    }
    found
        .iter()
        .map(|what| format!("{}: {what}", board.file))
        .collect()
}

#[test]
fn all_dashboards_are_alike() {
    let found: Vec<_> = Board::all().iter().flat_map(conventions).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn what_is_done_in_another_way_is_found() {
    assert_eq!(conventions(&sample::board()), [""; 0]);
    for (at, value) in [
        ("/schemaVersion", json!(41)),
        ("/tags", json!(["other"])),
        ("/graphTooltip", json!(0)),
        ("/description", json!("")),
        ("/templating/list/1/label", json!("")),
        ("/templating/list", json!([])),
        ("/panels/0/description", json!("")),
        ("/panels/0/targets/0/datasource/uid", json!("other")),
        ("/panels/0/targets/0/legendFormat", json!("")),
        (
            "/panels/0/targets/0/expr",
            json!("avg_over_time((x > 1)[$__range:1m])"),
        ),
        ("/panels/0/options/legend/displayMode", json!("list")),
        ("/panels/0/options/tooltip/sort", json!("none")),
        ("/panels/0/type", json!("heatmap")),
        (
            "/panels/0/fieldConfig/defaults/mappings/0/options/1/text",
            json!(""),
        ),
        ("/annotations/list/0/titleFormat", json!("")),
    ] {
        let mut board = sample::board();
        *board.json.pointer_mut(at).expect("there") = value;
        assert_eq!(
            conventions(&board).len(),
            1,
            "{at}: {:#?}",
            conventions(&board)
        );
    }
    let mut board = sample::board();
    board.json["panels"][0]["type"] = json!("state-timeline");
    board.json["panels"][0]["fieldConfig"]["defaults"]["mappings"] = json!([]);
    assert_eq!(
        conventions(&board),
        ["hotspare-sample: Runs: states without words"]
    );
}
