//! What is chosen at the top of a dashboard.

use serde_json::{Value, json};

use super::dashboard::source;
use super::query::expand;

/// A choice, made of the values of a label.
pub(crate) struct Variable {
    name: &'static str,
    label: &'static str,
    query: String,
    many: bool,
    /// What is chosen at first, if it is offered; none for the first of them, or all.
    first: Option<&'static str>,
    /// What all of them are, as a pattern; none for those that are offered.
    all: Option<&'static str>,
}

impl Variable {
    /// Any number of the values that a label has, all of them at first.
    pub(crate) fn many(name: &'static str, label: &'static str, query: &str) -> Self {
        Self {
            name,
            label,
            query: expand(query),
            many: true,
            first: None,
            all: Some(".+"),
        }
    }

    /// All of them are those that are offered, and no more: where what is asked does not know the
    /// choices that these depend on.
    pub(crate) fn only_offered(mut self) -> Self {
        self.all = None;
        self
    }

    /// All of them is also what has no such label.
    pub(crate) fn or_none(mut self) -> Self {
        self.all = Some(".*");
        self
    }

    /// One of the values that a label has.
    pub(crate) fn one(name: &'static str, label: &'static str, query: &str) -> Self {
        Self {
            many: false,
            ..Self::many(name, label, query)
        }
    }

    /// This one at first, if it is offered.
    pub(crate) fn at_first(mut self, value: &'static str) -> Self {
        self.first = Some(value);
        self
    }

    /// The groups whose standbys are judged.
    pub(crate) fn groups() -> Self {
        let judged = "label_values(hotspare_failover_ready{DAEMON}, group)";
        Self::many("group", "Group", judged)
    }

    /// The standbys of the groups that are chosen.
    pub(crate) fn standbys() -> Self {
        let judged = "label_values(hotspare_failover_ready{GROUP}, standby)";
        Self::many("standby", "Standby", judged)
    }

    /// Those that every dashboard has, before its own. They are by a series that federation hands on,
    /// too.
    pub(super) fn common() -> Vec<Self> {
        vec![
            // Not any job: `up` and `process_…` are of everything that this Prometheus scrapes.
            Self::many(
                "job",
                "Job",
                "label_values(hotspare_evaluation_timestamp_seconds, job)",
            )
            .only_offered(),
            Self::many(
                "instance",
                "Instance",
                r#"label_values(hotspare_evaluation_timestamp_seconds{job=~"$job"}, instance)"#,
            ),
        ]
    }

    /// Which Prometheus is asked.
    pub(super) fn source() -> Value {
        json!({
            "hide": 0,
            "includeAll": false,
            "label": "Data source",
            "multi": false,
            "name": "datasource",
            "options": [],
            "query": "prometheus",
            "refresh": 1,
            "regex": "",
            "skipUrlSync": false,
            "type": "datasource",
        })
    }

    pub(super) fn json(&self) -> Value {
        let mut variable = json!({
            "datasource": source(),
            "definition": self.query,
            "hide": 0,
            "includeAll": self.many,
            "label": self.label,
            "multi": self.many,
            "name": self.name,
            "options": [],
            "query": { "qryType": 1, "query": self.query, "refId": "PrometheusVariableQueryEditor-VariableQuery" },
            // On each change of the time range, too: what is gone is not offered.
            "refresh": 2,
            "regex": "",
            "skipUrlSync": false,
            "sort": 1,
            "type": "query",
        });
        if self.many {
            if let Some(all) = self.all {
                variable["allValue"] = json!(all);
            }
            variable["current"] = json!({ "selected": true, "text": ["All"], "value": ["$__all"] });
        }
        if let Some(first) = self.first {
            variable["current"] = json!({ "selected": true, "text": first, "value": first });
        }
        variable
    }
}
