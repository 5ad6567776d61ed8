//! States over time.

use serde_json::json;

use super::look::{Look, Thresholds};
use super::panel::Panel;

impl Panel {
    /// A bar for each series, with the words of its states.
    pub(crate) fn timeline(title: &str, look: &Look) -> Self {
        let options = json!({
            "alignValue": "left",
            "legend": { "calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": true },
            "mergeValues": true,
            // Newer Grafanas turn pages where there are more rows; 10.4 does not know it, and draws all.
            "perPage": 20,
            "rowHeight": 0.9,
            "showValue": "auto",
            "tooltip": { "mode": "single", "sort": "none" },
        });
        Self::new("state-timeline", title, options)
            .look(look)
            .thresholds(&Thresholds::WORDS)
            .custom(json!({ "fillOpacity": 80, "lineWidth": 0 }))
    }
}
