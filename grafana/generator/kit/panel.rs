//! A panel: what all types of them have in common.

use serde_json::{Map, Value, json};

use super::dashboard::source;
use super::link;
use super::look::{Colour, Look, NUMBER, Thresholds};
use super::query::Query;

/// One panel. Each type has a file of its own with what makes it one.
pub(crate) struct Panel {
    kind: &'static str,
    title: String,
    description: String,
    width: u32,
    height: u32,
    queries: Vec<Query>,
    /// What holds for every field, and the settings of the type among it.
    defaults: Map<String, Value>,
    custom: Map<String, Value>,
    overrides: Vec<Value>,
    options: Value,
    transformations: Vec<Value>,
    interval: Option<&'static str>,
}

impl Panel {
    pub(super) fn new(kind: &'static str, title: &str, options: Value) -> Self {
        Self {
            kind,
            title: title.to_owned(),
            description: String::new(),
            width: 12,
            height: 8,
            queries: Vec::new(),
            defaults: Map::new(),
            custom: Map::new(),
            overrides: Vec::new(),
            options,
            transformations: Vec::new(),
            interval: None,
        }
    }

    /// What it shows and how to read it, for who points at its corner.
    pub(crate) fn says(mut self, description: &str) -> Self {
        description.clone_into(&mut self.description);
        self
    }

    /// In columns of 24, and in rows of 38 pixels.
    pub(crate) fn size(mut self, width: u32, height: u32) -> Self {
        (self.width, self.height) = (width, height);
        self
    }

    pub(crate) fn query(mut self, query: Query) -> Self {
        self.queries.push(query);
        self
    }

    /// Grafana's name of a unit: `s`, `percentunit`, `bytes`, `short`.
    pub(crate) fn unit(self, unit: &str) -> Self {
        self.with("unit", unit)
    }

    /// How many digits stand behind the point.
    pub(crate) fn decimals(self, decimals: u32) -> Self {
        self.with("decimals", decimals)
    }

    pub(crate) fn look(self, look: &Look) -> Self {
        self.with("mappings", look.json())
    }

    pub(crate) fn thresholds(self, thresholds: &Thresholds) -> Self {
        self.with("thresholds", thresholds.json())
            .with("color", json!({ "mode": "thresholds" }))
    }

    /// The values between which an axis or a colour runs.
    pub(crate) fn between(self, min: f64, max: f64) -> Self {
        self.with("min", min).with("max", max)
    }

    /// What stands there when there is nothing.
    pub(crate) fn or_says(self, nothing: &str) -> Self {
        self.with("noValue", nothing)
    }

    /// A way to another dashboard from every value.
    pub(crate) fn leads_to(self, title: &str, dashboard: &str, choices: &[(&str, &str)]) -> Self {
        self.with("links", json!([link::to(title, dashboard, choices)]))
    }

    /// Steps of the query are at least so long.
    pub(crate) fn at_least(mut self, interval: &'static str) -> Self {
        self.interval = Some(interval);
        self
    }

    /// What holds for the field (series, column) of this name only: `unit`, `color`, `mappings`, …,
    /// and `custom.NAME` for settings of the type.
    pub(crate) fn field(self, name: &str, properties: &[(&str, Value)]) -> Self {
        self.override_by("byName", name, properties)
    }

    /// The same for all fields whose names match.
    pub(crate) fn fields(self, pattern: &str, properties: &[(&str, Value)]) -> Self {
        self.override_by("byRegexp", pattern, properties)
    }

    /// A dashed line in red: the limit that the others are held against.
    pub(crate) fn limit(self, pattern: &str) -> Self {
        let dashed = json!({ "dash": [10, 10], "fill": "dash" });
        let red = json!({ "fixedColor": Colour::Bad.name(), "mode": "fixed" });
        let properties = [
            ("color", red),
            ("custom.fillOpacity", json!(0)),
            ("custom.lineStyle", dashed),
            ("custom.stacking", json!({ "group": "A", "mode": "none" })),
        ];
        self.fields(pattern, &properties)
    }

    fn override_by(mut self, matcher: &str, options: &str, properties: &[(&str, Value)]) -> Self {
        let properties: Vec<_> = properties
            .iter()
            .map(|(id, value)| json!({ "id": id, "value": value }))
            .collect();
        self.overrides.push(
            json!({ "matcher": { "id": matcher, "options": options }, "properties": properties }),
        );
        self
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.defaults.insert(key.to_owned(), value.into());
        self
    }

    /// Without what was said of it before.
    pub(super) fn without(mut self, key: &str) -> Self {
        self.defaults.remove(key);
        self
    }

    pub(super) fn custom(mut self, custom: Value) -> Self {
        if let Value::Object(custom) = custom {
            self.custom.extend(custom);
        }
        self
    }

    pub(super) fn option(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.options[key] = value.into();
        self
    }

    pub(super) fn transform(mut self, id: &str, options: Value) -> Self {
        self.transformations
            .push(json!({ "id": id, "options": options }));
        self
    }

    /// The mappings, and words for what is nothing or not a number: without these, Grafana gives it
    /// the colour of the lowest value, and that is mostly green.
    fn words_for_nothing(&self) -> Value {
        let own = self.defaults.get("mappings").cloned();
        let mut mappings = own.unwrap_or_else(|| NUMBER.json());
        let nothing = self.defaults.get("noValue").cloned();
        let nothing = json!({
            "color": Colour::Unknown.name(),
            "index": 100,
            "text": nothing.unwrap_or_else(|| json!("no data")),
        });
        if let Some(mappings) = mappings.as_array_mut() {
            mappings.push(
                json!({ "options": { "match": "null", "result": nothing }, "type": "special" }),
            );
        }
        mappings
    }

    pub(super) fn extent(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The panel with its number, at a place of the dashboard.
    pub(super) fn json(&self, id: usize, (x, y): (u32, u32)) -> Value {
        let mut defaults = self.defaults.clone();
        if self.kind == "stat" {
            defaults.insert("mappings".to_owned(), self.words_for_nothing());
        }
        if !self.custom.is_empty() {
            defaults.insert("custom".to_owned(), Value::Object(self.custom.clone()));
        }
        let targets: Vec<_> = (0..).zip(&self.queries).map(|(i, q)| q.json(i)).collect();
        let mut panel = json!({
            "datasource": source(),
            "description": self.description,
            "fieldConfig": { "defaults": defaults, "overrides": self.overrides },
            "gridPos": { "h": self.height, "w": self.width, "x": x, "y": y },
            "id": id,
            "options": self.options,
            "targets": targets,
            "title": self.title,
            "type": self.kind,
        });
        if !self.transformations.is_empty() {
            panel["transformations"] = json!(self.transformations);
        }
        if let Some(interval) = self.interval {
            panel["interval"] = json!(interval);
        }
        panel
    }
}
