//! Words and colours for values. A colour never stands alone: where a value is a state, its word is
//! there, too.

use serde_json::{Map, Value, json};

/// Grafana's own names, which are right in its light and its dark theme.
#[derive(Clone, Copy)]
pub(crate) enum Colour {
    /// As it should be.
    Good,
    /// It wants a look.
    Warn,
    /// It is bad.
    Bad,
    /// Not known, which is never good.
    Unknown,
    /// Neither good nor bad.
    Plain,
    /// Neither, and something else than [`Self::Plain`].
    Other,
    /// Nothing to be seen.
    None,
}

impl Colour {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Good => "green",
            Self::Warn => "orange",
            Self::Bad => "red",
            Self::Unknown => "purple",
            Self::Plain => "blue",
            Self::Other => "light-blue",
            Self::None => "transparent",
        }
    }
}

/// Words for numbers: each with its colour, in the order of the legend.
pub(crate) struct Look(pub(crate) &'static [(i32, &'static str, Colour)]);

/// 1 and 0, where 1 is as it should be.
pub(crate) const FLAG: Look = Look(&[(1, "yes", Colour::Good), (0, "NO", Colour::Bad)]);

impl Look {
    /// Mappings of these words, and of what is not a number to "not known".
    pub(crate) fn json(&self) -> Value {
        let words: Map<String, Value> = self
            .0
            .iter()
            .enumerate()
            .map(|(index, (number, text, colour))| {
                let word = json!({ "color": colour.name(), "index": index, "text": text });
                (number.to_string(), word)
            })
            .collect();
        let unknown =
            json!({ "color": Colour::Unknown.name(), "index": self.0.len(), "text": "not known" });
        let mut mappings =
            vec![json!({ "options": { "match": "nan", "result": unknown }, "type": "special" })];
        if !words.is_empty() {
            mappings.insert(0, json!({ "options": words, "type": "value" }));
        }
        json!(mappings)
    }

    /// The same for the cells of a table, where what is not there at all is a dash. (In a timeline
    /// that is a gap, and a stat says it by itself.)
    pub(super) fn cells(&self) -> Value {
        let mut mappings = self.json();
        if let Value::Array(mappings) = &mut mappings {
            // The second: a label that other rows have.
            mappings.extend(["null", "empty"].map(|nothing| {
                let dash =
                    json!({ "color": Colour::None.name(), "index": self.0.len() + 1, "text": "—" });
                json!({ "options": { "match": nothing, "result": dash }, "type": "special" })
            }));
        }
        mappings
    }
}

/// Numbers without words, of which only those that are not known have some.
pub(super) const NUMBER: Look = Look(&[]);

/// From which value on which colour holds; the first is for all below.
pub(crate) struct Thresholds(pub(crate) Colour, pub(crate) &'static [(f64, Colour)]);

impl Thresholds {
    /// For values of which each has a word, so that one that has none is not green for it.
    pub(super) const WORDS: Self = Self(Colour::Unknown, &[]);
    /// How many there are of what is bad.
    pub(crate) const NONE_IS_GOOD: Self = Self(Colour::Good, &[(1.0, Colour::Bad)]);
    /// How many there are of what wants a look.
    pub(crate) const NONE_IS_BETTER: Self = Self(Colour::Good, &[(1.0, Colour::Warn)]);
    /// Which part of the attempts failed.
    pub(crate) const FAILED_RUNS: Self =
        Self(Colour::Good, &[(0.001, Colour::Warn), (0.05, Colour::Bad)]);

    pub(crate) fn json(&self) -> Value {
        let mut steps = vec![json!({ "color": self.0.name(), "value": null })];
        let more = self.1.iter();
        steps.extend(more.map(|(value, colour)| json!({ "color": colour.name(), "value": value })));
        json!({ "mode": "absolute", "steps": steps })
    }
}
