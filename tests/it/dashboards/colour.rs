//! In which colour a panel shows a value.

use serde_json::{Value, json};

use super::board::{Panel, Target, list, text};
use super::sample;

/// The colour of a value of one of the panel's queries.
pub(super) fn colour(panel: Panel<'_>, target: Target<'_>, value: f64) -> String {
    let [mappings, thresholds] = ["mappings", "thresholds"].map(|property| {
        let own = overridden(panel, target, property);
        own.unwrap_or(&panel.defaults()[property])
    });
    let mapped = list(mappings)
        .iter()
        .find_map(|mapping| mapped(mapping, value));
    let of_mapping = mapped.and_then(|result| result["color"].as_str());
    of_mapping
        .unwrap_or_else(|| of_thresholds(thresholds, value))
        .to_owned()
}

/// What an override sets for the field that the query becomes.
fn overridden<'a>(panel: Panel<'a>, target: Target<'_>, property: &str) -> Option<&'a Value> {
    let letter = text(&target.json["refId"]);
    let field = format!("Value #{letter}");
    let names = list(&panel.json["transformations"]).iter();
    let mut names = names.map(|t| text(&t["options"]["renameByName"][&field]));
    let name = names.find(|name| !name.is_empty()).unwrap_or(&field);
    let overrides = list(&panel.json["fieldConfig"]["overrides"]).iter();
    let mut own = overrides.filter(|of| {
        let matcher = &of["matcher"];
        match text(&matcher["id"]) {
            "byName" => matcher["options"] == name,
            "byFrameRefID" => matcher["options"] == letter,
            _ => false,
        }
    });
    own.find_map(|of| {
        let mut properties = list(&of["properties"]).iter();
        properties
            .find(|own| own["id"] == property)
            .map(|own| &own["value"])
    })
}

/// What a mapping makes of a value, if it is of that.
fn mapped(mapping: &Value, value: f64) -> Option<&Value> {
    let options = &mapping["options"];
    let found = match text(&mapping["type"]) {
        "value" => return options.get(value.to_string()),
        "special" => value.is_nan() && text(&options["match"]).contains("nan"),
        "range" => {
            let from = options["from"].as_f64().unwrap_or(f64::NEG_INFINITY);
            let to = options["to"].as_f64().unwrap_or(f64::INFINITY);
            (from..=to).contains(&value)
        }
        _ => false,
    };
    found.then(|| &options["result"])
}

fn of_thresholds(thresholds: &Value, value: f64) -> &str {
    let steps = list(&thresholds["steps"]).iter().rev();
    let mut reached = steps.filter(|step| step["value"].as_f64().is_none_or(|from| value >= from));
    reached.next().map_or("", |step| text(&step["color"]))
}

#[test]
fn a_value_has_the_colour_of_its_word_else_that_of_its_threshold() {
    let mut board = sample::board();
    let panel = &mut board.json["panels"][0];
    panel["targets"][0]["refId"] = json!("B");
    let word = |colour: &str| json!({ "text": "x", "color": colour, "index": 0 });
    panel["fieldConfig"]["defaults"]["mappings"] = json!([
        { "type": "value", "options": { "1": word("green"), "2.5": word("blue") } },
        { "type": "range", "options": { "from": 10, "to": null, "result": word("red") } },
        { "type": "special", "options": { "match": "null+nan", "result": word("purple") } },
    ]);
    let steps = json!([{ "color": "grey", "value": null }, { "color": "orange", "value": 3 }]);
    panel["fieldConfig"]["defaults"]["thresholds"] = json!({ "mode": "absolute", "steps": steps });
    let of = |board: &super::board::Board, value: f64| {
        let panel = board.panels()[0];
        colour(panel, panel.targets().next().expect("one"), value)
    };
    let values = [1.0, 2.5, 10.0, f64::NAN, 0.0, 3.0];
    let colours = values.map(|value| of(&board, value));
    assert_eq!(
        colours,
        ["green", "blue", "red", "purple", "grey", "orange"]
    );
    let panel = &mut board.json["panels"][0];
    panel["transformations"] =
        json!([{ "id": "organize", "options": { "renameByName": { "Value #B": "State" } } }]);
    panel["fieldConfig"]["overrides"] = json!([{
        "matcher": { "id": "byName", "options": "State" },
        "properties": [{ "id": "mappings", "value": [{ "type": "value", "options": { "1": word("red") } }] }]
    }]);
    assert_eq!(of(&board, 1.0), "red");
}
