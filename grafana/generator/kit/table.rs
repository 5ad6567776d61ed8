//! Rows and columns; and a matrix, in which both are regions.

use serde_json::{Map, Value, json};

use super::look::{Colour, Look, NUMBER};
use super::panel::Panel;
use super::query::Query;

impl Panel {
    /// A row for each set of labels. The columns are named for the labels and the queries (`Value #A`),
    /// `columns` names and orders those that are shown.
    pub(crate) fn table(title: &str, columns: &[(&str, &str)], queries: Vec<Query>) -> Self {
        let shown: Map<String, Value> = (0..)
            .zip(columns)
            .map(|(place, (column, _))| ((*column).to_owned(), json!(place)))
            .collect();
        let names: Map<String, Value> = columns
            .iter()
            .map(|(column, name)| ((*column).to_owned(), json!(name)))
            .collect();
        let pattern: Vec<_> = columns.iter().map(|(column, _)| *column).collect();
        let pattern = format!("^({})$", pattern.join("|"));
        let panel = Self::new("table", title, options())
            .custom(plain_cells())
            .unit("none")
            .with("mappings", NUMBER.cells());
        let panel = queries.into_iter().fold(panel, Self::query);
        panel
            .transform("merge", json!({}))
            .transform(
                "filterFieldsByName",
                json!({ "include": { "pattern": pattern } }),
            )
            .transform(
                "organize",
                json!({ "excludeByName": {}, "indexByName": shown, "renameByName": names }),
            )
    }

    /// The rows by a column, which is named as it is shown; the largest first if `descending`.
    pub(crate) fn sorted(self, column: &str, descending: bool) -> Self {
        self.option(
            "sortBy",
            json!([{ "displayName": column, "desc": descending }]),
        )
    }

    /// A column with words in their colours.
    pub(crate) fn words(self, column: &str, look: &Look) -> Self {
        let properties = [
            ("mappings", look.cells()),
            ("custom.align", json!("center")),
            ("custom.minWidth", json!(115)),
        ];
        self.coloured(column, &properties)
    }

    /// A column of moments, in milliseconds since 1970: how long ago, or in how long.
    pub(crate) fn moments(self, column: &str) -> Self {
        self.field(
            column,
            &[
                ("unit", json!("dateTimeFromNow")),
                ("custom.minWidth", json!(125)),
            ],
        )
    }

    /// A column with a unit.
    pub(crate) fn measured(self, column: &str, unit: &str) -> Self {
        self.field(column, &[("unit", json!(unit))])
    }

    /// A column with the colour of each value behind it.
    pub(crate) fn coloured(self, column: &str, more: &[(&str, Value)]) -> Self {
        let mut properties = vec![(
            "custom.cellOptions",
            json!({ "mode": "basic", "type": "color-background" }),
        )];
        properties.extend_from_slice(more);
        let nothing = json!({ "color": Colour::None.name(), "index": 100, "text": "—" });
        let nothing =
            json!({ "options": { "match": "null", "result": nothing }, "type": "special" });
        for (_, mappings) in properties.iter_mut().filter(|(key, _)| *key == "mappings") {
            if let Some(mappings) = mappings.as_array_mut() {
                mappings.push(nothing.clone());
            }
        }
        self.field(column, &properties)
    }

    /// A cell for each pair of values of two labels: those of `row` at the left, those of `column` at
    /// the top.
    pub(crate) fn cross(title: &str, expression: &str, [row, column]: [&str; 2]) -> Self {
        let corner = format!(r"{row}\{column}");
        Self::new("table", title, options())
            .custom(plain_cells())
            .with("mappings", NUMBER.cells())
            .field(&corner, &[
                ("displayName", json!(row)),
                ("custom.cellOptions", json!({ "type": "auto" })),
            ])
            .query(Query::rows(expression))
            // Both: rows come in the order of their first appearance, and so do columns.
            .transform("sortBy", json!({ "sort": [{ "field": column }] }))
            .transform(
                "groupingToMatrix",
                json!({ "columnField": column, "emptyValue": "null", "rowField": row, "valueField": "Value" }),
            )
            .transform("sortBy", json!({ "sort": [{ "field": corner }] }))
    }

    /// A [`Panel::cross`] in which each cell is a word in its colour.
    pub(crate) fn in_words(self, look: &Look) -> Self {
        let background = json!({ "mode": "basic", "type": "color-background" });
        self.with("mappings", look.cells())
            .custom(json!({ "cellOptions": background }))
    }

    /// From every region (rows) to every region (columns), with the way to the pair's own dashboard.
    pub(crate) fn matrix(title: &str, expression: &str) -> Self {
        let corner = r"source_region\target_region";
        Self::new("table", title, options())
            .custom(json!({
                "align": "center",
                "cellOptions": { "mode": "basic", "type": "color-background" },
                "inspect": false,
            }))
            // Where nothing is measured there is nothing, and no colour.
            .with(
                "mappings",
                json!([
                    { "options": { "match": "null+nan", "result": { "color": Colour::None.name(), "index": 0, "text": "—" } }, "type": "special" },
                ]),
            )
            .field(corner, &[
                ("displayName", json!("from \\ to")),
                ("custom.align", json!("left")),
                ("custom.cellOptions", json!({ "type": "auto" })),
                ("links", json!([])),
            ])
            .leads_to("From ${__data.fields[0]} to ${__field.name}", "hotspare-region-pair", &[
                ("source_region", "${__data.fields[0]}"),
                ("target_region", "${__field.name}"),
                ("kind", "${kind}"),
            ])
            .query(Query::rows(expression))
            // Both: rows come in the order of their first appearance, and so do columns.
            .transform("sortBy", json!({ "sort": [{ "field": "target_region" }] }))
            .transform(
                "groupingToMatrix",
                json!({ "columnField": "target_region", "emptyValue": "null", "rowField": "source_region", "valueField": "Value" }),
            )
            .transform("sortBy", json!({ "sort": [{ "field": corner }] }))
    }
}

fn plain_cells() -> Value {
    // Without a width, each column takes at least 150 pixels, and the last ones are off the edge.
    json!({ "align": "auto", "cellOptions": { "type": "auto" }, "inspect": false, "minWidth": 70 })
}

fn options() -> Value {
    json!({ "cellHeight": "sm", "showHeader": true })
}
