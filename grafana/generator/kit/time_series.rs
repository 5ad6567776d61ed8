//! Lines and bars over time.

use serde_json::json;

use super::panel::Panel;

impl Panel {
    /// A line for each series.
    pub(crate) fn time_series(title: &str) -> Self {
        let options = json!({
            "legend": {
                "calcs": ["lastNotNull", "mean", "max"],
                "displayMode": "table",
                "placement": "right",
                "showLegend": true,
                "sortBy": "Max",
                "sortDesc": true,
            },
            "tooltip": { "mode": "multi", "sort": "desc" },
        });
        Self::new("timeseries", title, options)
            .with("color", json!({ "mode": "palette-classic" }))
            .with("min", 0)
            .custom(json!({
                "drawStyle": "line",
                "fillOpacity": 0,
                "lineWidth": 1,
                "showPoints": "auto",
                // What was not measured is a gap.
                "spanNulls": false,
            }))
    }

    /// The parts of a whole: bars on top of each other.
    pub(crate) fn stacked(self) -> Self {
        self.custom(json!({
            "drawStyle": "bars",
            "fillOpacity": 80,
            "lineWidth": 0,
            "showPoints": "never",
            "stacking": { "group": "A", "mode": "normal" },
        }))
    }

    /// Areas on top of each other: the parts of a duration.
    pub(crate) fn stacked_areas(self) -> Self {
        self.custom(json!({
            "fillOpacity": 40,
            "showPoints": "never",
            "stacking": { "group": "A", "mode": "normal" },
        }))
    }

    /// Lines that step: a value holds until the next.
    pub(crate) fn steps(self) -> Self {
        self.custom(json!({ "lineInterpolation": "stepAfter" }))
    }

    /// An axis that need not end at zero: for what can be less.
    pub(crate) fn below_zero(self) -> Self {
        self.without("min")
    }

    /// An axis on which ten times as much is one step more. It has no zero to begin at.
    pub(crate) fn logarithmic(self) -> Self {
        self.without("min")
            .custom(json!({ "scaleDistribution": { "log": 10, "type": "log" } }))
    }

    /// The legend below with the maximum alone: for lines that are there now and then only, whose last
    /// value may be long ago.
    pub(crate) fn legend_of_most(self) -> Self {
        self.option(
            "legend",
            json!({ "calcs": ["max"], "displayMode": "table", "placement": "bottom", "showLegend": true }),
        )
    }

    /// The legend below, for panels that are narrow.
    pub(crate) fn legend_below(self) -> Self {
        self.option(
            "legend",
            json!({ "calcs": ["lastNotNull", "max"], "displayMode": "table", "placement": "bottom", "showLegend": true }),
        )
    }
}
