//! What panels ask Prometheus.

use serde_json::{Value, json};

use super::dashboard::source;

/// What words in capitals stand for in expressions: matchers, so that PromQL stays readable.
const MATCHERS: [(&str, &str); 10] = [
    // Databases that are chosen, each looked at by itself.
    (
        "SERVER",
        r#"DAEMON,kind=~"postgres|mysql|redis",probe=~"$probe",target=~"$target""#,
    ),
    // The databases of groups that are chosen.
    ("SET", r#"GROUP,probe=~"$probe""#),
    // Pairs of a primary and a standby that are chosen.
    ("REPLICA", r#"STANDBY,probe=~"$probe""#),
    // What is chosen of one way.
    ("TARGETS", r#"WAY,probe=~"$probe",target=~"$target""#),
    // The same way back. Its targets have other names, being in another region.
    (
        "BACK",
        r#"DAEMON,source_region="$target_region",target_region="$source_region",kind="$kind",probe=~"$probe""#,
    ),
    // One way: from a region to a region.
    (
        "WAY",
        r#"DAEMON,source_region="$source_region",target_region="$target_region",kind="$kind""#,
    ),
    // All ways that are chosen.
    (
        "PAIRS",
        r#"DAEMON,source_region=~"$source_region",target_region=~"$target_region""#,
    ),
    ("STANDBY", r#"DAEMON,group=~"$group",standby=~"$standby""#),
    ("GROUP", r#"DAEMON,group=~"$group""#),
    // What every series of a daemon has, and no record has.
    ("DAEMON", r#"job=~"$job",instance=~"$instance""#),
];

/// The expression with each word of [`MATCHERS`] replaced by what it stands for.
pub(crate) fn expand(expression: &str) -> String {
    MATCHERS
        .iter()
        .fold(expression.trim().to_owned(), |text, (word, matchers)| {
            text.replace(word, matchers)
        })
}

/// How many series a comparison holds for. Where no series is known (none is there, or all are NaN)
/// it is nothing, and not a green 0.
pub(crate) fn among(series: &str, comparison: &str) -> String {
    format!("count({series} {comparison}) or 0 * count({series} > -Inf)")
}

/// One expression of a panel.
pub(crate) struct Query {
    expression: String,
    legend: String,
    format: &'static str,
    instant: bool,
}

impl Query {
    /// A value for each step of the time range.
    pub(crate) fn range(expression: &str, legend: &str) -> Self {
        Self {
            expression: expand(expression),
            legend: legend.to_owned(),
            format: "time_series",
            instant: false,
        }
    }

    /// The value at the end of the time range.
    pub(crate) fn now(expression: &str, legend: &str) -> Self {
        Self {
            instant: true,
            ..Self::range(expression, legend)
        }
    }

    /// The values at the end of the time range, as rows with their labels.
    pub(crate) fn rows(expression: &str) -> Self {
        Self {
            format: "table",
            ..Self::now(expression, "__auto")
        }
    }

    /// The buckets of a histogram.
    pub(super) fn buckets(expression: &str) -> Self {
        Self {
            format: "heatmap",
            ..Self::range(expression, "{{le}}")
        }
    }

    /// The letter by which Grafana knows the query within its panel.
    pub(super) fn letter(place: usize) -> String {
        char::from(b'A' + u8::try_from(place).unwrap_or(u8::MAX)).to_string()
    }

    pub(super) fn json(&self, place: usize) -> Value {
        json!({
            "datasource": source(),
            "editorMode": "code",
            "expr": self.expression,
            "format": self.format,
            "instant": self.instant,
            "legendFormat": self.legend,
            "range": !self.instant,
            "refId": Self::letter(place),
        })
    }
}
