//! States over time.

use serde_json::json;

use super::look::Look;
use super::panel::Panel;

impl Panel {
    /// A bar for each series, with the words of its states.
    pub(crate) fn timeline(title: &str, look: &Look) -> Self {
        let options = json!({
            "alignValue": "left",
            "legend": { "calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": true },
            "mergeValues": true,
            "rowHeight": 0.9,
            "showValue": "auto",
            "tooltip": { "hideZeros": false, "mode": "single", "sort": "none" },
        });
        Self::new("state-timeline", title, options)
            .with("color", json!({ "mode": "thresholds" }))
            .look(look)
            .custom(json!({ "fillOpacity": 80, "lineWidth": 0 }))
    }
}
