//! A silence: for a while, nobody is told of some alerts.

use serde::{Deserialize, Serialize};

use super::Labels;

/// Nobody is told that alerts with these labels fire, until it ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// What names it: given by who orders it, so that an order can be repeated.
    pub id: String,
    /// The labels that an alert has to have, all of them and with these values; never empty.
    #[serde(rename = "match")]
    pub matches: Labels,
    /// Why, in the words of who ordered it.
    #[serde(default)]
    pub note: Option<String>,
    /// When it began, in seconds since 1970.
    pub start_timestamp_seconds: f64,
    /// When it ends.
    pub end_timestamp_seconds: f64,
}

impl Silence {
    /// The longest id, in bytes.
    pub const MAX_ID: usize = 64;
    /// The longest note, in bytes.
    pub const MAX_NOTE: usize = 256;
    /// The longest silence, in seconds: who wants more should change the rule.
    pub const MAX_SECONDS: f64 = 30.0 * 24.0 * 3600.0;
    /// The labels that one may name.
    pub const MAX_LABELS: usize = 16;

    /// Whether it holds at this moment.
    pub fn holds(&self, moment: f64) -> bool {
        (self.start_timestamp_seconds..self.end_timestamp_seconds).contains(&moment)
    }
}

/// The order to begin a silence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SilenceStart {
    /// What is to name it.
    pub id: String,
    /// The labels that an alert has to have.
    #[serde(rename = "match")]
    pub matches: Labels,
    /// Why.
    #[serde(default)]
    pub note: Option<String>,
    /// For how long.
    pub for_seconds: f64,
}

/// What an operator orders.
#[derive(Clone, Debug, PartialEq)]
pub enum SilenceOrder {
    /// To begin one.
    Start(SilenceStart),
    /// To end the one with this id.
    End(String),
}

/// Why an order is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SilenceRefusal {
    /// Something of it is not allowed.
    #[error("{0}")]
    Bad(&'static str),
    /// There is another silence with this id.
    #[error("there is another silence with this id")]
    Taken,
    /// There is none with this id.
    #[error("there is no silence with this id")]
    None,
    /// There are too many.
    #[error("there are {0} silences already: end some")]
    TooMany(usize),
}

/// Whether all of these labels are among those, with the same values.
pub fn agrees(matches: &Labels, labels: &Labels) -> bool {
    let mut matches = matches.iter();
    matches.all(|(name, value)| labels.get(name) == Some(value))
}
