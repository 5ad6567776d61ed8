//! The dashboards as they are in their files.

use serde_json::Value;

use crate::rules::{files, read};

/// One dashboard.
pub(super) struct Board {
    /// The name of its file, without its ending.
    pub(super) file: String,
    pub(super) json: Value,
}

/// One panel, which may be a row.
#[derive(Clone, Copy)]
pub(super) struct Panel<'a> {
    pub(super) json: &'a Value,
}

/// One query of a panel.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) json: &'a Value,
    /// Its place in the panel.
    pub(super) place: usize,
}

/// One variable.
#[derive(Clone, Copy)]
pub(super) struct Variable<'a> {
    pub(super) json: &'a Value,
}

impl Board {
    /// All that are shipped.
    pub(super) fn all() -> Vec<Self> {
        let boards = files("grafana/dashboards", "json").into_iter().map(|path| {
            let json = serde_json::from_str(&read(&path));
            Self {
                file: path.file_stem().expect("a name").to_string_lossy().into(),
                json: json.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            }
        });
        boards.collect()
    }

    pub(super) fn title(&self) -> &str {
        text(&self.json["title"])
    }

    /// Its panels and rows, those in collapsed rows too.
    pub(super) fn panels_and_rows(&self) -> Vec<Panel<'_>> {
        let mut all = Vec::new();
        for json in list(&self.json["panels"]) {
            all.push(Panel { json });
            all.extend(list(&json["panels"]).iter().map(|json| Panel { json }));
        }
        all
    }

    /// Its panels.
    pub(super) fn panels(&self) -> Vec<Panel<'_>> {
        let mut panels = self.panels_and_rows();
        panels.retain(|panel| panel.kind() != "row");
        panels
    }

    pub(super) fn variables(&self) -> Vec<Variable<'_>> {
        let all = list(&self.json["templating"]["list"]).iter();
        all.map(|json| Variable { json }).collect()
    }

    pub(super) fn variable(&self, name: &str) -> Option<Variable<'_>> {
        let mut all = self.variables().into_iter();
        all.find(|variable| variable.name() == name)
    }

    /// Its annotations that ask for something.
    pub(super) fn annotations(&self) -> Vec<&Value> {
        let all = list(&self.json["annotations"]["list"]).iter();
        all.filter(|annotation| annotation["builtIn"] != 1)
            .collect()
    }

    /// Every query with the place that it is at, for people.
    pub(super) fn queries(&self) -> Vec<(String, &str)> {
        let mut queries = Vec::new();
        for panel in self.panels() {
            for target in panel.targets() {
                let at = format!("{}: {} {}", self.file, panel.title(), target.place);
                queries.push((at, target.expr()));
            }
        }
        for annotation in self.annotations() {
            let at = format!("{}: annotation {}", self.file, text(&annotation["name"]));
            queries.push((at, text(&annotation["target"]["expr"])));
        }
        queries
    }
}

impl<'a> Panel<'a> {
    pub(super) fn kind(self) -> &'a str {
        text(&self.json["type"])
    }

    pub(super) fn title(self) -> &'a str {
        text(&self.json["title"])
    }

    pub(super) fn targets(self) -> impl Iterator<Item = Target<'a>> {
        let all = list(&self.json["targets"]).iter().enumerate();
        all.map(|(place, json)| Target { json, place })
    }

    pub(super) fn defaults(self) -> &'a Value {
        &self.json["fieldConfig"]["defaults"]
    }

    /// What the overrides of its fields set, by the property's name.
    pub(super) fn overridden(self, property: &str) -> impl Iterator<Item = &'a Value> {
        let overrides = list(&self.json["fieldConfig"]["overrides"]).iter();
        let properties = overrides.flat_map(|of| list(&of["properties"]));
        properties
            .filter(move |of| of["id"] == property)
            .map(|of| &of["value"])
    }

    /// All its mappings of values to words.
    pub(super) fn mappings(self) -> impl Iterator<Item = &'a Value> {
        let own = list(&self.defaults()["mappings"]).iter();
        own.chain(self.overridden("mappings").flat_map(list))
    }
}

impl<'a> Target<'a> {
    pub(super) fn expr(self) -> &'a str {
        text(&self.json["expr"])
    }
}

impl<'a> Variable<'a> {
    pub(super) fn name(self) -> &'a str {
        text(&self.json["name"])
    }

    pub(super) fn is_query(self) -> bool {
        self.json["type"] == "query"
    }

    /// What it asks for.
    pub(super) fn query(self) -> &'a str {
        let query = &self.json["query"];
        query.as_str().unwrap_or_else(|| text(&query["query"]))
    }

    pub(super) fn is_multi(self) -> bool {
        self.json["multi"] == true
    }
}

/// The text, or nothing.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The list, or an empty one.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
