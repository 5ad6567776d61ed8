//! One number, large.

use serde_json::json;

use super::look::NUMBER;
use super::panel::Panel;

impl Panel {
    /// The last value of each series, its colour behind it.
    pub(crate) fn stat(title: &str) -> Self {
        let options = json!({
            "colorMode": "background",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
            "textMode": "auto",
            "wideLayout": true,
        });
        Self::new("stat", title, options)
            .unit("short")
            .size(4, 4)
            .with("mappings", NUMBER.json())
    }

    /// Each with the name of its series: for more than one.
    pub(crate) fn named(self) -> Self {
        self.option("textMode", "value_and_name")
    }
}
