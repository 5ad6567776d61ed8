//! How values are spread, over time.

use serde_json::json;

use super::panel::Panel;
use super::query::Query;

impl Panel {
    /// The buckets of a histogram of seconds: an expression that sums rates by `le`.
    pub(crate) fn heatmap(title: &str, buckets: &str) -> Self {
        let options = json!({
            "calculate": false,
            "cellGap": 1,
            "cellValues": { "unit": "short" },
            "color": {
                "exponent": 0.5,
                "fill": "dark-orange",
                "mode": "scheme",
                "reverse": false,
                "scale": "exponential",
                "scheme": "Spectral",
                "steps": 64,
            },
            "exemplars": { "color": "rgba(255,0,255,0.7)" },
            // Buckets in which there is nothing are not drawn.
            "filterValues": { "le": 1e-9 },
            "legend": { "show": true },
            "rowsFrame": { "layout": "auto" },
            "tooltip": { "mode": "single", "showColorScale": true, "yHistogram": true },
            "yAxis": { "axisPlacement": "left", "reverse": false, "unit": "s" },
        });
        Self::new("heatmap", title, options)
            .unit("s")
            .custom(json!({ "scaleDistribution": { "type": "linear" } }))
            .query(Query::buckets(buckets))
    }
}
