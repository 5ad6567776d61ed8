//! Moments that are marked in all panels.

use serde_json::{Value, json};

use super::dashboard::source;
use super::query::expand;

/// What is marked.
pub(crate) struct Annotation {
    name: &'static str,
    colour: &'static str,
    expression: String,
    title: &'static str,
    text: &'static str,
    /// Whether the value is the moment (in milliseconds), and not the time of the sample.
    at_value: bool,
}

impl Annotation {
    /// Marks the times at which the expression has a value.
    pub(crate) fn during(
        name: &'static str,
        colour: &'static str,
        expression: &str,
        (title, text): (&'static str, &'static str),
    ) -> Self {
        Self {
            name,
            colour,
            expression: expand(expression),
            title,
            text,
            at_value: false,
        }
    }

    /// Marks the moment that the expression has as its value, in milliseconds since 1970.
    pub(crate) fn at(
        name: &'static str,
        colour: &'static str,
        expression: &str,
        words: (&'static str, &'static str),
    ) -> Self {
        Self {
            at_value: true,
            ..Self::during(name, colour, expression, words)
        }
    }

    /// The alerts of the shipped rules.
    pub(super) fn alerts() -> Self {
        Self::during(
            "Alerts",
            "red",
            r#"ALERTS{alertname=~"Hotspare.+",alertstate="firing",severity=~"critical|warning"}"#,
            (
                "{{alertname}}",
                "{{group}} {{standby}} {{source_region}} {{target_region}}",
            ),
        )
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "datasource": source(),
            "enable": true,
            "hide": false,
            "iconColor": self.colour,
            "name": self.name,
            "tagKeys": "severity",
            "target": { "expr": self.expression, "interval": "60s", "refId": "Anno" },
            "textFormat": self.text,
            "titleFormat": self.title,
            "useValueForTime": self.at_value,
        })
    }
}
